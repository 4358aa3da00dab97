"""Rows in a SQLite file, for all processes of one machine.

Each call is one short transaction on a worker thread: the event loop never waits for the disk. A call that has begun
is not broken off: who is cancelled meanwhile waits until it has ended (milliseconds, at most five seconds behind
another process's lock), so that the row has its old or its new state and the connection is never left in between.

An instance belongs to one event loop; another one, of another thread say, opens its own by `reopened`.
"""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
from anyio import CapacityLimiter, to_thread

from broker.errors import StoreError
from broker.model.lease import Row
from broker.stores.rows import Mark, conflict, decoded, encoded, require_own
from broker.stores.sqlite_file import BUSY_SECONDS, connect, transaction, translated

_CLOSE_SECONDS = 2 * BUSY_SECONDS
_ALL = "SELECT key, version, body FROM rows WHERE partition = ? ORDER BY key"
_ONE = "SELECT key, version, body FROM rows WHERE partition = ? AND key = ?"
_MARK = "SELECT version, nonce FROM rows WHERE partition = ? AND key = ?"
_INSERT = """
INSERT INTO rows (partition, key, version, nonce, body, written_at)
VALUES (:partition, :key, 1, :nonce, :body, :written_at) ON CONFLICT (partition, key) DO NOTHING"""
_UPDATE = """
UPDATE rows SET version = version + 1, nonce = :nonce, body = :body, written_at = :written_at
WHERE partition = :partition AND key = :key AND version = :version"""
_DELETE = "DELETE FROM rows WHERE partition = ? AND key = ? AND version = ?"

_Result = TypeVar("_Result")


class SqliteStateStore:
    """A `StateStore` in one file. Use as `async with SqliteStateStore(path) as store`."""

    is_shared = True
    """Other processes of this machine see it."""

    def __init__(self, path: Path) -> None:
        """The file is made where there is none, with its folder, when the store is opened."""
        self._path = path
        self._opened: tuple[sqlite3.Connection, tuple[int, int]] | None = None
        # One call at a time: a connection has one transaction.
        self._limiter = CapacityLimiter(1)

    def __repr__(self) -> str:
        return f"<SqliteStateStore {self._path}>"

    async def __aenter__(self) -> Self:
        """Raises `StoreError` where the file cannot be used."""
        async with AsyncExitStack() as opening:
            opening.push_async_callback(self._close)
            await to_thread.run_sync(self._open, limiter=self._limiter)
            opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._close()

    def reopened(self) -> "SqliteStateStore":
        """For `async with`, also in another event loop: a connection of its own to the same file."""
        return SqliteStateStore(self._path)

    async def read(self, partition: str) -> Mapping[str, Row]:
        """All rows of a partition, by key. Raises `StoreError`."""
        return await self._run("Reading", partial(_read, partition=partition))

    async def get(self, partition: str, key: str) -> Row | None:
        """One row; None where there is none. Raises `StoreError`."""
        return await self._run("Reading", partial(_get, partition=partition, key=key))

    async def write(self, partition: str, key: str, value: Mapping[str, Any], *, version: int, nonce: str) -> None:
        """Makes `value` the row's where its version is still `version`. Raises `RowConflict` and `StoreError`."""
        change = {
            "partition": partition,
            "key": key,
            "version": version,
            "nonce": nonce,
            "body": encoded(value).decode(),
            "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        await self._run("Writing", partial(_write, change=change))

    async def delete(self, partition: str, key: str, *, version: int) -> None:
        """Removes a row whose version is still `version`. Raises `RowConflict` and `StoreError`."""
        await self._run("Writing", partial(_delete, partition=partition, key=key, version=version))

    async def _run(self, what: str, statement: Callable[[sqlite3.Connection], _Result]) -> _Result:
        return await to_thread.run_sync(self._attempt, what, statement, limiter=self._limiter)

    # ---- on a worker thread

    def _open(self) -> None:
        self._opened = connect(self._path), self._identity()

    def _attempt(self, what: str, statement: Callable[[sqlite3.Connection], _Result]) -> _Result:
        if self._opened is None:
            raise StoreError(f"The state store {self._path} is closed.", code="Closed", retryable=False)
        connection, identity = self._opened
        self._require_file(identity)
        with translated(what, self._path):
            return statement(connection)

    def _require_file(self, identity: tuple[int, int]) -> None:
        """A file that was removed goes on working for those who have it open, and for nobody else."""
        try:
            found = self._identity()
        except OSError:
            found = None
        if found != identity:
            raise StoreError(
                f"The state store {self._path} was removed or replaced while the broker ran: what is written now "
                "would be seen by nobody else. Start the broker again.",
                code="FileReplaced",
                retryable=False,
            )

    def _identity(self) -> tuple[int, int]:
        status = self._path.stat()
        return status.st_dev, status.st_ino

    async def _close(self) -> None:
        with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
            await to_thread.run_sync(self._close_now, limiter=self._limiter)

    def _close_now(self) -> None:
        if self._opened is not None:
            connection, self._opened = self._opened[0], None
            connection.close()


def _read(connection: sqlite3.Connection, *, partition: str) -> dict[str, Row]:
    found = connection.execute(_ALL, (partition,)).fetchall()
    return {key: Row(version=version, value=decoded(partition, key, body)) for key, version, body in found}


def _get(connection: sqlite3.Connection, *, partition: str, key: str) -> Row | None:
    found = connection.execute(_ONE, (partition, key)).fetchone()
    return Row(version=found[1], value=decoded(partition, key, found[2])) if found else None


def _write(connection: sqlite3.Connection, *, change: dict[str, Any]) -> None:
    with transaction(connection):
        if connection.execute(_UPDATE if change["version"] else _INSERT, change).rowcount == 1:
            return
        identity = {name: change[name] for name in ("partition", "key", "version", "nonce")}
        found = _mark(connection, change["partition"], change["key"])
        require_own(found, **identity)


def _delete(connection: sqlite3.Connection, *, partition: str, key: str, version: int) -> None:
    with transaction(connection):
        if connection.execute(_DELETE, (partition, key, version)).rowcount == 1:
            return
        if found := _mark(connection, partition, key):
            raise conflict(partition, key, version, found)


def _mark(connection: sqlite3.Connection, partition: str, key: str) -> Mark | None:
    found = connection.execute(_MARK, (partition, key)).fetchone()
    return Mark(*found) if found else None
