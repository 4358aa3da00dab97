"""An operator pauses, resumes and moves shards of brokers that run, and of brokers that do not."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import UUID

import anyio
import pytest

from broker import Broker, BrokerSettings, Surroundings
from broker.config import identity_of, parse_function, parse_mapping
from broker.core.lease_rows import WORKERS, checkpoint_of, shard_key, worker_value
from broker.core.watching import LeaseTiming
from broker.errors import RowConflict, StoreError
from broker.model.checkpoint import Checkpoint
from broker.model.lease import Row, Worker
from broker.model.observation import MappingStateChanged, Observation, ShardStopped
from broker.model.stream import AfterSequenceNumber
from broker.runtime.steering import Operator, Steering, shard_leases
from broker.stores.memory import MemoryStateStore
from broker.testing import InMemoryStream, InMemoryStreamSource, VirtualClock

TIMING = LeaseTiming()
FIRST, SECOND = "shardId-000000000000", "shardId-000000000001"
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend(virtual_backend: tuple[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    return virtual_backend


@dataclass
class Desk:
    """A stream of two shards, a store, and an operator."""

    stream: InMemoryStream
    clock: VirtualClock = field(default_factory=VirtualClock)
    store: MemoryStateStore = field(default_factory=MemoryStateStore)
    handled: list[str] = field(default_factory=list)
    seen: list[Observation] = field(default_factory=list)
    busy_seconds: float = 0.0
    numbers: Any = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.mapping = parse_mapping(
            event_source_arn=self.stream.arn, function_name="f", starting_position="TRIM_HORIZON"
        )
        self.uuid = identity_of(self.mapping)
        operator = Operator(name="ana@desk", store=self.store, clock=self.clock, new_id=self.new_id, timing=TIMING)
        self.steering = Steering(self.uuid, operator)

    def new_id(self) -> UUID:
        return UUID(int=next(self.numbers))

    def observe(self, mapping: str, observation: Observation) -> None:
        self.seen.append(observation)

    @asynccontextmanager
    async def running(self, name: str = "a") -> AsyncIterator[Broker]:
        async def handler(event: dict[str, Any], _context: Any) -> None:
            await anyio.sleep(self.busy_seconds)
            self.handled += [record["kinesis"]["partitionKey"] for record in event["Records"]]

        broker = Broker(
            settings=BrokerSettings(),
            functions=[parse_function(function_name="f", callable=handler, timeout=20)],
            mappings=[self.mapping],
            observers=[self],
            streams={self.stream.arn: InMemoryStreamSource(self.stream)},
            store=self.store,
            surroundings=Surroundings(clock=self.clock, new_id=self.new_id, worker_name=name, raise_bugs=True),
        )
        async with broker:
            yield broker

    async def until(self, condition: Callable[[], bool], *, within: float = 60.0) -> float:
        began_at = anyio.current_time()
        with anyio.fail_after(within):
            while not condition():  # noqa: ASYNC110 - a condition tells nobody
                await anyio.sleep(0.05)
        return anyio.current_time() - began_at

    async def key_of(self, shard_id: str) -> str:
        return shard_leases(self.uuid, await self.steering.rows())[shard_id].key.key

    async def position_of(self, shard_id: str) -> tuple[int, Checkpoint]:
        rows = await self.steering.rows()
        key = (await self.key_of(shard_id)).replace("shard:", "checkpoint:", 1)
        return checkpoint_of(rows[key])


@pytest.fixture
def desk(make_stream: Callable[..., InMemoryStream]) -> Desk:
    return Desk(make_stream("clicks", shard_count=2))


async def test_a_paused_shard_is_drained_saved_and_given_back_and_nobody_takes_it(desk: Desk) -> None:
    desk.busy_seconds = 3.0
    async with desk.running("a"), desk.running("b"):
        number = desk.stream.put("first", b"1", shard_id=FIRST)
        await anyio.sleep(2.0)
        key = await desk.key_of(FIRST)
        note = await desk.steering.pause(key)
        async with desk.steering.announced():
            assert await desk.steering.owners([FIRST])
            assert await desk.steering.wait_until_free([FIRST], seconds=30.0) == {}
        assert desk.handled == ["first"]
        epoch, checkpoint = await desk.position_of(FIRST)
        assert checkpoint.position == AfterSequenceNumber(number=number)
        desk.stream.put("later", b"2", shard_id=FIRST)
        desk.stream.put("other", b"3", shard_id=SECOND)
        await anyio.sleep(90.0)
        assert (desk.handled, (await desk.position_of(FIRST))[0]) == (["first", "other"], epoch)
    assert note.startswith("paused by ana@desk at ")
    assert ShardStopped(shard=FIRST, why="paused") in desk.seen
    assert MappingStateChanged(state="Enabled", detail=f"{FIRST}: {note}") in desk.seen


async def test_what_is_resumed_is_taken_within_seconds(desk: Desk) -> None:
    async with desk.running("a") as broker:
        await anyio.sleep(2.0)
        key = await desk.key_of(FIRST)
        await desk.steering.pause(key)
        async with desk.steering.announced():
            await desk.steering.wait_until_free([FIRST], seconds=30.0)
        (status,) = broker.statuses()
        assert [text.partition(": ")[0] for text in status.statistics.paused] == [FIRST]
        desk.stream.put("later", b"2", shard_id=FIRST)
        assert await desk.steering.resume(key)
        assert not await desk.steering.resume(key)
        began_at = anyio.current_time()
        async with desk.steering.announced():
            await desk.until(lambda: desk.handled == ["later"], within=3.0)
        assert anyio.current_time() - began_at < 3.0
    assert MappingStateChanged(state="Enabled", detail=f"{FIRST}: resumed") in desk.seen


async def test_a_mapping_is_paused_as_a_whole_also_for_brokers_that_come_later(desk: Desk) -> None:
    async with desk.running("a"):
        await anyio.sleep(2.0)
        note = await desk.steering.pause()
        async with desk.steering.announced():
            assert await desk.steering.wait_until_free([FIRST, SECOND], seconds=30.0) == {}
        async with desk.running("b"):
            desk.stream.put("later", b"2", shard_id=SECOND)
            await anyio.sleep(60.0)
            assert desk.handled == []
            assert await desk.steering.resume()
            async with desk.steering.announced():
                await desk.until(lambda: desk.handled == ["later"], within=3.0)
    assert MappingStateChanged(state="Enabled", detail=note) in desk.seen


async def test_who_pauses_what_is_paused_learns_who_was_first(desk: Desk) -> None:
    async with desk.running():
        await anyio.sleep(2.0)
    first = await desk.steering.pause()
    await anyio.sleep(100.0)
    assert await desk.steering.pause() == first


async def test_a_shard_that_is_still_worked_on_is_told_with_its_owner(desk: Desk) -> None:
    desk.busy_seconds = 15.0
    async with desk.running("a"):
        desk.stream.put("first", b"1", shard_id=FIRST)
        await anyio.sleep(2.0)
        await desk.steering.pause(await desk.key_of(FIRST))
        async with desk.steering.announced():
            owners = await desk.steering.wait_until_free([FIRST], seconds=3.0)
    assert [owner[:2] for owner in owners.values()] == ["a-"]


async def test_a_moved_shard_is_read_from_there_under_a_new_epoch(desk: Desk) -> None:
    numbers = [desk.stream.put(f"k{each}", b"x", shard_id=FIRST) for each in range(4)]
    async with desk.running("a"):
        await desk.until(lambda: len(desk.handled) == 4)
    leases = shard_leases(desk.uuid, await desk.steering.rows())
    epoch, _ = await desk.position_of(FIRST)
    moved = Checkpoint(position=AfterSequenceNumber(number=numbers[1]))
    await desk.steering.move(leases[FIRST], lambda _found: moved)
    assert await desk.position_of(FIRST) == (leases[FIRST].epoch + 1, moved)
    assert leases[FIRST].epoch + 1 > epoch
    async with desk.running("b"):
        await desk.until(lambda: desk.handled[4:] == ["k2", "k3"])


async def test_a_shard_whose_lease_was_written_meanwhile_is_not_moved(desk: Desk) -> None:
    async with desk.running("a"):
        await anyio.sleep(2.0)
    leases = shard_leases(desk.uuid, await desk.steering.rows())
    await desk.steering.pause(leases[FIRST].key.key)
    before = await desk.position_of(FIRST)
    with pytest.raises(RowConflict):
        await desk.steering.move(leases[FIRST], lambda found: Checkpoint(position=AfterSequenceNumber(number="1")))
    assert await desk.position_of(FIRST) == before


async def test_an_owner_that_died_and_that_nobody_has_evicted_is_no_owner(desk: Desk) -> None:
    async with desk.running("a"):
        await anyio.sleep(2.0)
    rows = await desk.steering.rows()
    key = await desk.key_of(FIRST)
    await desk.store.write(WORKERS, "dead", worker_value(Worker(worker_id="dead", counter=0)), version=0, nonce="d")
    await desk.store.write(desk.uuid, key, {**rows[key].value, "owner": "dead"}, version=rows[key].version, nonce="o")
    began_at = anyio.current_time()
    assert await desk.steering.owners([FIRST]) == {FIRST: "dead"}
    assert await desk.steering.wait_until_free([FIRST], seconds=60.0) == {}
    assert TIMING.lease_seconds <= anyio.current_time() - began_at <= TIMING.lease_seconds + 2
    assert await desk.store.read(WORKERS) == {}


async def test_the_operators_row_is_gone_whatever_happens(desk: Desk) -> None:
    with suppress(RuntimeError):
        async with desk.steering.announced():
            (row,) = (await desk.store.read(WORKERS)).values()
            assert row == Row(version=1, value={"changes": 0, "mappings": [], "draining": True})
            raise RuntimeError
    assert await desk.store.read(WORKERS) == {}


async def test_what_has_not_begun_cannot_be_paused(desk: Desk) -> None:
    assert shard_leases(desk.uuid, await desk.steering.rows()) == {}
    with pytest.raises(StoreError, match="is gone"):
        await desk.steering.pause(shard_key("g", FIRST))
