"""When a shard is read next, and from where.

Rule: a shard that has nothing more is polled once in a while; one that has more is read without pause, within the
calls and bytes a second that it allows. Back-pressure is to not ask.

How it works: `due` gives the next `Read` when it is time and there is room; a page or a failure schedules the one after
it. After a failure the place is opened anew behind the last record that was read, or where reading began: a restart
at the starting position never happens.

Invariants: one read is outstanding at a time · the place to read from never goes back by more than what was lost with a
failed read, and never beyond what was read · a throttled read waits a second at least and is no failure of any record.

Source: AWS Lambda Developer Guide, "How Lambda processes records from Amazon Kinesis Data Streams" (once a second) and
"Using AWS Lambda with Amazon DynamoDB" (four times a second); Kinesis API Reference, GetRecords (limits); read November
2026. The order of delays is inferred.
"""

from broker.core.retry import Backoff
from broker.core.stream_events import Read
from broker.core.stream_policy import StreamPolicy
from broker.errors import ReadFault
from broker.model.stream import AfterSequenceNumber, Page, Position, TrimHorizon

SLICE_COUNT = 1_000
"""Records that a page has at most."""


class Reading:
    """The reader's place in one shard."""

    __slots__ = (
        "_answer_bytes", "_asked_at", "_backoff", "_expired_count", "_has_more", "_next_at", "_number", "_pace",
        "_position", "_reopen", "behind_ms", "has_ended", "maximum_count", "outstanding", "read_through", "tip_at",
    )  # fmt: skip

    def __init__(self, policy: StreamPolicy, position: Position) -> None:
        self._pace = policy.pace
        wanted = max(SLICE_COUNT, policy.batch_size * policy.factor)
        self.maximum_count = min(policy.pace.maximum_count, wanted)
        self._backoff = Backoff(policy.source_backoff)
        self._position = position
        self._reopen = True
        self._next_at = float("-inf")
        self._asked_at = float("-inf")
        self._answer_bytes = 0
        self._has_more = False
        self._number = 0
        self._expired_count = 0
        self.outstanding = False
        self.has_ended = False
        self.read_through: str | None = None
        """The sequence number up to which the shard has been read by this consumer; None before the first."""
        self.behind_ms: int | None = None
        self.tip_at: float | None = None
        """The service's time up to which everything that had arrived has been read; None before the first page."""

    @property
    def deadline(self) -> float | None:
        """When the next read is due; None while one is outstanding or none is needed."""
        return None if self.outstanding or self.has_ended else self._next_at

    def due(self, now: float) -> Read | None:
        """The next read, when it is time."""
        if self.outstanding or self.has_ended or now < self._next_at:
            return None
        self.outstanding = True
        if not self._has_more:
            self._asked_at, self._answer_bytes = now, 0
        self._number += 1
        position = self._position if self._reopen else None
        return Read(number=self._number, position=position, maximum_count=self.maximum_count)

    def hear(self, page: Page, now: float) -> None:
        """A read returned."""
        self.outstanding = False
        self._reopen = False
        self._expired_count = 0
        self._backoff.reset()
        self.behind_ms = page.behind_ms
        self.has_ended = page.is_last
        through = page.read_through or (page.records[-1].identifier if page.records else None)
        if through is not None:
            self.read_through = through
            self._position = AfterSequenceNumber(number=through)
        if page.records and (page.has_more or page.behind_ms is None):
            self.tip_at = page.records[-1].arrived_at
        else:
            self.tip_at = page.server_at - (page.behind_ms or 0) / 1000
        self._has_more = page.has_more
        self._answer_bytes += page.size_bytes
        self._next_at = now if page.has_more else self._asked_at + self._pause_seconds(page)

    def _pause_seconds(self, page: Page) -> float:
        """From one call to the next, after the last part of an answer."""
        pace = self._pace
        is_behind = bool(page.records) if page.behind_ms is None else page.behind_ms > 0
        pause = pace.minimum_seconds if is_behind else pace.idle_seconds
        return max(pause, self._answer_bytes / pace.bytes_per_second)

    def failed(self, fault: ReadFault, now: float, chance: float) -> float:
        """A read failed. Returns the delay in seconds."""
        self.outstanding = self._has_more = False
        self._reopen = True
        if fault is ReadFault.TRIMMED:
            self._position = TrimHorizon()
        if fault in (ReadFault.EXPIRED_ITERATOR, ReadFault.TRIMMED) and not self._expired_count:
            self._expired_count += 1
            self._next_at = now
            return 0.0
        delay = self._backoff.failed(now, chance)
        self._next_at = now + delay
        return delay

    def end(self) -> None:
        """The shard is gone: nothing more can be read."""
        self.outstanding = False
        self.has_ended = True
