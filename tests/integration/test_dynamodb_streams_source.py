"""The DynamoDB Streams source against DynamoDB Local, Amazon's own code."""

import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
import pytest_asyncio

from broker.aws.clients import Clients
from broker.cli.emulator import Emulator
from broker.errors import ReadFault, ShardReadError
from broker.model.stream import AfterSequenceNumber, AtSequenceNumber, AtTimestamp, Page, Position, TrimHorizon
from broker.ports import ShardReader
from broker.runtime.clock import SystemClock
from broker.sources.dynamodb_streams import DynamoDbStreamSource
from tests.emulator import ACCOUNT_ID, REGION, enter
from tests.integration import images
from tests.integration.containers import running_container

pytestmark = [pytest.mark.containers, pytest.mark.asyncio]

UNKNOWN_SHARD = "shardId-00000001573689847184-864758bb"
MANY = 1_203
"""More than one answer can bring."""


@pytest.fixture(scope="module")
def dynamodb_local() -> Iterator[Emulator]:
    with running_container(images.DYNAMODB_LOCAL, port=8000, account_id=ACCOUNT_ID) as server:
        yield server


@dataclass(kw_only=True)
class World:
    """A table of its own for one test, and its stream."""

    client: Any
    table: str
    arn: str
    source: DynamoDbStreamSource

    async def put(self, *items: str, **attributes: Any) -> None:
        for item in items:
            await self.client.put_item(TableName=self.table, Item={"Id": {"S": item}, **attributes})

    async def put_many(self, count: int) -> list[str]:
        names = [f"{index:05}" for index in range(count)]
        for start in range(0, count, 25):
            puts = [{"PutRequest": {"Item": {"Id": {"S": name}}}} for name in names[start : start + 25]]
            await self.client.batch_write_item(RequestItems={self.table: puts})
        return names

    async def read(self, position: Position, *, pages: int = 1) -> list[Page]:
        (shard,) = await self.source.list_shards()
        reader = self.source.reader(shard.shard_id)
        found = [await reader.read(position, maximum_count=1_000)]
        return found + [await reader.read(None, maximum_count=1_000) for _ in range(pages - 1)]


