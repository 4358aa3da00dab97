"""`MaximumConcurrency` holds for the fleet: what each broker may have in flight, added up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from broker.core.events import LimitChanged
from broker.core.lease_rows import leases_of
from broker.core.shares import weights
from broker.runtime.share import ShareTenant
from tests.unit.runtime.fleet_world import MAPPING, Process, World

pytestmark = pytest.mark.anyio


class Queue:
    """One broker's consumer of the queue, as far as its limit goes."""

    def __init__(self, world: World, process: Process, maximum: int) -> None:
        self.process = process
        self.in_flight = 0
        self.heard = LimitChanged(limit=0, until_at=0.0)
        self.tenant = ShareTenant(
            mapping=MAPPING,
            maximum_concurrency=maximum,
            hand_over_seconds=30.0,
            fleet=process.fleet,
            in_flight=lambda: self.in_flight,
            change_limit=self.hear,
        )
        self._world = world

    def hear(self, event: LimitChanged) -> None:
        self.heard = event

    @property
    def limit(self) -> int:
        return self.heard.limit if self._world.clock.now() < self.heard.until_at else 0


class Queues:
    """A fleet that shares one queue."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.queues: list[Queue] = []

    def start(self, maximum: int) -> Queue:
        process = self.world.make()
        queue = Queue(self.world, process, maximum)
        self.queues.append(queue)
        self.world.tasks.start_soon(self._run, queue)
        return queue

    async def _run(self, queue: Queue) -> None:
        await queue.process.run(queue.tenant.sharing())
        self.queues.remove(queue)

    def limits(self) -> list[int]:
        return [queue.limit for queue in self.queues]

    async def watch(self, most: int) -> None:
        """The sum never exceeds what the mapping may."""
        while True:
            assert sum(self.limits()) <= most
            await anyio.sleep(0.05)

    async def until(self, *limits: int, within: float = 30.0) -> float:
        return await self.world.until(lambda: sorted(self.limits()) == sorted(limits), within=within)


@asynccontextmanager
async def fleets(most: int) -> AsyncIterator[Queues]:
    async with anyio.create_task_group() as tasks:
        queues = Queues(World(tasks, shards=0))
        tasks.start_soon(queues.watch, most)
        yield queues
        tasks.cancel_scope.cancel()


async def test_one_broker_has_the_whole_limit():
    async with fleets(100) as queues:
        queues.start(100)

        assert await queues.until(100) <= 2.0


async def test_a_broker_that_comes_gets_its_share_and_the_sum_never_exceeds_the_limit():
    async with fleets(100) as queues:
        queues.start(100)
        await queues.until(100)
        queues.start(100)

        assert await queues.until(52, 48) <= 5.0


async def test_brokers_beyond_the_limit_have_none():
    async with fleets(2) as queues:
        for _ in range(3):
            queues.start(2)
        await queues.until(1, 1, 0)


async def test_a_share_is_given_only_when_what_is_in_flight_fits_into_the_rest():
    async with fleets(4) as queues:
        first = queues.start(4)
        await queues.until(4)
        first.in_flight = 4
        second = queues.start(4)
        await queues.world.until(lambda: first.limit == 2)
        await anyio.sleep(5)
        assert second.limit == 0
        first.in_flight = 3
        await queues.world.until(lambda: second.limit == 1, within=2.0)
        await anyio.sleep(5)
        assert second.limit == 1
        first.in_flight = 2

        assert await queues.until(2, 2) <= 1.0


async def test_a_share_is_given_in_the_end_though_a_call_is_stuck():
    async with fleets(4) as queues:
        first = queues.start(4)
        await queues.until(4)
        first.in_flight = 4
        queues.start(4)

        assert 25.0 <= await queues.until(2, 2, within=60) <= 35.0


async def test_the_share_of_a_broker_that_crashed_goes_to_the_others():
    async with fleets(10) as queues:
        first, _ = queues.start(10), queues.start(10)
        await queues.until(5, 5)
        await first.process.crash()

        assert await queues.until(10) <= 12.0


async def test_without_the_store_a_share_ends():
    async with fleets(10) as queues:
        queues.start(10)
        await queues.until(10)
        queues.world.store.take_down()
        assert await queues.until(0) <= 7.5
        queues.world.store.restore()
        await queues.until(10)


async def test_a_drain_gives_the_share_away_at_once():
    async with fleets(10) as queues:
        first, _ = queues.start(10), queues.start(10)
        await queues.until(5, 5)
        first.process.fleet.drain()
        await queues.world.until(lambda: first.limit == 0)
        first.process.stop()

        assert await queues.until(10) <= 1.0


async def test_a_changed_limit_is_cut_anew_and_the_others_follow_the_first():
    async with fleets(64) as queues:
        first = queues.start(4)
        await queues.until(4)
        second = queues.start(64)
        await anyio.sleep(10)
        rows = await queues.world.store.seen_by("test").read(MAPPING)
        expected = 4 if first.process.fleet.is_first(MAPPING) else 64
        assert sum(lease.weight for lease in leases_of(MAPPING, rows)) == expected
        assert first.limit + second.limit == expected


@pytest.mark.parametrize(("before", "after"), [(64, 4), (4, 64)])
async def test_the_next_version_of_the_file_cuts_anew(before, after):
    async with fleets(64) as queues:
        first = queues.start(before)
        await queues.until(before)
        first.process.stop()
        await queues.world.until(lambda: not queues.queues)
        queues.start(after)
        await queues.until(after)
        rows = await queues.world.store.seen_by("test").read(MAPPING)

        assert tuple(lease.weight for lease in leases_of(MAPPING, rows)) == weights(after)


async def test_slots_are_made_though_the_store_fails_meanwhile():
    async with fleets(8) as queues:
        queues.world.store.throttle("write", calls=3, caller="host-1")
        queues.world.store.lose_reply("write", calls=2, caller="host-1")
        queues.start(8)

        await queues.until(8)
