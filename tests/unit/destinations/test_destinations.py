"""Destinations send one failure record, once, and say why one was not taken."""

from typing import Any

import anyio.lowlevel
import orjson
import pytest
from botocore.exceptions import ClientError

from broker.aws.faults import QUEUE_MISSING, Call, Refusal, service_fault
from broker.aws.signature import JsonApi
from broker.aws.signed_call import Answer
from broker.destinations.failure_record import failure_record
from broker.destinations.opening import open_destination
from broker.destinations.s3 import object_key
from broker.errors import DestinationError
from broker.model.discard import DiscardedBatch
from broker.model.invocation import PAYLOAD_LIMIT_BYTES
from broker.model.payload import Payload
from broker.ports import Destination
from tests.unit.destinations.discards import KINESIS_SHARD, NOW, REQUEST, UUID, closed_window, discarded, origin

pytestmark = pytest.mark.anyio

QUEUE = "arn:aws:sqs:eu-west-1:210987654321:failures"
TOPIC = "arn:aws:sns:eu-west-1:210987654321:failures"
BUCKET = "arn:aws:s3:::failures"
URL = "http://elsewhere:9/210987654321/failures"
PLACES = (QUEUE, TOPIC, BUCKET)
OPERATIONS = {QUEUE: "SendMessage", TOPIC: "Publish", BUCKET: "PutObject"}


class FakeAws:
    """Stands for the clients, a signed endpoint and clients of botocore; remembers what it was asked."""

    def __init__(self) -> None:
        self.api = JsonApi(service="sqs", region="eu-west-1", endpoint_url="http://here", target_prefix="AmazonSQS")
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.opened: list[tuple[str, str, int | None]] = []
        self.refusals: dict[str, Refusal] = {}
        self.urls: list[object] = [URL]

    async def json_endpoint(self, service: str, region: str) -> "FakeAws":
        self.opened.append((service, region, None))
        return self

    async def client(self, service: str, region: str, *, attempts: int) -> "FakeAws":
        self.opened.append((service, region, attempts))
        return self

    async def call(self, operation: str, request: dict[str, Any], *, resource: str = "") -> Answer:
        self.asked.append((operation, request))
        await anyio.lowlevel.checkpoint()
        if refusal := self.refusals.get(operation):
            raise service_fault(Call(operation=operation, resource=resource, endpoint="here"), refusal)
        return Answer({"QueueUrl": self.urls.pop(0)} if operation == "GetQueueUrl" else {}, None)

    async def publish(self, **request: Any) -> None:
        await self._asked("Publish", request)

    async def put_object(self, **request: Any) -> None:
        await self._asked("PutObject", request)

    async def _asked(self, operation: str, request: dict[str, Any]) -> None:
        self.asked.append((operation, request))
        await anyio.lowlevel.checkpoint()
        if refusal := self.refusals.get(operation):
            raise ClientError({"Error": {"Code": refusal.code, "Message": refusal.text}}, operation)


@pytest.fixture
def aws() -> FakeAws:
    return FakeAws()


def destination(aws: FakeAws, arn: str) -> Destination:
    return open_destination(arn, region="us-east-2", clients=aws, origin=origin())  # type: ignore[arg-type]


async def send(to: Destination, given_up: DiscardedBatch | None = None, *, now: float = NOW) -> None:
    await to.send(given_up or discarded(), shard_id=KINESIS_SHARD, request_id=REQUEST, now=now)


async def error_of(aws: FakeAws, arn: str, code: str, text: str = "") -> DestinationError:
    aws.refusals[OPERATIONS[arn]] = Refusal(code, text)
    with pytest.raises(DestinationError) as caught:
        await send(destination(aws, arn))
    return caught.value


def record(*, payload: bool) -> bytes:
    return failure_record(
        discarded(), origin(), shard_id=KINESIS_SHARD, request_id=REQUEST, now=NOW, with_payload=payload
    )


# ---- what is sent


async def test_a_queue_gets_where_the_records_stand(aws) -> None:
    await send(destination(aws, QUEUE))
    assert aws.asked == [
        ("GetQueueUrl", {"QueueName": "failures", "QueueOwnerAWSAccountId": "210987654321"}),
        ("SendMessage", {"QueueUrl": URL, "MessageBody": record(payload=False).decode()}),
    ]
    assert aws.opened == [("sqs", "eu-west-1", None)]


async def test_a_topic_gets_the_same_in_one_attempt(aws) -> None:
    await send(destination(aws, TOPIC))
    assert aws.asked == [("Publish", {"TopicArn": TOPIC, "Message": record(payload=False).decode()})]
    assert aws.opened == [("sns", "eu-west-1", 1)]


async def test_a_bucket_of_the_mappings_region_gets_the_event_too_in_one_attempt(aws) -> None:
    await send(destination(aws, BUCKET))
    ((operation, request),) = aws.asked
    assert (operation, request["Bucket"], request["ContentType"]) == (
        "PutObject",
        "failures",
        "application/octet-stream",
    )
    assert request["Body"] == record(payload=True)
    assert request["Key"] == object_key(discarded(), origin(), shard_id=KINESIS_SHARD, request_id=REQUEST, now=NOW)
    assert aws.opened == [("s3", "us-east-2", 1)]


@pytest.mark.parametrize("arn", PLACES)
async def test_the_end_of_a_window_is_sent_too(aws, arn: str) -> None:
    await send(destination(aws, arn), closed_window())
    assert "timeWindowInfo" in str(aws.asked[-1])


