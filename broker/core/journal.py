"""What a queue consumer says of itself: it counts what happens and tells the observers.

Invariant: every count of `QueueStatistics` is moved here and nowhere else, in the same call that tells of it.
Source: the counts are AWS's event source mapping metrics (AWS Lambda Developer Guide, "Types of metrics", read
November 2026).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from broker.core.events import QueueAction, Tell
from broker.core.settlement import Outcome
from broker.model import observation as seen
from broker.model.batch import Batch, Reason
from broker.model.record import Failure, Record

NOTHING_PASSED_COUNT = 100
"""After so many messages, all of them filtered away, the pattern is likely a mistake."""


@dataclass(slots=True)
class Counts:
    """Records, since the consumer began."""

    polled: int = 0
    filtered: int = 0
    known: int = 0
    invoked: int = 0
    failed: int = 0
    deleted: int = 0
    let_go: int = 0


class Ending(NamedTuple):
    """How an invocation ended."""

    reason: Reason
    detail: str = ""
    location: str = ""


class Journal:
    """Counts and tells; `actions` is where it says it."""

    __slots__ = ("_actions", "_circuit_problem", "_source_problem", "_warned_of_filter", "counts", "last_result")

    def __init__(self, actions: list[QueueAction]) -> None:
        self._actions = actions
        self._warned_of_filter = False
        self.counts = Counts()
        self.last_result = ""
        self._source_problem = ""
        self._circuit_problem = ""

    @property
    def problem(self) -> str:
        """Why nothing is received or handed over; empty while all is well."""
        return self._source_problem or self._circuit_problem

    def tell(self, observation: seen.Observation) -> None:
        """Tells what moves no count."""
        self._actions.append(Tell(observation=observation))

    def received(self, *, count: int, filtered: int, known: int) -> None:
        """A receive returned."""
        counts = self.counts
        counts.polled += count
        counts.filtered += filtered
        counts.known += known
        self.tell(seen.PageReceived(count=count, filtered_count=filtered, known_count=known))
        judged = counts.polled - counts.known
        if not self._warned_of_filter and judged >= NOTHING_PASSED_COUNT:
            self._warned_of_filter = True
            if counts.filtered == judged:
                self.tell(seen.EverythingFiltered(count=judged))

    def invoked(self, batch: Batch) -> None:
        """A batch is handed over."""
        self.counts.invoked += len(batch.records)
        self.tell(
            seen.BatchInvoked(
                batch=batch.number,
                attempt=batch.attempt,
                count=len(batch.records),
                size_bytes=batch.size_bytes,
                trigger=batch.trigger,
            )
        )

    def settled(self, batch: Batch, ending: Ending, *, retried: int, duration_seconds: float) -> None:
        """It is decided what becomes of a batch."""
        self.counts.failed += retried
        self.last_result = f"{ending.reason}: {ending.detail}" if ending.detail else str(ending.reason)
        self.tell(
            seen.BatchSettled(
                batch=batch.number,
                attempt=batch.attempt,
                reason=ending.reason,
                acked_count=len(batch.records) - retried,
                retried_count=retried,
                duration_seconds=duration_seconds,
                detail=ending.detail,
                location=ending.location,
            )
        )

    def deferred(self, batch: Batch, reason: Reason, detail: str, delay_seconds: float) -> None:
        """A batch was throttled or its target unavailable."""
        self.counts.failed += len(batch.records)
        self.last_result = f"{reason}: {detail}"
        self.tell(
            seen.InvocationDeferred(
                batch=batch.number, attempt=batch.attempt, reason=reason, delay_seconds=delay_seconds, detail=detail
            )
        )

    def let_go(self, records: Sequence[Record], why: str) -> None:
        """Records are left to the queue."""
        if records:
            self.counts.let_go += len(records)
            self.tell(seen.RecordsLetGo(count=len(records), why=why))

    def deleted(self, outcome: Outcome) -> None:
        """A delete ended."""
        self.counts.deleted += outcome.deleted_count
        self.tell(
            seen.RecordsDeleted(count=outcome.deleted_count, failed_count=outcome.failed_count, detail=outcome.detail)
        )
        if outcome.abandoned_count:
            self.tell(seen.DeleteAbandoned(count=outcome.abandoned_count, detail=outcome.detail))

    def visibility_changed(self, failures: Mapping[str, Failure]) -> None:
        """A change of visibility ended."""
        if failures:
            detail = str(next(iter(failures.values())))
            self.tell(seen.VisibilityChangeFailed(count=len(failures), detail=detail))

    def source_failed(self, problem: str, delay_seconds: float) -> None:
        """The queue cannot be read."""
        self._source_problem = problem
        self.tell(seen.SourceProblem(problem=problem, delay_seconds=delay_seconds))

    def source_recovered(self) -> None:
        """The queue can be read."""
        if self._source_problem:
            self._source_problem = ""
            self.tell(seen.SourceRecovered())

    def circuit_opened(self, pause_seconds: float, detail: str) -> None:
        """The target failed so often in a row that nothing is handed over for a while."""
        self._circuit_problem = f"The circuit is open: {detail}"
        self.tell(seen.CircuitOpened(pause_seconds=pause_seconds, detail=detail))

    def circuit_closed(self) -> None:
        """The target answers again."""
        self._circuit_problem = ""
        self.tell(seen.CircuitClosed())
