"""What `validate --live` makes of AWS's answers about streams, consumers and destinations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from broker.aws.signed_call import Answer
from broker.cli.exits import ExitCode
from broker.cli.findings import Finding
from broker.cli.live_streams import NO_SHARD, ask_stream, retention_findings
from broker.config import parse_mapping
from broker.errors import SourceError
from broker.model.stream import StreamDescription
from broker.model.stream_mapping import StreamMapping

pytestmark = pytest.mark.anyio
KINESIS = "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks"
CONSUMER = f"{KINESIS}/consumer/shop:1"
DYNAMODB = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/x"
QUEUE = "arn:aws:sqs:eu-west-1:123456789012:failed"
DENIED = SourceError("denied", code="AccessDeniedException")
HOUR = 3600.0
SOURCE = "EventSourceMappings[0].EventSourceArn"
DESTINATION = "EventSourceMappings[0].DestinationConfig.OnFailure.Destination"

KINESIS_ANSWERS: dict[str, Any] = {
    "DescribeStreamSummary": {
        "StreamDescriptionSummary": {
            "StreamStatus": "ACTIVE",
            "StreamCreationTimestamp": 1.0,
            "RetentionPeriodHours": 24,
        }
    },
    "ListShards": {
        "Shards": [
            {"ShardId": "shardId-0", "SequenceNumberRange": {"EndingSequenceNumber": "9"}},
            {"ShardId": "shardId-1", "SequenceNumberRange": {}},
        ]
    },
    "GetShardIterator": {"ShardIterator": "i"},
    "GetRecords": {"Records": [], "NextShardIterator": "j", "MillisBehindLatest": 0},
    "DescribeStreamConsumer": {"ConsumerDescription": {"ConsumerStatus": "ACTIVE"}},
    "SubscribeToShard": SourceError("no such shard", code="ResourceNotFoundException"),
}
DYNAMODB_ANSWERS: dict[str, Any] = {
    "DescribeStream": {"StreamDescription": {"StreamStatus": "ENABLED", "Shards": [{"ShardId": "shardId-0"}]}},
    "GetShardIterator": {"ShardIterator": "i"},
    "GetRecords": {"Records": [], "NextShardIterator": "j"},
}
QUEUE_ANSWERS: dict[str, Any] = {
    "GetQueueUrl": {"QueueUrl": "http://queue"},
    "SendMessageBatch": SourceError("empty", code="AWS.SimpleQueueService.EmptyBatchRequest"),
}


@dataclass
class Service:
    """Answers, or errors, by operation: an endpoint that is called, and a client with methods alike."""

    answers: Mapping[str, Any]
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    api: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(host="localhost"))

    async def call(self, operation: str, request: dict[str, Any], **_: Any) -> Answer:
        self.asked.append((operation, request))
        answer = self.answers[operation]
        if isinstance(answer, SourceError):
            raise answer
        return Answer(answer, None)

    async def get_topic_attributes(self, **request: Any) -> None:
        await self.call("GetTopicAttributes", request)

    async def publish_batch(self, **request: Any) -> None:
        await self.call("PublishBatch", request)

    async def head_bucket(self, **request: Any) -> None:
        await self.call("HeadBucket", request)


@dataclass
class World:
    """Services by name, as `Clients` has them."""

    services: Mapping[str, Service]

    async def json_endpoint(self, service: str, region: str) -> Service:
        assert region == "eu-west-1"
        return self.services[service]

    client = json_endpoint


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def mapping(arn: str = KINESIS, **fields: Any) -> StreamMapping:
    made = parse_mapping(event_source_arn=arn, function_name="shop", **{"starting_position": "LATEST", **fields})
    assert isinstance(made, StreamMapping)
    return made


def sent_to(destination: str) -> StreamMapping:
    return mapping(destination_config={"on_failure": {"destination": destination}})


async def asked(about: StreamMapping, **answers: Mapping[str, Any]) -> list[Finding]:
    world = World({name: Service(each) for name, each in {"kinesis": KINESIS_ANSWERS, **answers}.items()})
    return [finding async for finding in ask_stream(about, "EventSourceMappings[0]", world)]


def told(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return [(finding.severity, finding.path, finding.message) for finding in findings]


async def test_a_stream_that_can_be_read_is_no_problem() -> None:
    assert told(await asked(mapping())) == [
        ("ok", SOURCE, "the stream is there; open shards: 1"),
        ("ok", SOURCE, "reading (kinesis:GetShardIterator, GetRecords) is permitted"),
    ]
    assert told(await asked(mapping(DYNAMODB), dynamodbstreams=DYNAMODB_ANSWERS)) == [
        ("ok", SOURCE, "the stream is there; open shards: 1"),
        ("ok", SOURCE, "reading (dynamodb:GetShardIterator, GetRecords) is permitted"),
    ]


async def test_a_missing_stream_is_a_mistake_in_awss_words() -> None:
    missing = {"DescribeStreamSummary": SourceError("gone", code="ResourceNotFoundException")}
    (finding,) = await asked(mapping(), kinesis=missing)
    assert finding.message.startswith(f"Stream not found: {KINESIS}")
    assert (finding.severity, finding.exit_code) == ("error", ExitCode.USER)


@pytest.mark.parametrize("operation", ["DescribeStreamSummary", "ListShards"])
async def test_a_stream_that_may_not_be_seen_is_the_worlds_fault(operation: str) -> None:
    (finding,) = await asked(mapping(), kinesis={**KINESIS_ANSWERS, operation: DENIED})
    assert (finding.severity, finding.path, finding.exit_code) == ("error", SOURCE, ExitCode.WORLD)


@pytest.mark.parametrize("operation", ["GetShardIterator", "GetRecords"])
async def test_a_stream_that_may_not_be_read_is_named(operation: str) -> None:
    finding = (await asked(mapping(), kinesis={**KINESIS_ANSWERS, operation: DENIED}))[-1]
    assert finding.message.startswith("reading (kinesis:GetShardIterator, GetRecords) is not permitted: ")
    assert finding.exit_code == ExitCode.WORLD


async def test_a_stream_that_is_busy_is_readable() -> None:
    busy = SourceError("busy", code="ProvisionedThroughputExceededException")
    finding = (await asked(mapping(), kinesis={**KINESIS_ANSWERS, "GetRecords": busy}))[-1]
    assert finding.severity == "ok"


async def test_a_stream_without_shards_cannot_be_asked() -> None:
    finding = (await asked(mapping(), kinesis={**KINESIS_ANSWERS, "ListShards": {"Shards": []}}))[-1]
    assert (finding.severity, "has no shards" in finding.message) == ("warning", True)


# ---- consumers


async def test_a_consumer_is_asked_for_a_shard_that_cannot_be() -> None:
    world = World({"kinesis": Service(KINESIS_ANSWERS)})
    findings = [finding async for finding in ask_stream(mapping(CONSUMER), "EventSourceMappings[0]", world)]
    assert told(findings)[1:] == [
        ("ok", SOURCE, "the consumer is ACTIVE"),
        ("ok", SOURCE, "kinesis:SubscribeToShard is permitted"),
    ]
    operation, request = world.services["kinesis"].asked[-1]
    assert (operation, request["ConsumerARN"], request["ShardId"]) == ("SubscribeToShard", CONSUMER, NO_SHARD)


@pytest.mark.parametrize(
    ("answers", "severities"),
    [
        ({"SubscribeToShard": DENIED}, ["ok", "error"]),
        ({"DescribeStreamConsumer": DENIED}, ["ok"]),
        (
            {"DescribeStreamConsumer": {"ConsumerDescription": {"ConsumerStatus": "CREATING"}}},
            ["warning", "ok"],
        ),
        ({"DescribeStreamConsumer": SourceError("gone", code="ResourceNotFoundException")}, ["error"]),
        ({"DescribeStreamConsumer": SourceError("down", code="InternalFailure")}, ["error"]),
        ({"SubscribeToShard": {}}, ["ok"]),
    ],
)
async def test_a_consumer_in_trouble_is_told_of(answers: dict[str, Any], severities: list[str]) -> None:
    findings = await asked(mapping(CONSUMER), kinesis={**KINESIS_ANSWERS, **answers})
    assert [finding.severity for finding in findings[1:]] == severities


# ---- retention


@pytest.mark.parametrize(
    ("fields", "paths"),
    [
        ({"maximum_record_age_in_seconds": 86_400}, []),
        ({"maximum_record_age_in_seconds": 86_401}, ["MaximumRecordAgeInSeconds"]),
        ({"starting_position": "AT_TIMESTAMP", "starting_position_timestamp": 10}, []),
        ({"starting_position": "AT_TIMESTAMP", "starting_position_timestamp": 9}, ["StartingPositionTimestamp"]),
    ],
)
def test_what_a_stream_no_longer_has_is_told_of(fields: dict[str, Any], paths: list[str]) -> None:
    description = StreamDescription(generation="1", retention_seconds=24 * HOUR, server_at=24 * HOUR + 10)
    found = retention_findings("p", mapping(**fields), description)
    assert [(finding.severity, finding.path) for finding in found] == [("warning", f"p.{path}") for path in paths]


# ---- destinations


@pytest.mark.parametrize(
    ("destination", "service", "answers", "severity", "text"),
    [
        (QUEUE, "sqs", QUEUE_ANSWERS, "ok", "sqs:SendMessage is permitted"),
        (QUEUE, "sqs", {**QUEUE_ANSWERS, "SendMessageBatch": {}}, "ok", "sqs:SendMessage is permitted"),
        (
            QUEUE,
            "sqs",
            {"GetQueueUrl": SourceError("gone", code="AWS.SimpleQueueService.NonExistentQueue")},
            "error",
            f"the destination {QUEUE} does not exist",
        ),
        (
            QUEUE,
            "sqs",
            {**QUEUE_ANSWERS, "SendMessageBatch": DENIED},
            "error",
            "sqs:SendMessage is not permitted: denied",
        ),
        (QUEUE, "sqs", {"GetQueueUrl": SourceError("down", code="InternalFailure")}, "error", "down"),
        (
            QUEUE.replace("sqs", "sns"),
            "sns",
            {"GetTopicAttributes": DENIED, "PublishBatch": SourceError("empty", code="EmptyBatchRequest")},
            "ok",
            "sns:Publish is permitted",
        ),
        (
            QUEUE.replace("sqs", "sns"),
            "sns",
            {"GetTopicAttributes": SourceError("gone", code="NotFound")},
            "error",
            f"the destination {QUEUE.replace('sqs', 'sns')} does not exist",
        ),
        (
            QUEUE.replace("sqs", "sns"),
            "sns",
            {"GetTopicAttributes": {}, "PublishBatch": SourceError("no", code="AuthorizationError")},
            "error",
            "sns:Publish is not permitted: no",
        ),
        (
            "arn:aws:s3:::failed",
            "s3",
            {"HeadBucket": {}},
            "ok",
            "the bucket is there; whether s3:PutObject is permitted shows when it is used",
        ),
        (
            "arn:aws:s3:::failed",
            "s3",
            {"HeadBucket": SourceError("no", code="403")},
            "error",
            "s3:ListBucket is not permitted: no",
        ),
        (
            "arn:aws:s3:::failed",
            "s3",
            {"HeadBucket": SourceError("no", code="404")},
            "error",
            "the destination arn:aws:s3:::failed does not exist",
        ),
    ],
)
async def test_a_destination_is_reached_or_named(
    destination: str, service: str, answers: dict[str, Any], severity: str, text: str
) -> None:
    finding = (await asked(sent_to(destination), **{service: answers}))[-1]
    assert (finding.severity, finding.path, finding.message) == (severity, DESTINATION, text)
