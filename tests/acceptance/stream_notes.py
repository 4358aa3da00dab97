"""What handlers noted, and what it proves.

A handler appends a line for each record before it begins to work on a batch, and another for each when it has done it,
to one file that all brokers share. One call of `write` for all lines of a batch, on a file opened for appending: the
order of the lines is the order in which things happened, in whatever process, and no clock is compared.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

HANDLER = """\
import asyncio, base64, os, random, time

NOTES = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
MEMBER = os.environ["MEMBER"]

def text_of(record):
    return base64.b64decode(record["kinesis"]["data"]).decode()

def note(what, event, context):
    about = f"{MEMBER} {context.fencing_token} {context.aws_request_id} {time.time_ns()}"
    lines = [f"{what} {about} {record_id(record)} {text_of(record)}\\n" for record in event["Records"]]
    os.write(NOTES, "".join(lines).encode())

def record_id(record):
    if "dynamodb" in record:
        return "table " + record["dynamodb"]["SequenceNumber"]
    return record["eventID"].replace(":", " ")

"""
"""The beginning of every handler's module; after it comes what `handler` does."""

BUSY = """
def handler(event, context):
    note("start", event, context)
    time.sleep(random.uniform(0.05, 0.15))
    note("end", event, context)
"""
"""Works on a thread, which nobody can end."""
BRIEF = """
async def handler(event, context):
    note("start", event, context)
    await asyncio.sleep(random.uniform(0.01, 0.03))
    note("end", event, context)
"""
"""Works in the event loop, and can be cancelled."""
BLOCKING = """
async def handler(event, context):
    note("start", event, context)
    if os.path.exists(os.environ.get("BLOCK", "")):
        os.unlink(os.environ["BLOCK"])
        time.sleep(float(os.environ["BLOCK_SECONDS"]))
    await asyncio.sleep(0.01)
    note("end", event, context)
"""
"""Blocks the event loop once in those brokers, and when, they are told to."""
FAILING = """
def handler(event, context):
    note("start", event, context)
    time.sleep(random.uniform(0.01, 0.03))
    if os.path.exists(os.environ["FAIL"]) and any(text_of(each).startswith("k7/") for each in event["Records"]):
        raise ValueError("not yet")
    note("end", event, context)
"""
"""Cannot handle one key while a file is there."""
FAILING_KEY = "k7"

Id = tuple[str, int]
"""A record: its shard and sequence number."""


@dataclass(frozen=True, slots=True)
class Note:
    """One line."""

    is_end: bool
    member: str
    epoch: int
    request: str
    at_ns: int
    """By the machine's clock, for measurements only."""
    shard: str
    number: int
    key: str
    value: int

    @property
    def id(self) -> Id:
        return self.shard, self.number

    @classmethod
    def of(cls, line: str) -> "Note":
        what, member, epoch, request, at_ns, shard, number, text = line.split()
        key, _, value = text.partition("/")
        return cls(what == "end", member, int(epoch), request, int(at_ns), shard, int(number), key, int(value))


@dataclass(frozen=True, slots=True)
class Repetition:
    """A record that began again."""

    note: Note
    before: Note
    """Its start before that."""
    ended: Note | None
    """The end of that, if it had been noted by the time of the repetition."""


@dataclass(frozen=True, slots=True)
class Left:
    """What one member began and somebody had to begin again."""

    in_flight: int
    """Records whose batch it had not finished."""
    settled: int
    """Records that it had finished, but whose checkpoint was not written yet."""


