"""Shards that share the few slots of a function take turns: none is kept out by one that is always ready."""

from collections import Counter
from random import Random
from uuid import UUID

import anyio
import pytest

from broker import Broker, Surroundings
from broker.stores.memory import MemoryStateStore
from broker.testing import InMemoryStreamSource

pytestmark = pytest.mark.anyio
SHARDS = 4


def make_broker(stream, handled: Counter[str], *, seconds: float) -> Broker:
    random = Random(1)
    broker = Broker(
        streams={stream.arn: InMemoryStreamSource(stream)},
        store=MemoryStateStore(),
        surroundings=Surroundings(
            clock=stream.clock,
            chance=random.random,
            new_id=lambda: UUID(int=random.getrandbits(128)),
            worker_name="one",
            raise_bugs=True,
        ),
    )

    @broker.event_source_mapping(
        stream.arn, starting_position="TRIM_HORIZON", batch_size=1, reserved_concurrent_executions=1, timeout=60
    )
    async def handle(event, _context):
        await anyio.sleep(seconds)
        handled[event["Records"][0]["eventID"].partition(":")[0]] += 1

    return broker


@pytest.mark.parametrize("seconds", [0.2, 9.0], ids=["short", "longer than a lease is trusted"])
async def test_shards_take_turns_at_the_slots_of_their_function(make_stream, seconds):
    stream, handled = make_stream(shard_count=SHARDS), Counter()
    for shard in stream.shards:
        for number in range(300):
            stream.put(str(number), b"{}", shard_id=shard.shard_id)
    broker = make_broker(stream, handled, seconds=seconds)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(broker.run)
        await anyio.sleep(300 * seconds)
        shares = sorted(handled.values())
        broker.drain()

    assert len(shares) == SHARDS
    assert shares[-1] - shares[0] <= 2
    assert sum(shares) >= 290


async def test_a_drain_does_not_wait_for_what_only_waits_for_its_turn(make_stream):
    stream, handled = make_stream(shard_count=SHARDS), Counter()
    for shard in stream.shards:
        stream.put("key", b"{}", shard_id=shard.shard_id)
    broker = make_broker(stream, handled, seconds=10.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(broker.run)
        await anyio.sleep(5)
        broker.drain()
        began_at = stream.clock.now()

    assert sum(handled.values()) == 1
    assert stream.clock.now() - began_at < 7
