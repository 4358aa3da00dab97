"""What becomes of the batches of a shard: cut, tried, tried again, split, given up.

Rule, for the batch at the head of a lane:
1. Records older than `MaximumRecordAgeInSeconds` leave it, and go to the destination (`RecordAgeExceeded`).
2. A single record whose event would be too large counts as failed without being handed over.
3. It is handed over. Throttled, or target unavailable: the same again after a delay; nothing is counted.
4. Success settles it. A valid partial response settles what precedes the lowest number reported; the rest is a new
   batch with a budget of its own, unless nothing preceded: then the failure counts.
5. A failure splits a batch of several records in two, where `BisectBatchOnFunctionError` says so, without using up a
   retry; else it is counted, and after `MaximumRetryAttempts` more than the first attempt the batch is given up
   (`RetryAttemptsExhausted`).

How it works: every sub-batch is an `Attempt` in its lane's `work`, the left part first. An attempt that did not change
keeps its number, which its request id is made of; a changed one gets a new number.

Invariants: the head of a lane is the oldest of its unsettled records · an attempt that was given up is settled only
after its destination has answered for good · a batch that an earlier owner of the shard was trying is cut again at the
same records, with the failures it had.

Source: AWS Lambda Developer Guide, "How Lambda processes records from Amazon Kinesis Data Streams", "Configuring
partial batch response", "Retain discarded records" (read November 2026); that age is judged before each attempt, that
splitting costs no retry and that a suffix begins anew was observed. Inferred: age before retries; the left part has
half of an odd number, rounded down; a batch is split down to single records also with `MaximumRetryAttempts` 0; the
halves are never joined again; where the first record is reported, the batch is tried again as it is, and not split.
"""

from collections.abc import Callable, Sequence
from typing import assert_never

from broker.core.cutting import Cutter, expired_before
from broker.core.discards import Discards
from broker.core.events import Finished
from broker.core.journal import Ending
from broker.core.lanes import Attempt, Closing, Lane, Phase, Records, event_size, fitting_count
from broker.core.payload import keys_bytes, stream_event
from broker.core.response import NOTHING_FAILED, failed_identifiers, identifiers_of
from broker.core.retry import delay_seconds
from broker.core.shard_journal import ShardJournal
from broker.core.stream_events import Discarded, InvokeStream, ShardAction, StreamBatch
from broker.core.stream_policy import StreamPolicy
from broker.core.windows import TumblingWindow, state_of
from broker.model.batch import BatchTrigger, Reason
from broker.model.checkpoint import Checkpoint, OpenWindow
from broker.model.discard import ResponseContext
from broker.model.invocation import HandlerFailed, Succeeded, Throttled, TimedOut, Unavailable
from broker.model.observation import WindowClosed
from broker.model.status import LaneStatistics

UNHANDLED = ResponseContext(function_error="Unhandled")
ANSWERED = ResponseContext(function_error=None)
_BAD_IDENTIFIER = "the response is no valid batchItemFailures"
_NO_STATE = "the response of a tumbling window's invocation holds no state"


