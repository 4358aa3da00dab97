"""Four ways to read a shard of a DynamoDB stream and handle what it holds, a page at a time."""

import random
import uuid
from collections.abc import Callable
from typing import Any

from broker.aws.clients import Clients
from broker.core.lease_rows import checkpoint_key
from broker.core.shard_consumer import ShardConsumer
from broker.core.stream_policy import PacePolicy, StreamPolicy
from broker.executors.in_process import InProcessExecutor
from broker.model.checkpoint import Checkpoint
from broker.model.invocation import Invocation, InvocationResult, Succeeded
from broker.model.payload import Payload
from broker.model.stream import TrimHorizon
from broker.runtime.clock import SystemClock
from broker.runtime.driver import Driver
from broker.runtime.positions import Positions
from broker.runtime.shard_performer import ShardPerformer
from broker.runtime.target import Target
from broker.sources.dynamodb_streams import DynamoDbStreamSource
from broker.stores.memory import MemoryStateStore
from tests.benchmarks.dynamodb_pages import RECORDS_PER_PAGE
from tests.benchmarks.handlers import Column, Messages, Tally
from tests.benchmarks.sqs_loops import LeanApi

REGION = "eu-west-1"
ARN = f"arn:aws:dynamodb:{REGION}:123456789012:table/orders/stream/2026-11-14T00:04:06.388"
SHARD = "shardId-00000001790000000000-864758bb"
Handle = Callable[[Messages], None]


async def consume_plainly(client: Any, handle: Handle, tally: Tally) -> None:
    answer = await client.get_shard_iterator(StreamArn=ARN, ShardId=SHARD, ShardIteratorType="TRIM_HORIZON")
    iterator = answer["ShardIterator"]
    while not tally.is_full:
        page = await client.get_records(ShardIterator=iterator, Limit=1_000)
        iterator = page["NextShardIterator"]
        records = page["Records"]
        handle(records)
        tally.handled += len(records)


async def consume_leanly(api: LeanApi, handle: Handle, tally: Tally) -> None:
    request = {"StreamArn": ARN, "ShardId": SHARD, "ShardIteratorType": "TRIM_HORIZON"}
    iterator = (await api.call("GetShardIterator", request))["ShardIterator"]
    while not tally.is_full:
        page = await api.call("GetRecords", {"ShardIterator": iterator, "Limit": 1_000})
        iterator = page["NextShardIterator"]
        records = page["Records"]
        handle(records)
        tally.handled += len(records)


async def consume_by_source(source: DynamoDbStreamSource, handle: Handle, tally: Tally) -> None:
    """Our source without the pipeline: where the time goes."""
    reader = source.reader(SHARD)
    position: TrimHorizon | None = TrimHorizon()
    while not tally.is_full:
        page = await reader.read(position, maximum_count=1_000)
        position = None
        handle([record.event for record in page.records])
        tally.handled += len(page.records)


class RemoteStandIn:
    """An executor that makes the bytes of a request and sends them nowhere."""

    concurrency = None

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        self._tally.handled += invocation.payload.bytes.count(b'"eventID":"')
        return Succeeded(response=Payload.of_bytes(b"null"))


async def consume_by_broker(clients: Clients, column: Column, tally: Tally) -> None:
    """The product: source, consumer, driver, executor, checkpoints in memory."""
    clock = SystemClock()
    driver: Driver[Any, Any]

    async def handler(event: dict[str, Any], context: object) -> None:
        column.handle(event["Records"])
        tally.handled += len(event["Records"])

    def observe(observation: object) -> None:
        if tally.is_full:
            driver.stop(clock.now() + 30)

    source = DynamoDbStreamSource(arn=ARN, clients=clients, clock=clock)
    positions = Positions(
        MemoryStateStore(),
        partition="mapping",
        key=checkpoint_key("label", SHARD),
        epoch=1,
        new_id=uuid.uuid4,
    )
    start = await positions.fence(Checkpoint(position=TrimHorizon()))
    pace = PacePolicy(idle_seconds=0.0, minimum_seconds=0.0, bytes_per_second=1e12, maximum_count=1_000)
    policy = StreamPolicy(stream_arn=ARN, batch_size=RECORDS_PER_PAGE, pace=pace)
    performer = ShardPerformer(
        shard_id=SHARD,
        reader=source.reader(SHARD),
        positions=positions,
        executor=RemoteStandIn(tally) if column.remote else InProcessExecutor(handler=handler, clock=clock),
        destination=None,
        target=Target(function_name="orders", function_arn="arn:aws:lambda:eu-west-1:123456789012:function:orders"),
        run_id=uuid.uuid4(),
        clock=clock,
        chance=random.random,
        observe=observe,
    )
    consumer = ShardConsumer(policy, shard_id=SHARD, start=start, lease_until=clock.now() + 3600)
    driver = Driver(consumer=consumer, performer=performer, clock=clock)
    await driver.run()
