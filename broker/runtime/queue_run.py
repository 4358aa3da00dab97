"""One queue's mapping while its broker runs."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from anyio import Event, move_on_after

from broker.core.events import LimitChanged, QueueEvent
from broker.core.queue_consumer import QueueConsumer
from broker.core.queue_policy import QueuePolicy
from broker.core.retry import Backoff
from broker.model.observation import Observation, SourceProblem
from broker.model.reference import EventSourceKind
from broker.model.status import MappingStatus
from broker.ports import Clock, QueueSource
from broker.runtime.driver import Driver
from broker.runtime.fleet import Fleet
from broker.runtime.mapping_life import MappingFacts, MappingLife
from broker.runtime.performer import Performed, QueuePerformer
from broker.runtime.share import ShareTenant


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePlan:
    """One mapping of a queue, ready to run."""

    uuid: str
    function_name: str
    """With the qualifier, where the mapping has one."""
    event_source_arn: str
    enabled: bool
    policy: QueuePolicy
    performer: QueuePerformer
    source: QueueSource
    observe: Callable[[Observation], None]
    fleet: Fleet | None = None
    """The brokers with which the policy's maximum is shared, where it is."""
    hand_over_seconds: float = 0.0
    """How long a share may take to be handed over: the function's time limit, and a little for settling."""


class QueueRun:
    """A queue's consumer, begun again when the world made it fail."""

    def __init__(self, plan: QueuePlan, *, clock: Clock, chance: Callable[[], float], raise_bugs: bool) -> None:
        facts = MappingFacts(
            uuid=plan.uuid,
            function_name=plan.function_name,
            event_source_arn=plan.event_source_arn,
            enabled=plan.enabled,
            kind=EventSourceKind.QUEUE,
        )
        self._plan = plan
        self._life = MappingLife(facts, observe=plan.observe, raise_bugs=raise_bugs)
        self._clock = clock
        self._chance = chance
        self._consumer = QueueConsumer(plan.policy)
        self._driver: Driver[QueueEvent, Performed] | None = None
        self._stop_at: float | None = None
        self._stopping = Event()

    def status(self) -> MappingStatus:
        """What it shows of itself."""
        return self._life.status(self._consumer.statistics())

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
        self._life.started()
        async with self._sharing():
            await self._consume()

    @asynccontextmanager
    async def _sharing(self) -> AsyncIterator[None]:
        plan = self._plan
        if plan.fleet is None:
            yield
            return
        share = ShareTenant(
            mapping=plan.uuid,
            maximum_concurrency=plan.policy.scaling.maximum,
            hand_over_seconds=plan.hand_over_seconds,
            fleet=plan.fleet,
            in_flight=lambda: self._consumer.statistics().in_flight_batches,
            change_limit=self._change_limit,
        )
        async with share.sharing():
            yield

    def _change_limit(self, limit: LimitChanged) -> None:
        if self._driver is not None:
            self._driver.hear(limit)

    async def _consume(self) -> None:
        """Runs one consumer after the other until it has drained, or a bug stops it."""
        backoff = Backoff(self._plan.policy.source_backoff)
        began_at = self._clock.now()
        while not await self._run_once():
            if self._clock.now() - began_at > self._plan.policy.source_backoff.maximum_seconds:
                backoff.reset()
            delay = backoff.failed(self._clock.now(), self._chance())
            self._plan.observe(SourceProblem(problem=self._life.problem, delay_seconds=delay))
            with move_on_after(delay):
                await self._stopping.wait()
            began_at = self._clock.now()

    async def _run_once(self) -> bool:
        """Runs one consumer to its end; False where the world made it fail and it is to begin again."""
        if self._stop_at is not None and self._life.problem:
            return True
        self._consumer = QueueConsumer(self._plan.policy)
        self._driver = Driver(consumer=self._consumer, performer=self._plan.performer, clock=self._clock)
        if self._stop_at is not None:
            self._driver.stop(self._stop_at)
        try:
            self._life.problem = ""
            await self._driver.run()
        except Exception as error:  # noqa: BLE001 - one mapping's end must not be the others'
            return self._life.failed(error, left="its messages stay in the queue")
        return True