class Attempts:
    """All batches of one shard; `actions` is where they start."""

    def __init__(
        self,
        policy: StreamPolicy,
        *,
        shard_id: str,
        start: Checkpoint,
        lanes: Sequence[Lane],
        journal: ShardJournal,
        press: Callable[[], None],
        actions: list[ShardAction],
        lease_until: float,
        start_at: float,
    ) -> None:
        """`press` asks for a checkpoint at once."""
        self._policy = policy
        self._lanes = lanes
        self._journal = journal
        self._press = press
        self._actions = actions
        self._start_at = start_at
        self._window = TumblingWindow(policy, shard_id, start.window) if policy.tumbling_window_seconds else None
        self._cutter = Cutter(policy, self._window)
        self._flights: dict[int, Lane] = {}
        self._discards = Discards(
            policy, window=self._window, journal=journal, press=press, actions=actions, leave=self._left
        )
        self.lease_until = lease_until
        """Nothing starts from this instant on."""
        self.empty_at: float | None = None
        """The service's time at which the shard was last found to have nothing more; None before."""

    # ---- what is there

    @property
    def batch_count(self) -> int:
        """Batches cut so far."""
        return self._cutter.batch_count

    @property
    def open_window(self) -> OpenWindow | None:
        """The tumbling window that has not been closed."""
        return self._window.as_restorable if self._window else None

    @property
    def is_running(self) -> bool:
        """Whether an answer is outstanding from a handler or a destination."""
        return any(lane.is_running for lane in self._lanes)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held and no tumbling window is open."""
        return self.open_window is None and not any(
            lane.held_count or lane.is_busy or lane.work for lane in self._lanes
        )

    @property
    def discard_deadlines(self) -> list[float | None]:
        """When a destination is tried again."""
        return [lane.discarding.due_at for lane in self._lanes if lane.discarding and not lane.discarding.is_sent]

    def deadlines(self, now: float, server_now: float) -> list[float | None]:
        """When the passing of time alone lets something start, or expire."""
        waiting = [self._next_at(lane, now, server_now) for lane in self._lanes if not lane.is_busy]
        # What has its time may still wait for the lease to be certain again: the extension is heard.
        return [*self.discard_deadlines, *(max(at, self._start_at) for at in waiting if at is not None)]

    def _next_at(self, lane: Lane, now: float, server_now: float) -> float | None:
        if lane.head:
            return lane.head.due_at
        if lane.waiting_count:
            return self._cutter.due_at(lane, now, server_now)
        return None

    def statistics_of(self, lane: Lane) -> LaneStatistics:
        """What a lane is doing."""
        head = lane.head
        return LaneStatistics(
            buffered_records=lane.waiting_count,
            in_flight_records=lane.held_count - lane.waiting_count,
            batch_records=_batch_count(lane),
            failures=head.failures if head else 0,
            state=_state_of(lane),
            settled_through=lane.mark or "",
        )

    # ---- start

    def advance(self, now: float, server_now: float, *, has_ended: bool, is_stopping: bool) -> None:
        """Starts what may start by now."""
        for lane in self._lanes:
            self._discards.resend(lane, now)
            while not is_stopping and not lane.is_busy and self._step(lane, now, server_now, has_ended=has_ended):
                pass

    def _step(self, lane: Lane, now: float, server_now: float, *, has_ended: bool) -> bool:
        """Does the next thing with an idle lane; False where it has to wait."""
        if now < self._start_at:
            return False
        if self._window and self._window.is_oversized and not (lane.head and lane.head.closing):
            lane.work.appendleft(self._cutter.closing(lane, Closing.EARLY))
        head = lane.head or self._cut(lane, now, server_now, has_ended=has_ended)
        if head is None or now < head.due_at:
            return False
        if expired := expired_before(head.records, self._policy, server_now):
            self._discards.expire(lane, head, expired, now)
            return True
        if self._is_spent(head):
            self._give_up(lane, head, now)
            return True
        return self._start(lane, head, now)

    def _cut(self, lane: Lane, now: float, server_now: float, *, has_ended: bool) -> Attempt | None:
        if lane.waiting_count:
            head = self._cutter.cut(lane, now, server_now, has_ended=has_ended)
        elif self._window and self._is_over(self._window, has_ended=has_ended):
            head = self._cutter.closing(lane, Closing.FINAL)
        else:
            return None
        if head:
            lane.work.append(head)
        return head

    def _is_over(self, window: TumblingWindow, *, has_ended: bool) -> bool:
        """Whether the open window of a shard in which nothing waits is to be closed."""
        return (has_ended and window.start is not None) or window.has_lapsed(self.empty_at)

    def _is_spent(self, head: Attempt) -> bool:
        """Whether an earlier owner of the shard has used up its retries."""
        most = self._policy.maximum_retry_attempts
        return 0 <= most < head.failures

    def _start(self, lane: Lane, head: Attempt, now: float) -> bool:
        """Hands the head over, as far as it fits into one event; False where the lease is not certain."""
        keys = self._window.event_keys(head.closing) if self._window else None
        limit = self._policy.payload_limit_bytes - keys_bytes(keys)
        if (fitting := fitting_count(head.records, limit)) < len(head.records):
            self._replace_head(lane, (head.records[:fitting], head.records[fitting:]), BatchTrigger.BYTES)
            return True
        size = event_size(head.records)
        if size > limit and head.records:
            self._too_large(lane, head, now)
            return True
        if now >= self.lease_until:
            return False
        head.phase, head.started_at = Phase.RUNNING, now
        head.invocations += 1
        self._flights[head.number] = lane
        batch = StreamBatch(
            number=head.number,
            lane=lane.index,
            records=head.records,
            trigger=head.trigger,
            attempt=head.invocations,
            window=keys,
            size_bytes=size + keys_bytes(keys),
        )
        payload = stream_event(head.records, keys)
        self._actions.append(InvokeStream(batch=batch, payload=payload, start_before=self.lease_until))
        self._journal.invoked(lane, head, batch.size_bytes)
        return False

    def _replace_head(self, lane: Lane, parts: Sequence[Records], trigger: BatchTrigger) -> tuple[int, ...]:
        """Puts new batches in the place of the head."""
        lane.work.popleft()
        new = [self._cutter.attempt(records, trigger) for records in parts]
        lane.work.extendleft(reversed(new))
        return tuple(attempt.number for attempt in new)

    def _too_large(self, lane: Lane, head: Attempt, now: float) -> None:
        head.started_at = now
        head.invocations += 1
        head.response = None
        ending = Ending(Reason.TOO_LARGE, f"the event would exceed {self._policy.payload_limit_bytes} bytes")
        self._fail(lane, head, ending, chance=1.0, now=now)

    # ---- how an invocation ended

    def not_started(self, number: int) -> None:
        """The lease was not certain any more when it was its turn."""
        lane = self._flights.pop(number)
        head = lane.work[0]
        head.phase = Phase.READY
        head.invocations -= 1

    def finished(self, event: Finished, now: float) -> None:
        """An invocation ended."""
        lane = self._flights.pop(event.number)
        head, result = lane.work[0], event.result
        head.phase = Phase.READY
        lane.finished_at = now
        match result:
            case Succeeded():
                self._responded(lane, head, result, event.chance, now)
            case HandlerFailed():
                head.response = UNHANDLED
                detail = f"{result.error_type}: {result.message}"
                self._fail(lane, head, Ending(Reason.HANDLER_FAILED, detail, result.location), event.chance, now)
            case TimedOut():
                head.response = UNHANDLED
                if result.wait_returned:
                    self._flights[event.number] = lane
                    lane.stuck_batch, lane.overdue_since = event.number, now
                    self._journal.stuck(lane)
                self._fail(lane, head, Ending(Reason.TIMED_OUT, result.message), event.chance, now)
            case Throttled():
                delay = max(self._throttle_delay(lane, event.chance), result.retry_after_seconds)
                self._defer(lane, Ending(Reason.THROTTLED, result.message), delay, now)
            case Unavailable():
                ending = Ending(Reason.UNAVAILABLE, result.message)
                self._defer(lane, ending, self._throttle_delay(lane, event.chance), now)
            case _:
                assert_never(result)

    def returned(self, number: int, now: float) -> None:
        """A handler that ran on beyond its time limit has returned."""
        lane = self._flights.pop(number)
        self._journal.returned(lane, now)
        lane.stuck_batch = 0

    def _responded(self, lane: Lane, head: Attempt, result: Succeeded, chance: float, now: float) -> None:
        head.response = ANSWERED
        state = state_of(result.response) if self._window and head.closing is None else None
        if self._window and head.closing is None and state is None:
            self._fail(lane, head, Ending(Reason.MISSING_STATE, _NO_STATE), chance, now)
            return
        failed: frozenset[str] | None = NOTHING_FAILED
        if self._policy.report_batch_item_failures and head.records:
            failed = failed_identifiers(result.response, identifiers_of(head.records))
        if failed is None:
            self._fail(lane, head, Ending(Reason.MALFORMED_RESPONSE, _BAD_IDENTIFIER), chance, now)
            return
        if self._window and state is not None:
            self._window.state = state
        self._settle_reported(lane, head, failed, chance, now)

    def _settle_reported(self, lane: Lane, head: Attempt, failed: frozenset[str], chance: float, now: float) -> None:
        """Settles what precedes the lowest number that the handler reported."""
        done = next((i for i, record in enumerate(head.records) if record.identifier in failed), len(head.records))
        rest = head.records[done:]
        if rest and not done:
            self._fail(lane, head, Ending(Reason.PARTIAL_FAILURE), chance, now)
            return
        lane.backoff_failures = 0
        ending = Ending(Reason.PARTIAL_FAILURE if rest else Reason.SUCCEEDED)
        self._journal.settled(lane, head, ending, retried=len(rest), now=now)
        settled = head.records[:done]
        if rest:
            self._replace_head(lane, (rest,), BatchTrigger.RETRY)
            lane.work[0].due_at = now + self._delay(lane, chance)
        else:
            self._leave(lane, head)
        lane.settled(settled)
        self._press()

    def _left(self, lane: Lane, head: Attempt) -> None:
        """Records have left the head for good: it is done, or what remains of it is another batch."""
        if head.records:
            head.number = self._cutter.next_number()
        else:
            self._leave(lane, head)

    def _leave(self, lane: Lane, head: Attempt) -> None:
        """The head is done."""
        lane.work.popleft()
        if self._window and head.closing:
            self._close(self._window, head.closing)

    def _close(self, window: TumblingWindow, closing: Closing) -> None:
        described = window.described(closing)
        window.closed(closing)
        self._journal.tell(
            WindowClosed(
                shard=window.shard_id,
                start=described.start,
                end=described.end,
                is_terminated_early=described.is_terminated_early,
            )
        )

    def _delay(self, lane: Lane, chance: float) -> float:
        lane.backoff_failures += 1
        return delay_seconds(self._policy.failure_backoff, lane.backoff_failures, chance)

    def _fail(self, lane: Lane, head: Attempt, ending: Ending, chance: float, now: float) -> None:
        count = len(head.records)
        self._press()
        if self._policy.bisect and count > 1 and ending.reason is not Reason.PARTIAL_FAILURE:
            halves = (head.records[: count // 2], head.records[count // 2 :])
            parts = self._replace_head(lane, halves, BatchTrigger.RETRY)
            self._journal.settled(lane, head, ending, retried=count, now=now, bisected_into=parts)
            return
        head.failures += 1
        head.due_at = now + self._delay(lane, chance)
        self._journal.settled(lane, head, ending, retried=count, now=now)
        if self._is_spent(head):
            self._give_up(lane, head, now)

    def _defer(self, lane: Lane, ending: Ending, delay: float, now: float) -> None:
        """The handler did not run: the same again later, and nothing is counted."""
        head = lane.work[0]
        head.due_at = now + delay
        self._journal.deferred(lane, head, ending, delay)

    def _throttle_delay(self, lane: Lane, chance: float) -> float:
        lane.backoff_failures += 1
        return delay_seconds(self._policy.throttle_backoff, lane.backoff_failures, chance)

    # ---- giving up

    def _give_up(self, lane: Lane, head: Attempt, now: float) -> None:
        # Where an earlier owner of the shard made the last attempt, how it ended is not known: as most do.
        response = head.response if head.response or self._is_too_large(head) else UNHANDLED
        self._discards.give_up(lane, head, response, now)

    def _is_too_large(self, head: Attempt) -> bool:
        keys = self._window.event_keys(head.closing) if self._window else None
        return bool(head.records) and event_size(head.records) + keys_bytes(keys) > self._policy.payload_limit_bytes

    def discarded(self, event: Discarded, now: float) -> None:
        """A destination has answered."""
        self._discards.answered(event, now)


def _batch_count(lane: Lane) -> int:
    if lane.discarding:
        return len(lane.discarding.records)
    return len(lane.head.records) if lane.head else 0


def _state_of(lane: Lane) -> str:
    head = lane.head
    if lane.stuck_batch:
        return "stuck"
    if lane.discarding:
        return "discarding"
    if head is None:
        return "waiting" if lane.waiting_count else "idle"
    return "running" if head.phase is Phase.RUNNING else "backing off"
