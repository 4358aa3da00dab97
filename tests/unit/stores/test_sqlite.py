"""A store in a file refuses what is not its own, says what is wrong, and serves several event loops and threads."""

# ruff: noqa: ASYNC240 - a look at a small file

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from broker.errors import RowConflict, StoreError
from broker.model.lease import Row
from broker.stores import sqlite_file
from broker.stores.sqlite import SqliteStateStore
from broker.stores.sqlite_file import APPLICATION_ID, translated
from tests.conformance.store_contract import increment

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "state.sqlite"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.05)


@pytest.fixture
def writer(path: Path) -> Iterator[sqlite3.Connection]:
    """Another program, in the middle of a write."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    yield connection
    connection.close()


async def refusal_of(path: Path) -> StoreError:
    with pytest.raises(StoreError) as refused:
        async with SqliteStateStore(path):
            pass
    return refused.value


# ---- the file


async def test_the_file_and_its_folder_are_made_on_first_use(path: Path) -> None:
    async with SqliteStateStore(path) as store:
        await store.write("p", "k", {}, version=0, nonce="n")
    assert path.exists()
    assert list(path.parent.iterdir()) == [path], "the write-ahead log is folded in when the store is closed"


async def test_rows_outlive_the_store(path: Path) -> None:
    async with SqliteStateStore(path) as store:
        await store.write("p", "k", {"at": 1}, version=0, nonce="n")
    async with SqliteStateStore(path) as store:
        assert await store.get("p", "k") == Row(version=1, value={"at": 1})


async def test_each_write_is_on_the_disk_before_it_returns(path: Path) -> None:
    async with SqliteStateStore(path) as store:
        connection = store._opened[0]  # type: ignore[index]
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"


async def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"hello, this is my diary\n" * 200)
    error = await refusal_of(path)
    assert "is no SQLite database" in str(error)
    assert (error.code, error.retryable) == ("SQLITE_NOTADB", False)


@pytest.mark.parametrize("statement", ["CREATE TABLE diary (day)", "PRAGMA application_id=7", "PRAGMA user_version=3"])
async def test_the_database_of_another_program_is_refused_and_stays_as_it_is(path: Path, statement: str) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()
    before = path.read_bytes()
    error = await refusal_of(path)
    assert "is the database of another program" in str(error)
    assert (error.code, error.retryable) == ("ForeignFile", False)
    assert path.read_bytes() == before


async def test_a_file_of_another_schema_is_refused(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute("PRAGMA user_version=99")
    connection.close()
    assert "has schema 99, this broker writes schema 1" in str(await refusal_of(path))


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    error = await refusal_of(tmp_path / "file" / "state.sqlite")
    assert "The folder of the state store" in str(error)
    assert not error.retryable


async def test_a_folder_in_place_of_the_file_is_told(path: Path) -> None:
    path.mkdir(parents=True)
    error = await refusal_of(path)
    assert "the file cannot be opened" in str(error)
    assert not error.retryable


async def test_a_network_file_system_is_refused(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "mounts"
    table.write_text(f"server:/export {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr("broker.stores.folders.MOUNTS", table)
    error = await refusal_of(path)
    assert "is on a network file system (nfs4)" in str(error)
    assert not error.retryable
    assert not path.parent.exists()


async def test_a_file_system_without_shared_memory_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Reluctant(sqlite3.Connection):
        def execute(self, statement: str, *arguments: object) -> sqlite3.Cursor:  # type: ignore[override]
            return super().execute("SELECT 'delete'" if "journal_mode=WAL" in statement else statement, *arguments)  # type: ignore[arg-type]

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, factory=Reluctant, **options))
    assert "without shared memory (journal_mode=delete)" in str(await refusal_of(path))


async def test_a_file_that_is_removed_under_a_running_broker_is_told(path: Path) -> None:
    async with SqliteStateStore(path) as store:
        await store.write("p", "k", {}, version=0, nonce="n1")
        path.unlink()
        with pytest.raises(StoreError, match="was removed or replaced") as failed:
            await store.write("p", "k", {}, version=1, nonce="n2")
        assert not failed.value.retryable
        async with store.reopened() as other:
            assert await other.read("p") == {}
        with pytest.raises(StoreError, match="was removed or replaced"):
            await store.read("p")


# ---- trouble while it runs


@pytest.mark.usefixtures("impatient")
async def test_a_file_that_another_process_keeps_locked_is_told_and_may_pass(
    path: Path, request: pytest.FixtureRequest
) -> None:
    async with SqliteStateStore(path) as store:
        writer = request.getfixturevalue("writer")
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="kept the file locked") as failed:
            await store.write("p", "k", {}, version=0, nonce="n")
        assert (failed.value.code, failed.value.retryable) == ("SQLITE_BUSY", True)
        assert await store.read("p") == {}, "readers do not wait for a writer"
        writer.execute("ROLLBACK")
        await store.write("p", "k", {}, version=0, nonce="n")


@pytest.mark.usefixtures("impatient")
async def test_a_file_whose_log_cannot_be_set_up_is_told_and_may_work_later(
    path: Path, request: pytest.FixtureRequest
) -> None:
    async with SqliteStateStore(path):
        pass
    reader = request.getfixturevalue("writer")
    reader.execute("PRAGMA journal_mode=DELETE")
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM rows").fetchall()
    error = await refusal_of(path)
    assert (error.code, error.retryable) == ("SQLITE_BUSY", True)
    reader.execute("COMMIT")
    async with SqliteStateStore(path) as store:
        assert await store.read("p") == {}


async def test_a_write_waits_for_another_process(path: Path, request: pytest.FixtureRequest) -> None:
    async with SqliteStateStore(path) as store, anyio.create_task_group() as tasks:
        writer = request.getfixturevalue("writer")
        writer.execute("BEGIN IMMEDIATE")
        tasks.start_soon(anyio.to_thread.run_sync, later(writer, "COMMIT"))
        await store.write("p", "k", {}, version=0, nonce="n")
    async with SqliteStateStore(path) as store:
        assert (await store.read("p")).keys() == {"k"}


def later(connection: sqlite3.Connection, statement: str):
    def execute() -> None:
        threading.Event().wait(0.05)
        connection.execute(statement)

    return execute


async def test_a_full_disk_is_told_and_leaves_the_row(path: Path) -> None:
    async with SqliteStateStore(path) as store:
        await store.write("p", "k", {"at": 1}, version=0, nonce="n1")
        connection = store._opened[0]  # type: ignore[index]
        connection.execute("PRAGMA max_page_count=1")
        with pytest.raises(StoreError, match="the disk is full") as failed:
            await store.write("p", "k", {"at": "x" * 100_000}, version=1, nonce="n2")
        assert (failed.value.code, failed.value.retryable) == ("SQLITE_FULL", True)
        assert await store.get("p", "k") == Row(version=1, value={"at": 1})
        connection.execute("PRAGMA max_page_count=1000000")
        await store.write("p", "k", {"at": 2}, version=1, nonce="n2")


async def test_a_read_only_file_is_told(path: Path) -> None:
    async with SqliteStateStore(path) as store:
        store._opened[0].execute("PRAGMA query_only=ON")  # type: ignore[index]
        with pytest.raises(StoreError, match="is read-only") as failed:
            await store.delete("p", "k", version=1)
        assert not failed.value.retryable


@pytest.mark.parametrize(
    ("code", "told", "retryable"),
    [
        ("SQLITE_IOERR_WRITE", "the disk fails", True),
        ("SQLITE_READONLY_DIRECTORY", "read-only", False),
        ("SQLITE_CORRUPT_INDEX", "the file is damaged", False),
        ("SQLITE_MISUSE", "SQLite refused", False),
    ],
)
def test_errors_are_told_by_their_primary_code(path: Path, code: str, told: str, retryable: bool) -> None:
    error = sqlite3.OperationalError("so it is")
    error.sqlite_errorname = code
    with pytest.raises(StoreError, match=told) as failed, translated("Writing", path):
        raise error
    assert (failed.value.code, failed.value.retryable) == (code, retryable)


async def test_a_row_that_somebody_has_spoilt_is_told(path: Path, request: pytest.FixtureRequest) -> None:
    async with SqliteStateStore(path) as store:
        await store.write("p", "k", {}, version=0, nonce="n")
        request.getfixturevalue("writer").execute("UPDATE rows SET body = '[1'")
        with pytest.raises(StoreError, match="The row k of p holds no JSON object") as failed:
            await store.read("p")
        assert not failed.value.retryable


async def test_a_closed_store_says_so(path: Path) -> None:
    async with SqliteStateStore(path) as store:
        pass
    with pytest.raises(StoreError, match="is closed"):
        await store.read("p")
    assert repr(store) == f"<SqliteStateStore {path}>"


# ---- several at once


async def test_a_thread_with_an_event_loop_of_its_own_uses_a_connection_of_its_own(path: Path) -> None:
    async with SqliteStateStore(path) as store:

        async def beat() -> None:
            async with store.reopened() as heartbeat:
                await increment(heartbeat, 40, "heartbeat")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, lambda: anyio.run(beat))
            await increment(store, 40, "main")
        assert await store.get("numbers", "n") == Row(version=80, value={"count": 80})


async def test_the_event_loop_goes_on_while_a_write_waits(path: Path, request: pytest.FixtureRequest) -> None:
    async with SqliteStateStore(path) as store, anyio.create_task_group() as tasks:
        writer = request.getfixturevalue("writer")
        writer.execute("BEGIN IMMEDIATE")
        tasks.start_soon(write_one, store)
        await anyio.sleep(0.01)
        writer.execute("COMMIT")
    async with SqliteStateStore(path) as store:
        assert (await store.read("p")).keys() == {"k"}


async def write_one(store: SqliteStateStore) -> None:
    await store.write("p", "k", {}, version=0, nonce="n")


async def test_stores_that_make_the_file_at_once_use_one(path: Path) -> None:
    won: list[int] = []

    async def use(number: int) -> None:
        async with SqliteStateStore(path) as store:
            try:
                await store.write("p", "k", {"by": number}, version=0, nonce=str(number))
            except RowConflict:
                return
            won.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(use, number)
    async with SqliteStateStore(path) as store:
        assert [(await store.read("p"))["k"].value["by"]] == won


async def test_a_file_that_another_process_is_making_is_not_taken_for_a_foreign_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two looks at the header somebody else makes the whole table."""
    pragma, looks = sqlite_file._pragma, []

    def look(connection: sqlite3.Connection, name: str) -> int:
        found = pragma(connection, name)
        if not looks:
            looks.append(name)
            with suppress(StoreError):  # it may be held off
                sqlite_file.connect(path).close()
        return found

    path.parent.mkdir()
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.05)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    monkeypatch.setattr(sqlite_file, "_pragma", look)
    async with SqliteStateStore(path) as store:
        assert await store.read("p") == {}
    assert looks == ["application_id"]
