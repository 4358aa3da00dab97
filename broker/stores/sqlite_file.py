"""The SQLite file of the state store: whose it is, how it is opened, and what its errors mean.

Rule: every write that has returned survives a crash of the process *and* a loss of power. Under a write-ahead log
`synchronous=NORMAL` keeps the file whole but may lose the last commits when the power goes; a checkpoint that was
reported as saved would then be repeated, and an epoch, which handlers use as a fencing token, would be given out twice.
Hence `synchronous=FULL`: one fsync for each write.

Source: sqlite.org, "PRAGMA Statements" (application_id, user_version, synchronous, journal_mode, busy_timeout) and
"Result and Error Codes" (read November 2026).
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from broker.errors import StoreError
from broker.stores.folders import require_local

APPLICATION_ID = 0x45534252
"""`ESBR` in the file's header: this is a broker's state."""
SCHEMA_VERSION = 1
BUSY_SECONDS = 5.0
"""How long a call waits for another process's write; a write takes milliseconds."""
_JOURNAL_BYTES = 16 * 1024 * 1024
"""To what the write-ahead log is cut back after it was larger."""
_RETRY_SECONDS = 0.01
_TABLE = """
CREATE TABLE IF NOT EXISTS rows (
    partition  TEXT NOT NULL,
    key        TEXT NOT NULL,
    version    INTEGER NOT NULL,
    nonce      TEXT NOT NULL,
    body       TEXT NOT NULL,
    written_at TEXT NOT NULL,
    PRIMARY KEY (partition, key)
)"""

_REMEDIES: dict[str, tuple[str, str, bool]] = {
    "SQLITE_FULL": ("the disk is full", "Make room; the broker goes on by itself.", True),
    "SQLITE_BUSY": (
        f"another process has kept the file locked for {BUSY_SECONDS:g} s",
        "It should pass by itself; otherwise look for a program that holds a transaction open (`fuser FILE`).",
        True,
    ),
    "SQLITE_LOCKED": ("a table is locked", "It should pass by itself.", True),
    "SQLITE_READONLY": (
        "the file or its folder is read-only",
        "Let the broker's user write to both, and start again.",
        False,
    ),
    "SQLITE_CANTOPEN": (
        "the file cannot be opened",
        "Check that its folder exists and that the broker's user may write to it.",
        False,
    ),
    "SQLITE_PERM": ("access is denied", "Let the broker's user write to the file and its folder.", False),
    "SQLITE_NOTADB": ("the file is no SQLite database", "Name another file: `StateStore: sqlite:PATH`.", False),
    "SQLITE_CORRUPT": ("the file is damaged", "Restore it from a copy, or move it away to begin anew.", False),
    "SQLITE_IOERR": ("the disk fails to read or write", "Check the disk and the system's log.", True),
}
"""By SQLite's primary error: what it is, what to do, and whether the same call may succeed later."""
_UNKNOWN = ("SQLite refused", "See the code in SQLite's documentation.", False)


def connect(path: Path) -> sqlite3.Connection:
    """Opens the file, makes it if there is none, and refuses what is not a broker's. Blocks.

    Raises:
        StoreError: where it cannot be used; `retryable` where it may work later.
    """
    require_local(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"The folder of the state store {path} cannot be made: {error.strerror}. Name a file in a folder that the "
            "broker's user may write to (`StateStore: sqlite:PATH`).",
            code="Folder",
            retryable=False,
        ) from error
    with translated("Opening", path), _closed_on_failure(path) as connection:
        _look(connection, path)
        _enter_write_ahead_log(connection, path)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA journal_size_limit={_JOURNAL_BYTES}")
        _make_table(connection, path)
        return connection


@contextmanager
def translated(what: str, path: Path) -> Iterator[None]:
    """Turns what SQLite raises inside into `StoreError`; `what` is the word for the message: `Writing`."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorname", type(error).__name__)
        reason, remedy, retryable = _REMEDIES.get("_".join(code.split("_")[:2]), _UNKNOWN)
        raise StoreError(
            f"{what} the state store {path} failed: {reason} ({code}: {error}). {remedy}",
            code=code,
            retryable=retryable,
        ) from error


@contextmanager
def _closed_on_failure(path: Path) -> Iterator[sqlite3.Connection]:
    # Autocommit: the store says BEGIN itself. Its calls come one at a time, from whichever worker thread is free.
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    with ExitStack() as opening:
        opening.callback(connection.close)
        yield connection
        opening.pop_all()


def _look(connection: sqlite3.Connection, path: Path) -> None:
    """Looks before anything is written: the header of another program's file stays as it is.

    In one transaction: a file that another process is just making is seen before or after, never half.
    """
    connection.execute("BEGIN")
    try:
        _require_ours(connection, path)
    finally:
        _roll_back(connection)


def _require_ours(connection: sqlite3.Connection, path: Path) -> None:
    owner, schema = _pragma(connection, "application_id"), _pragma(connection, "user_version")
    if owner == APPLICATION_ID and schema == SCHEMA_VERSION:
        return
    if owner == APPLICATION_ID:
        problem = f"has schema {schema}, this broker writes schema {SCHEMA_VERSION}: another version has made it"
    elif owner or schema or connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
        problem = "is the database of another program"
    else:
        return
    raise StoreError(
        f"The state store {path} {problem}. It was left as it is; name another file (`StateStore: sqlite:PATH`).",
        code="ForeignFile",
        retryable=False,
    )


def _enter_write_ahead_log(connection: sqlite3.Connection, path: Path) -> None:
    """Several processes may do this at once; SQLite then does not wait but tells one of them that it is busy."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)
    if mode != "wal":
        raise StoreError(
            f"The state store {path} is on a file system without shared memory (journal_mode={mode}). Name a file on "
            "a disk of this machine: `StateStore: sqlite:PATH`.",
            code="NoWriteAheadLog",
            retryable=False,
        )


def _make_table(connection: sqlite3.Connection, path: Path) -> None:
    if _pragma(connection, "application_id") == APPLICATION_ID:
        return
    with transaction(connection):
        _require_ours(connection, path)  # somebody may have been first
        connection.execute(_TABLE)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Takes the lock for writing at once, so that what is read inside holds until the end."""
    connection.execute("BEGIN IMMEDIATE")
    with ExitStack() as undoing:
        undoing.callback(_roll_back, connection)
        yield
        connection.execute("COMMIT")
        undoing.pop_all()


def _roll_back(connection: sqlite3.Connection) -> None:
    """SQLite has done it already after some errors (a full disk, for one)."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
