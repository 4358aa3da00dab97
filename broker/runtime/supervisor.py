"""Runs the mappings of one broker, each by itself: what stops one leaves the others running."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from anyio import CancelScope, Event, create_task_group, current_time, move_on_after

from broker.core.lifecycle import MappingState, Refusal, Step, transition
from broker.core.queue_consumer import QueueConsumer
from broker.core.queue_policy import QueuePolicy
from broker.core.retry import Backoff
from broker.errors import BrokerError
from broker.model.observation import MappingFailed, MappingStateChanged, Observation, SourceProblem
from broker.model.reference import EventSourceKind
from broker.model.status import MappingStatus
from broker.ports import Clock, QueueSource
from broker.runtime.driver import Driver
from broker.runtime.performer import QueuePerformer

SETTLEMENT_GRACE_SECONDS = 5.0
"""How long deletes that are under way may last beyond the end of a drain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingPlan:
    """One mapping, ready to run."""

    uuid: str
    function_name: str
    """With the qualifier, where the mapping has one."""
    event_source_arn: str
    enabled: bool
    policy: QueuePolicy
    performer: QueuePerformer
    source: QueueSource
    observe: Callable[[Observation], None]
    kind: EventSourceKind = EventSourceKind.QUEUE


class MappingRun:
    """One mapping while its broker runs: its state, its consumer, and why it is not well."""

    def __init__(self, plan: MappingPlan, *, clock: Clock, chance: Callable[[], float], raise_bugs: bool) -> None:
        self._plan = plan
        self._clock = clock
        self._chance = chance
        self._raise_bugs = raise_bugs
        self._consumer = QueueConsumer(plan.policy)
        self._driver: Driver | None = None
        self._state = MappingState.GONE
        self._stop_at: float | None = None
        self._stopping = Event()
        self._problem = ""
        self._step(Step.CREATE_ENABLED if plan.enabled else Step.CREATE_DISABLED)

    def _step(self, step: Step) -> None:
        state = transition(self._state, step, self._plan.kind)
        if isinstance(state, Refusal):
            raise BrokerError(state.message)
        self._state = state

    def status(self) -> MappingStatus:
        """What it shows of itself."""
        statistics = self._consumer.statistics()
        problem = self._problem or statistics.problem
        return MappingStatus(
            uuid=self._plan.uuid,
            function_name=self._plan.function_name,
            event_source_arn=self._plan.event_source_arn,
            state=self._state,
            healthy=not problem,
            problem=problem,
            statistics=statistics,
        )

    def limit_settlements(self, seconds: float) -> None:
        """Lets no settlement last longer than so many seconds from now."""
        self._plan.performer.limit_settlements(seconds)

    def stop(self, deadline_at: float) -> None:
        """Begins to drain."""
        self._stop_at = deadline_at
        self._stopping.set()
        if self._driver is not None:
            self._driver.stop(deadline_at)

    async def run(self) -> None:
        """Consumes until it has drained, or a bug stops it."""
        if not self._plan.enabled:
            return
        self._step(Step.STARTED)
        self._plan.observe(MappingStateChanged(state=self._state))
        backoff = Backoff(self._plan.policy.source_backoff)
        began_at = self._clock.now()
        while not await self._run_once():
            if self._clock.now() - began_at > self._plan.policy.source_backoff.maximum_seconds:
                backoff.reset()
            delay = backoff.failed(self._clock.now(), self._chance())
            self._plan.observe(SourceProblem(problem=self._problem, delay_seconds=delay))
            with move_on_after(delay):
                await self._stopping.wait()
            began_at = self._clock.now()

    async def _run_once(self) -> bool:
        """Runs one consumer to its end; False where the world made it fail and it is to begin again."""
        if self._stop_at is not None and self._problem:
            return True
        self._consumer = QueueConsumer(self._plan.policy)
        self._driver = Driver(consumer=self._consumer, performer=self._plan.performer, clock=self._clock)
        if self._stop_at is not None:
            self._driver.stop(self._stop_at)
        try:
            self._problem = ""
            await self._driver.run()
        except Exception as error:  # noqa: BLE001 - one mapping's end must not be the others'
            return self._failed(error)
        return True

    def _failed(self, error: Exception) -> bool:
        fault = _fault(error)
        if fault is not None:
            self._problem = str(fault)
            return False
        if self._raise_bugs:
            raise error
        self._problem = f"stopped by a bug in the broker: {error!r}; its messages stay in the queue"
        self._plan.observe(MappingFailed(error=error))
        return True


def _fault(error: BaseException) -> BrokerError | None:
    """The world's fault behind an error; None where a bug is among the causes."""
    if isinstance(error, BaseExceptionGroup):
        faults = [_fault(each) for each in error.exceptions]
        return faults[0] if all(faults) else None
    return error if isinstance(error, BrokerError) else None


class Supervisor:
    """All mappings of one broker."""

    def __init__(
        self, plans: Iterable[MappingPlan], *, clock: Clock, chance: Callable[[], float], raise_bugs: bool = False
    ) -> None:
        self._clock = clock
        self._runs = [MappingRun(plan, clock=clock, chance=chance, raise_bugs=raise_bugs) for plan in plans]
        self._stopping = Event()
        self._scope = CancelScope()

    def statuses(self) -> tuple[MappingStatus, ...]:
        """One for each mapping, in the order of the file."""
        return tuple(run.status() for run in self._runs)

    @property
    def is_draining(self) -> bool:
        """Whether it was asked to stop."""
        return self._stopping.is_set()

    def drain(self, seconds: float) -> None:
        """Lets every mapping finish what it has in flight, for at most so long, and its settlements a little longer."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._scope.deadline = current_time() + seconds
        for run in self._runs:
            run.limit_settlements(seconds + SETTLEMENT_GRACE_SECONDS)
            run.stop(self._clock.now() + seconds)

    def cut_short(self) -> None:
        """Ends at once: what is being settled gets a little time, all else is cancelled and comes again."""
        self.drain(0.0)
        for run in self._runs:
            run.limit_settlements(SETTLEMENT_GRACE_SECONDS)
        self._scope.cancel()

    async def run(self) -> bool:
        """Runs until drained; False where the drain was cut short."""
        with self._scope:
            async with create_task_group() as tasks:
                for run in self._runs:
                    tasks.start_soon(run.run)
                await self._stopping.wait()
        return not self._scope.cancelled_caught

    @asynccontextmanager
    async def running(self, drain_seconds: float) -> AsyncIterator[None]:
        """Runs beside the block, and drains at its end; an error in the block cuts short."""
        async with create_task_group() as tasks:
            tasks.start_soon(self.run)
            yield
            self.drain(drain_seconds)
