"""Several brokers on one stream, as the installed command, with one SQLite file between them."""

import json
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from broker.core.lanes import lane_of
from broker.model.checkpoint import Checkpoint
from broker.model.stream import AfterSequenceNumber
from tests.acceptance.command import Place, Running
from tests.acceptance.stream_load import PATIENCE_SECONDS, Load, wait_until
from tests.acceptance.stream_notes import BUSY, HANDLER, Books, Note, Notebook

LoadT = TypeVar("LoadT", bound=Load)
LEASE_SECONDS = 2
BATCH_SIZE = 10
LOCK_SECONDS = 0.2
"""Longer than a write takes, and little against a lease."""


@dataclass(frozen=True)
class Member:
    """One broker process."""

    name: str
    running: Running

    @property
    def pid(self) -> int:
        return self.running.process.pid

    @property
    def is_alive(self) -> bool:
        return self.running.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        self.running.signal(number)

    def kill(self) -> None:
        """Ends it without a warning."""
        self.signal(signal.SIGKILL)
        assert self.running.end().code == -signal.SIGKILL

    def freeze(self) -> None:
        """Stops the process, all its threads."""
        self.signal(signal.SIGSTOP)
        wait_until(partial(is_stopped, self.pid), what="the process is stopped")

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)


@dataclass(frozen=True)
class Kill:
    """A broker that was ended without a warning."""

    member: str
    at_ns: int
    checkpoints: dict[str, Checkpoint]
    """By shard that it owned, what it had written last."""

    def had_written(self, note: Note) -> bool:
        """Whether its checkpoint says that a record is settled."""
        checkpoint = self.checkpoints.get(note.shard)
        if checkpoint is None:
            return False
        position = checkpoint.position
        marks = [lanes.marks[lane_of(note.key.encode(), lanes.factor)] for lanes in checkpoint.lanes]
        if isinstance(position, AfterSequenceNumber):
            marks.append(position.number)
        return any(mark is not None and note.number <= int(mark) for mark in marks)


def is_stopped(pid: int) -> bool:
    """Whether all threads of a process stand still."""
    states = [path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) == {"T"}


