"""A fleet of brokers on one store: who owns what, when one comes, goes, crashes or is paused."""

from contextlib import asynccontextmanager
from itertools import pairwise
from random import Random

import anyio
import pytest

from broker.core.lease_rows import WORKERS, lease_value, worker_value
from broker.model.lease import Lease, LeaseKey, Worker
from broker.model.observation import LeaseReleased, LeaseTaken, LeaseWasLost, StoreProblem, StoreRecovered
from tests.unit.runtime.fleet_world import MAPPING, NotingTenant, World, worlds

pytestmark = pytest.mark.anyio
SOMEBODY = Worker(worker_id="somebody", counter=0, mappings=frozenset({MAPPING}))


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


# ---- hand-over


async def test_the_owner_hears_who_asks_and_hands_over_when_it_has_finished():
    async with worlds(shards=2) as world:
        first = world.start()
        await world.until(world.is_even)
        first.tenant.finish_seconds = 10.0
        second = world.start()
        took = await world.until(world.is_even, within=20)

        assert 10.0 <= took <= 12.0
        ((key, to),) = first.tenant.asked
        assert to == second.fleet.worker_id
        assert second.tenant.fenced == [(key, False)]
        taken = [each for each in second.seen if isinstance(each, LeaseTaken)]
        assert [each.from_worker for each in taken] == [first.fleet.worker_id]
        assert [each.to_worker for each in first.seen if isinstance(each, LeaseReleased)] == [to]


async def test_an_ask_is_heard_at_once_though_nothing_else_has_moved():
    async with worlds(shards=2) as world:
        first = world.start()
        first.tenant.gives = False
        await anyio.sleep(7.2)
        second = world.start()
        world.store.throttle("read", seconds=5, caller=first.name)  # so that the two look at different times
        second.tenant.startable = lambda _lease: False
        await anyio.sleep(10)
        second.tenant.startable = lambda _lease: True
        with anyio.fail_after(60):
            while not any(lease.asked_by for lease in (await world.rows()).values()):  # noqa: ASYNC110 - as above
                await anyio.sleep(0.05)

        assert await world.until(lambda: bool(first.tenant.asked)) <= 0.6


async def test_a_hand_over_that_never_ends_is_cut_short_at_its_deadline():
    async with worlds(shards=2) as world:
        first = world.start()
        await world.until(world.is_even)
        first.tenant.gives = False
        second = world.start()
        took = await world.until(lambda: len(second.tenant.working) == 1, within=60)

        assert 30.0 <= took <= 33.0
        assert first.tenant.lost_keys == second.tenant.keys


async def test_an_asker_that_vanishes_is_forgotten():
    async with worlds(shards=2) as world:
        first = world.start()
        await world.until(world.is_even)
        first.tenant.finish_seconds = 15.0
        second = world.start()
        await world.until(lambda: bool(first.tenant.asked))
        await second.crash()
        await anyio.sleep(20)

        assert world.counts() == [2]
        assert [each.to_worker for each in first.seen if isinstance(each, LeaseReleased)] == [""]


async def test_an_owner_that_crashes_after_it_was_asked_is_evicted_like_any_other():
    async with worlds(shards=2) as world:
        first = world.start()
        await world.until(world.is_even)
        first.tenant.gives = False
        second = world.start()
        await world.until(lambda: bool(first.tenant.asked))
        await first.crash()

        assert await world.until(lambda: len(second.tenant.working) == 2) <= 12.0


async def test_a_lease_that_was_lost_while_it_was_handed_over_is_not_released():
    """The former owner finishes long after somebody else has taken the lease: its release must change nothing."""
    async with worlds(shards=1) as world:
        first = world.start()
        await world.until(world.is_even)
        (lease,) = first.fleet.owned(MAPPING)
        taken = {**lease_value(lease), "owner": "somebody", "epoch": lease.epoch + 1}
        store = world.store.seen_by("somebody")
        await store.write(WORKERS, "somebody", worker_value(SOMEBODY), version=0, nonce="s")
        await store.write(MAPPING, lease.key.key, taken, version=lease.version, nonce="t")
        await first.tenant.finish(lease)
        (row,) = (await world.rows()).values()

        assert (row.owner, row.epoch) == ("somebody", lease.epoch + 1)