async def test_the_largest_event_makes_an_object(aws) -> None:
    event = b'{"Records":["' + b'\\"' * ((PAYLOAD_LIMIT_BYTES - 15) // 2) + b'"]}'
    await send(destination(aws, BUCKET), discarded(payload=Payload.of_bytes(event)))
    assert orjson.loads(aws.asked[0][1]["Body"])["payload"].encode() == event


# ---- names of objects


def key_of(given_up: DiscardedBatch, *, now: float = NOW, request_id: str = REQUEST) -> str:
    return object_key(given_up, origin(), shard_id=KINESIS_SHARD, request_id=request_id, now=now)


def test_an_objects_name_has_the_mapping_the_shard_and_the_records_own_time_in_utc() -> None:
    folder, _, name = key_of(discarded()).rpartition("/")
    assert folder == f"aws/lambda/{UUID}/{KINESIS_SHARD}/2019/11/14"
    assert name.startswith("2019-11-14T00.38.06-")
    assert len(name) == len("2019-11-14T00.38.06-") + 36


def test_a_time_stamp_that_rounds_up_to_the_next_day_names_that_day() -> None:
    assert "/2019/11/15/2019-11-15T00.00.00-" in key_of(discarded(), now=1573775999.9996)


async def test_a_repetition_writes_the_same_object_again(aws) -> None:
    bucket = destination(aws, BUCKET)
    aws.refusals["PutObject"] = Refusal("500")
    with pytest.raises(DestinationError):
        await send(bucket)
    aws.refusals.clear()
    await send(bucket)
    first, second = [request for _, request in aws.asked]
    assert first == second


def test_other_records_have_another_object_though_their_request_and_instant_are_the_same() -> None:
    keys = [
        key_of(discarded()),
        key_of(discarded(number=2)),
        key_of(discarded(first="1")),
        key_of(discarded(last="2")),
        key_of(discarded(), request_id="another"),
    ]
    assert len(set(keys)) == len(keys)


# ---- faults


async def test_the_url_of_a_queue_is_asked_for_once_and_again_when_the_queue_has_vanished(aws) -> None:
    queue = destination(aws, QUEUE)
    aws.urls = [URL, f"{URL}-again"]
    await send(queue)
    await send(queue)
    aws.refusals["SendMessage"] = Refusal(QUEUE_MISSING)
    with pytest.raises(DestinationError, match=r"the queue does not exist.*Create it") as caught:
        await send(queue)
    assert (caught.value.retryable, caught.value.too_large) == (True, False)
    aws.refusals.clear()
    await send(queue)
    urls = [request["QueueUrl"] for operation, request in aws.asked if operation == "SendMessage"]
    assert urls == [URL, URL, URL, f"{URL}-again"]


async def test_a_queues_url_that_makes_no_sense_is_a_fault(aws) -> None:
    aws.urls = [None]
    with pytest.raises(DestinationError, match="cannot be understood"):
        await send(destination(aws, QUEUE))


@pytest.mark.parametrize(
    ("arn", "code", "what"),
    [
        (TOPIC, "NotFound", "the topic does not exist"),
        (BUCKET, "NoSuchBucket", "the bucket does not exist"),
        (TOPIC, "KMSDisabled", "the key that encrypts it cannot be used"),
        (BUCKET, "KMS.DisabledException", "the key that encrypts it cannot be used"),
        *[(arn, "AccessDenied", "access is denied") for arn in PLACES],
        (BUCKET, "SlowDown", "the service throttles"),
        (BUCKET, "503", "the service has a problem"),
    ],
)
async def test_what_an_operator_can_mend_is_told_and_worth_another_attempt(aws, arn: str, code: str, what: str) -> None:
    error = await error_of(aws, arn, code)
    assert (error.code, error.retryable, error.too_large) == (code, True, False)
    assert str(error).startswith(f"{OPERATIONS[arn]} of {arn}")
    assert what in str(error)


@pytest.mark.parametrize(
    ("arn", "code", "text"),
    [
        (QUEUE, "InvalidParameterValue", "Reason: Message must be shorter than 1048576 bytes."),
        (QUEUE, "MessageTooLong", ""),
        (TOPIC, "InvalidParameter", "Invalid parameter: Message too long"),
        (BUCKET, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size"),
    ],
)
async def test_what_is_too_large_can_never_be_taken(aws, arn: str, code: str, text: str) -> None:
    error = await error_of(aws, arn, code, text)
    assert (error.code, error.retryable, error.too_large) == (code, False, True)
    assert "too large" in str(error)


async def test_another_parameter_that_is_wrong_is_not_taken_for_the_size(aws) -> None:
    error = await error_of(aws, TOPIC, "InvalidParameter", "Invalid parameter: TopicArn")
    assert not error.too_large


# ---- ARNs


@pytest.mark.parametrize(
    ("arn", "what"),
    [
        ("failures", "is not an ARN"),
        (f"{QUEUE}.fifo", "standard SQS queue"),
        ("arn:aws:sqs::210987654321:failures", "standard SQS queue"),
        (f"{TOPIC}.fifo", "standard SNS topic"),
        (f"{TOPIC}:8a21d249-4329-4871-acc6-7be709c6ea7f", "standard SNS topic"),
        (f"{BUCKET}/folder", "S3 bucket"),
        ("arn:aws:s3:eu-west-1:210987654321:accesspoint/failures", "S3 bucket"),
        ("arn:aws:events:eu-west-1:210987654321:event-bus/failures", "they go to SQS, SNS or S3"),
    ],
)
def test_what_takes_no_failure_record_is_refused(aws, arn: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        destination(aws, arn)
