"""Four ways to receive ten messages, handle them, and delete them."""

import random
import time
import uuid
from collections.abc import Callable
from typing import Any

import aiohttp
import anyio
import orjson
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from broker.aws.clients import Clients
from broker.aws.signature import JsonApi, RequestSigner
from broker.core.queue_consumer import QueueConsumer
from broker.core.queue_policy import QueuePolicy, ScalingPolicy
from broker.executors.in_process import InProcessExecutor
from broker.model.invocation import Invocation, InvocationResult, Succeeded
from broker.model.payload import Payload
from broker.runtime.clock import SystemClock
from broker.runtime.driver import Driver
from broker.runtime.performer import QueuePerformer
from broker.runtime.target import Target
from broker.sources.sqs import SqsQueueSource
from tests.benchmarks.handlers import Column, Messages, Tally

WORKERS = 5
REGION = "eu-west-1"
ARN = f"arn:aws:sqs:{REGION}:123456789012:orders"


async def consume_plainly(client: Any, queue_url: str, handle: Callable[[Messages], None], tally: Tally) -> None:
    while not tally.is_full:
        page = await client.receive_message(
            QueueUrl=queue_url,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=20,
            VisibilityTimeout=30,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        messages = page.get("Messages", [])
        if messages:
            handle(messages)
            entries = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)]
            answer = await client.delete_message_batch(QueueUrl=queue_url, Entries=entries)
            tally.handled += len(answer["Successful"])


Sign = Callable[[str, bytes], dict[str, str]]
"""Makes the headers of a request, from its operation and body."""


TARGET_PREFIXES = {"sqs": "AmazonSQS", "kinesis": "Kinesis_20131202", "dynamodb": "DynamoDBStreams_20120810"}


def botocore_signer(endpoint_url: str, credentials: ReadOnlyCredentials, service: str = "sqs") -> Sign:
    """Signs as botocore does."""
    auth = SigV4Auth(credentials, service, REGION)
    prefix = TARGET_PREFIXES[service]

    def sign(operation: str, body: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"{prefix}.{operation}"}
        request = AWSRequest("POST", endpoint_url + "/", headers=headers, data=body)
        auth.add_auth(request)
        return dict(request.headers)

    return sign


def our_signer(endpoint_url: str, credentials: ReadOnlyCredentials) -> Sign:
    """Signs as the broker does."""
    api = JsonApi(service="sqs", region=REGION, endpoint_url=endpoint_url, target_prefix="AmazonSQS")
    signer = RequestSigner(api)
    return lambda operation, body: signer.headers(operation, body, credentials, at=time.time())


class LeanApi:
    """As little as a signed call can be."""

    def __init__(self, http: aiohttp.ClientSession, endpoint_url: str, sign: Sign) -> None:
        self._http = http
        self._url = endpoint_url
        self._sign = sign

    async def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        body = orjson.dumps(request)
        async with self._http.post(self._url, data=body, headers=self._sign(operation, body)) as response:
            answer: dict[str, Any] = orjson.loads(await response.read())
            return answer


async def consume_leanly(api: LeanApi, queue_url: str, handle: Callable[[Messages], None], tally: Tally) -> None:
    while not tally.is_full:
        request = {
            "QueueUrl": queue_url,
            "MaxNumberOfMessages": 10,
            "WaitTimeSeconds": 20,
            "VisibilityTimeout": 30,
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
        messages = (await api.call("ReceiveMessage", request)).get("Messages", [])
        if messages:
            handle(messages)
            entries = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)]
            answer = await api.call("DeleteMessageBatch", {"QueueUrl": queue_url, "Entries": entries})
            tally.handled += len(answer["Successful"])


async def consume_by_source(source: SqsQueueSource, handle: Callable[[Messages], None], tally: Tally) -> None:
    """Our source without the pipeline: where the time goes."""
    while not tally.is_full:
        records = await source.receive(
            maximum_count=10, wait_seconds=20, visibility_timeout_seconds=30, attempt_id=None
        )
        handle([record.event for record in records])
        failures = await source.delete(records)
        tally.handled += len(records) - len(failures)


class RemoteStandIn:
    """An executor that makes the bytes of a request and sends them nowhere."""

    concurrency = None

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        self._tally.handled += invocation.payload.bytes.count(b'"messageId"')
        return Succeeded(response=Payload.of_bytes(b"null"))


async def consume_by_broker(clients: Clients, column: Column, tally: Tally) -> None:
    """The product: source, consumer, driver, executor."""
    clock = SystemClock()
    driver: Driver

    async def handler(event: dict[str, Any], context: object) -> None:
        column.handle(event["Records"])
        tally.handled += len(event["Records"])

    def observe(observation: object) -> None:
        if tally.is_full:
            driver.stop(clock.now() + 30)

    policy = QueuePolicy(scaling=ScalingPolicy(initial=WORKERS, maximum=WORKERS))
    performer = QueuePerformer(
        source=SqsQueueSource(arn=ARN, clients=clients, clock=clock),
        executor=RemoteStandIn(tally) if column.remote else InProcessExecutor(handler=handler, clock=clock),
        target=Target(function_name="orders", function_arn="arn:aws:lambda:eu-west-1:123456789012:function:orders"),
        run_id=uuid.uuid4(),
        chance=random.random,
        observe=observe,
    )
    driver = Driver(consumer=QueueConsumer(policy), performer=performer, clock=clock)
    await driver.run()


async def side_by_side(loop: Callable[[], Any]) -> None:
    """Runs one loop in each of the workers."""
    async with anyio.create_task_group() as tasks:
        for _ in range(WORKERS):
            tasks.start_soon(loop)
