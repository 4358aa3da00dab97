"""One shard, one store, and owners that come one after the other: what they are made of, and what has become of it."""

from collections.abc import Awaitable, Callable
from itertools import count
from math import inf
from typing import Any
from uuid import UUID

import anyio

from broker.core.lease_rows import checkpoint_of
from broker.core.stream_policy import StreamPolicy
from broker.model.checkpoint import Checkpoint
from broker.model.invocation import Invocation, InvocationResult
from broker.model.lease import Lease, LeaseKey
from broker.model.observation import Observation
from broker.model.stream import AfterSequenceNumber
from broker.ports import Destination
from broker.runtime.shard_run import ShardRun, ShardTools
from broker.runtime.target import Target
from broker.testing import InMemoryStream, InMemoryStreamSource
from broker.testing.stores import InMemoryStateStore
from tests.unit.runtime.world import ScriptedExecutor

MAPPING = "m"
KEY = "checkpoint:g:shardId-000000000000"


class ShardWorld:
    """A stream with one shard of twelve records, a slow store, and handlers that take a second."""

    def __init__(self, stream: InMemoryStream, *, policy: StreamPolicy | None = None) -> None:
        self.stream = stream
        self.store = InMemoryStateStore(is_shared=False)
        self.policy = policy or StreamPolicy(batch_size=3)
        self.handled: list[str] = []
        self.started: list[tuple[int, list[str]]] = []
        """Epoch and records of each call."""
        self.seen: list[Observation] = []
        self.destination: Destination | None = None
        self.handle: Callable[[Invocation], Awaitable[InvocationResult | None]] = self.take_a_second
        self._numbers = count(1)
        self.sent = [stream.put("k", str(number)) for number in range(12)]

    async def take_a_second(self, _invocation: Invocation) -> None:
        await anyio.sleep(1)

    async def _handle(self, invocation: Invocation) -> InvocationResult | None:
        records = [record["kinesis"]["sequenceNumber"] for record in invocation.payload.value["Records"]]
        self.started.append((invocation.fencing_token or 0, records))
        result = await self.handle(invocation)
        if result is None:
            self.handled += records
        return result

    def new_id(self) -> UUID:
        return UUID(int=next(self._numbers))

    def owner(self, epoch: int, *, lease_until: float = inf, start_at: float = -inf) -> ShardRun:
        """Somebody who has the lease under this epoch."""
        tools = ShardTools(
            uuid=MAPPING,
            policy=self.policy,
            source=InMemoryStreamSource(self.stream),
            executor=ScriptedExecutor(self._handle),
            destination=self.destination,
            target=Target(function_name="f", function_arn="arn:aws:lambda:eu-west-1:123456789012:function:f"),
            store=self.store.seen_by(f"epoch {epoch}"),
            clock=self.stream.clock,
            chance=lambda: 0.5,
            new_id=self.new_id,
            observe=self.seen.append,
        )
        shard = self.stream.shards[0]
        lease = Lease(key=LeaseKey(mapping=MAPPING, key="shard:g:0"), version=1, epoch=epoch, shard=shard)
        return ShardRun(tools, lease, shard, generation="g", lease_until=lease_until, start_at=start_at)

    async def checkpoint(self) -> tuple[int, Checkpoint] | None:
        """Epoch and checkpoint as they stand."""
        row = await self.store.seen_by("test").get(MAPPING, KEY)
        return None if row is None else checkpoint_of(row)

    async def settled(self) -> set[str]:
        """The records that the checkpoint passes."""
        found = await self.checkpoint()
        if found is None or not isinstance(found[1].position, AfterSequenceNumber):
            return set()
        return {number for number in self.sent if int(number) <= int(found[1].position.number)}

    async def finish(self, epoch: int) -> None:
        """The next owner does the rest."""
        run = self.owner(epoch)
        await run.begin()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.run)
            with anyio.fail_after(600):
                while set(self.handled) != set(self.sent):  # noqa: ASYNC110 - nobody tells
                    await anyio.sleep(0.25)
            run.hand_over("", 60)

    def fields(self, *names: str) -> dict[str, Any]:
        """Observations by name."""
        return {name: [each for each in self.seen if type(each).__name__ == name] for name in names}
