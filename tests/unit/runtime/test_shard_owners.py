"""Owners of one shard, one after the other: each may be cut off at every await, and the next one goes on."""

from contextlib import suppress

import anyio
import pytest

from broker.core.stream_policy import StreamPolicy
from broker.errors import LeaseLost, StoreError
from broker.model.discard import DiscardedBatch
from broker.model.invocation import HandlerFailed, Invocation
from broker.model.observation import BatchInvoked, RecordsDiscarded
from broker.runtime.shard_run import ShardRun
from tests.unit.runtime.shard_world import ShardWorld

pytestmark = pytest.mark.anyio
MOMENTS = [0.0, 0.1, 0.5, 0.9, 1.1, 1.6, 2.1, 2.6, 3.1, 3.6, 4.1, 4.6, 5.1, 5.6, 7.1, 8.6]
"""Within opening, reading, the handler, the checkpoint's way there and back, and again."""


@pytest.fixture
async def world(make_stream) -> ShardWorld:
    stream = make_stream("clicks")
    world = ShardWorld(stream)
    stream.slow(request_seconds=0.25, reply_seconds=0.25, calls=1000)
    world.store.slow("get", "write", request_seconds=0.25, reply_seconds=0.25, calls=1000)
    return world


async def assert_the_next_owner_finishes(world: ShardWorld) -> None:
    """What was settled was handled; nothing is left out; what repeats is what no checkpoint had."""
    settled = await world.settled()
    assert settled <= set(world.handled)
    before = len(world.started)
    await world.finish(epoch=9)
    assert set(world.handled) == set(world.sent)
    again = {number for _, records in world.started[before:] for number in records}
    assert not again & settled
    assert all(epoch == 9 for epoch, _ in world.started[before:])


@pytest.mark.parametrize("after", MOMENTS)
async def test_a_run_that_is_cancelled_anywhere_leaves_a_shard_that_the_next_owner_finishes(world, after):
    run = world.owner(1)
    with anyio.move_on_after(after):
        await run.begin()
        await run.run()

    await assert_the_next_owner_finishes(world)


@pytest.mark.parametrize("after", MOMENTS)
async def test_a_run_that_loses_its_lease_anywhere_starts_nothing_more(world, after):
    run = world.owner(1)
    async with anyio.create_task_group() as tasks:
        await run.begin()
        tasks.start_soon(run.run)
        await anyio.sleep(after)
        run.lose()
        started = len(world.started)
        await anyio.sleep(5)
        assert len(world.started) == started

    assert run.is_over
    await assert_the_next_owner_finishes(world)


@pytest.mark.parametrize("after", MOMENTS)
async def test_a_run_that_hands_over_anywhere_leaves_nothing_to_repeat(world, after):
    run = world.owner(1)
    async with anyio.create_task_group() as tasks:
        await run.begin()
        tasks.start_soon(run.run)
        await anyio.sleep(after)
        run.hand_over("next", 60)

    assert {number for _, records in world.started for number in records} == set(world.handled)
    assert await world.settled() == set(world.handled)
    await assert_the_next_owner_finishes(world)
    assert len(world.handled) == len(world.sent)


@pytest.mark.parametrize("after", MOMENTS)
async def test_a_run_that_has_no_time_to_hand_over_ends_all_the_same(world, after):
    run = world.owner(1)
    async with anyio.create_task_group() as tasks:
        await run.begin()
        tasks.start_soon(run.run)
        await anyio.sleep(after)
        run.hand_over("next", 0.2)
        stopped_at = world.stream.clock.now()

    assert world.stream.clock.now() - stopped_at <= 0.2 + 0.5 + 0.001  # a settlement under way is finished
    await assert_the_next_owner_finishes(world)


async def begin_against(run: ShardRun) -> None:
    """While the former owner goes on writing, at most a few times."""
    for _ in range(3):
        with suppress(StoreError):
            return await run.begin()
    raise AssertionError("it never begins")


@pytest.mark.parametrize("after", MOMENTS)
async def test_an_owner_that_knows_nothing_of_its_successor_writes_nothing_after_it(world, after):
    run, ended = world.owner(1), []

    async def old() -> None:
        try:
            await run.run()
        except* LeaseLost as errors:
            ended.extend(errors.exceptions)

    async with anyio.create_task_group() as tasks:
        await run.begin()
        tasks.start_soon(old)
        await anyio.sleep(after)
        await begin_against(world.owner(2))
        settled = await world.settled()
        await anyio.sleep(20)
        epoch, _ = await world.checkpoint()
        assert (epoch, await world.settled()) == (2, settled)

    assert len(ended) == 1
    assert len(world.started) <= 4


