"""The decisions of one SQS mapping: what to receive, what to hand over, what to delete.

Rule: receive as much as can start, cut batches, hand them over, delete what the handler did not report as failed, and
leave the rest to the queue: a message that is not deleted comes again when its visibility timeout has passed, and the
queue's own redrive policy moves it to the dead-letter queue.

How it works: `handle(event, now)` hears one event and returns what to do. Whoever performs an action answers it once
(see `events`), so everything outstanding is known: receives, flights (batches handed over), deletes, visibility
changes. All else follows from the parts: `polling` and `scaling` (how many), `batching` (which), `group_locks` (FIFO),
`settlement` and `visibility` (the way out), `retry` (when again).

Invariants:
* A message in hand (waiting, in flight, being deleted, or handled but not deleted) is not handed over a second time by
  this consumer; when the queue delivers it again, only its receipt is replaced.
* A message is handed over only while its visibility covers the function's timeout, or when it is fresh; one that waited
  too long is let go.
* At most one batch per message group is in flight; when one fails, what waits of its groups is let go.
* Nothing is deleted that the handler did not handle and no filter dropped.
* Without a certain share of a shared concurrency nothing starts, nothing is received and nothing is kept waiting.
* After `Stopping` no receive starts; the consumer finishes when nothing is outstanding.

Source: AWS Lambda Developer Guide, "Using Lambda with Amazon SQS", "Error handling for an SQS event source" and
"Configuring an SQS queue" (read November 2026). The deadlines are inferred: AWS says only that a batch which cannot be
invoked is let go when its visibility lapses.
"""

from collections.abc import Sequence
from itertools import compress
from math import ceil, inf
from typing import assert_never

from broker.core.description import Description
from broker.core.dispatch import EXTENSIONS_PER_VISIBILITY, Dispatch
from broker.core.events import (
    Deleted,
    Described,
    DescribeFailed,
    Fetched,
    FetchFailed,
    Finished,
    LimitChanged,
    QueueAction,
    QueueEvent,
    Returned,
    Stopping,
    VisibilityChanged,
    Woke,
)
from broker.core.flights import Flight
from broker.core.group_locks import GroupLocks, groups_of
from broker.core.journal import Ending, Journal
from broker.core.polling import CircuitBreaker, Polling
from broker.core.queue_policy import QueuePolicy
from broker.core.response import NOTHING_FAILED, failed_identifiers, followers, identifiers_of
from broker.core.retry import delay_seconds
from broker.core.scaling import ConcurrencyScale
from broker.core.settlement import ENTRIES_PER_CALL, Deletions
from broker.core.visibility import VisibilityChanges
from broker.model import observation as seen
from broker.model.batch import Batch, Reason
from broker.model.invocation import HandlerFailed, Succeeded, Throttled, TimedOut, Unavailable
from broker.model.record import QueueAttributes, Record
from broker.model.status import QueueStatistics

RELEASE_SECONDS = 0
LONGEST_VISIBILITY_SECONDS = 43_200


