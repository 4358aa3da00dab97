"""A queue, its consumers and everything between them, as one value that moves in steps: no I/O, no tasks, no clock.

`World.steps()` lists what may happen next; `World.take(step)` lets it happen and checks what must hold. A call has two
moments: it takes effect at the queue, and its answer is heard; between them the queue, the clock and the other
consumer go on. Hypothesis draws histories from it and the explorer enumerates all of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import inf

from broker.core.events import (
    ChangeVisibility,
    Delete,
    Deleted,
    Describe,
    Described,
    DescribeFailed,
    Fetch,
    Fetched,
    FetchFailed,
    Finished,
    Invoke,
    QueueAction,
    QueueEvent,
    Returned,
    Stopping,
    VisibilityChanged,
    Woke,
)
from broker.core.queue_consumer import QueueConsumer
from broker.core.queue_policy import QueuePolicy
from broker.model.batch import Batch
from broker.model.invocation import HandlerFailed, InvocationResult, Succeeded, Throttled, TimedOut, Unavailable
from broker.model.payload import Payload
from broker.model.record import Failure, QueueAttributes, Record
from tests.property.queue_model import ModelQueue, Received
from tests.property.queue_promises import Promises

Step = tuple[object, ...]
"""A verb and what it is about."""

FAR_SECONDS = 100_000.0
"""Nobody waits for what comes later than this."""
ODD = Failure(code="InternalError", message="the queue does not say why")
LOST = Failure(code="TimedOut", message="no answer")


async def returned() -> None:
    """What a call that cannot be stopped is waited for with; here the step "returned" says when."""


@dataclass(slots=True)
class Call:
    """An action that was performed and not yet answered."""

    action: Fetch | Delete | ChangeVisibility | Describe
    took_effect: bool = False
    answer: tuple[Received, ...] | dict[str, Failure] | None = None


@dataclass(slots=True)
class Running:
    """An invocation that has not ended."""

    batch: Batch
    started_at: float
    is_stuck: bool = False


@dataclass(slots=True)
class Worker:
    """One process: a consumer and what it has going."""

    name: int
    consumer: QueueConsumer
    calls: dict[tuple[str, int], Call] = field(default_factory=dict)
    running: dict[int, Running] = field(default_factory=dict)
    stop_at: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a world is like and how much may go wrong in it."""

    policy: QueuePolicy
    messages: tuple[tuple[str, str | None], ...]
    """Identifier and message group, oldest first."""
    visibility_seconds: int = 10
    maximum_receive_count: int = 3
    sizes: tuple[int, ...] = (1,)
    """Bytes of the messages, in turns."""
    workers: int = 1
    outcomes: tuple[str, ...] = ("success", "error")
    """How handlers end: success, error, first, last, malformed, throttled, unavailable; at the limit timeout, stuck."""
    budget: tuple[tuple[str, int], ...] = ()
    """How often: crash, stop, lose, refuse, partial, expire, attribute, describe."""
    page_sizes: tuple[int, ...] = (10,)
    """How many messages a receive brings at most, each a step of its own."""
    drain_seconds: float = 8.0
    returns_empty: bool = True
    """Whether a long poll of an empty queue may return before the drain."""
    tick_seconds: float | None = None
    """Time goes on by so much; None for to the next instant at which anything changes."""
    knows_queue: bool = False
    """Whether a consumer learns the queue's attributes at once."""
    chances: tuple[float, ...] = (0.5,)
    """Jitter, in turns."""


