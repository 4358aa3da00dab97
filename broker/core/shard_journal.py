"""What a shard's consumer says of itself: it counts what happens and tells the observers.

Invariant: every count of `ShardStatistics` is moved here and nowhere else, in the same call that tells of it.
Source: the counts are AWS's event source mapping metrics (AWS Lambda Developer Guide, "Types of metrics", read
November 2026).
"""

from dataclasses import dataclass

from broker.core.events import Tell
from broker.core.journal import Ending
from broker.core.lanes import Attempt, Lane
from broker.core.stream_events import ShardAction
from broker.errors import ReadFault
from broker.model import observation as seen
from broker.model.discard import DiscardedBatch
from broker.model.stream import Page


@dataclass(slots=True)
class Counts:
    """Records, since the consumer began."""

    polled: int = 0
    filtered: int = 0
    invoked: int = 0
    failed: int = 0
    succeeded: int = 0
    dropped: int = 0
    delivered: int = 0
    lost: int = 0


class ShardJournal:
    """Counts and tells; `actions` is where it says it."""

    __slots__ = ("_actions", "_problems", "_shard", "counts", "last_result")

    def __init__(self, shard_id: str, actions: list[ShardAction]) -> None:
        self._shard = shard_id
        self._actions = actions
        self._problems: dict[str, str] = {}
        self.counts = Counts()
        self.last_result = ""

    @property
    def problem(self) -> str:
        """Why the shard makes no progress, or its progress is not kept; empty while all is well."""
        return next(iter(self._problems.values()), "")

    def tell(self, observation: seen.Observation) -> None:
        """Tells what moves no count."""
        self._actions.append(Tell(observation=observation))

    def read(self, page: Page, *, filtered: int, known: int) -> None:
        """A page came."""
        self.counts.polled += len(page.records)
        self.counts.filtered += filtered
        self.tell(
            seen.PageReceived(
                count=len(page.records),
                filtered_count=filtered,
                known_count=known,
                shard=self._shard,
                behind_ms=page.behind_ms,
            )
        )
        if self._problems.pop("source", None):
            self.tell(seen.SourceRecovered(shard=self._shard))

    def read_failed(self, problem: str, delay_seconds: float, fault: ReadFault) -> None:
        """The shard could not be read."""
        self._problems["source"] = problem
        self.tell(seen.SourceProblem(problem=problem, delay_seconds=delay_seconds, shard=self._shard, fault=fault))

    def lost(self, *, after: str, before: str, is_certain: bool, detail: str) -> None:
        """Records have left the stream unread, or may have."""
        self.counts.lost += 1
        self.tell(seen.RecordsLost(shard=self._shard, after=after, before=before, is_certain=is_certain, detail=detail))

    def invoked(self, lane: Lane, attempt: Attempt, size_bytes: int) -> None:
        """A batch is handed over."""
        self.counts.invoked += len(attempt.records)
        self.tell(
            seen.BatchInvoked(
                batch=attempt.number,
                attempt=attempt.invocations,
                count=len(attempt.records),
                size_bytes=size_bytes,
                trigger=attempt.trigger,
                shard=self._shard,
                lane=lane.index,
            )
        )

    def settled(
        self,
        lane: Lane,
        attempt: Attempt,
        ending: Ending,
        *,
        retried: int,
        now: float,
        bisected_into: tuple[int, ...] = (),
    ) -> None:
        """An attempt ended, and it is decided what becomes of its records."""
        acked = len(attempt.records) - retried
        self.counts.failed += retried
        self.counts.succeeded += acked
        self.last_result = f"{ending.reason}: {ending.detail}" if ending.detail else str(ending.reason)
        self.tell(
            seen.BatchSettled(
                batch=attempt.number,
                attempt=attempt.invocations,
                reason=ending.reason,
                acked_count=acked,
                retried_count=retried,
                duration_seconds=now - attempt.started_at,
                detail=ending.detail,
                location=ending.location,
                shard=self._shard,
                lane=lane.index,
                bisected_into=bisected_into,
            )
        )

    def deferred(self, lane: Lane, attempt: Attempt, ending: Ending, delay_seconds: float) -> None:
        """A batch was throttled or its target unavailable."""
        self.counts.failed += len(attempt.records)
        self.last_result = f"{ending.reason}: {ending.detail}"
        self.tell(
            seen.InvocationDeferred(
                batch=attempt.number,
                attempt=attempt.invocations,
                reason=ending.reason,
                delay_seconds=delay_seconds,
                detail=ending.detail,
                shard=self._shard,
                lane=lane.index,
            )
        )

    def stuck(self, lane: Lane) -> None:
        """A handler runs on beyond its time limit."""
        self.tell(seen.InvocationStuck(batch=lane.stuck_batch, groups=(), shard=self._shard, lane=lane.index))

    def returned(self, lane: Lane, now: float) -> None:
        """It has returned."""
        overdue = now - lane.overdue_since
        self.tell(seen.InvocationReturned(batch=lane.stuck_batch, overdue_seconds=overdue, shard=self._shard))

    def discarded(self, discarded: DiscardedBatch, *, delivered: bool, detail: str = "") -> None:
        """Records were given up, and what became of that is certain."""
        if delivered:
            self.counts.delivered += discarded.count
        else:
            self.counts.dropped += discarded.count
        self._problems.pop(f"destination {discarded.number}", None)
        self.tell(
            seen.RecordsDiscarded(
                shard=self._shard,
                batch=discarded.batch,
                count=discarded.count,
                condition=discarded.condition,
                first=discarded.first,
                last=discarded.last,
                invoke_count=discarded.invoke_count,
                delivered=delivered,
                detail=detail,
            )
        )

    def destination_failed(self, discarded: DiscardedBatch, problem: str, delay_seconds: float) -> None:
        """A destination did not take a record; it is tried again."""
        self._problems[f"destination {discarded.number}"] = problem
        self.tell(seen.DestinationProblem(shard=self._shard, problem=problem, delay_seconds=delay_seconds))

    def checkpoint_failed(self, problem: str, delay_seconds: float) -> None:
        """A checkpoint could not be written; it is tried again."""
        self._problems["checkpoint"] = problem
        self.tell(seen.CheckpointProblem(shard=self._shard, problem=problem, delay_seconds=delay_seconds))

    def checkpoint_saved(self) -> None:
        """A checkpoint stands."""
        self._problems.pop("checkpoint", None)
