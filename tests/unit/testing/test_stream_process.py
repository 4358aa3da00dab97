"""A process that reads streams can crash and can be stopped for a while; its leases can be stolen."""

import anyio
import pytest

from broker.core.lease_rows import checkpoint_key, checkpoint_of, checkpoint_value, lease_of, lease_value, shard_key
from broker.errors import RowConflict, ShardReadError, SourceError
from broker.model.checkpoint import Checkpoint
from broker.model.lease import Lease, LeaseKey
from broker.model.stream import AfterSequenceNumber, Shard, TrimHorizon
from broker.testing import Process, steal_lease
from broker.testing.stores import InMemoryStateStore

pytestmark = pytest.mark.anyio

MANY = {"maximum_count": 1000}
GENERATION = "2026-01-01T00:00:00.000"


@pytest.fixture
def stream(make_stream):
    return make_stream("orders")


async def consume(reader, seen) -> None:
    position = TrimHorizon()
    while True:
        page = await reader.read(position, **MANY)
        position = None
        seen += [record.identifier for record in page.records]
        await anyio.sleep(1)


async def test_a_dead_process_reads_nothing_and_its_calls_fail_as_reads_fail(stream) -> None:
    process = Process()
    reader = process.connect(stream).reader(stream.shards[0].shard_id)
    process.crash()
    with pytest.raises(ShardReadError) as raised:
        await reader.read(TrimHorizon(), **MANY)
    assert not raised.value.retryable


@pytest.mark.parametrize(("answered", "read"), [(False, 0), (True, 1)])
async def test_a_process_can_crash_at_a_read_before_it_takes_effect_or_before_its_answer(
    stream, answered, read
) -> None:
    stream.put("key", b"")
    process, seen = Process(), []
    process.crash_at("read", answered=answered)
    reader = process.connect(stream).reader(stream.shards[0].shard_id)
    await process.run(consume, reader, seen)
    assert (process.crashed, seen) == (True, [])
    assert stream.shards[0].shard_id


async def test_a_paused_process_calls_nobody_until_it_goes_on(stream) -> None:
    process, seen = Process(), []
    reader = process.connect(stream).reader(stream.shards[0].shard_id)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(process.run, consume, reader, seen)
        await anyio.sleep(0.5)
        process.pause_process(60)
        process.pause_process(10)
        stream.put("key", b"")
        await anyio.sleep(59.9)
        assert seen == []
        await anyio.sleep(0.2)
        assert len(seen) == 1
        process.crash()


async def test_an_answer_that_is_on_the_way_waits_until_the_process_goes_on(stream) -> None:
    stream.put("key", b"")
    process = Process()
    reader = process.connect(stream).reader(stream.shards[0].shard_id)
    stream.slow("read", request_seconds=1)
    async with anyio.create_task_group() as tasks:

        async def pause() -> None:
            await anyio.sleep(0.5)
            process.pause_process(30)

        tasks.start_soon(pause)
        page = await reader.read(TrimHorizon(), **MANY)
    assert (len(page.records), anyio.current_time()) == (1, 30.5)


async def test_a_process_that_is_killed_while_it_is_paused_is_dead(stream) -> None:
    process = Process()
    source = process.connect(stream)
    process.pause_process(10)
    process.crash()
    with pytest.raises(SourceError):
        await source.describe()
    assert anyio.current_time() == 0


async def test_a_process_reads_by_enhanced_fan_out(stream) -> None:
    process = Process()
    stream.put("key", b"")
    reader = process.connect(stream, consumer="c").reader(stream.shards[0].shard_id)
    assert len((await reader.read(TrimHorizon(), **MANY)).records) == 1


async def test_a_stolen_lease_has_another_owner_and_its_checkpoint_is_fenced() -> None:
    store, lease_key, position_key = InMemoryStateStore(), shard_key(GENERATION, "a"), checkpoint_key(GENERATION, "a")
    checkpoint = Checkpoint(position=AfterSequenceNumber(number="5"))
    view = store.seen_by("first")
    lease = Lease(key=LeaseKey(mapping="m", key=lease_key), version=0, owner="w", epoch=3, shard=Shard(shard_id="a"))
    await view.write("m", lease_key, {**lease_value(lease), "asked_by": "x"}, version=0, nonce="1")
    await view.write("m", position_key, checkpoint_value(3, checkpoint), version=0, nonce="2")
    assert await steal_lease(view, "m", "a") == 4
    rows = await view.read("m")
    stolen = lease_of("m", lease_key, rows[lease_key])
    assert (stolen.owner, stolen.epoch, stolen.asked_by) == ("thief", 4, "")
    assert checkpoint_of(rows[position_key]) == (4, checkpoint)
    with pytest.raises(RowConflict):
        await view.write("m", position_key, checkpoint_value(3, checkpoint), version=1, nonce="3")


async def test_a_lease_without_a_checkpoint_can_be_stolen_and_one_that_is_not_there_cannot() -> None:
    view = InMemoryStateStore().seen_by("first")
    lease_key = shard_key(GENERATION, "a")
    lease = Lease(key=LeaseKey(mapping="m", key=lease_key), version=0, owner="w", epoch=1, shard=Shard(shard_id="a"))
    await view.write("m", lease_key, lease_value(lease), version=0, nonce="1")
    assert await steal_lease(view, "m", "a", owner="other") == 2
    with pytest.raises(LookupError, match="no lease for b"):
        await steal_lease(view, "m", "b")