class Notebook:
    """The file, as far as it was read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._notes: list[Note] = []

    def read(self) -> "Books":
        """All notes so far."""
        with self.path.open("rb") as file:
            file.seek(self._offset)
            whole, end, _ = file.read().rpartition(b"\n")
        self._offset += len(whole) + len(end)
        self._notes += [Note.of(line) for line in whole.decode().splitlines()]
        return Books(tuple(self._notes))


class Books:
    """All notes so far."""

    def __init__(self, notes: Sequence[Note]) -> None:
        self.notes = notes

    def about(self, is_meant: Callable[[Note], bool]) -> "Books":
        """Some of the notes."""
        return Books([note for note in self.notes if is_meant(note)])

    @cached_property
    def starts(self) -> list[Note]:
        return [note for note in self.notes if not note.is_end]

    @cached_property
    def ended(self) -> set[tuple[str, int]]:
        """Key and value of what was handled to its end, by anybody."""
        return {(note.key, note.value) for note in self.notes if note.is_end}

    def missing(self, sent: dict[str, int]) -> list[str]:
        """What was put and not handled."""
        return [
            f"{key}/{value}" for key, count in sent.items() for value in range(count) if (key, value) not in self.ended
        ]

    # ---- order

    def out_of_order(self) -> list[str]:
        """Records that began before the one before them, of the same key, had ended, or had begun in the same batch."""
        ended: set[tuple[str, int]] = set()
        begun: dict[tuple[str, int], str] = {}
        problems = []
        for note in self.notes:
            if note.is_end:
                ended.add((note.key, note.value))
                continue
            before = (note.key, note.value - 1)
            if note.value and before not in ended and begun.get(before) != note.request:
                problems.append(f"{note.key}/{note.value} of {note.shard} began under epoch {note.epoch} too early")
            begun[note.key, note.value] = note.request
        return problems

    def epoch_faults(self, *, factor: int = 1) -> list[str]:
        """What a shard's owners may not do.

        * Nothing starts under an older epoch once a newer one has begun.
        * Under one epoch no record starts twice, nor before an earlier one of its key (`factor` 1: of its shard), and
          at most `factor` batches are open at a time: so what an older epoch leaves open is at most that.
        * A new epoch begins at the first record that the older one has not finished, or before it.
        """
        return [fault for shard in self._by_shard().values() for fault in ShardBooks(shard, factor).faults()]

    def _by_shard(self) -> dict[str, list[Note]]:
        shards: dict[str, list[Note]] = defaultdict(list)
        for note in self.notes:
            shards[note.shard].append(note)
        return shards

    # ---- duplicates

    def duplicates(self) -> int:
        """Records that began again: each time counts."""
        return len(self.repetitions)

    @cached_property
    def repetitions(self) -> list["Repetition"]:
        """Starts of records that had begun before, each with the start and the end before it."""
        begun: dict[Id, Note] = {}
        ended: dict[tuple[Id, int], Note] = {}
        found = []
        for note in self.notes:
            if note.is_end:
                ended[note.id, note.epoch] = note
                continue
            if before := begun.get(note.id):
                found.append(Repetition(note, before, ended.get((note.id, before.epoch))))
            begun[note.id] = note
        return found

    def left(self) -> dict[str, "Left"]:
        """By member, what had to begin again."""
        counts = {note.member: [0, 0] for note in self.starts}
        for repetition in self.repetitions:
            counts[repetition.before.member][repetition.ended is not None] += 1
        return {member: Left(*count) for member, count in counts.items()}

    # ---- who has what

    def owners(self) -> dict[str, str]:
        """By shard, whose start was the last."""
        return {note.shard: note.member for note in self.starts}

    def open_shards_of(self, member: str) -> set[str]:
        """Shards in which a member has begun a batch that it has not ended."""
        open_ = {(note.shard, note.request) for note in self.starts if note.member == member}
        open_ -= {(note.shard, note.request) for note in self.notes if note.is_end and note.member == member}
        return {shard for shard, _ in open_}

    def started_by(self, member: str) -> int:
        return sum(note.member == member for note in self.starts)

    # ---- times

    def take_over_seconds(self, member: str, since_ns: int) -> list[float]:
        """By shard that a member had, from an instant to the first start by the next owner."""
        seconds = [(after.at_ns - since_ns) / 1e9 for _, after in self._successions(member)]
        return [each for each in seconds if each > 0]

    def hand_over_seconds(self, member: str, since_ns: int) -> list[float]:
        """By shard that a member had then, to the first start by the next owner.

        From the instant when it was told to end, or from the end of its last batch where that came later.
        """
        ends = {(note.shard, note.epoch): note.at_ns for note in self.notes if note.is_end}
        begins = [(ends[before.shard, before.epoch], after.at_ns) for before, after in self._successions(member)]
        return [(start_ns - max(end_ns, since_ns)) / 1e9 for end_ns, start_ns in begins if start_ns > since_ns]

    def _successions(self, member: str) -> list[tuple[Note, Note]]:
        """The last start of a member in each shard that another has begun in after it, and that other's first."""
        found: dict[str, tuple[Note, Note | None]] = {}
        for note in self.starts:
            if note.member == member:
                found[note.shard] = (note, None)
            elif note.shard in found and found[note.shard][1] is None:
                found[note.shard] = (found[note.shard][0], note)
        return [(before, after) for before, after in found.values() if after]


class ShardBooks:
    """The notes of one shard, in their order."""

    def __init__(self, notes: Iterable[Note], factor: int) -> None:
        self._notes = notes
        self._factor = factor
        self._faults: list[str] = []
        self._epoch = 0
        self._open: dict[str, set[int]] = {}
        """Of the newest epoch, by request, the numbers that have begun and not ended."""
        self._latest: dict[str, int] = {}
        """Of the newest epoch, by key (or for the shard) the last number that began."""

    def faults(self) -> list[str]:
        for note in self._notes:
            if note.is_end:
                self._ended(note)
            elif note.epoch < self._epoch:
                self._fault(note, f"starts although epoch {self._epoch} has begun")
            else:
                self._started(note)
        return self._faults

    def _fault(self, note: Note, what: str) -> None:
        self._faults.append(f"{note.shard} {note.number} of {note.member} under epoch {note.epoch}: {what}")

    def _ended(self, note: Note) -> None:
        numbers = self._open.get(note.request, set())
        numbers.discard(note.number)
        if not numbers:
            self._open.pop(note.request, None)

    def _started(self, note: Note) -> None:
        if note.epoch > self._epoch:
            self._begin(note)
        lane = note.key if self._factor > 1 else note.shard
        if note.number <= self._latest.get(lane, -1):
            self._fault(note, "starts again, or after a later one")
        self._latest[lane] = note.number
        self._open.setdefault(note.request, set()).add(note.number)
        if len(self._open) > self._factor:
            self._fault(note, f"{len(self._open)} batches are open")

    def _begin(self, note: Note) -> None:
        unfinished = [number for numbers in self._open.values() for number in numbers]
        if unfinished and note.number > min(unfinished) and self._factor == 1:
            self._fault(note, f"begins behind {min(unfinished)}, which was not finished")
        self._epoch, self._open, self._latest = note.epoch, {}, {}
