"""One fleet from its first broker to the end of its last: faults for some minutes, then peace until all is done."""

import random

import anyio

from broker.testing import run_in_virtual_time
from tests.simulation.fleet_chaos import Chaos
from tests.simulation.fleet_plan import FleetPlan
from tests.simulation.fleet_world import World

SETTLE_SECONDS = 1800.0
"""After the faults: the longest back-off, a hung handler, a lease, an aged record, one after the other, and more."""
LAST_SECONDS = 15.0
"""Enough for the survivors to evict whoever crashed last."""


def simulate(plan: FleetPlan) -> World:
    """Runs a plan to its end."""
    return run_in_virtual_time(_run, plan)


async def _run(plan: FleetPlan) -> World:
    world = World(plan)
    draw = random.Random(f"producer {plan.seed}")
    async with anyio.create_task_group() as tasks:
        world.use(tasks)
        tasks.start_soon(world.measure)
        await _begin(world, draw)
        for _ in range(plan.brokers):
            world.start()
            await anyio.sleep(draw.choice([0.0, 0.3, 3.0]))
        ends_at = world.began_at + plan.minutes * 60
        async with anyio.create_task_group() as troubles:
            troubles.start_soon(_produce, world, draw, ends_at)
            troubles.start_soon(Chaos(world, troubles).run, ends_at)
        await _end(world)
        tasks.cancel_scope.cancel()
    return world


async def _begin(world: World, draw: random.Random) -> None:
    """Something is in the stream before the mapping begins."""
    for _ in range(draw.choice([0, 10, 40])):
        world.put(draw)
        await anyio.sleep(draw.random() * 0.5)
    if world.plan.starting_position == "AT_TIMESTAMP":
        world.mapping["starting_position_timestamp"] = world.stream.service_now
        await anyio.sleep(0.01)
        for _ in range(draw.choice([0, 10])):
            world.put(draw)


async def _produce(world: World, draw: random.Random, until: float) -> None:
    """Puts records by ones and in bursts, with pauses between them."""
    mean = world.plan.minutes * 60 / world.plan.records
    while world.clock.now() < until:
        count = draw.choice([1, 1, 1, 2, 30])
        for _ in range(count):
            world.put(draw)
        await anyio.sleep(draw.expovariate(1 / (mean * count)))


async def _end(world: World) -> None:
    """The faults end; whoever is left finishes everything; all drain."""
    world.is_kind = True
    world.store.restore()
    world.stream.restore()
    world.destination_fails_until = 0.0
    if not world.staying:
        world.start()
    await _until_settled(world)
    await anyio.sleep(LAST_SECONDS)
    for member in world.staying:
        member.is_leaving = True
        member.broker.drain()
    with anyio.move_on_after(120) as waiting:
        for member in tuple(world.members):
            await member.ended.wait()
    if waiting.cancelled_caught:
        world.ledger.violations.append(f"these did not end: {[member.name for member in world.members]}")
        for member in tuple(world.members):
            member.process.crash()


async def _until_settled(world: World) -> None:
    ends_at = world.clock.now() + SETTLE_SECONDS
    while world.clock.now() < ends_at:
        open_ = world.unsettled()
        if not open_ or world.trimmed_numbers().issuperset(put.number for put in open_):
            return
        await anyio.sleep(1.0)
    world.ledger.violations.append(f"not settled in time: {sorted(put.number for put in world.unsettled())[:5]}")