async def test_a_pause_that_is_written_during_a_hand_over_is_kept():
    async with worlds(shards=1) as world:
        first = world.start()
        await world.until(world.is_even)
        (lease,) = first.fleet.owned(MAPPING)
        paused = {**lease_value(lease), "paused": True}
        await world.store.seen_by("cli").write(MAPPING, lease.key.key, paused, version=lease.version, nonce="p")
        await first.tenant.finish(lease)
        (row,) = (await world.rows()).values()

        assert (row.owner, row.is_paused) == ("", True)


async def test_a_release_that_meets_a_conflict_reads_again():
    async with worlds(shards=1) as world:
        first = world.start()
        await world.until(world.is_even)
        (lease,) = first.fleet.owned(MAPPING)
        world.store.slow("write", request_seconds=0.3, caller=first.name, seconds=1.0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first.tenant.finish, lease)
            await anyio.sleep(0.1)
            paused = {**lease_value(lease), "paused": True}
            await world.store.seen_by("cli").write(MAPPING, lease.key.key, paused, version=lease.version, nonce="p")
        (row,) = (await world.rows()).values()

        assert (row.owner, row.is_paused) == ("", True)


async def test_a_release_that_could_not_be_written_is_written_later():
    async with worlds(shards=1) as world:
        first = world.start()
        await world.until(world.is_even)
        second = world.start()
        await anyio.sleep(1)
        (lease,) = first.fleet.owned(MAPPING)
        first.tenant.gives = False
        first.fleet.drain()
        await anyio.sleep(1)
        world.store.throttle("get", caller=first.name, seconds=3.0)
        await first.tenant.finish(lease)

        assert second.tenant.working == {}
        assert await world.until(lambda: len(second.tenant.working) == 1) <= 5.0


async def test_what_a_tenant_leaves_when_it_ends_is_cut_short_and_given_away():
    async with worlds(shards=2) as world:
        first = world.start()
        await world.until(world.is_even)
        second = world.start()
        await world.until(world.is_even)
        other = NotingTenant(world, world.tasks, mapping="22222222-2222-4222-8222-222222222222")
        async with first.fleet.serving(other):
            lease = Lease(key=LeaseKey(mapping=other.mapping, key="slot:000"), version=0)
            store = world.store.seen_by("setup")
            await store.write(other.mapping, "slot:000", lease_value(lease), version=0, nonce="x")
            first.fleet.changed()
            await world.until(lambda: bool(other.working))
        await anyio.sleep(1)
        row = await store.get(other.mapping, "slot:000")

        assert other.lost_keys == ["slot:000"]
        assert row.value["owner"] == ""
        assert second.fleet.owned(other.mapping) == ()


# ---- what is taken


async def test_a_shard_that_may_not_start_yet_is_nobodys():
    async with worlds(shards=2) as world:
        first = world.start()
        first.tenant.startable = lambda lease: lease.shard.shard_id == "s0"
        await anyio.sleep(5)
        assert first.tenant.keys == ["shard:1:s0"]
        first.tenant.startable = lambda _lease: True
        first.fleet.changed()

        assert await world.until(world.is_even) <= 0.6


async def test_a_worker_that_is_newer_than_the_list_of_workers_is_not_taken_from():
    """Its row and its leases are written between another's reading of the workers and of the leases."""
    async with worlds(shards=1) as world:
        first = world.start()
        first.tenant.startable = lambda _lease: False
        await anyio.sleep(3)
        first.tenant.startable = lambda _lease: True
        (row,) = (await world.rows()).values()
        store = world.store.seen_by("somebody")

        async def appear() -> None:
            await store.write(WORKERS, "somebody", worker_value(SOMEBODY), version=0, nonce="s")
            taken = {**lease_value(row), "owner": "somebody", "epoch": 1}
            await store.write(MAPPING, row.key.key, taken, version=row.version, nonce="t")

        first.store.before_read[MAPPING] = appear
        first.fleet.changed()
        await anyio.sleep(5)
        (row,) = (await world.rows()).values()

        assert (row.owner, row.epoch) == ("somebody", 1)


