from uuid import UUID

import pytest

from broker.aws.clients import Clients
from broker.cli.remains import everything, stream_source, unsettled
from broker.core.lanes import lane_of
from broker.core.lease_rows import checkpoint_key, checkpoint_value
from broker.model.checkpoint import Checkpoint, LaneMarks
from broker.model.stream import AfterSequenceNumber
from broker.sources.dynamodb_streams import DynamoDbStreamSource
from broker.sources.kinesis import KinesisStreamSource
from broker.stores.memory import MemoryStateStore
from broker.testing import InMemoryStream, InMemoryStreamSource, VirtualClock

pytestmark = pytest.mark.anyio
MAPPING = str(UUID(int=1))


class World:
    """A stream of two shards, `a`, `b` … in the first and `z` in the second, and the positions in it."""

    def __init__(self) -> None:
        stream = InMemoryStream("clicks", shard_count=2, clock=VirtualClock())
        self.first, self.second = stream.open_shard_ids
        self.numbers = [stream.put(key, key, shard_id=self.first) for key in "abcd"]
        stream.put("z", "z", shard_id=self.second)
        self.source = InMemoryStreamSource(stream)
        self.store = MemoryStateStore()

    async def save(self, shard_id: str, checkpoint: Checkpoint) -> None:
        generation = (await self.source.describe()).generation
        key = checkpoint_key(generation, shard_id)
        await self.store.write(MAPPING, key, checkpoint_value(1, checkpoint), version=0, nonce="n")

    async def left(self) -> list[str]:
        return [record.key.decode() for record in await unsettled(self.source, self.store, MAPPING)]


async def test_everything_is_what_the_stream_has_in_all_shards() -> None:
    world = World()
    assert [record.key for record in await everything(world.source)] == [b"a", b"b", b"c", b"d", b"z"]


async def test_without_positions_nothing_is_settled() -> None:
    assert await World().left() == ["a", "b", "c", "d", "z"]


async def test_what_precedes_the_position_is_settled() -> None:
    world = World()
    await world.save(world.first, Checkpoint(position=AfterSequenceNumber(number=world.numbers[1])))
    assert await world.left() == ["c", "d", "z"]


async def test_what_a_lane_has_settled_ahead_of_the_others_is_settled() -> None:
    world = World()
    marks: list[str | None] = [None, None]
    marks[lane_of(b"d", 2)] = world.numbers[3]
    position = AfterSequenceNumber(number=world.numbers[0])
    await world.save(world.first, Checkpoint(position=position, lanes=(LaneMarks(factor=2, marks=tuple(marks)),)))
    others = [key for key in "bc" if lane_of(key.encode(), 2) != lane_of(b"d", 2)]
    assert await world.left() == [*others, "z"]


async def test_a_finished_shard_holds_nothing_more() -> None:
    world = World()
    await world.save(world.first, Checkpoint(position=AfterSequenceNumber(number=world.numbers[0]), finished=True))
    assert await world.left() == ["z"]


def test_a_consumers_stream_is_polled() -> None:
    arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks/consumer/shop:1700000000"
    assert isinstance(stream_source(arn, Clients()), KinesisStreamSource)


def test_a_tables_stream_is_one_of_dynamodb() -> None:
    arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/stock/stream/2026-01-31T09:00:00.000"
    assert isinstance(stream_source(arn, Clients()), DynamoDbStreamSource)
