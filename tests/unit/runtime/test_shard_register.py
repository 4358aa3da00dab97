"""The rows of a stream's mapping: made before anything is read, kept in step, and never those of another stream."""

from contextlib import suppress
from itertools import count
from uuid import UUID

import anyio
import pytest

from broker.core.lease_rows import checkpoint_key, checkpoint_of, shard_key
from broker.errors import BrokerError, StoreError
from broker.model.observation import Observation, RecordsLost
from broker.model.stream import AtTimestamp, TrimHorizon
from broker.runtime.shard_register import MAPPING_KEY, Beginning, ShardRegister
from broker.testing import InMemoryStream, InMemoryStreamSource
from broker.testing.stores import InMemoryStateStore

pytestmark = pytest.mark.anyio
MAPPING = "m"


class Registers:
    """One stream and one store, and brokers that look after the rows."""

    def __init__(self, stream: InMemoryStream) -> None:
        self.stream = stream
        self.store = InMemoryStateStore(is_shared=False)
        self.seen: list[Observation] = []
        self._ids = count(1)

    def broker(self, name: str = "first", *, position: str = "TRIM_HORIZON") -> ShardRegister:
        return ShardRegister(
            uuid=MAPPING,
            source=InMemoryStreamSource(self.stream),
            store=self.store.seen_by(name),
            beginning=Beginning(starting_position=position),
            new_id=lambda: UUID(int=next(self._ids)),
            observe=self.seen.append,
        )

    async def rows(self):
        return await self.store.seen_by("test").read(MAPPING)

    async def leases(self, generation: str) -> list[str]:
        prefix = shard_key(generation, "")
        return [key.removeprefix(prefix) for key in await self.rows() if key.startswith(prefix)]


@pytest.fixture
async def registers(make_stream) -> Registers:
    return Registers(make_stream("clicks", shard_count=3))


async def test_every_open_shard_has_its_rows_before_the_mapping_has_begun(registers):
    broker = registers.broker(position="LATEST")
    await broker.enable()

    rows = await registers.rows()
    assert rows[MAPPING_KEY].value["started"]
    assert await registers.leases(broker.generation) == list(registers.stream.open_shard_ids)
    for shard in registers.stream.open_shard_ids:
        epoch, checkpoint = checkpoint_of(rows[checkpoint_key(broker.generation, shard)])
        assert (epoch, checkpoint.position) == (0, AtTimestamp(at=rows[MAPPING_KEY].value["enabled_at"]))


@pytest.mark.parametrize("writes", range(8))
async def test_an_enabling_that_was_interrupted_at_any_write_begins_again(registers, writes):
    registers.store.slow("write", request_seconds=1, calls=100)
    with anyio.move_on_after(writes + 0.5):
        await registers.broker().enable()
    rows = await registers.rows()
    assert MAPPING_KEY not in rows or not rows[MAPPING_KEY].value["started"]

    second = registers.broker("second")
    for _ in range(
        4
    ):  # a conflict with the first one's last write, a look whether it goes on, a conflict, the beginning
        with suppress(BrokerError):
            await second.enable()
        await anyio.sleep(20)
    rows = await registers.rows()
    assert rows[MAPPING_KEY].value["started"]
    assert len(await registers.leases(second.generation)) == 3
    assert sum(key.startswith("checkpoint:") for key in rows) == 3


async def test_two_brokers_that_enable_at_once_make_one_set_of_rows(registers):
    registers.store.slow("write", request_seconds=0.5, calls=100)
    first, second = registers.broker("first"), registers.broker("second")

    async def enable(broker: ShardRegister) -> None:
        while not broker.generation:
            try:
                await broker.enable()
            except (StoreError, BrokerError):
                await anyio.sleep(1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(enable, first)
        tasks.start_soon(enable, second)

    rows = await registers.rows()
    assert first.generation == second.generation
    assert rows[MAPPING_KEY].value["started"]
    assert all(rows[shard_key(first.generation, each)].version == 1 for each in registers.stream.open_shard_ids)


async def test_another_starting_position_is_refused(registers):
    await registers.broker().enable()
    with pytest.raises(BrokerError, match="StartingPosition was TRIM_HORIZON"):
        await registers.broker("second", position="LATEST").enable()


async def test_a_restart_keeps_rows_and_instant(registers):
    await registers.broker(position="LATEST").enable()
    before = await registers.rows()
    await anyio.sleep(100)
    await registers.broker("second", position="LATEST").enable()

    assert await registers.rows() == before


async def test_a_stream_that_was_made_again_begins_at_its_beginning_and_its_old_rows_go(registers):
    broker = registers.broker(position="LATEST")
    await broker.enable()
    old = broker.generation
    await anyio.sleep(10)
    registers.stream.recreate()
    assert await broker.survey(())
    await broker.survey(())

    rows = await registers.rows()
    assert broker.generation != old
    assert not any(old in key for key in rows)
    _, checkpoint = checkpoint_of(rows[checkpoint_key(broker.generation, registers.stream.open_shard_ids[0])])
    assert checkpoint.position == TrimHorizon()
    lost = [each for each in registers.seen if isinstance(each, RecordsLost)]
    assert [(each.shard, each.is_certain) for each in lost] == [(f"shardId-{n:012}", False) for n in (2, 1, 0)]
    assert broker.lost_count == 3


async def test_children_that_a_shard_of_an_earlier_stream_names_get_no_rows(registers):
    broker = registers.broker()
    await broker.enable()
    old = broker.generation
    registers.stream.split(registers.stream.open_shard_ids[0])
    children = registers.stream.shards[-2:]
    await anyio.sleep(10)
    registers.stream.recreate(shard_count=3)
    await broker.survey(())
    before = await registers.rows()
    await broker.name_children(children, old)

    assert await registers.rows() == before


async def test_children_get_their_rows_when_the_end_of_their_parent_names_them(registers):
    broker = registers.broker()
    await broker.enable()
    registers.stream.split(registers.stream.open_shard_ids[0])
    children = registers.stream.shards[-2:]
    await broker.name_children(children, broker.generation)

    assert set(await registers.leases(broker.generation)) >= {child.shard_id for child in children}


async def test_a_survey_without_news_writes_nothing(registers):
    broker = registers.broker()
    await broker.enable()
    before = await registers.rows()

    assert not await broker.survey(())
    assert await registers.rows() == before