async def test_a_take_whose_answer_was_lost_is_found_in_the_row():
    async with worlds(shards=2) as world:
        first = world.start()
        await world.until(lambda: first.fleet.trusted_until > 0)
        world.store.lose_reply("write", calls=2, caller=first.name)
        await world.until(world.is_even, within=5)

        assert all(lease.epoch == 1 for lease in (await world.rows()).values())


async def test_a_grant_that_fails_is_tried_again():
    async with worlds(shards=1) as world:
        first = world.start()
        first.tenant.failures = 2
        await world.until(world.is_even, within=5)

        assert first.tenant.lost_keys == ["shard:1:s0"] * 2
        assert [each.epoch for each in first.seen if isinstance(each, LeaseTaken)] == [1]


async def test_a_lease_that_was_expired_is_so_in_every_attempt_to_begin():
    async with worlds(shards=2) as world:
        first, second = await two(world)
        second.tenant.failures = 2
        await first.crash()
        await world.until(lambda: len(second.tenant.working) == 2)

        assert second.tenant.fenced[-1][1]


async def test_a_lease_whose_row_is_gone_is_lost():
    async with worlds(shards=1) as world:
        first = world.start()
        await world.until(world.is_even)
        (lease,) = first.fleet.owned(MAPPING)
        await world.store.seen_by("cli").delete(MAPPING, lease.key.key, version=lease.version)
        first.fleet.changed()
        await world.until(lambda: not first.tenant.working)

        assert first.tenant.lost_keys == [lease.key.key]


async def test_a_lease_that_somebody_has_stolen_is_lost():
    async with worlds(shards=1) as world:
        first, second = world.start(), world.start()
        await world.until(world.is_even)
        owner, thief = (first, second) if first.tenant.working else (second, first)
        (lease,) = owner.fleet.owned(MAPPING)
        stolen = {**lease_value(lease), "owner": thief.fleet.worker_id, "epoch": lease.epoch + 1}
        await world.store.seen_by("cli").write(MAPPING, lease.key.key, stolen, version=lease.version, nonce="s")
        owner.fleet.changed()
        thief.fleet.changed()
        await world.until(lambda: lease.key.key in thief.tenant.working)

        assert owner.tenant.lost_keys == [lease.key.key]


async def test_leases_are_not_taken_while_the_own_are_uncertain():
    async with worlds(shards=1) as world:
        first = world.start()
        first.tenant.startable = lambda _lease: False
        await anyio.sleep(2)
        world.store.take_down(caller=first.heartbeat_name)
        await anyio.sleep(10)
        first.tenant.startable = lambda _lease: True
        first.fleet.changed()
        await anyio.sleep(1)
        assert next(iter((await world.rows()).values())).owner == ""
        world.store.restore()
        await world.until(world.is_even)


# ---- who lives


async def test_a_worker_that_beats_again_just_before_it_is_evicted_stays():
    async with worlds() as world:
        first, second = await two(world)
        world.store.throttle("write", caller=first.heartbeat_name, seconds=9.0)
        await anyio.sleep(30)

        assert all(lease.epoch == 1 for lease in (await world.rows()).values())
        assert (first.tenant.lost_keys, second.tenant.lost_keys) == ([], [])


async def test_an_eviction_that_is_late_does_not_hit_a_worker_that_has_beaten_since():
    async with worlds() as world:
        first, second = await two(world)
        before = first.fleet.worker_id
        world.store.throttle("write", caller=first.heartbeat_name, seconds=10.2)
        world.store.slow("delete", request_seconds=2.0, caller=second.name)
        await anyio.sleep(30)

        assert first.fleet.worker_id == before
        assert all(lease.epoch == 1 for lease in (await world.rows()).values())


async def test_throttled_heartbeats_move_no_lease():
    async with worlds() as world:
        await two(world)
        for _ in range(20):
            world.store.throttle(calls=3)
            await anyio.sleep(3)

        assert all(lease.epoch == 1 for lease in (await world.rows()).values())


async def test_a_store_that_can_be_read_and_not_written_moves_no_lease():
    async with worlds() as world:
        await two(world)
        for seconds in (6.0, 8.0, 9.7, 10.3, 11.0, 12.0, 30.0):
            world.store.throttle("write", seconds=seconds)
            await anyio.sleep(seconds + 20)

        assert all(lease.epoch == 1 for lease in (await world.rows()).values())


