"""A Kinesis source asks for the stream and its shards what it should ask, and reads every kind of answer."""

from typing import Any

import pytest

from broker.aws.faults import Refusal
from broker.errors import ReadFault, ShardReadError
from broker.model.stream import Shard, StreamDescription, TrimHorizon
from broker.sources.kinesis import KinesisStreamSource
from tests.unit.sources.kinesis_world import ARN, CONSUMER_ARN, ROLE, SHARD, FakeClients, FakeEndpoint, wire_record
from tests.unit.testing.clocks import HandClock

pytestmark = pytest.mark.anyio

NAMED = {"StreamName": "lambda-stream", "StreamARN": ARN}
SUMMARY = {
    "StreamName": "lambda-stream",
    "StreamStatus": "ACTIVE",
    "RetentionPeriodHours": 24,
    "StreamCreationTimestamp": 1.545084650e9,
}


@pytest.fixture
def endpoint() -> FakeEndpoint:
    return FakeEndpoint()


@pytest.fixture
def clock() -> HandClock:
    return HandClock(1_545_090_000.25)


def source_of(endpoint: FakeEndpoint, clock: HandClock, arn: str = ARN, role_arn: str | None = ROLE) -> Any:
    return KinesisStreamSource(arn=arn, clients=FakeClients(endpoint), clock=clock, role_arn=role_arn)  # type: ignore[arg-type]


@pytest.fixture
def source(endpoint: FakeEndpoint, clock: HandClock) -> KinesisStreamSource:
    return source_of(endpoint, clock)


def listed(number: int, parent: int | None = None, adjacent: int | None = None, *, closed: bool = False) -> Any:
    return {
        "ShardId": f"s-{number}",
        "ParentShardId": None if parent is None else f"s-{parent}",
        **({} if adjacent is None else {"AdjacentParentShardId": f"s-{adjacent}"}),
        "SequenceNumberRange": {"StartingSequenceNumber": "1", "EndingSequenceNumber": "2" if closed else None},
    }


async def test_a_stream_is_described_by_name_and_arn(source, endpoint) -> None:
    endpoint.answer("DescribeStreamSummary", {"StreamDescriptionSummary": SUMMARY})
    description = await source.describe()
    assert endpoint.asked == [("DescribeStreamSummary", NAMED)]
    assert description == StreamDescription(
        generation="1545084650.0", retention_seconds=86400.0, server_at=1_545_090_000.25
    )


@pytest.mark.parametrize(
    ("sent_at", "server_at"),
    [
        (None, 1_545_090_000.25),
        (1_545_090_000.0, 1_545_090_000.25),
        (1_545_090_001.0, 1_545_090_001.0),
        (1_545_089_999.0, 1_545_089_999.0),
    ],
)
async def test_the_time_of_a_stream_is_rather_too_early_than_too_late(source, endpoint, sent_at, server_at) -> None:
    endpoint.answer("DescribeStreamSummary", {"StreamDescriptionSummary": SUMMARY})
    endpoint.sent_at = sent_at
    assert (await source.describe()).server_at == server_at


async def test_a_stream_that_was_made_again_has_another_generation(source, endpoint) -> None:
    later = {**SUMMARY, "StreamCreationTimestamp": 1545084650.123}
    endpoint.answer("DescribeStreamSummary", {"StreamDescriptionSummary": SUMMARY}, {"StreamDescriptionSummary": later})
    assert (await source.describe()).generation != (await source.describe()).generation


@pytest.mark.parametrize(
    ("status", "fault", "said"),
    [("CREATING", ReadFault.OTHER, "being created"), ("DELETING", ReadFault.STREAM_GONE, "being deleted")],
)
async def test_a_stream_that_comes_or_goes_is_not_described(source, endpoint, status, fault, said) -> None:
    endpoint.answer("DescribeStreamSummary", {"StreamDescriptionSummary": {**SUMMARY, "StreamStatus": status}})
    with pytest.raises(ShardReadError, match=said) as caught:
        await source.describe()
    assert caught.value.fault is fault
    assert caught.value.retryable


async def test_every_page_of_the_listing_is_read(source, endpoint) -> None:
    endpoint.answer(
        "ListShards",
        {"Shards": [listed(0, closed=True), listed(1, closed=True)], "NextToken": "t-1"},
        {"Shards": [listed(2, 0, 1)], "NextToken": "t-2"},
        {"Shards": [listed(3, 2)], "NextToken": None},
    )
    assert await source.list_shards() == (
        Shard(shard_id="s-0", is_closed=True),
        Shard(shard_id="s-1", is_closed=True),
        Shard(shard_id="s-2", parents=("s-0", "s-1")),
        Shard(shard_id="s-3", parents=("s-2",)),
    )
    assert endpoint.requests("ListShards") == [
        {**NAMED, "MaxResults": 1000},
        {"NextToken": "t-1", "MaxResults": 1000},
        {"NextToken": "t-2", "MaxResults": 1000},
    ]


async def test_a_listing_that_goes_round_is_a_fault(source, endpoint) -> None:
    endpoint.answer("ListShards", {"Shards": [listed(0)], "NextToken": "t-1"})
    with pytest.raises(ShardReadError, match="cannot be understood"):
        await source.list_shards()