@pytest_asyncio.fixture
async def world(dynamodb_local: Emulator, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    enter(dynamodb_local, monkeypatch)
    async with Clients() as clients:
        client = await clients.client("dynamodb", REGION)
        table = f"orders-{uuid.uuid4().hex}"
        made = await client.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": "Id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "Id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        arn = made["TableDescription"]["LatestStreamArn"]
        source = DynamoDbStreamSource(arn=arn, clients=clients, clock=SystemClock())
        yield World(client=client, table=table, arn=arn, source=source)
        await client.delete_table(TableName=table)


async def read_on(reader: ShardReader, *, else_from: Position) -> Page:
    """Where the page before ended; where that place is lost, as a consumer does: from what it knows."""
    try:
        return await reader.read(None, maximum_count=10)
    except ShardReadError as fault:
        if fault.fault is not ReadFault.EXPIRED_ITERATOR:
            raise
        return await reader.read(else_from, maximum_count=10)


def items(*pages: Page) -> list[str]:
    return [record.event["dynamodb"]["Keys"]["Id"]["S"] for page in pages for record in page.records]


async def test_a_stream_is_described_by_its_label(world: World) -> None:
    description = await world.source.describe()
    assert world.arn.endswith(f"/stream/{description.generation}")
    assert description.retention_seconds == 86_400
    assert abs(description.server_at - time.time()) < 60


async def test_a_new_stream_has_one_open_shard(world: World) -> None:
    (shard,) = await world.source.list_shards()
    assert (shard.parents, shard.is_closed) == ((), False)


async def test_a_record_is_what_lambda_delivers(world: World) -> None:
    await world.put("é", bin={"B": b"foobar"}, bins={"BS": [b"\x00", b"\xff"]}, n={"N": "101"})
    await world.put("é", n={"N": "102"})
    await world.client.delete_item(TableName=world.table, Key={"Id": {"S": "é"}})
    (page,) = await world.read(TrimHorizon())
    inserted, modified, removed = [record.event for record in page.records]
    assert list(inserted) == [
        "eventID",
        "eventName",
        "eventVersion",
        "eventSource",
        "awsRegion",
        "dynamodb",
        "eventSourceARN",
    ]
    assert [event["eventName"] for event in (inserted, modified, removed)] == ["INSERT", "MODIFY", "REMOVE"]
    assert inserted["dynamodb"]["NewImage"]["bin"] == {"B": "Zm9vYmFy"}
    assert sorted(inserted["dynamodb"]["NewImage"]["bins"]["BS"]) == ["/w==", "AA=="]
    assert [name for name in modified["dynamodb"] if name.endswith("Image")] == ["NewImage", "OldImage"]
    assert [name for name in removed["dynamodb"] if name.endswith("Image")] == ["OldImage"]
    for record in page.records:
        assert record.json == orjson.dumps(record.event)
        assert record.size_bytes == len(record.json)
        assert record.event["eventSourceARN"] == world.arn
        assert record.key == '{"Id":{"S":"é"}}'.encode()


async def test_a_shard_is_read_in_order_over_several_answers(world: World) -> None:
    names = await world.put_many(MANY)
    pages = await world.read(TrimHorizon(), pages=3)
    assert [len(page.records) for page in pages] == [1_000, MANY - 1_000, 0]
    assert items(*pages) == names
    numbers = [int(record.identifier) for page in pages for record in page.records]
    assert numbers == sorted(set(numbers))


async def test_reading_goes_on_at_or_after_a_record(world: World) -> None:
    await world.put("a", "b", "c")
    (page,) = await world.read(TrimHorizon())
    number = page.records[1].identifier
    assert items(*await world.read(AtSequenceNumber(number=number))) == ["b", "c"]
    assert items(*await world.read(AfterSequenceNumber(number=number))) == ["c"]


async def test_nothing_that_is_written_after_an_instant_is_skipped_from_it_on(world: World) -> None:
    at = time.time()
    await world.put("a", "b")
    assert items(*await world.read(AtTimestamp(at=at))) == ["a", "b"]


async def test_what_is_older_than_an_instant_is_passed_over(world: World) -> None:
    await world.put("a", "b")
    (skipped,) = await world.read(AtTimestamp(at=time.time() + 120))
    assert (items(skipped), skipped.read_through) == ([], None)


async def test_an_idle_shard_is_read_on_though_another_table_is_written(world: World) -> None:
    (shard,) = await world.source.list_shards()
    reader = world.source.reader(shard.shard_id)
    assert items(await reader.read(TrimHorizon(), maximum_count=10)) == []
    other = f"{world.table}-other"
    await world.client.create_table(
        TableName=other,
        KeySchema=[{"AttributeName": "Id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "Id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
    )
    await world.client.put_item(TableName=other, Item={"Id": {"S": "elsewhere"}})
    await world.put("a")
    assert items(await read_on(reader, else_from=TrimHorizon())) == ["a"]


async def test_a_shard_ends_when_its_stream_is_switched_off(world: World) -> None:
    await world.put("a")
    await world.client.update_table(TableName=world.table, StreamSpecification={"StreamEnabled": False})
    (shard,) = await world.source.list_shards()
    (page,) = await world.read(TrimHorizon())
    assert (shard.is_closed, items(page), page.is_last) == (True, ["a"], True)


async def test_a_shard_that_the_stream_does_not_know_is_told_from_a_stream_that_is_not_there(world: World) -> None:
    reader = world.source.reader(UNKNOWN_SHARD)
    with pytest.raises(ShardReadError, match="no such shard") as caught:
        await reader.read(TrimHorizon(), maximum_count=10)
    assert caught.value.fault is ReadFault.SHARD_GONE


async def test_a_stream_that_is_not_there_is_told_everywhere(world: World, dynamodb_local: Emulator) -> None:
    async with Clients() as clients:
        arn = world.arn.replace(world.table, "missing")
        source = DynamoDbStreamSource(arn=arn, clients=clients, clock=SystemClock())
        reader = source.reader(UNKNOWN_SHARD)
        for ask in (source.describe, source.list_shards, lambda: reader.read(TrimHorizon(), maximum_count=1)):
            with pytest.raises(ShardReadError, match="does not exist") as caught:
                await ask()
            assert caught.value.fault is ReadFault.STREAM_GONE
