"""One shard under one lease, from taking over where the last owner stopped to the end of its consumer."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from uuid import UUID

from anyio import CancelScope, CapacityLimiter, current_time, move_on_after, sleep

from broker.core.lease_rows import checkpoint_key
from broker.core.shard_consumer import ShardConsumer
from broker.core.stream_events import LeaseExtended, ShardEvent
from broker.core.stream_policy import StreamPolicy
from broker.model.checkpoint import Checkpoint
from broker.model.lease import Lease
from broker.model.observation import Observation, ShardStarted
from broker.model.status import ShardStatistics
from broker.model.stream import Shard, TrimHorizon
from broker.ports import Clock, Destination, Executor, ShardReader, StateStore, StreamSource
from broker.runtime.driver import Driver
from broker.runtime.positions import Positions
from broker.runtime.shard_performer import Performed, ShardPerformer
from broker.runtime.target import Target

_CLOSE_SECONDS = 2.0
"""How long the end of a subscription may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardTools:
    """What the shards of one mapping have in common."""

    uuid: str
    policy: StreamPolicy
    source: StreamSource
    executor: Executor
    destination: Destination | None
    target: Target
    store: StateStore
    clock: Clock
    chance: Callable[[], float]
    new_id: Callable[[], UUID]
    observe: Callable[[Observation], None]
    gate: CapacityLimiter | None = None
    """Where the shards of all mappings of one executor take turns; None where it runs as many as are asked."""


class ShardRun:
    """Consumes one shard while its lease lasts."""

    def __init__(
        self, tools: ShardTools, lease: Lease, shard: Shard, *, generation: str, lease_until: float, start_at: float
    ) -> None:
        """No invocation starts before `start_at`, nor beyond `lease_until` unless the lease is extended."""
        self.lease = lease
        self.shard = shard
        self.hands_to: str | None = None
        """The worker that has asked for the lease; empty where it is only to be given back; None where neither."""
        self.is_lost = False
        self.is_paused = False
        """Whether it is given back because an operator has paused it."""
        self.is_finished = False
        """Whether the shard is closed and everything in it is settled."""
        self.children: tuple[Shard, ...] = ()
        self._tools = tools
        self.generation = generation
        self._lease_until = lease_until
        self._start_at = start_at
        self._scope = CancelScope()
        self._ends_at = inf
        self._stop_at: float | None = None
        self._consumer: ShardConsumer | None = None
        self._performer: ShardPerformer | None = None
        self._driver: Driver[ShardEvent, Performed] | None = None
        self._settlements_end_at = inf
        self._fenced: tuple[Positions, Checkpoint] | None = None

    async def begin(self) -> None:
        """Makes the shard's checkpoint ours, so that whatever a former owner still writes fails.

        Raises:
            LeaseLost: a later owner was here first.
            StoreError: the store does not say how far the shard is.
        """
        await self._fence()

    async def _fence(self) -> tuple[Positions, Checkpoint]:
        tools = self._tools
        positions = Positions(
            tools.store,
            partition=tools.uuid,
            key=checkpoint_key(self.generation, self.shard.shard_id),
            epoch=self.lease.epoch,
            new_id=tools.new_id,
        )
        self._fenced = positions, await positions.fence(Checkpoint(position=TrimHorizon()))
        return self._fenced

    async def run(self) -> None:
        """Consumes until the shard is finished, or it was stopped, lost or out of time.

        Raises:
            LeaseLost: the shard is somebody else's.
            StoreError: the store does not say how far the shard is.
            ExecutorError: the executor is broken.
        """
        with CancelScope(deadline=self._ends_at) as self._scope:
            if self.is_lost:
                return
            positions, start = self._fenced or await self._fence()
            self._fenced = None
            if start.finished:
                self.is_finished = True
            else:
                await self._consume(positions, start)

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to do under this lease."""
        return self.is_finished or self.is_lost or self._stop_at is not None

    async def wait_until_ordered(self) -> None:
        """Keeps the lease until a batch of an expired owner is over: who has it next knows nothing of that batch."""
        if not self.is_lost:
            await sleep(max(self._start_at - self._tools.clock.now(), 0.0))

    async def _consume(self, positions: Positions, start: Checkpoint) -> None:
        tools = self._tools
        reader = tools.source.reader(self.shard.shard_id)
        self._consumer = ShardConsumer(
            tools.policy,
            shard_id=self.shard.shard_id,
            start=start,
            lease_until=self._lease_until,
            start_at=self._start_at,
            epoch=self.lease.epoch,
        )
        self._performer = self._made_performer(reader, positions)
        self._driver = Driver(consumer=self._consumer, performer=self._performer, clock=tools.clock)
        if self._stop_at is not None:
            self._driver.stop(self._stop_at)
        tools.observe(ShardStarted(shard=self.shard.shard_id, position=start.position, epoch=self.lease.epoch))
        try:
            await self._driver.run()
        finally:
            self.is_finished = self._consumer.is_shard_finished
            self.children = self._consumer.children
            with move_on_after(_CLOSE_SECONDS, shield=True):
                await reader.aclose()

    def _made_performer(self, reader: ShardReader, positions: Positions) -> ShardPerformer:
        tools = self._tools
        performer = ShardPerformer(
            shard_id=self.shard.shard_id,
            reader=reader,
            positions=positions,
            executor=tools.executor,
            destination=tools.destination,
            target=tools.target,
            run_id=tools.new_id(),
            clock=tools.clock,
            chance=tools.chance,
            observe=tools.observe,
            gate=tools.gate,
        )
        performer.limit_settlements(self._settlements_end_at - current_time())
        return performer

    # ---- from outside

    def extend(self, until_at: float) -> None:
        """The lease is certain for longer, unless it was lost before: then the others are, or those of a new worker."""
        if self.is_lost:
            return
        self._lease_until = until_at
        if self._performer is not None:
            self._performer.extend(until_at)
        if self._driver is not None:
            self._driver.hear(LeaseExtended(until_at=until_at))

    def stop(self, seconds: float) -> None:
        """Begins to drain; what is not done after so many seconds is cancelled."""
        self._stop_at = self._tools.clock.now() + seconds
        self._ends_at = self._scope.deadline = min(self._ends_at, current_time() + seconds)
        if self._driver is not None:
            self._driver.stop(self._stop_at)
        if self._performer is not None:
            self._performer.admit_no_more()

    def hand_over(self, to: str, seconds: float) -> None:
        """Drains, for the worker that has asked, or for whoever comes."""
        if self.hands_to is None:
            self.hands_to = to
            self.stop(seconds)

    def lose(self) -> None:
        """The lease is somebody else's: everything ends at once, and nothing is written."""
        self.is_lost = True
        self._scope.cancel()

    def limit_settlements(self, seconds: float) -> None:
        """Lets no settlement last longer than so many seconds from now."""
        self._settlements_end_at = min(self._settlements_end_at, current_time() + seconds)
        if self._performer is not None:
            self._performer.limit_settlements(seconds)

    def statistics(self) -> ShardStatistics:
        """Counts so far, and what it holds now."""
        if self._consumer is None:
            return ShardStatistics(shard=self.shard.shard_id, epoch=self.lease.epoch)
        return self._consumer.statistics()