class QueueConsumer:
    """Consumes one queue. Its first event is `Woke`, its last actions come before `finished`."""

    def __init__(self, policy: QueuePolicy) -> None:
        self._policy = policy
        locks = GroupLocks()
        self._scale = ConcurrencyScale(policy.scaling)
        self._polling = Polling(policy, self._scale)
        self._breaker = CircuitBreaker(policy.circuit_breaker) if policy.circuit_breaker else None
        self._deletions = Deletions(policy, locks)
        self._changes = VisibilityChanges()
        self._description = Description(policy)
        self._stop_at: float | None = None
        self._now = float("-inf")
        self._actions: list[QueueAction] = []
        self._journal = Journal(self._actions)
        self._dispatch = Dispatch(policy, locks, self._journal, self._actions)
        self._flights = self._dispatch.flights

    # ---- what is asked of it

    def handle(self, event: QueueEvent, now: float) -> list[QueueAction]:
        """Hears one event at the instant `now` and says what to do, in order."""
        self._now = max(self._now, now)
        self._scale.pass_time(self._now)
        self._hear(event)
        self._let_go()
        self._repeat()
        self._cut()
        self._receive()
        actions = self._actions.copy()
        self._actions.clear()
        return actions

    @property
    def finished(self) -> bool:
        """Whether it was asked to stop and nothing is outstanding."""
        return self._stop_at is not None and not (
            self._description.outstanding
            or self._polling.outstanding
            or self._deletions
            or self._changes
            or not self._dispatch.is_empty
        )

    @property
    def deadline(self) -> float | None:
        """The next instant at which it wants to hear `Woke`; later than the last event, None without one."""
        return min([at for at in self._deadlines() if at is not None and at > self._now], default=None)

    def statistics(self) -> QueueStatistics:
        """Counts so far, and what it holds now."""
        counts = self._journal.counts
        return QueueStatistics(
            polled_count=counts.polled,
            filtered_count=counts.filtered,
            invoked_count=counts.invoked,
            failed_count=counts.failed,
            deleted_count=counts.deleted,
            let_go_count=counts.let_go,
            known_count=counts.known,
            batch_count=self._flights.batch_count,
            in_flight_batches=len(self._flights),
            in_flight_records=self._flights.record_count,
            buffered_records=self._dispatch.buffered_count,
            stuck_batches=self._flights.stuck_count,
            outstanding_fetches=len(self._polling.outstanding),
            concurrency_limit=self._scale.limit,
            problem=self._journal.problem,
            last_result=self._journal.last_result,
        )

    # ---- what it hears

    def _hear(self, event: QueueEvent) -> None:
        match event:
            case Fetched():
                self._fetched(event)
            case Finished():
                self._finished(event)
            case Deleted():
                self._deleted(event)
            case VisibilityChanged():
                self._journal.visibility_changed(event.failures)
                self._actions += self._changes.settled(event)
            case Returned():
                self._returned(event)
            case FetchFailed():
                self._journal.source_failed(event.problem, self._polling.failed(event, self._now))
            case Described():
                self._described(event.attributes)
            case DescribeFailed():
                self._journal.source_failed(event.problem, self._description.failed(self._now, event.chance))
            case Stopping():
                self._stop_at = event.deadline_at if self._stop_at is None else min(event.deadline_at, self._stop_at)
            case LimitChanged():
                self._scale.share(event.limit, event.until_at)
                self._scale.pass_time(self._now)
            case Woke():
                pass
            case _:
                assert_never(event)

    def _described(self, attributes: QueueAttributes) -> None:
        match self._description.described(attributes, self._now):
            case str(problem):
                self._journal.source_failed(problem, self._policy.describe_seconds)
            case None:
                self._source_recovered()
            case warning:
                self._journal.tell(warning)
                self._source_recovered()

    def _source_recovered(self) -> None:
        if not self._polling.backoff.failures and not self._description.is_failing:
            self._journal.source_recovered()

    def _fetched(self, event: Fetched) -> None:
        self._polling.fetched(event.number, len(event.records), self._now)
        fresh, filtered = self._sort(event.records)
        known = len(event.records) - len(fresh) - len(filtered)
        if filtered:
            self._actions += self._deletions.delete(filtered)
        self._dispatch.add(fresh, self._now)
        self._journal.received(count=len(event.records), filtered=len(filtered), known=known)
        self._source_recovered()

    def _sort(self, records: Sequence[Record]) -> tuple[Sequence[Record], Sequence[Record]]:
        """Which messages are new and pass the filter, and which are new and do not."""
        identifiers = identifiers_of(records)
        if len(identifiers) < len(records):
            records = list({record.identifier: record for record in records}.values())
        if not (self._dispatch.has_none_of(identifiers) and self._deletions.has_none_of(identifiers)):
            records = [record for record in records if not self._claim(record)]
        accepts = self._policy.accepts
        if accepts is None:
            return records, ()
        verdicts = [accepts(record) for record in records]
        return list(compress(records, verdicts)), [r for r, passes in zip(records, verdicts, strict=True) if not passes]

    def _claim(self, record: Record) -> bool:
        """Takes the newer receipt of a message that is already in hand or handled."""
        if self._dispatch.replace(record):
            return True
        deletes = self._deletions.claim(record)
        if deletes is None:
            return False
        self._actions += deletes
        return True

    def _finished(self, event: Finished) -> None:
        flight, result = self._flights[event.number], event.result
        match result:
            case Succeeded():
                self._responded(flight, result, event.chance)
            case HandlerFailed():
                detail = f"{result.error_type}: {result.message}"
                self._failed(flight, Ending(Reason.HANDLER_FAILED, detail, result.location), event.chance)
            case TimedOut():
                flight.overdue_since = self._now if result.wait_returned else None
                self._flights.schedule(flight, None)
                self._failed(flight, Ending(Reason.TIMED_OUT, result.message), event.chance)
            case Throttled():
                self._defer(flight, Reason.THROTTLED, result.message, event.chance, result.retry_after_seconds)
            case Unavailable():
                self._defer(flight, Reason.UNAVAILABLE, result.message, event.chance)
            case _:
                assert_never(result)

    def _responded(self, flight: Flight, result: Succeeded, chance: float) -> None:
        failed: frozenset[str] | None = NOTHING_FAILED
        if self._policy.report_batch_item_failures:
            failed = failed_identifiers(result.response, identifiers_of(flight.batch.records))
        if failed is None:
            ending = Ending(Reason.MALFORMED_RESPONSE, "the response is no valid batchItemFailures")
            self._failed(flight, ending, chance)
            return
        self._reached()
        self._scale.succeeded()
        ending = Ending(Reason.PARTIAL_FAILURE if failed else Reason.SUCCEEDED)
        self._settle(flight, self._with_followers(flight.batch, failed), ending, chance)

    def _with_followers(self, batch: Batch, failed: frozenset[str]) -> frozenset[str]:
        """Under FIFO, what was not reported though it follows a failed message of its group: kept, or warned of."""
        following = followers(batch.records, failed) if failed else []
        if following and self._policy.hold_group:
            return failed | identifiers_of(following)
        if following:
            self._journal.tell(seen.GroupOrderBroken(groups=groups_of(following)))
        return failed

    def _failed(self, flight: Flight, ending: Ending, chance: float) -> None:
        self._reached()
        self._scale.failed(self._now)
        self._settle(flight, identifiers_of(flight.batch.records), ending, chance)

    def _reached(self) -> None:
        if self._breaker and self._breaker.succeeded():
            self._journal.circuit_closed()

    def _settle(self, flight: Flight, failed: frozenset[str], ending: Ending, chance: float) -> None:
        records = self._flights.newest(flight.batch.records)
        acked = [record for record in records if record.identifier not in failed]
        retried = [record for record in records if record.identifier in failed]
        self._actions += self._deletions.delete(acked)
        self._hold_back(retried, chance)
        duration = self._now - flight.started_at
        self._journal.settled(flight.batch, ending, retried=len(retried), duration_seconds=duration)
        self._leave(flight)

    def _hold_back(self, retried: Sequence[Record], chance: float) -> None:
        """Leaves failed messages to the queue, and with them what waits of their groups."""
        siblings = self._dispatch.let_groups_go(retried)
        backoff = self._policy.failure_backoff
        if backoff and retried:
            receives = max(record.receive_count for record in retried)
            seconds = min(ceil(delay_seconds(backoff, receives, chance)), LONGEST_VISIBILITY_SECONDS)
            self._actions += self._changes.change([*retried, *siblings], seconds, self._now)

    def _leave(self, flight: Flight) -> None:
        self._dispatch.leave(flight, self._now)
        if flight.overdue_since is not None:
            self._journal.tell(seen.InvocationStuck(batch=flight.batch.number, groups=groups_of(flight.batch.records)))

    def _returned(self, event: Returned) -> None:
        flight = self._flights[event.number]
        overdue = self._now - (flight.overdue_since or self._now)
        self._flights.end(flight)
        self._dispatch.let_groups_go(flight.batch.records)
        self._journal.tell(seen.InvocationReturned(batch=event.number, overdue_seconds=overdue))

    def _defer(self, flight: Flight, reason: Reason, detail: str, chance: float, at_least: float = 0.0) -> None:
        self._scale.throttled(self._now)
        delay = max(delay_seconds(self._policy.retry_backoff, flight.batch.attempt, chance), at_least)
        self._journal.deferred(flight.batch, reason, detail, self._dispatch.defer(flight, delay, self._now))
        if self._breaker:
            self._target_down(self._breaker, detail)

    def _target_down(self, breaker: CircuitBreaker, detail: str) -> None:
        if breaker.failed(self._now):
            self._journal.circuit_opened(breaker.until - self._now, detail)
        if self._now < breaker.until:
            self._dispatch.let_deferred_go("circuit open")

    def _deleted(self, event: Deleted) -> None:
        outcome, deletes = self._deletions.settled(event, self._now)
        self._actions += deletes
        self._journal.deleted(outcome)

    # ---- what follows from it

    def _repeat(self) -> None:
        """What is due by now: deletes, throttled batches, visibility extensions."""
        self._actions += self._deletions.due(self._now)
        for flight in self._dispatch.due(self._now):
            self._extend(flight)

    def _extend(self, flight: Flight) -> None:
        """Hides a running batch anew, and never for less than it is hidden already."""
        records = self._flights.newest(flight.batch.records)
        left = ceil(max(record.visible_until for record in records) - self._now)
        seconds = min(max(self._description.visibility_seconds, left), LONGEST_VISIBILITY_SECONDS)
        self._flights.schedule(flight, self._now + seconds / EXTENSIONS_PER_VISIBILITY)
        self._actions += self._changes.extend(records, seconds, self._now)

    def _let_go(self) -> None:
        """Releases what can no longer be handled before the drain's end, or without a share of the concurrency."""
        if self._stop_at is not None and self._now >= self._stop_at - self._policy.function_timeout_seconds:
            self._release("drain")
        elif self._scale.maximum == 0:
            self._release("no share")

    def _release(self, why: str) -> None:
        records = self._dispatch.hand_over()
        self._actions += self._changes.change(records, RELEASE_SECONDS, self._now)
        self._journal.let_go(records, why)

    def _cut(self) -> None:
        self._dispatch.cut(self._free_slots, self._now, is_draining=self._stop_at is not None)

    @property
    def _free_slots(self) -> int:
        """What may start: stuck calls take the function's room, but not that of the handlers that come to an end."""
        limit = self._scale.limit
        if self._breaker:
            limit = min(limit, self._breaker.limit(limit, self._now))
        running = len(self._flights) - self._flights.stuck_count
        return min(limit - running, self._scale.maximum - len(self._flights))

    def _receive(self) -> None:
        if self._stop_at is not None:
            return
        self._actions += self._description.due(self._now)
        if self._may_receive():
            self._actions += self._polling.plan(
                free_slots=self._free_slots,
                buffered=self._dispatch.waiting_count,
                wait_seconds=self._wait_seconds(),
                visibility=self._description.visibility_seconds,
                now=self._now,
            )

    def _may_receive(self) -> bool:
        return self._description.attributes is not None and self._deletions.calls < self._most_delete_calls

    @property
    def _most_delete_calls(self) -> int:
        """Above this the queue takes deletes more slowly than it gives messages."""
        return 10 + 2 * self._scale.limit * ceil(self._policy.batch_size / ENTRIES_PER_CALL)

    def _wait_seconds(self) -> int:
        """The long poll, cut to what is left of an open window."""
        ends_at = self._dispatch.window_ends_at
        left = ceil(max(ends_at - self._now, 0.0)) if ends_at is not None else self._policy.long_poll_seconds
        return min(left, self._policy.long_poll_seconds)

    def _deadlines(self) -> list[float | None]:
        """Every instant at which something becomes due by the passing of time alone."""
        certain_until = None if self._scale.certain_until == inf else self._scale.certain_until
        of_batches = [self._deletions.deadline, *self._dispatch.deadlines, certain_until]
        if self._stop_at is not None:
            return [*of_batches, self._stop_at - self._policy.function_timeout_seconds]
        until = self._breaker.until if self._breaker else None
        return [*of_batches, self._description.due_at, self._polling.deadline, until]