async def test_the_first_worker_is_the_one_with_the_lowest_id_that_serves_and_does_not_drain():
    async with worlds() as world:
        first, second = await two(world)
        low, high = sorted((first, second), key=lambda each: each.fleet.worker_id)
        assert (low.fleet.is_first(MAPPING), high.fleet.is_first(MAPPING)) == (True, False)
        assert not low.fleet.is_first("another mapping")
        assert [each.worker_id for each in low.fleet.workers] == [low.fleet.worker_id, high.fleet.worker_id]
        low.fleet.drain()
        await anyio.sleep(1)

        assert high.fleet.is_first(MAPPING)


async def test_tenants_hear_that_trust_is_extended():
    async with worlds() as world:
        first = world.start()
        await anyio.sleep(10)

        assert len(first.tenant.trusted) >= 4
        assert first.tenant.trusted == sorted(set(first.tenant.trusted))
        assert first.tenant.trusted[-1] == first.fleet.trusted_until


async def test_tenants_hear_of_trust_while_many_leases_are_begun_slowly():
    async with worlds(shards=64) as world:
        first = world.start()
        first.tenant.fence_seconds = 4.0
        await world.until(lambda: len(first.tenant.working) == 64)

        steps = [later - earlier for earlier, later in pairwise(first.tenant.trusted)]
        assert max(steps) <= 2 * world.timing.beat_seconds


async def test_a_broker_that_ends_without_the_store_is_evicted_later():
    async with worlds() as world:
        first, second = await two(world)
        for caller in (first.name, first.heartbeat_name):
            world.store.take_down(caller=caller)
        first.stop()

        assert 7.5 <= await world.until(lambda: len(second.tenant.working) == 4) <= 13


async def test_the_problem_is_shown_while_there_is_one():
    async with worlds() as world:
        first = world.start()
        await world.until(world.is_even)
        world.store.take_down()
        await anyio.sleep(1)
        assert "cannot be reached" in first.fleet.problem
        world.store.restore()
        await anyio.sleep(3)
        assert first.fleet.problem == ""


async def test_a_fleet_at_rest_reads_its_leases_twice_a_minute_and_writes_only_heartbeats():
    async with worlds() as world:
        await two(world)
        await anyio.sleep(35)
        world.store.traffic.reset()
        await anyio.sleep(300)
        traffic = world.store.traffic

        assert traffic.of(MAPPING).reads <= 2 * 11
        assert traffic.of(MAPPING).writes == 0
        assert traffic.of(WORKERS).writes <= 2 * 121


# ---- all of it at once


@pytest.mark.parametrize("seed", range(4))
async def test_brokers_that_come_and_go_never_work_on_one_shard_together(seed):
    random = Random(seed)
    async with worlds(shards=12) as world:
        world.start()
        for _ in range(40):
            await anyio.sleep(random.uniform(0, 12))
            await one_event(world, random)
        world.store.restore()
        await world.until(lambda: len(world.processes) > 0 and world.is_even(), within=200)


async def one_event(world: World, random: Random) -> None:
    """Something that happens to a fleet."""
    process = random.choice(world.processes)
    match random.choice(["start", "start", "crash", "drain", "pause", "slow", "throttle", "lose", "lose", "down"]):
        case "start" if len(world.processes) < 8:
            world.start().tenant.finish_seconds = random.choice([0.0, 1.0, 5.0])
        case "crash" if len(world.processes) > 1:
            await process.crash()
        case "drain" if len(world.processes) > 1:
            await process.drain()
        case "pause":
            process.pause(random.choice([3.0, 9.0, 12.0, 60.0]))
        case "slow":
            world.store.slow(request_seconds=random.uniform(0, 4), reply_seconds=1.0, seconds=5.0, caller=process.name)
        case "throttle":
            world.store.throttle(calls=random.randrange(20))
        case "lose":
            world.store.lose_reply(calls=random.randrange(10), caller=process.name)
        case "down":
            world.store.take_down()
            await anyio.sleep(random.choice([3.0, 20.0]))
            world.store.restore()
