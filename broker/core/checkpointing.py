"""How far a shard is settled, and when that is written.

Rule: everything before the low-water mark is settled, so whoever reads the shard next goes on there. Lanes that are
ahead of it are remembered by their marks: a record whose lane's mark is not before it is settled too, and is skipped.
After a change of `ParallelizationFactor` the old marks are kept, with the old factor, until the low-water mark has
passed them. A batch that has failed keeps its range and its failures.

How it works: the mark is the greatest number that is known to be settled and that precedes every record which is not:
one of the lanes' own marks, or what was read, where nothing is unsettled. It may lie before the true low-water mark;
the lanes' marks make up for that.

Invariants: no checkpoint passes a record that is not settled · positions never go back · one write is outstanding at a
time, and the next one has the newest state · progress that only filtered records made is written at most once a second.

Source: inferred; AWS publishes nothing of its checkpoints. That filtered records advance them: AWS Lambda Developer
Guide, "Control which events Lambda sends to your function" (read November 2026).
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from broker.core.lanes import Lane, is_before, lane_of, size_of
from broker.core.retry import Backoff
from broker.core.stream_events import SaveCheckpoint
from broker.core.stream_policy import StreamPolicy
from broker.model.checkpoint import Checkpoint, HeadBatch, LaneMarks, OpenWindow
from broker.model.stream import AfterSequenceNumber, Page, StreamRecord

IDLE_REFRESH_SECONDS = 3_600.0
"""How often a shard without news tells that it is still at its tip, so that its age says nothing false."""


class Ledger:
    """What is settled of one shard, and what of it stands in the store."""

    __slots__ = (
        "_ahead", "_ahead_bytes", "_ahead_count", "_backoff", "_factor", "_inherited", "_is_urgent", "_lanes",
        "_not_before", "_number", "_outstanding", "_policy", "_refresh_at", "_settled_at", "is_written", "low", "saved",
    )  # fmt: skip

    def __init__(self, policy: StreamPolicy, start: Checkpoint, lanes: Sequence[Lane]) -> None:
        self._policy = policy
        self._lanes = lanes
        self._factor = policy.factor
        self._inherited = list(start.lanes)
        self.saved = start
        """What stands in the store."""
        self.low = start.position.number if isinstance(start.position, AfterSequenceNumber) else None
        """The low-water mark: everything up to here is settled; None where reading has only begun."""
        self._settled_at = start.settled_at
        self._ahead: deque[tuple[int, int, int]] = deque()
        self._ahead_count = self._ahead_bytes = 0
        self._outstanding: Checkpoint | None = None
        self._number = 0
        self._backoff = Backoff(policy.store_backoff)
        self._is_urgent = False
        self.is_written = True
        """Whether the store has all that is known, as of the last call of `due`."""
        self._not_before = float("-inf")
        self._refresh_at = float("inf")

    # ---- what is settled

    @property
    def ahead(self) -> tuple[int, int]:
        """Records that were read beyond the low-water mark, and their bytes."""
        return self._ahead_count, self._ahead_bytes

    def read(self, page: Page) -> None:
        """A page was read."""
        if page.records:
            count, size = len(page.records), sum(map(size_of, page.records))
            self._ahead.append((int(page.records[-1].identifier), count, size))
            self._ahead_count += count
            self._ahead_bytes += size

    def unsettled(self, records: Sequence[StreamRecord]) -> Sequence[StreamRecord]:
        """Those records of a page that no earlier owner of the shard has settled."""
        if not self._inherited:
            return records
        return [record for record in records if not any(is_settled(record, marks) for marks in self._inherited)]

    def advance(self, read_through: str | None, tip_at: float | None) -> None:
        """Something was settled, or read: moves the mark. `tip_at` is the service's time up to which all was read."""
        unsettled = [first for lane in self._lanes if (first := lane.first_unsettled)]
        if not unsettled:
            candidate = read_through
            self._settled_at = self._settled_at if tip_at is None else tip_at
        else:
            oldest = min(unsettled, key=lambda record: int(record.identifier))
            self._settled_at = oldest.arrived_at
            candidate = self._mark_before(int(oldest.identifier))
        if candidate is not None and (self.low is None or is_before(self.low, candidate)):
            self.low = candidate
            self._leave_behind(int(candidate))

    def _leave_behind(self, low: int) -> None:
        while self._ahead and self._ahead[0][0] <= low:
            _, count, size = self._ahead.popleft()
            self._ahead_count -= count
            self._ahead_bytes -= size
        self._inherited = [partition for partition in self._inherited if _highest(partition) > low]

    def _mark_before(self, limit: int) -> str | None:
        marks = [int(lane.mark) for lane in self._lanes if lane.mark is not None]
        low = max((mark for mark in marks if mark < limit), default=None)
        return next((lane.mark for lane in self._lanes if lane.mark is not None and int(lane.mark) == low), None)

    # ---- what is written

    def press(self) -> None:
        """Something happened that is to be written at once."""
        self._is_urgent = True

    @property
    def deadline(self) -> float | None:
        """When a write is due that is held back; None while one is outstanding."""
        if self._outstanding is not None:
            return None
        if self._is_failing:
            return self._backoff.until
        return self._refresh_at if self.is_written else self._not_before

    def due(
        self, window: OpenWindow | None, behind_ms: int | None, now: float, *, at_once: bool
    ) -> SaveCheckpoint | None:
        """The next write, where there is news and its time has come; `at_once` holds nothing back."""
        if self._outstanding is not None or now < self._backoff.until:
            return None
        self._refresh_at = min(self._refresh_at, now + IDLE_REFRESH_SECONDS)
        checkpoint = self._checkpoint(window, behind_ms)
        self.is_written = self._says_nothing_new(checkpoint)
        if self.is_written and now < self._refresh_at:
            self._is_urgent = False
            return None
        if not (self._is_urgent or at_once) and now < self._not_before:
            return None
        return self._save(checkpoint, now)

    def finish(self, now: float) -> SaveCheckpoint | None:
        """The last write of a shard that has ended; None while another one is outstanding, or when it stands."""
        if self._outstanding is not None or now < self._backoff.until or self.saved.finished:
            return None
        return self._save(replace(self._checkpoint(None, None), lanes=(), heads=(), finished=True), now)

    def _save(self, checkpoint: Checkpoint, now: float) -> SaveCheckpoint:
        self._outstanding = checkpoint
        self.is_written = False
        self._is_urgent = False
        self._number += 1
        self._not_before = now + self._policy.idle_checkpoint_seconds
        self._refresh_at = now + IDLE_REFRESH_SECONDS
        return SaveCheckpoint(number=self._number, checkpoint=checkpoint)

    def stands(self) -> None:
        """The outstanding write stands."""
        if self._outstanding is not None:
            self.saved = self._outstanding
            self.is_written = True
        self._outstanding = None
        self._backoff.reset()

    def failed(self, now: float, chance: float) -> float:
        """The outstanding write failed, or its answer was lost: it is tried again. Returns the delay in seconds."""
        self._outstanding = None
        self._is_urgent = True
        return self._backoff.failed(now, chance)

    # ---- what it says

    def _checkpoint(self, window: OpenWindow | None, behind_ms: int | None) -> Checkpoint:
        position = self.saved.position if self.low is None else AfterSequenceNumber(number=self.low)
        return Checkpoint(
            position=position,
            lanes=self._partitions(),
            heads=tuple(head for lane in self._lanes if (head := self._head_of(lane))),
            window=window,
            settled_at=self._settled_at,
            behind_ms=behind_ms or 0,
        )

    def _partitions(self) -> tuple[LaneMarks, ...]:
        """What is settled beyond the low-water mark, in this partition and in the ones before it."""
        low = -1 if self.low is None else int(self.low)
        marks = tuple(lane.mark if lane.mark is not None and int(lane.mark) > low else None for lane in self._lanes)
        mine = (LaneMarks(factor=self._factor, marks=marks),) if any(marks) else ()
        return (*mine, *(partition for partition in self._inherited if partition.factor != self._factor))

    def _head_of(self, lane: Lane) -> HeadBatch | None:
        """The batch whose budget the next owner of the shard must not refill."""
        head = lane.head
        if head is None or not head.failures:
            return lane.restored
        records = head.records or (lane.discarding.records if lane.discarding else ())
        return HeadBatch(
            factor=self._factor,
            lane=lane.index,
            first=records[0].identifier if records else "",
            last=records[-1].identifier if records else "",
            failures=head.failures,
            invocations=head.invocations,
        )

    @property
    def _is_failing(self) -> bool:
        """Whether the last write failed: then it is not known what stands."""
        return self._backoff.failures > 0

    def _says_nothing_new(self, checkpoint: Checkpoint) -> bool:
        saved = self.saved
        if self._is_failing:
            return False
        told = replace(checkpoint, settled_at=saved.settled_at, behind_ms=saved.behind_ms)
        return told == saved


def is_settled(record: StreamRecord, partition: LaneMarks) -> bool:
    """Whether a record beyond the low-water mark is settled, because its lane has come past it."""
    mark = partition.marks[lane_of(record.key, partition.factor)]
    return mark is not None and not is_before(mark, record.identifier)


def _highest(partition: LaneMarks) -> int:
    return max((int(mark) for mark in partition.marks if mark is not None), default=-1)