@pytest.mark.parametrize(
    ("refusal", "fault", "said"),
    [
        (Refusal("ResourceNotFoundException", "Stream x under account 1 not found."), ReadFault.STREAM_GONE, "no such"),
        (Refusal("LimitExceededException", "Rate exceeded"), ReadFault.THROTTLED, "used up"),
        (Refusal("ThrottlingException"), ReadFault.THROTTLED, "throttles"),
        (Refusal("ResourceInUseException"), ReadFault.OTHER, "being changed"),
        (Refusal("AccessDeniedException", "not authorized to perform kinesis:ListShards"), ReadFault.OTHER, "denied"),
        (Refusal("503"), ReadFault.OTHER, "has a problem"),
    ],
)
async def test_a_fault_says_what_to_do(source, endpoint, refusal, fault, said) -> None:
    endpoint.answer("ListShards", refusal)
    with pytest.raises(ShardReadError, match=f"ListShards of {ARN} .*{said}") as caught:
        await source.list_shards()
    assert (caught.value.fault, caught.value.code, caught.value.retryable) == (fault, refusal.code, True)


async def test_an_endpoint_that_serves_something_else_is_not_asked_for_ever(source, endpoint) -> None:
    endpoint.answer("ListShards", Refusal("UnknownOperationException"))
    with pytest.raises(ShardReadError, match="AWS_ENDPOINT_URL_KINESIS") as caught:
        await source.list_shards()
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("operation", "answer", "ask"),
    [
        ("DescribeStreamSummary", {}, lambda source: source.describe()),
        ("DescribeStreamSummary", {"StreamDescriptionSummary": []}, lambda source: source.describe()),
        (
            "DescribeStreamSummary",
            {"StreamDescriptionSummary": {**SUMMARY, "StreamCreationTimestamp": "yesterday"}},
            lambda source: source.describe(),
        ),
        ("ListShards", {}, lambda source: source.list_shards()),
        ("ListShards", {"Shards": [{"ShardId": "s"}]}, lambda source: source.list_shards()),
    ],
)
async def test_an_answer_of_another_shape_is_a_fault(source, endpoint, operation, answer, ask) -> None:
    endpoint.answer(operation, answer)
    with pytest.raises(ShardReadError, match=f"{operation} of {ARN} at here failed: the answer cannot be") as caught:
        await ask(source)
    assert caught.value.fault is ReadFault.OTHER


async def test_the_stream_of_a_consumer_is_asked_for_by_the_streams_arn(endpoint, clock) -> None:
    endpoint.answer("ListShards", {"Shards": []})
    assert await source_of(endpoint, clock, CONSUMER_ARN).list_shards() == ()
    assert endpoint.asked == [("ListShards", {**NAMED, "MaxResults": 1000})]


@pytest.mark.parametrize("arn", [ARN, CONSUMER_ARN])
async def test_events_name_the_configured_arn_and_the_role(endpoint, clock, arn) -> None:
    endpoint.answer("GetShardIterator", {"ShardIterator": "i"})
    answer = {"Records": [wire_record()], "MillisBehindLatest": 0, "ContinuationSequenceNumber": "1"}
    endpoint.answer("GetRecords", answer)
    endpoint.answer("SubscribeToShard", [answer])
    reader = source_of(endpoint, clock, arn).reader(SHARD)
    (record,) = (await reader.read(TrimHorizon(), maximum_count=10)).records
    assert record.event["eventSourceARN"] == arn
    assert record.event["invokeIdentityArn"] == ROLE
    assert record.event["awsRegion"] == "us-east-2"
    await reader.aclose()


async def test_without_a_role_an_arn_of_its_form_stands_for_it(endpoint, clock) -> None:
    endpoint.answer("GetShardIterator", {"ShardIterator": "i"})
    endpoint.answer("GetRecords", {"Records": [wire_record()]})
    arn = "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/s"
    reader = source_of(endpoint, clock, arn, None).reader(SHARD)
    (record,) = (await reader.read(TrimHorizon(), maximum_count=10)).records
    assert record.event["invokeIdentityArn"] == "arn:aws-cn:iam::123456789012:role/event-source-broker"


@pytest.mark.parametrize(
    "arn",
    [
        "orders",
        "arn:aws:sqs:eu-west-1:123456789012:orders",
        "arn:aws:kinesis::123456789012:stream/s",
        "arn:aws:kinesis:eu-west-1:123456789012:s",
        "arn:aws:kinesis:eu-west-1:123456789012:stream/",
        "arn:aws:kinesis:eu-west-1:123456789012:stream/a/b",
    ],
)
async def test_what_is_no_stream_is_refused(arn: str, endpoint, clock) -> None:
    with pytest.raises(ValueError, match="not"):
        source_of(endpoint, clock, arn)


async def test_the_stream_is_asked_in_its_own_region(endpoint, clock) -> None:
    endpoint.answer("ListShards", {"Shards": []})
    clients = FakeClients(endpoint)
    arn = "arn:aws-us-gov:kinesis:us-gov-west-1:123456789012:stream/s"
    source = KinesisStreamSource(arn=arn, clients=clients, clock=clock)  # type: ignore[arg-type]
    await source.list_shards()
    await source.list_shards()
    assert clients.opened == [("kinesis", "us-gov-west-1")]