class StreamFleet(Generic[LoadT]):
    """Brokers on a stream, what their handlers noted, and what their store says."""

    def __init__(
        self,
        place: Place,
        stream: LoadT,
        stack: ExitStack,
        *,
        handler: str = BUSY,
        lease_seconds: float = LEASE_SECONDS,
        timeout_seconds: int = 10,
        starting_position: str = "TRIM_HORIZON",
        mapping: str = "",
    ) -> None:
        self.stream = stream
        self.lease_seconds = lease_seconds
        self.members: list[Member] = []
        """Those that were started and not ended."""
        self._place = place
        self._stack = stack
        self._count = 0
        self._notebook = Notebook(place.folder / "notes.txt")
        self._notebook.path.touch()
        self._store = place.folder / "state.sqlite"
        self.file = place.write(
            "broker.yaml",
            f"Broker:\n"
            f"  StateStore: sqlite:{self._store}\n"
            f"  LeaseDurationInSeconds: {lease_seconds}\n"
            f"Functions: [{{FunctionName: load, Callable: 'load_app:handler', Timeout: {timeout_seconds}}}]\n"
            f"EventSourceMappings:\n"
            f"  - FunctionName: load\n"
            f"    EventSourceArn: {stream.source_arn}\n"
            f"    StartingPosition: {starting_position}\n"
            f"    BatchSize: {BATCH_SIZE}\n{mapping}",
        )
        self.module = place.write("load_app.py", HANDLER + handler)

    # ---- brokers

    @property
    def folder(self) -> Path:
        return self._place.folder

    def start(self, **environment: str) -> Member:
        """Starts a broker in a folder of its own."""
        self._count += 1
        name = f"member-{self._count}"
        folder = self._place.folder / name
        folder.mkdir()
        variables = {
            **self.stream.server.environment,
            "NOTES": str(self._notebook.path),
            "MEMBER": name,
            "PYTHONPATH": str(self._place.folder),
            **environment,
        }
        running = Place(folder, {**self._place.environment, **variables}).start("run", str(self.file))
        member = Member(name, self._stack.enter_context(running))
        self.members.append(member)
        return member

    def kill(self, member: Member) -> Kill:
        """Ends a member with SIGKILL."""
        self.members.remove(member)
        member.kill()
        return Kill(member.name, time.time_ns(), self.checkpoints_of(member))

    def drain(self, *members: Member) -> int:
        """Ends members with SIGTERM, all at once, as soon as they can be; when they were told to (nanoseconds)."""
        for member in members:
            member.running.wait_for("mapping.state_changed")
        told_ns = time.time_ns()
        for member in members:
            self.members.remove(member)
            member.signal(signal.SIGTERM)
        for member in members:
            ended = member.running.end()
            assert ended.code == 0, ended.text
            assert "Traceback" not in ended.text
        return told_ns

    def wait_until(self, is_true: Any, *, what: str) -> None:
        """Waits for what the brokers do; they must live meanwhile."""

        def is_done() -> bool:
            for member in self.members:
                assert member.is_alive, member.running.text
            return bool(is_true())

        wait_until(is_done, what=what)

    def wait_until_each_works(self, records: int = 1) -> None:
        """Waits until each broker has begun so many records more than it has now."""
        books = self.books()
        wanted = {member.name: books.started_by(member.name) + records for member in self.members}

        def each_does() -> bool:
            books = self.books()
            return all(books.started_by(name) >= count for name, count in wanted.items())

        self.wait_until(each_does, what=f"each broker works: {wanted}")

    def wait_until_begun(self, member: Member, records: int) -> None:
        """Waits until a broker has begun so many records more than it has now."""
        wanted = self.books().started_by(member.name) + records
        what = f"{member.name} begins {records} records"
        self.wait_until(lambda: self.books().started_by(member.name) >= wanted, what=what)

    def wait_until_all_handled(self) -> None:
        """Waits until everything that was put was handled to its end."""
        self.wait_until(
            lambda: len(self.books().ended) >= self.stream.sent_count and not self.books().missing(self.stream.sent),
            what="all records handled",
        )

    # ---- what there is to see

    def books(self) -> Books:
        return self._notebook.read()

    def rows(self) -> dict[tuple[str, str], dict[str, Any]]:
        """All rows of the store, by partition and key."""
        with closing(sqlite3.connect(f"file:{self._store}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT partition, key, body FROM rows").fetchall()
        return {(partition, key): json.loads(body) for partition, key, body in found}

    def is_store_free(self) -> bool:
        """Whether nobody keeps the store's file locked."""
        with closing(sqlite3.connect(self._store, timeout=LOCK_SECONDS, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
            connection.execute("ROLLBACK")
            return True

    @contextmanager
    def locked_store(self) -> Iterator[None]:
        """Nobody can write to the store during the block; all can read."""
        with closing(sqlite3.connect(self._store, timeout=PATIENCE_SECONDS, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    def workers(self) -> list[str]:
        return [key for partition, key in self.rows() if partition == "workers"]

    def checkpoints_of(self, member: Member) -> dict[str, Checkpoint]:
        """By shard that a member owns, the checkpoint that it wrote last."""
        checkpoints = self.by_shard("checkpoint")
        return {
            shard: Checkpoint.from_json(checkpoints[shard]["checkpoint"])
            for shard, lease in self.by_shard("shard").items()
            if f"-{member.pid}-" in lease["owner"] and checkpoints[shard]["epoch"] == lease["epoch"]
        }

    def leases(self) -> dict[str, tuple[str, int]]:
        """By shard, its owner and its epoch."""
        return {shard: (row["owner"], row["epoch"]) for shard, row in self.by_shard("shard").items()}

    def by_shard(self, kind: str) -> dict[str, dict[str, Any]]:
        """The rows of a kind, `shard` or `checkpoint`, by shard."""
        split = ((key.split(":"), row) for (_, key), row in self.rows().items())
        return {words[-1]: row for words, row in split if words[0] == kind}


@contextmanager
def fleet_on(place: Place, stream: LoadT, **options: Any) -> Iterator[StreamFleet[LoadT]]:
    """A fleet without members; those that are left at the end are killed."""
    with ExitStack() as stack:
        yield StreamFleet(place, stream, stack, **options)
