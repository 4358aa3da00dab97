"""The streams and tables inside the emulator: made and filled from outside the broker."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiobotocore.session import AioSession, get_session

from broker.cli.emulated_clients import emulated_client, making
from broker.cli.emulator import Emulator
from broker.model.arn import Arn

TABLE_KEY = "id"
"""The partition key of every table that is made here, a text."""


class EmulatedStreams:
    """Kinesis streams, and DynamoDB tables with a stream, of one account and region of the emulator."""

    def __init__(self, kinesis: Any, dynamodb: Any, emulator: Emulator) -> None:
        self._kinesis = kinesis
        self._dynamodb = dynamodb
        self._emulator = emulator

    def arn(self, name: str) -> str:
        """The ARN of a Kinesis stream."""
        account, region = self._emulator.account_id, self._emulator.region
        return str(Arn(partition="aws", service="kinesis", region=region, account=account, resource=f"stream/{name}"))

    async def create_stream(self, name: str, *, shard_count: int) -> str:
        """Makes a Kinesis stream and returns its ARN. Raises `SourceError`."""
        with making("CreateStream", name):
            await self._kinesis.create_stream(StreamName=name, ShardCount=shard_count)
        return self.arn(name)

    async def register_consumer(self, stream_arn: str, name: str) -> str:
        """Registers a consumer for enhanced fan-out and returns its ARN, which ends in the present time.

        Raises `SourceError`.
        """
        with making("RegisterStreamConsumer", name):
            answer = await self._kinesis.register_stream_consumer(StreamARN=stream_arn, ConsumerName=name)
        arn: str = answer["Consumer"]["ConsumerARN"]
        return arn

    async def create_table(self, name: str) -> str:
        """Makes a table whose stream has new and old images; returns the stream's ARN, which ends in the present time.

        Its only key is `TABLE_KEY`. Raises `SourceError`.
        """
        with making("CreateTable", name):
            answer = await self._dynamodb.create_table(
                TableName=name,
                AttributeDefinitions=[{"AttributeName": TABLE_KEY, "AttributeType": "S"}],
                KeySchema=[{"AttributeName": TABLE_KEY, "KeyType": "HASH"}],
                BillingMode="PAY_PER_REQUEST",
                StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
            )
        arn: str = answer["TableDescription"]["LatestStreamArn"]
        return arn

    async def put_records(self, name: str, records: Sequence[tuple[str, bytes]]) -> int:
        """Puts records, each a partition key and its data; returns how many the stream took."""
        entries = [{"PartitionKey": key, "Data": data} for key, data in records]
        answer = await self._kinesis.put_records(StreamName=name, Records=entries)
        return len(entries) - int(answer["FailedRecordCount"])

    async def put_item(self, table: str, item: Mapping[str, Any]) -> None:
        """Puts an item, in DynamoDB's own JSON; where it differs from what was there the stream has one record more."""
        await self._dynamodb.put_item(TableName=table, Item=item)


@asynccontextmanager
async def emulated_streams(emulator: Emulator, *, session: AioSession | None = None) -> AsyncIterator[EmulatedStreams]:
    """Opens clients for the emulator's account and region."""
    session = session or get_session()
    async with (
        emulated_client("kinesis", emulator, session=session) as kinesis,
        emulated_client("dynamodb", emulator, session=session) as dynamodb,
    ):
        yield EmulatedStreams(kinesis, dynamodb, emulator)