class World:
    """One state of everything."""

    def __init__(self, plan: Plan, now: float = 1000.0) -> None:
        self.plan = plan
        self.now = now
        self.budget = dict(plan.budget)
        self.queue = ModelQueue(
            fifo=plan.policy.fifo,
            maximum_receive_count=plan.maximum_receive_count,
            messages=plan.messages,
            sizes=plan.sizes,
        )
        self.visibility_seconds = plan.visibility_seconds
        self.promises = Promises(plan.policy, self.queue)
        self.workers: list[Worker] = []
        self._begun = 0
        self._chances = 0
        for _ in range(plan.workers):
            self.workers.append(self._begin())

    def _begin(self) -> Worker:
        self._begun += 1
        worker = Worker(name=self._begun, consumer=QueueConsumer(self.plan.policy))
        self.promises.began(worker.name)
        self._hear(worker, Woke())
        if self.plan.knows_queue:
            self._hear(worker, self._answer(worker.calls.pop(("describe", 0))))
        return worker

    def _chance(self) -> float:
        self._chances += 1
        return self.plan.chances[self._chances % len(self.plan.chances)]

    # ---- what may happen

    def steps(self) -> list[Step]:
        """All that may happen next; none when the world has come to rest."""
        found = [step for index, worker in enumerate(self.workers) for step in self._steps_of(index, worker)]
        if self._next_instant() is not None:
            found.append(("time",))
        if self._has("expire") and any(m.visible_at > self.now for m in self.queue.present()):
            found.append(("expire",))
        if self._has("attribute"):
            found += [("attribute", seconds) for seconds in (4, 10, 30) if seconds != self.visibility_seconds]
        return found

    def _has(self, what: str) -> bool:
        return self.budget.get(what, 0) > 0

    def _steps_of(self, index: int, worker: Worker) -> Iterator[Step]:
        polls: set[tuple[int, int]] = set()
        for (kind, number), call in worker.calls.items():
            if self._is_like_another(worker, call, polls):
                continue
            if call.took_effect:
                yield "answer", index, kind, number
                if self._has("lose"):
                    yield "lose", index, kind, number
            else:
                yield from self._effects(index, worker, kind, number, call)
        for number, running in worker.running.items():
            yield from ((("returned", index, number),) if running.is_stuck else self._ends(index, number, running))
        if worker.stop_at is None and self._has("stop"):
            yield "stop", index
        if self._has("crash"):
            yield "crash", index

    def _is_like_another(self, worker: Worker, call: Call, polls: set[tuple[int, int]]) -> bool:
        """Receives that nobody can tell apart are one."""
        if call.took_effect or not isinstance(call.action, Fetch) or self.queue.is_repeat(worker.name, call.action):
            return False
        poll = call.action.maximum_count, call.action.visibility_timeout_seconds
        return poll in polls or bool(polls.add(poll))

    def _effects(self, index: int, worker: Worker, kind: str, number: int, call: Call) -> Iterator[Step]:
        if isinstance(call.action, Fetch):
            available = self.queue.available_count(self.now) or self.queue.is_repeat(worker.name, call.action)
            if available:
                yield from (("receive", index, number, size) for size in self.plan.page_sizes)
            elif self.plan.returns_empty or worker.stop_at is not None:
                yield "receive", index, number, 10
        else:
            yield "effect", index, kind, number
            if self._has("partial") and kind in {"delete", "change"}:
                yield "partial", index, kind, number
        if self._has("refuse"):
            yield "refuse", index, kind, number

    def _ends(self, index: int, number: int, running: Running) -> Iterator[Step]:
        for outcome in self.plan.outcomes:
            at_limit = self.now >= running.started_at + self.plan.policy.function_timeout_seconds
            if at_limit or outcome not in {"timeout", "stuck"}:
                yield "finish", index, number, outcome

    def _next_instant(self) -> float | None:
        """When something changes by the passing of time; None where nothing will, or a handler must end first."""
        limits = [
            running.started_at + self.plan.policy.function_timeout_seconds
            for worker in self.workers
            for running in worker.running.values()
            if not running.is_stuck
        ]
        if any(limit <= self.now for limit in limits):
            return None
        instants = [*limits, *(message.visible_at for message in self.queue.present())]
        for worker in self.workers:
            instants += [worker.consumer.deadline or inf, worker.stop_at or inf]
        later = min((instant for instant in instants if instant > self.now), default=inf)
        if later >= self.now + FAR_SECONDS:
            return None
        return later if self.plan.tick_seconds is None else self.now + self.plan.tick_seconds

    # ---- what happens

    def take(self, step: Step) -> None:
        """Lets one step happen. Raises `AssertionError` where it breaks a promise."""
        verb, *rest = step
        if verb in self.budget:
            self.budget[str(verb)] -= 1
        getattr(self, f"_take_{verb}")(*rest)
        self.queue.redrive(self.now)
        self.promises.check_world(self.now, self.workers)

    def _take_time(self) -> None:
        self.now = self._next_instant() or self.now
        for worker in self.workers:
            deadline = worker.consumer.deadline
            if deadline is not None and deadline <= self.now:
                self._hear(worker, Woke())

    def _take_expire(self) -> None:
        """The queue breaks its word and shows what it had hidden."""
        self.promises.exempt(self.queue.expire(self.now))

    def _take_attribute(self, seconds: int) -> None:
        self.visibility_seconds = seconds

    def _take_stop(self, index: int) -> None:
        worker = self.workers[index]
        worker.stop_at = self.now + self.plan.drain_seconds
        self._hear(worker, Stopping(deadline_at=worker.stop_at))

    def _take_crash(self, index: int) -> None:
        self.workers[index] = self._begin()

    def _take_receive(self, index: int, number: int, size: int) -> None:
        worker = self.workers[index]
        call = worker.calls["fetch", number]
        assert isinstance(call.action, Fetch)
        received = self.queue.receive(worker.name, call.action, min(size, call.action.maximum_count), self.now)
        call.took_effect, call.answer = True, received

    def _take_effect(self, index: int, kind: str, number: int, failing: tuple[str, ...] = ()) -> None:
        call = self.workers[index].calls[kind, number]
        call.took_effect = True
        if isinstance(call.action, Delete | ChangeVisibility):
            call.answer = dict.fromkeys(failing, ODD)
            for record in call.action.records:
                if record.identifier not in failing and (failure := self._settle(call.action, record)):
                    call.answer[record.identifier] = failure

    def _settle(self, action: Delete | ChangeVisibility, record: Record) -> Failure | None:
        if isinstance(action, Delete):
            return self.queue.delete(record, self.now)
        return self.queue.change(record, action.visibility_timeout_seconds, self.now)

    def _take_partial(self, index: int, kind: str, number: int) -> None:
        action = self.workers[index].calls[kind, number].action
        assert isinstance(action, Delete | ChangeVisibility)
        self._take_effect(index, kind, number, failing=(action.records[0].identifier,))

    def _take_answer(self, index: int, kind: str, number: int) -> None:
        worker = self.workers[index]
        call = worker.calls.pop((kind, number))
        if isinstance(call.action, Fetch):
            self.queue.forget(worker.name, call.action)
        self._hear(worker, self._answer(call))

    def _answer(self, call: Call) -> QueueEvent:
        match call.action:
            case Fetch() as fetch:
                if call.answer is None:
                    return FetchFailed(number=fetch.number, problem="not valid anymore", chance=self._chance())
                assert isinstance(call.answer, tuple)
                return Fetched(number=fetch.number, records=tuple(self.queue.record(one) for one in call.answer))
            case Delete() as delete:
                assert isinstance(call.answer, dict)
                return Deleted(number=delete.number, failures=call.answer, chance=self._chance())
            case ChangeVisibility() as change:
                assert isinstance(call.answer, dict)
                return VisibilityChanged(number=change.number, failures=call.answer)
            case Describe():
                return Described(
                    attributes=QueueAttributes(
                        visibility_timeout_seconds=self.visibility_seconds, fifo=self.plan.policy.fifo
                    )
                )

    def _take_lose(self, index: int, kind: str, number: int) -> None:
        self._fail(index, kind, number, LOST)

    def _take_refuse(self, index: int, kind: str, number: int) -> None:
        self._fail(index, kind, number, ODD)

    def _fail(self, index: int, kind: str, number: int, failure: Failure) -> None:
        worker = self.workers[index]
        match worker.calls.pop((kind, number)).action:
            case Fetch():
                lost = failure is LOST
                event: QueueEvent = FetchFailed(
                    number=number, problem=str(failure), chance=self._chance(), may_have_taken_effect=lost
                )
            case Delete() as delete:
                failures = {record.identifier: failure for record in delete.records}
                event = Deleted(number=number, failures=failures, chance=self._chance())
            case ChangeVisibility() as change:
                failures = {record.identifier: failure for record in change.records}
                event = VisibilityChanged(number=number, failures=failures)
            case Describe():
                event = DescribeFailed(problem=str(failure), chance=self._chance())
        self._hear(worker, event)

    def _take_finish(self, index: int, number: int, outcome: str) -> None:
        worker = self.workers[index]
        running = worker.running[number]
        if outcome == "stuck":
            running.is_stuck = True
        else:
            del worker.running[number]
        result = _result(outcome, running.batch)
        self.promises.ended(worker.name, running.batch, outcome)
        self._hear(worker, Finished(number=number, result=result, chance=self._chance()))

    def _take_returned(self, index: int, number: int) -> None:
        worker = self.workers[index]
        del worker.running[number]
        self._hear(worker, Returned(number=number))

    # ---- what is said

    def _hear(self, worker: Worker, event: QueueEvent) -> None:
        actions = self._ask(worker, event)
        for action in actions:
            self._perform(worker, action)
        self.promises.said(worker, actions, self.now)

    def _ask(self, worker: Worker, event: QueueEvent) -> list[QueueAction]:
        return worker.consumer.handle(event, self.now)

    def _perform(self, worker: Worker, action: QueueAction) -> None:
        match action:
            case Fetch():
                worker.calls["fetch", action.number] = Call(action)
            case Delete():
                worker.calls["delete", action.number] = Call(action)
            case ChangeVisibility():
                worker.calls["change", action.number] = Call(action)
            case Describe():
                worker.calls["describe", 0] = Call(action)
            case Invoke():
                worker.running[action.batch.number] = Running(action.batch, self.now)
            case _:
                self.promises.told(worker.name, action.observation)

    # ---- the end

    def become_kind(self) -> None:
        """From now on nothing goes wrong."""
        self.budget = {}
        self.plan = replace(self.plan, outcomes=("success",), page_sizes=(10,))

    def come_to_rest(self, most_steps: int = 3000) -> bool:
        """Goes on in a kind world; whether the queue is empty before so many steps have passed."""
        self.become_kind()
        for _ in range(most_steps):
            if not self.queue.present():
                return True
            for index, worker in enumerate(self.workers):
                if worker.consumer.finished:
                    self._take_crash(index)
            self._go_on()
        return False

    def drain(self, most_steps: int = 500) -> bool:
        """Stops every consumer; whether all finish, before their deadline, in a world where nothing goes wrong."""
        deadline_at = self.now + self.plan.drain_seconds
        for index, worker in enumerate(self.workers):
            if worker.stop_at is None:
                self._take_stop(index)
        for _ in range(most_steps):
            if all(worker.consumer.finished for worker in self.workers):
                return self.now <= deadline_at
            self._go_on()
        return False

    def _go_on(self) -> None:
        steps = [step for step in self.steps() if step != ("time",) and not self._is_idle(step)]
        self.take(steps[0] if steps else ("time",))

    def _is_idle(self, step: Step) -> bool:
        """A long poll that would bring nothing: it goes on, unless a drain waits for it."""
        verb, *rest = step
        if verb != "receive":
            return False
        worker, number = self.workers[int(str(rest[0]))], int(str(rest[1]))
        action = worker.calls["fetch", number].action
        has_some = self.queue.available_count(self.now) or (
            isinstance(action, Fetch) and self.queue.is_repeat(worker.name, action)
        )
        return worker.stop_at is None and not has_some


def _result(outcome: str, batch: Batch) -> InvocationResult:
    match outcome:
        case "success":
            return Succeeded(response=Payload.of_value(None))
        case "first" | "last":
            failed = batch.records[0 if outcome == "first" else -1].identifier
            return Succeeded(response=Payload.of_value({"batchItemFailures": [{"itemIdentifier": failed}]}))
        case "malformed":
            return Succeeded(response=Payload.of_value({"batchItemFailures": [{"itemIdentifier": ""}]}))
        case "timeout":
            return TimedOut(message="Task timed out")
        case "stuck":
            return TimedOut(message="Task timed out", wait_returned=returned)
        case "throttled":
            return Throttled(message="Rate exceeded")
        case "unavailable":
            return Unavailable(message="nobody listens")
        case _:
            return HandlerFailed(error_type="Error", message="no")
