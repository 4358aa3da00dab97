"""A fleet of brokers on one store: who owns what, when one comes, goes, crashes or is paused."""

from contextlib import asynccontextmanager

import anyio
import pytest

from broker.core.lease_rows import WORKERS
from broker.model.observation import LeaseWasLost, StoreProblem, StoreRecovered
from tests.unit.runtime.fleet_world import World, worlds

pytestmark = pytest.mark.anyio


async def two(world: World):
    """Two brokers that share everything evenly."""
    first, second = world.start(), world.start()
    await world.until(world.is_even)
    return first, second


async def test_one_broker_takes_every_lease_within_a_second():
    async with worlds() as world:
        first = world.start()

        assert await world.until(world.is_even, within=1.0) <= 1.0
        assert all(lease.owner == first.fleet.worker_id for lease in (await world.rows()).values())


async def test_a_broker_whose_row_is_slow_to_say_what_it_serves_looks_again_when_it_does():
    async with worlds() as world:
        process = world.make()

        @asynccontextmanager
        async def serving_later():
            await anyio.sleep(2)
            world.store.slow("write", request_seconds=1.2, calls=1)
            async with process.fleet.serving(process.tenant):
                yield

        world.tasks.start_soon(process.run, serving_later())

        assert await world.until(world.is_even, within=8.0) <= 8.0


async def test_two_brokers_that_start_at_once_share_evenly():
    async with worlds() as world:
        await two(world)

        assert world.counts() == [2, 2]
        assert all(lease.epoch == 1 for lease in (await world.rows()).values())


async def test_a_broker_that_comes_is_handed_its_share_and_no_more():
    async with worlds(shards=6) as world:
        world.start()
        world.start()
        await world.until(world.is_even)
        third = world.start()
        await world.until(world.is_even)
        await anyio.sleep(60)

        assert world.counts() == [2, 2, 2]
        assert sum(lease.epoch for lease in (await world.rows()).values()) == 6 + 2
        assert third.tenant.fenced == [(key, False) for key, _ in third.tenant.fenced]


async def test_after_a_crash_the_others_take_over_within_the_lease_duration_and_two_seconds():
    async with worlds() as world:
        first, second = await two(world)
        crashed_at = anyio.current_time()
        await first.crash()
        await world.until(lambda: len(second.tenant.working) == 4)

        assert 7.5 <= anyio.current_time() - crashed_at <= 12
        assert sorted(was_expired for _, was_expired in second.tenant.fenced) == [False, False, True, True]


async def test_a_drain_hands_over_within_a_second_of_the_handlers_end():
    async with worlds() as world:
        first, second = await two(world)
        drained_at = anyio.current_time()
        first.tenant.finish_seconds = 2.0
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first.drain)
            took = await world.until(lambda: len(second.tenant.working) == 4)

        assert took <= 2 * 2.0 + 1.0
        assert not any(was_expired for _, was_expired in second.tenant.fenced)
        assert drained_at + took <= anyio.current_time()
        assert list(await world.store.seen_by("test").read(WORKERS)) == [second.fleet.worker_id]


async def test_a_process_that_was_paused_finds_itself_evicted_and_starts_nothing():
    async with worlds() as world:
        first, second = await two(world)
        before = first.fleet.worker_id
        first.pause(60)
        await world.until(lambda: len(second.tenant.working) == 4)
        await anyio.sleep(61 - 12)
        await world.until(world.is_even)

        assert first.fleet.worker_id != before
        assert sum(isinstance(each, LeaseWasLost) for each in first.seen) == 2
        assert world.counts() == [2, 2]


async def test_a_store_that_is_down_moves_no_lease_and_lets_nothing_start():
    async with worlds() as world:
        first, second = await two(world)
        world.store.take_down()
        await anyio.sleep(8)
        assert world.clock.now() > first.fleet.trusted_until
        await anyio.sleep(60)
        world.store.restore()
        await world.until(lambda: first.fleet.trusted_until > world.clock.now() < second.fleet.trusted_until)
        await anyio.sleep(30)

        assert all(lease.epoch == 1 for lease in (await world.rows()).values())
        assert [type(each) for each in first.seen if isinstance(each, StoreProblem | StoreRecovered)] == [
            StoreProblem,
            StoreRecovered,
        ]
