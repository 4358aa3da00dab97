"""The lanes of a shard: what waits in each, what is being tried, and how far it is settled.

Rule: records of one partition key (DynamoDB: of one item) are handed over in order, one batch at a time. With a
`ParallelizationFactor` above 1 a shard has so many lanes, and a record's lane follows from its key.

How it works: a lane holds `waiting` records, and before them a list of `work`: the batch that is being tried (the
head), behind it the parts of a batch that was split. The head leaves when its records are settled; only then the next
one starts.

Invariants: what is in `work` precedes what is waiting · nothing of a lane is settled out of order, but for records that
exceeded their age · `mark` never passes a record that is not settled, nor goes back.

Source: AWS Lambda Developer Guide, "How Lambda processes records from Amazon Kinesis Data Streams" (read November
2026). How keys are assigned to lanes is inferred: MD5 of the partition key, or of the item's keys as canonical JSON.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import md5
from itertools import accumulate, takewhile
from operator import attrgetter

from broker.model.batch import BatchTrigger, event_bytes
from broker.model.checkpoint import HeadBatch
from broker.model.discard import DiscardedBatch, ResponseContext
from broker.model.stream import StreamRecord

Records = tuple[StreamRecord, ...]
size_of = attrgetter("size_bytes")
"""The serialised size of a record."""


def lane_of(key: bytes, factor: int) -> int:
    """The lane of a record, 0 to `factor` - 1."""
    return int.from_bytes(md5(key, usedforsecurity=False).digest(), "big") % factor


def is_before(one: str, other: str) -> bool:
    """Whether a sequence number is less than another: they are integers, whatever their length."""
    return int(one) < int(other)


def event_size(records: Sequence[StreamRecord]) -> int:
    """Bytes of the compact event with these records."""
    return event_bytes(sum(map(size_of, records)), len(records))


def fitting_count(records: Sequence[StreamRecord], limit_bytes: int) -> int:
    """How many of the first records fit into one event; at least one."""
    if event_size(records) <= limit_bytes:
        return len(records)
    sizes = enumerate(accumulate(map(size_of, records)), 1)
    return max(1, sum(1 for _ in takewhile(lambda each: event_bytes(each[1], each[0]) <= limit_bytes, sizes)))


class Phase(StrEnum):
    """What becomes of the head of a lane."""

    READY = "ready"
    """It waits for its turn."""
    RUNNING = "running"
    DISCARDING = "discarding"
    """It is given up, or a part of it; its destination has not taken it yet."""


class Closing(StrEnum):
    """Why a tumbling window is invoked without records."""

    FINAL = "final"
    EARLY = "early"
    """Its state has become too large."""


@dataclass(slots=True, kw_only=True)
class Attempt:
    """A batch that is tried until its records are settled."""

    number: int
    records: Records
    trigger: BatchTrigger
    failures: int = 0
    """Attempts that used up its retries."""
    invocations: int = 0
    """Attempts in all."""
    phase: Phase = Phase.READY
    due_at: float = float("-inf")
    started_at: float = 0.0
    response: ResponseContext | None = None
    """How its last invocation ended."""
    closing: Closing | None = None
    """Set for the last invocation of a tumbling window, which has no records."""


@dataclass(slots=True, kw_only=True)
class Discarding:
    """Records on their way to the on-failure destination."""

    discarded: DiscardedBatch
    records: Records
    began_at: float
    failures: int = 0
    is_sent: bool = True
    """Whether an answer is outstanding."""
    due_at: float = float("inf")


class Lane:
    """One lane. Its owner decides; this keeps the order."""

    __slots__ = (
        "_first", "_records", "backoff_failures", "discarding", "finished_at", "held_bytes", "held_count", "index",
        "is_awaiting", "mark", "overdue_since", "restored", "since", "stuck_batch", "work",
    )  # fmt: skip

    def __init__(self, index: int, *, mark: str | None = None, restored: HeadBatch | None = None) -> None:
        self.index = index
        self.mark = mark
        """Everything of this lane up to here is settled."""
        self.restored = restored
        """The batch that an earlier owner of the shard was trying, until it is cut again."""
        self.is_awaiting = bool(restored and restored.last)
        """Whether the end of that batch is still to be read; nothing starts before."""
        self.work: deque[Attempt] = deque()
        self.discarding: Discarding | None = None
        self.backoff_failures = 0
        """Failures in a row, of whatever batch."""
        self.stuck_batch = 0
        """The number of a batch whose handler runs on beyond its time limit; 0 without one."""
        self.overdue_since = 0.0
        self.finished_at = float("-inf")
        """When the last invocation ended."""
        self.since = float("-inf")
        """When the oldest waiting record came."""
        self.held_count = 0
        """Records that are not settled."""
        self.held_bytes = 0
        """Their serialised size."""
        self._records: list[StreamRecord] = []
        self._first = 0

    # ---- what is there

    @property
    def head(self) -> Attempt | None:
        """The batch that is being tried."""
        return self.work[0] if self.work else None

    @property
    def is_busy(self) -> bool:
        """Whether nothing may start: something runs, is stuck, or is being discarded."""
        head = self.head
        return bool(self.stuck_batch or self.discarding or (head and head.phase is not Phase.READY))

    @property
    def is_running(self) -> bool:
        """Whether an answer is outstanding from a handler or a destination."""
        running = bool(self.work) and self.work[0].phase is Phase.RUNNING
        return running or bool(self.stuck_batch) or bool(self.discarding and self.discarding.is_sent)

    @property
    def waiting_count(self) -> int:
        """Records that are in no batch yet."""
        return len(self._records) - self._first

    @property
    def first_unsettled(self) -> StreamRecord | None:
        """The oldest record that is not settled."""
        candidates = [attempt.records[0] for attempt in self.work if attempt.records]
        if self.discarding and self.discarding.records:
            candidates.insert(0, self.discarding.records[0])
        if candidates:
            return min(candidates, key=lambda record: int(record.identifier)) if self.discarding else candidates[0]
        return self._records[self._first] if self.waiting_count else None

    def waiting(self, count: int) -> list[StreamRecord]:
        """The first records that wait, at most `count`."""
        return self._records[self._first : self._first + count]

    # ---- in and out

    def add(self, records: Sequence[StreamRecord], before: str | None, now: float) -> None:
        """Takes records, which follow the sequence number `before` in the shard."""
        if not self.waiting_count:
            self.since = now
            if not self.work and not self.discarding:
                self._settle_through(before)
        self._records += records
        self.held_count += len(records)
        self.held_bytes += sum(map(size_of, records))

    def read(self, through: str | None) -> None:
        """The shard has been read up to here, and what came is in the lanes."""
        if self.is_awaiting and self.restored and through and not is_before(through, self.restored.last):
            self.is_awaiting = False

    def take(self, count: int, now: float) -> Records:
        """Takes the first `count` waiting records out; what remains has waited since now."""
        end = self._first + count
        taken = tuple(self._records[self._first : end])
        self._first = end
        self.since = now
        if self._first * 2 >= len(self._records):
            del self._records[: self._first]
            self._first = 0
        return taken

    def settled(self, records: Sequence[StreamRecord]) -> None:
        """Records are settled that are no longer here: the mark moves as far as nothing unsettled is passed."""
        self.held_count -= len(records)
        self.held_bytes -= sum(map(size_of, records))
        unsettled = self.first_unsettled
        if unsettled is None:
            self._settle_through(records[-1].identifier if records else None)
            return
        limit = int(unsettled.identifier)
        passed = next((each.identifier for each in reversed(records) if int(each.identifier) < limit), None)
        self._settle_through(passed)

    def _settle_through(self, number: str | None) -> None:
        if number is not None and (self.mark is None or is_before(self.mark, number)):
            self.mark = number
