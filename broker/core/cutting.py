"""When a batch is cut from what waits in a lane, and where.

Rule: a batch is cut when `BatchSize` records wait, when the event would exceed 6 MB, when the batching window has
passed, when the shard has ended, or at once where there is no window. The window begins when the first record waits and
nothing of its lane is in flight. A batch lies within one tumbling window. A batch that an earlier owner of the shard
was trying is cut at its old end, and waits for it to be read.

Invariants: a batch has at least one record, no more than `BatchSize`, and its event fits the limit unless a single
record exceeds it · cutting the same records gives the same batches, however they were read.

Source: AWS Lambda Developer Guide, "How Lambda processes records from stream and queue-based event sources" (read
November 2026). That a record's age is judged while it waits for the window was observed.
"""

from itertools import takewhile

from broker.core.lanes import Attempt, Closing, Lane, Records, fitting_count
from broker.core.stream_policy import StreamPolicy
from broker.core.windows import TumblingWindow
from broker.model.batch import BatchTrigger
from broker.model.checkpoint import HeadBatch
from broker.model.stream import StreamRecord

EXPIRY_GRAIN_SECONDS = 0.001
"""Arrival times have milliseconds: a record exceeds its age a millisecond after it has reached it."""


def expired_before(records: Records, policy: StreamPolicy, server_now: float) -> Records:
    """The records that are too old, by the service's clock."""
    if policy.maximum_record_age_seconds < 0:
        return ()
    limit = server_now - policy.maximum_record_age_seconds
    return tuple(record for record in records if record.arrived_at < limit)


class Cutter:
    """Cuts the batches of one shard and numbers them."""

    __slots__ = ("_policy", "_window", "batch_count")

    def __init__(self, policy: StreamPolicy, window: TumblingWindow | None) -> None:
        self._policy = policy
        self._window = window
        self.batch_count = 0

    def next_number(self) -> int:
        """The number of a batch that begins, or has changed."""
        self.batch_count += 1
        return self.batch_count

    def attempt(self, records: Records, trigger: BatchTrigger) -> Attempt:
        """A batch with a budget of its own."""
        return Attempt(number=self.next_number(), records=records, trigger=trigger)

    def closing(self, lane: Lane, closing: Closing) -> Attempt:
        """The last invocation of a tumbling window, without records."""
        attempt = self.attempt((), BatchTrigger.TUMBLING_WINDOW)
        attempt.closing = closing
        if lane.restored and not lane.restored.last:
            _restore(lane, lane.restored, attempt)
        return attempt

    def due_at(self, lane: Lane, now: float, server_now: float) -> float | None:
        """When what waits in an idle lane is cut at the latest, or its oldest record has expired."""
        if lane.is_awaiting:
            return None
        window_ends_at = self._window_ends_at(lane)
        age = self._policy.maximum_record_age_seconds
        if age < 0:
            return window_ends_at
        oldest = lane.waiting(1)[0].arrived_at
        return min(window_ends_at, now + max(oldest + age - server_now, 0.0) + EXPIRY_GRAIN_SECONDS)

    def _window_ends_at(self, lane: Lane) -> float:
        return max(lane.since, lane.finished_at) + self._policy.window_seconds

    def cut(self, lane: Lane, now: float, server_now: float, *, has_ended: bool) -> Attempt | None:
        """The next batch of a lane in which records wait; None where it is not its time."""
        if lane.is_awaiting and not has_ended:
            return None
        records = lane.waiting(self._policy.batch_size)
        if lane.restored and lane.restored.last:
            records = _before(lane.restored, records) or records
            if again := self._cut_again(lane, lane.restored, records, now):
                return again
        trigger = None
        if self._window:
            belonging = self._window.prefix(records)
            if not belonging:
                return self.closing(lane, Closing.FINAL)
            trigger = BatchTrigger.TUMBLING_WINDOW if belonging < len(records) else None
            records = records[:belonging]
        fitting = fitting_count(records, self._policy.payload_limit_bytes)
        trigger = trigger or self._trigger(lane, len(records), fitting, now, has_ended=has_ended)
        if trigger:
            return self.attempt(lane.take(fitting, now), trigger)
        if expired_before(tuple(records[:1]), self._policy, server_now):
            return self.attempt(self._take_expired(lane, records, now, server_now), BatchTrigger.AVAILABLE)
        return None

    def _trigger(self, lane: Lane, count: int, fitting: int, now: float, *, has_ended: bool) -> BatchTrigger | None:
        if fitting < count:
            return BatchTrigger.BYTES
        if count >= self._policy.batch_size:
            return BatchTrigger.SIZE
        if has_ended:
            return BatchTrigger.SHARD_END
        if not self._policy.window_seconds:
            return BatchTrigger.AVAILABLE
        return BatchTrigger.WINDOW if now >= self._window_ends_at(lane) else None

    def _take_expired(self, lane: Lane, records: list[StreamRecord], now: float, server_now: float) -> Records:
        """The oldest records, which have expired while they waited for their window; what remains keeps waiting."""
        limit = server_now - self._policy.maximum_record_age_seconds
        count = sum(1 for _ in takewhile(lambda record: record.arrived_at < limit, records))
        since = lane.since
        taken = lane.take(count, now)
        lane.since = since
        return taken

    def _cut_again(self, lane: Lane, restored: HeadBatch, records: list[StreamRecord], now: float) -> Attempt | None:
        """The batch that an earlier owner was trying, as far as it still is one; None where it is not its turn."""
        first, last = int(restored.first), int(restored.last)
        if int(records[0].identifier) < first:
            return None
        again = list(takewhile(lambda record: int(record.identifier) <= last, records))
        if not again:
            lane.restored, lane.is_awaiting = None, False
            return None
        count = self._window.prefix(again) if self._window else len(again)
        if not count:
            return None
        attempt = self.attempt(lane.take(count, now), BatchTrigger.RETRY)
        _restore(lane, restored, attempt)
        return attempt


def _before(restored: HeadBatch, records: list[StreamRecord]) -> list[StreamRecord]:
    """The records that precede a batch: an earlier owner has passed over them, with other filters."""
    first = int(restored.first)
    return list(takewhile(lambda record: int(record.identifier) < first, records))


def _restore(lane: Lane, restored: HeadBatch, attempt: Attempt) -> None:
    """A batch goes on with the failures that it had under an earlier owner of the shard."""
    attempt.failures, attempt.invocations = restored.failures, restored.invocations
    lane.restored, lane.is_awaiting = None, False
