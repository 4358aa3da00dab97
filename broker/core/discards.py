"""Records that are given up, on their way to the on-failure destination.

Rule: a batch whose retries are used up, and records that are too old, are told to the destination; only then the lane
goes on. A destination that fails is tried again for a while; then the records are dropped, as AWS does, or the shard
waits, where `DestinationOutage: block` says so. What a destination can never take, because it is too large, is dropped
at once. Without a destination records are dropped. Whatever is dropped is counted and told, with its range.

Invariants: a lane discards one thing at a time · records that are given up are settled once their destination has
answered for good, not before · each discard is told to the observers once, when its end is certain.

Source: AWS Lambda Developer Guide, "Retain discarded records" (read November 2026); that delivery is retried before
records are dropped was observed. For how long is inferred.
"""

from collections.abc import Callable

from broker.core.lanes import Attempt, Discarding, Lane, Records
from broker.core.payload import stream_event
from broker.core.retry import delay_seconds
from broker.core.shard_journal import ShardJournal
from broker.core.stream_events import Discard, Discarded, ShardAction
from broker.core.stream_policy import StreamPolicy
from broker.core.windows import TumblingWindow
from broker.model.discard import Condition, DiscardedBatch, ResponseContext


class Discards:
    """The discards of one shard; `actions` is where they are sent."""

    __slots__ = ("_actions", "_count", "_journal", "_leave", "_policy", "_press", "_under_way", "_window")

    def __init__(
        self,
        policy: StreamPolicy,
        *,
        window: TumblingWindow | None,
        journal: ShardJournal,
        press: Callable[[], None],
        actions: list[ShardAction],
        leave: Callable[[Lane, Attempt], None],
    ) -> None:
        """`leave` hears when records have left the head of a lane for good; `press` asks for a checkpoint."""
        self._policy = policy
        self._window = window
        self._journal = journal
        self._press = press
        self._actions = actions
        self._leave = leave
        self._count = 0
        self._under_way: dict[int, tuple[Lane, Discarding]] = {}

    def give_up(self, lane: Lane, head: Attempt, response: ResponseContext | None, now: float) -> None:
        """The retries of a batch are used up."""
        batch = self._described(head, head.records, Condition.RETRY_ATTEMPTS_EXHAUSTED, head.failures, response)
        records, head.records = head.records, ()
        self._begin(lane, batch, records, now)

    def expire(self, lane: Lane, head: Attempt, expired: Records, now: float) -> None:
        """Records are too old: they leave their batch, and what remains of it waits for that."""
        batch = self._described(head, expired, Condition.RECORD_AGE_EXCEEDED, max(head.invocations, 1), None)
        gone = {id(record) for record in expired}
        head.records = tuple(record for record in head.records if id(record) not in gone)
        self._begin(lane, batch, expired, now)

    def _described(
        self,
        head: Attempt,
        records: Records,
        condition: Condition,
        invoke_count: int,
        response: ResponseContext | None,
    ) -> DiscardedBatch:
        self._count += 1
        window = self._window
        return DiscardedBatch(
            number=self._count,
            batch=head.number,
            condition=condition,
            invoke_count=invoke_count,
            response=response,
            count=len(records),
            first=records[0].identifier if records else "",
            last=records[-1].identifier if records else "",
            first_arrived_at=records[0].arrived_at if records else 0.0,
            last_arrived_at=records[-1].arrived_at if records else 0.0,
            payload=stream_event(records, window.event_keys(head.closing) if window else None),
            window=window.described(head.closing) if window and head.closing else None,
        )

    def _begin(self, lane: Lane, batch: DiscardedBatch, records: Records, now: float) -> None:
        discarding = Discarding(discarded=batch, records=records, began_at=now)
        lane.discarding = discarding
        self._under_way[batch.number] = lane, discarding
        if self._policy.has_destination:
            self._actions.append(Discard(discarded=batch, at=now))
        else:
            self._end(lane, discarding, delivered=False)

    def resend(self, lane: Lane, now: float) -> None:
        """Tries a destination again when it is time."""
        discarding = lane.discarding
        if discarding and not discarding.is_sent and now >= discarding.due_at:
            discarding.is_sent = True
            self._actions.append(Discard(discarded=discarding.discarded, at=discarding.began_at))

    def answered(self, event: Discarded, now: float) -> None:
        """A destination has answered."""
        lane, discarding = self._under_way[event.number]
        if event.problem is None:
            self._end(lane, discarding, delivered=True)
        elif event.is_final or self._has_waited_enough(discarding, now):
            self._end(lane, discarding, delivered=False, detail=event.problem)
        else:
            discarding.failures += 1
            delay = delay_seconds(self._policy.destination_backoff, discarding.failures, event.chance)
            discarding.is_sent, discarding.due_at = False, now + delay
            self._journal.destination_failed(discarding.discarded, event.problem, delay)

    def _has_waited_enough(self, discarding: Discarding, now: float) -> bool:
        policy = self._policy
        return not policy.blocks_on_destination and now - discarding.began_at >= policy.destination_seconds

    def _end(self, lane: Lane, discarding: Discarding, *, delivered: bool, detail: str = "") -> None:
        """It is certain what became of records that were given up: they are settled."""
        del self._under_way[discarding.discarded.number]
        lane.discarding = None
        self._leave(lane, lane.work[0])
        self._journal.discarded(discarding.discarded, delivered=delivered, detail=detail)
        lane.settled(discarding.records)
        self._press()
