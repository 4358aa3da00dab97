"""Four ways to read a shard a thousand records at a time, and handle them."""

import random
import uuid
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import orjson

from broker.aws.clients import Clients
from broker.core.lease_rows import checkpoint_key
from broker.core.shard_consumer import ShardConsumer
from broker.core.stream_policy import PacePolicy, StreamPolicy
from broker.executors.in_process import InProcessExecutor
from broker.model.checkpoint import Checkpoint
from broker.model.invocation import Invocation, InvocationResult, Succeeded
from broker.model.observation import BatchSettled
from broker.model.payload import Payload
from broker.model.stream import TrimHorizon
from broker.runtime.clock import SystemClock
from broker.runtime.driver import Driver
from broker.runtime.positions import Positions
from broker.runtime.shard_performer import ShardPerformer
from broker.runtime.target import Target
from broker.sources.kinesis import KinesisStreamSource
from broker.stores.memory import MemoryStateStore
from tests.benchmarks.handlers import Column, Messages, Tally
from tests.benchmarks.sqs_loops import LeanApi

REGION = "eu-west-1"
ARN = f"arn:aws:kinesis:{REGION}:123456789012:stream/orders"
SHARD = "shardId-000000000000"
PAGE_COUNT = 1_000


async def consume_plainly(client: Any, handle: Callable[[Messages], None], tally: Tally) -> None:
    place = await client.get_shard_iterator(StreamARN=ARN, ShardId=SHARD, ShardIteratorType="TRIM_HORIZON")
    iterator = place["ShardIterator"]
    while not tally.is_full:
        page = await client.get_records(ShardIterator=iterator, Limit=PAGE_COUNT)
        iterator = page["NextShardIterator"]
        handle(page["Records"])
        tally.handled += len(page["Records"])


def serialise_plainly(records: Messages) -> None:
    """Makes the body of a request to a remote handler from what botocore returns: payloads are bytes."""
    len(orjson.dumps({"Records": records}, default=_encoded))


def _encoded(value: bytes) -> str:
    return b64encode(value).decode()


async def consume_leanly(api: LeanApi, handle: Callable[[Messages], None], tally: Tally) -> None:
    place = {"StreamARN": ARN, "ShardId": SHARD, "ShardIteratorType": "TRIM_HORIZON"}
    iterator = (await api.call("GetShardIterator", place))["ShardIterator"]
    while not tally.is_full:
        page = await api.call("GetRecords", {"ShardIterator": iterator, "Limit": PAGE_COUNT, "StreamARN": ARN})
        iterator = page["NextShardIterator"]
        handle(page["Records"])
        tally.handled += len(page["Records"])


def kinesis_source(clients: Clients) -> KinesisStreamSource:
    return KinesisStreamSource(arn=ARN, clients=clients, clock=SystemClock())


async def consume_by_source(source: KinesisStreamSource, column: Column, tally: Tally) -> None:
    """Our source without the pipeline: where the time goes."""
    reader = source.reader(SHARD)
    page = await reader.read(TrimHorizon(), maximum_count=PAGE_COUNT)
    while True:
        if column.remote:
            len(b",".join([record.json for record in page.records]))
        else:
            column.handle([record.event for record in page.records])
        tally.handled += len(page.records)
        if tally.is_full:
            return
        page = await reader.read(None, maximum_count=PAGE_COUNT)


class RemoteStandIn:
    """An executor that makes the bytes of a request and sends them nowhere."""

    concurrency = None

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        len(invocation.payload.bytes)
        return Succeeded(response=Payload.of_bytes(b"null"))


async def consume_by_broker(source: KinesisStreamSource, column: Column, tally: Tally) -> None:
    """The product: source, consumer, driver, executor, checkpoints in memory."""
    clock = SystemClock()

    def observe(observation: object) -> None:
        if isinstance(observation, BatchSettled):
            tally.handled += observation.acked_count
            if tally.is_full:
                driver.stop(clock.now() + 30)

    async def handler(event: dict[str, Any], context: object) -> None:
        column.handle(event["Records"])

    store = MemoryStateStore()
    positions = Positions(
        store, partition="mapping", key=checkpoint_key("generation", SHARD), epoch=1, new_id=uuid.uuid4
    )
    start = await positions.fence(Checkpoint(position=TrimHorizon()))
    performer = ShardPerformer(
        shard_id=SHARD,
        reader=source.reader(SHARD),
        positions=positions,
        executor=RemoteStandIn() if column.remote else InProcessExecutor(handler=handler, clock=clock),
        destination=None,
        target=Target(function_name="orders", function_arn="arn:aws:lambda:eu-west-1:123456789012:function:orders"),
        run_id=uuid.uuid4(),
        clock=clock,
        chance=random.random,
        observe=observe,
    )
    pace = PacePolicy(idle_seconds=0.0, minimum_seconds=0.0, bytes_per_second=1e12, maximum_count=PAGE_COUNT)
    policy = StreamPolicy(stream_arn=ARN, batch_size=PAGE_COUNT, pace=pace)
    consumer = ShardConsumer(policy, shard_id=SHARD, start=start, lease_until=clock.now() + 3600)
    driver = Driver(consumer=consumer, performer=performer, clock=clock)
    await driver.run()