async def test_nothing_starts_from_the_instant_on_at_which_trust_ends(world):
    ends_at = world.stream.clock.now() + 4
    run = world.owner(1, lease_until=ends_at)
    async with anyio.create_task_group() as tasks:
        await run.begin()
        tasks.start_soon(run.run)
        await anyio.sleep(20)
        started = len(world.started)
        run.extend(world.stream.clock.now() + 2)
        await anyio.sleep(1)
        assert len(world.started) == started + 1
        run.lose()

    assert 1 <= started <= 3


async def test_a_lost_lease_is_not_extended_with_the_others_while_its_last_write_is_under_way(make_stream):
    world = ShardWorld(make_stream("clicks"))
    world.store.slow("write", request_seconds=100, caller="epoch 1", calls=100)
    run = world.owner(1, lease_until=world.stream.clock.now() + 1.5)
    world.store.restore()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(begin_at_once, world, run)
        await anyio.sleep(3)
        invoked = len([each for each in world.seen if isinstance(each, BatchInvoked)])
        run.lose()
        run.extend(world.stream.clock.now() + 10)
        await anyio.sleep(1)
        assert len([each for each in world.seen if isinstance(each, BatchInvoked)]) == invoked == len(world.started)


async def begin_at_once(world: ShardWorld, run: ShardRun) -> None:
    """Fences although the store is slow for what follows."""
    slow, world.store._faults.slow = world.store._faults.slow, []
    await run.begin()
    world.store._faults.slow = slow
    await run.run()


@pytest.mark.parametrize("after", [0.1, 0.5, 0.9])
async def test_a_discard_that_ends_after_the_lease_was_lost_lets_nothing_start(make_stream, after):
    policy = StreamPolicy(batch_size=3, maximum_retry_attempts=0, has_destination=True)
    world = ShardWorld(make_stream("clicks"), policy=policy)
    world.destination = SlowDestination()
    world.handle = fail
    run = world.owner(1)
    await run.begin()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run.run)
        await anyio.sleep(after)
        run.lose()

    assert len(world.started) == 1
    assert len(world.destination.sent) == 1


async def test_a_later_owner_that_was_first_makes_begin_fail(world):
    await world.owner(2).begin()
    with pytest.raises(LeaseLost):
        await world.owner(1).begin()

    assert (await world.checkpoint())[0] == 2


async def test_a_begin_that_the_store_refused_may_be_repeated(world):
    run = world.owner(1)
    world.store.lose_reply("write")
    with pytest.raises(StoreError):
        await run.begin()
    await run.begin()

    assert (await world.checkpoint())[0] == 1


async def test_who_waits_out_an_expired_batch_starts_nothing_before(world):
    began_at = world.stream.clock.now()
    run = world.owner(1, start_at=began_at + 30)
    async with anyio.create_task_group() as tasks:
        await run.begin()
        tasks.start_soon(run.run)
        await anyio.sleep(28.5)
        assert world.started == []
        await anyio.sleep(1)
        assert len(world.started) == 1
        run.lose()


async def test_a_finished_shard_is_not_read_again(make_stream):
    world = ShardWorld(make_stream("clicks"))
    world.stream.split(world.stream.open_shard_ids[0])
    first = world.owner(1)
    await first.begin()
    await first.run()
    second = world.owner(2)
    await second.begin()
    await second.run()

    assert first.is_finished
    assert second.is_finished
    assert [child.parents for child in first.children] == [(first.shard.shard_id,)] * 2
    assert {epoch for epoch, _ in world.started} == {1}


async def test_a_limit_of_settlements_counts_from_when_it_was_set(make_stream):
    world = ShardWorld(make_stream("clicks"))
    run = world.owner(1)
    await run.begin()
    run.limit_settlements(3)
    await anyio.sleep(2)
    world.store.slow("write", request_seconds=1000, calls=1000)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run.run)
        await anyio.sleep(1.2)  # the first batch is handled, its checkpoint is on the way
        run.lose()
        lost_at = world.stream.clock.now()

    assert world.stream.clock.now() - lost_at <= 0.001


async def fail(_invocation: Invocation):
    return HandlerFailed(error_type="E", message="no")


class SlowDestination:
    """Takes a second for what it is sent, and notes it at the end."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send(self, discarded: DiscardedBatch, *, shard_id: str, request_id: str, now: float) -> None:
        await anyio.sleep(1)
        self.sent.append(discarded.first)


@pytest.mark.parametrize("after", [0.1, 0.5, 0.9])
async def test_a_discard_under_way_is_finished_though_its_run_is_cancelled(make_stream, after):
    policy = StreamPolicy(batch_size=12, maximum_retry_attempts=0, has_destination=True)
    world = ShardWorld(make_stream("clicks"), policy=policy)
    world.destination = SlowDestination()
    world.handle = fail
    run = world.owner(1)
    await run.begin()
    with anyio.move_on_after(after):
        await run.run()

    assert world.destination.sent == world.sent[:1]
    assert [each.delivered for each in world.seen if isinstance(each, RecordsDiscarded)] == [True]
    assert await world.settled() in (set(), set(world.sent))
