"""On-failure destinations against servers: two implementations of SQS, SNS and S3 that share no code."""

import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
import pytest_asyncio

from broker.aws.clients import Clients
from broker.cli.emulator import Emulator
from broker.destinations.failure_record import failure_record
from broker.destinations.opening import open_destination
from broker.errors import DestinationError
from broker.model.discard import DiscardedBatch
from broker.model.invocation import PAYLOAD_LIMIT_BYTES
from broker.model.payload import Payload
from tests.emulator import ACCOUNT_ID, REGION, enter
from tests.integration import images
from tests.integration.containers import running_container
from tests.unit.destinations.discards import KINESIS_SHARD, NOW, REQUEST, UUID, closed_window, discarded, origin

pytestmark = [pytest.mark.containers, pytest.mark.asyncio]


@pytest.fixture(scope="module")
def ministack() -> Iterator[Emulator]:
    names = {"MINISTACK_ACCOUNT_ID": ACCOUNT_ID, "MINISTACK_REGION": REGION}
    with running_container(images.MINISTACK, port=4566, account_id=ACCOUNT_ID, **names) as server:
        yield server


@pytest.fixture(scope="module")
def moto() -> Iterator[Emulator]:
    with running_container(images.MOTO, port=5000, account_id=ACCOUNT_ID) as server:
        yield server


@dataclass(kw_only=True)
class World:
    """A queue, a topic that feeds it, and a bucket, of their own for one test."""

    clients: Clients
    name: str
    queue_url: str
    topic: str

    @property
    def queue(self) -> str:
        return f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{self.name}"

    @property
    def bucket(self) -> str:
        return f"arn:aws:s3:::{self.name}"

    async def send(self, arn: str, given_up: DiscardedBatch) -> None:
        to = open_destination(arn, region=REGION, clients=self.clients, origin=origin())
        await to.send(given_up, shard_id=KINESIS_SHARD, request_id=REQUEST, now=NOW)

    async def received(self) -> str:
        sqs = await self.clients.client("sqs", REGION)
        answer = await sqs.receive_message(QueueUrl=self.queue_url, WaitTimeSeconds=10)
        (message,) = answer["Messages"]
        return str(message["Body"])

    async def objects(self) -> dict[str, Any]:
        s3 = await self.clients.client("s3", REGION)
        listing = await s3.list_objects_v2(Bucket=self.name)
        return {found["Key"]: await s3.get_object(Bucket=self.name, Key=found["Key"]) for found in listing["Contents"]}


@pytest_asyncio.fixture(params=["ministack", "moto"])
async def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    enter(request.getfixturevalue(request.param), monkeypatch)
    async with Clients() as clients:
        sqs, sns, s3 = [await clients.client(service, REGION) for service in ("sqs", "sns", "s3")]
        name = f"failures-{uuid.uuid4().hex}"
        queue = await sqs.create_queue(QueueName=name)
        topic = await sns.create_topic(Name=name)
        await s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        world = World(clients=clients, name=name, queue_url=queue["QueueUrl"], topic=topic["TopicArn"])
        await sns.subscribe(TopicArn=world.topic, Protocol="sqs", Endpoint=world.queue)
        yield world


def record(given_up: DiscardedBatch, *, payload: bool = False) -> str:
    return failure_record(
        given_up, origin(), shard_id=KINESIS_SHARD, request_id=REQUEST, now=NOW, with_payload=payload
    ).decode()


@pytest.mark.parametrize("given_up", [discarded(), closed_window()], ids=["records", "window"])
async def test_a_queue_gets_the_record_byte_for_byte(world: World, given_up: DiscardedBatch) -> None:
    await world.send(world.queue, given_up)
    assert await world.received() == record(given_up)


async def test_a_topic_hands_on_the_same_record(world: World) -> None:
    await world.send(world.topic, discarded())
    assert orjson.loads(await world.received())["Message"] == record(discarded())


async def test_a_bucket_gets_the_record_with_the_event_under_aws_name(world: World) -> None:
    await world.send(world.bucket, discarded())
    ((key, found),) = (await world.objects()).items()
    assert key.startswith(f"aws/lambda/{UUID}/{KINESIS_SHARD}/2019/11/14/2019-11-14T00.38.06-")
    assert found["ContentType"] == "application/octet-stream"
    assert (await found["Body"].read()).decode() == record(discarded(), payload=True)


async def test_a_repetition_leaves_one_object(world: World) -> None:
    for _ in range(2):
        await world.send(world.bucket, discarded())
    assert len(await world.objects()) == 1


async def test_the_largest_event_that_lambda_takes_arrives_in_the_bucket(world: World) -> None:
    event = b'{"Records":["' + b'\\"' * ((PAYLOAD_LIMIT_BYTES - 15) // 2) + b'"]}'
    await world.send(world.bucket, discarded(payload=Payload.of_bytes(event)))
    (found,) = (await world.objects()).values()
    assert orjson.loads(await found["Body"].read())["payload"].encode() == event


@pytest.mark.parametrize("kind", ["queue", "topic", "bucket"])
async def test_what_is_not_there_is_named_with_what_to_do(world: World, kind: str) -> None:
    arn = getattr(world, kind).replace("failures-", "missing-")
    with pytest.raises(DestinationError, match=f"{arn}.* the {kind} does not exist.*Create it") as caught:
        await world.send(arn, discarded())
    assert (caught.value.retryable, caught.value.too_large) == (True, False)
