"""A DynamoDB stream is asked what it should be asked, and every kind of answer is understood."""

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from broker.aws.faults import Call, Refusal, service_fault
from broker.aws.signature import JsonApi
from broker.aws.signed_call import Answer
from broker.errors import ReadFault, ShardReadError
from broker.model.stream import (
    AfterSequenceNumber,
    AtSequenceNumber,
    AtTimestamp,
    Page,
    Position,
    Shard,
    StreamDescription,
    TrimHorizon,
)
from broker.sources.dynamodb_streams import DynamoDbShardReader, DynamoDbStreamSource

pytestmark = pytest.mark.anyio

LABEL = "2015-06-27T00:48:05.899"
ARN = f"arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/{LABEL}"
SHARD = "shardId-00000001573689847184-864758bb"
DESCRIBED = {"StreamDescription": {"StreamArn": ARN, "Shards": []}}
MISSING = Refusal("ResourceNotFoundException", "Requested resource not found")
NOON = 1_733_400_000.0
"""A whole minute."""


class FixedClock:
    def now(self) -> float:
        return 1000.25


class FakeEndpoint:
    """Answers from a table, or from lists one after the other, and remembers what it was asked."""

    def __init__(self) -> None:
        self.api = JsonApi(service="dynamodb", region="eu-west-1", endpoint_url="http://here", target_prefix="X")
        self.answers: dict[str, Any] = {"GetShardIterator": {"ShardIterator": "i-0"}, "DescribeStream": DESCRIBED}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.resources: list[str] = []
        self.sent_at: float | None = None

    async def call(self, operation: str, request: dict[str, Any], *, resource: str = "") -> Answer:
        self.asked.append((operation, dict(request)))
        self.resources.append(resource)
        await anyio.lowlevel.checkpoint()
        answer = self.answers[operation]
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, Refusal):
            raise service_fault(Call(operation=operation, resource=resource, endpoint="here"), answer)
        return Answer(answer, self.sent_at)

    def requests(self, operation: str) -> list[dict[str, Any]]:
        return [request for name, request in self.asked if name == operation]


class FakeClients:
    region: str | None = "eu-central-1"

    def __init__(self, endpoint: FakeEndpoint) -> None:
        self._endpoint = endpoint
        self.opened: list[tuple[str, str]] = []

    async def json_endpoint(self, service: str, region: str) -> FakeEndpoint:
        self.opened.append((service, region))
        return self._endpoint


@pytest.fixture
def endpoint() -> FakeEndpoint:
    return FakeEndpoint()


@pytest.fixture
def clients(endpoint: FakeEndpoint) -> FakeClients:
    return FakeClients(endpoint)


@pytest.fixture
def source(clients: FakeClients) -> DynamoDbStreamSource:
    return DynamoDbStreamSource(arn=ARN, clients=clients, clock=FixedClock())  # type: ignore[arg-type]


@pytest.fixture
def reader(source: DynamoDbStreamSource) -> DynamoDbShardReader:
    return source.reader(SHARD)


def wire(number: int, created_at: float = NOON) -> dict[str, Any]:
    return {
        "eventID": f"e-{number}",
        "eventName": "INSERT",
        "dynamodb": {"ApproximateCreationDateTime": created_at, "Keys": {}, "SequenceNumber": str(number)},
    }


def answer(*records: dict[str, Any], next_iterator: str | None = "i-1") -> dict[str, Any]:
    return {"Records": list(records), **({"NextShardIterator": next_iterator} if next_iterator else {})}


def numbers(page: Page) -> list[str]:
    return [record.identifier for record in page.records]


async def fault_of(reader: DynamoDbShardReader, position: Position | None = None) -> ShardReadError:
    with pytest.raises(ShardReadError) as caught:
        await reader.read(position or TrimHorizon(), maximum_count=10)
    return caught.value


@pytest.mark.parametrize(
    "arn",
    [
        "orders",
        "arn:aws:kinesis:eu-west-1:123456789012:stream/orders",
        "arn:aws:dynamodb:eu-west-1:123456789012:table/orders",
        "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/",
        "arn:aws:dynamodb:eu-west-1:123456789012:backup/orders/stream/x",
        f"arn:aws:dynamodb::123456789012:table/orders/stream/{LABEL}",
    ],
)
def test_what_is_no_stream_of_dynamodb_is_refused(clients, arn: str) -> None:
    with pytest.raises(ValueError, match="ARN"):
        DynamoDbStreamSource(arn=arn, clients=clients, clock=FixedClock())


# ---- the stream


async def test_the_label_tells_one_stream_of_a_table_from_the_next(source, endpoint, clients) -> None:
    endpoint.sent_at = 1000.0
    description = await source.describe()
    assert description == StreamDescription(generation=LABEL, retention_seconds=86_400.0, server_at=1000.25)
    assert endpoint.asked == [("DescribeStream", {"StreamArn": ARN, "Limit": 1})]
    assert clients.opened == [("dynamodbstreams", "eu-west-1")]


@pytest.mark.parametrize(("configured", "signed_for"), [("eu-central-1", "eu-central-1"), (None, "ddblocal")])
async def test_dynamodb_local_is_asked_in_the_region_of_the_environment(clients, configured, signed_for) -> None:
    clients.region = configured
    arn = ARN.replace("eu-west-1:123456789012", "ddblocal:000000000000")
    await DynamoDbStreamSource(arn=arn, clients=clients, clock=FixedClock()).describe()
    assert clients.opened == [("dynamodbstreams", signed_for)]


async def test_a_stream_that_is_gone_says_what_to_do(source, endpoint) -> None:
    endpoint.answers["DescribeStream"] = MISSING
    with pytest.raises(ShardReadError, match=r"does not exist .*correct EventSourceArn") as caught:
        await source.describe()
    assert (caught.value.fault, caught.value.retryable) == (ReadFault.STREAM_GONE, True)
    assert ARN in str(caught.value)
    assert len(endpoint.asked) == 1


async def test_every_page_of_the_listing_is_read(source, endpoint) -> None:
    closed = {"StartingSequenceNumber": "1", "EndingSequenceNumber": "9"}
    pages = [
        {"Shards": [{"ShardId": "a", "SequenceNumberRange": closed}], "LastEvaluatedShardId": "a"},
        {"Shards": [{"ShardId": "b", "ParentShardId": "a", "SequenceNumberRange": {}}], "LastEvaluatedShardId": "b"},
        {"Shards": [{"ShardId": "c", "ParentShardId": "gone"}]},
    ]
    endpoint.answers["DescribeStream"] = [{"StreamDescription": page} for page in pages]
    assert await source.list_shards() == (
        Shard(shard_id="a", is_closed=True),
        Shard(shard_id="b", parents=("a",)),
        Shard(shard_id="c", parents=("gone",)),
    )
    assert [request.get("ExclusiveStartShardId") for request in endpoint.requests("DescribeStream")] == [None, "a", "b"]


async def test_a_shard_that_closes_while_pages_are_read_is_listed_once(source, endpoint) -> None:
    closed = {"ShardId": "a", "SequenceNumberRange": {"EndingSequenceNumber": "9"}}
    pages = [{"Shards": [{"ShardId": "a"}], "LastEvaluatedShardId": "a"}, {"Shards": [closed]}]
    endpoint.answers["DescribeStream"] = [{"StreamDescription": page} for page in pages]
    assert await source.list_shards() == (Shard(shard_id="a", is_closed=True),)


@pytest.mark.parametrize(
    "described",
    [
        {},
        {"StreamDescription": None},
        {"StreamDescription": {"Shards": [{}]}},
        {"StreamDescription": {"Shards": [], "LastEvaluatedShardId": "a"}},
    ],
)
async def test_a_listing_that_makes_no_sense_is_a_fault_and_not_a_stream_without_shards(
    source, endpoint, described
) -> None:
    endpoint.answers["DescribeStream"] = described
    with pytest.raises(ShardReadError, match="cannot be understood") as caught:
        await source.list_shards()
    assert caught.value.fault is ReadFault.OTHER


# ---- places


@pytest.mark.parametrize(
    ("position", "asked"),
    [
        (TrimHorizon(), {"ShardIteratorType": "TRIM_HORIZON"}),
        (AtTimestamp(at=NOON), {"ShardIteratorType": "TRIM_HORIZON"}),
        (AtSequenceNumber(number="07"), {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "SequenceNumber": "07"}),
        (AfterSequenceNumber(number="07"), {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": "07"}),
    ],
)
async def test_a_place_is_opened_by_its_iterator(reader, endpoint, position: Position, asked: dict[str, str]) -> None:
    endpoint.answers["GetRecords"] = answer()
    await reader.read(position, maximum_count=10)
    assert endpoint.asked == [
        ("GetShardIterator", {"StreamArn": ARN, "ShardId": SHARD, **asked}),
        ("GetRecords", {"ShardIterator": "i-0", "Limit": 10}),
    ]
    assert endpoint.resources == [f"{SHARD} of {ARN}"] * 2


async def test_reading_goes_on_where_the_page_before_ended(reader, endpoint) -> None:
    endpoint.answers["GetRecords"] = [answer(wire(1)), answer(wire(2), next_iterator="i-2")]
    pages = [await reader.read(TrimHorizon(), maximum_count=10), await reader.read(None, maximum_count=5_000)]
    assert [numbers(page) for page in pages] == [["1"], ["2"]]
    assert endpoint.requests("GetRecords")[1] == {"ShardIterator": "i-1", "Limit": 1_000}
    assert len(endpoint.requests("GetShardIterator")) == 1


async def test_a_page_says_when_it_came_and_not_how_far_behind_it_is(reader, endpoint) -> None:
    endpoint.answers["GetRecords"] = answer(wire(1))
    endpoint.sent_at = 1007.0
    page = await reader.read(TrimHorizon(), maximum_count=10)
    assert (page.read_at, page.server_at, page.behind_ms) == (1000.25, 1007.0, None)
    assert (page.is_last, page.has_more, page.read_through, page.children) == (False, False, None, ())
    assert page.records[0].event["eventSourceARN"] == ARN
    assert page.records[0].event["awsRegion"] == "eu-west-1"


async def test_a_page_without_a_next_iterator_is_the_shards_end(reader, endpoint) -> None:
    endpoint.answers["GetRecords"] = answer(wire(1), next_iterator=None)
    page = await reader.read(TrimHorizon(), maximum_count=10)
    assert (numbers(page), page.is_last) == (["1"], True)
    with pytest.raises(ShardReadError, match="no place in the shard is open"):
        await reader.read(None, maximum_count=10)
    await reader.aclose()


# ---- AT_TIMESTAMP


async def test_older_records_are_skipped_until_the_first_that_is_not(reader, endpoint) -> None:
    endpoint.answers["GetRecords"] = [
        answer(wire(1, NOON + 1), wire(2, NOON + 4)),
        answer(wire(3, NOON + 4), wire(4, NOON + 5), wire(5, NOON + 4)),
        answer(wire(6, NOON + 3)),
    ]
    first = await reader.read(AtTimestamp(at=NOON + 5.7), maximum_count=10)
    second, third = [await reader.read(None, maximum_count=10) for _ in range(2)]
    assert [numbers(page) for page in (first, second, third)] == [[], ["4", "5"], ["6"]]
    assert [page.read_through for page in (first, second, third)] == [None, None, None]


async def test_a_whole_minute_may_stand_for_any_instant_in_it(reader, endpoint) -> None:
    endpoint.answers["GetRecords"] = answer(
        wire(1, NOON - 60), wire(2, NOON), wire(3, NOON + 4), wire(4, NOON), wire(5, NOON + 4)
    )
    page = await reader.read(AtTimestamp(at=NOON + 59.7), maximum_count=10)
    assert (numbers(page), page.read_through) == (["2", "4"], None)


@pytest.mark.parametrize("operation", ["GetRecords", "GetShardIterator"])
async def test_skipping_goes_on_where_a_call_fails(reader, endpoint, operation: str) -> None:
    place, opened = AtTimestamp(at=NOON + 5), {"ShardIterator": "i-0"}
    endpoint.answers["GetRecords"] = [
        answer(wire(1, NOON + 1), wire(2, NOON + 1)),
        Refusal("LimitExceededException"),
        answer(wire(3, NOON + 4), wire(4, NOON + 5)),
    ]
    assert numbers(await reader.read(place, maximum_count=10)) == []
    with pytest.raises(ShardReadError):
        await reader.read(None, maximum_count=10)
    if operation == "GetShardIterator":
        endpoint.answers[operation] = [Refusal("LimitExceededException"), opened]
        assert (await fault_of(reader, place)).fault is ReadFault.THROTTLED
    assert numbers(await reader.read(place, maximum_count=10)) == ["4"]
    assert endpoint.requests("GetShardIterator")[-1]["SequenceNumber"] == "2"


@pytest.mark.parametrize("operation", ["GetRecords", "GetShardIterator"])
async def test_where_what_was_skipped_is_trimmed_meanwhile_skipping_begins_at_the_horizon(
    reader, endpoint, operation: str
) -> None:
    place, trimmed, opened = AtTimestamp(at=NOON + 5), Refusal("TrimmedDataAccessException"), {"ShardIterator": "i-0"}
    endpoint.answers["GetRecords"] = [
        answer(wire(1, NOON + 1)),
        Refusal("LimitExceededException"),
        *([trimmed] if operation == "GetRecords" else []),
        answer(wire(3, NOON + 4), wire(4, NOON + 5)),
    ]
    await reader.read(place, maximum_count=10)
    with pytest.raises(ShardReadError):
        await reader.read(None, maximum_count=10)
    endpoint.answers["GetShardIterator"] = [trimmed, opened] if operation == "GetShardIterator" else opened
    assert (await fault_of(reader, place)).fault is ReadFault.EXPIRED_ITERATOR
    assert numbers(await reader.read(place, maximum_count=10)) == ["4"]
    assert endpoint.requests("GetShardIterator")[-1]["ShardIteratorType"] == "TRIM_HORIZON"


async def test_another_place_forgets_what_was_to_be_skipped(reader, endpoint) -> None:
    endpoint.answers["GetRecords"] = answer(wire(1, NOON + 1))
    assert numbers(await reader.read(AtTimestamp(at=NOON + 9), maximum_count=10)) == []
    assert numbers(await reader.read(TrimHorizon(), maximum_count=10)) == ["1"]


# ---- faults


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("ExpiredIteratorException", ReadFault.EXPIRED_ITERATOR),
        ("TrimmedDataAccessException", ReadFault.TRIMMED),
        ("LimitExceededException", ReadFault.THROTTLED),
        ("ProvisionedThroughputExceededException", ReadFault.THROTTLED),
        ("ThrottlingException", ReadFault.THROTTLED),
        ("InternalServerError", ReadFault.OTHER),
        ("AccessDeniedException", ReadFault.OTHER),
    ],
)
@pytest.mark.parametrize("operation", ["GetShardIterator", "GetRecords"])
async def test_a_fault_says_what_to_do_about_the_shard(
    reader, endpoint, operation: str, code: str, fault: ReadFault
) -> None:
    endpoint.answers[operation] = Refusal(code)
    error = await fault_of(reader, AfterSequenceNumber(number="7"))
    assert (error.fault, error.code, error.retryable) == (fault, code, True)
    assert str(error).startswith(f"{operation} of {SHARD} of {ARN} at here failed: ")


async def test_a_request_that_is_not_understood_is_not_worth_another_attempt(reader, endpoint) -> None:
    endpoint.answers["GetRecords"] = Refusal("ValidationException", "Invalid ShardIterator")
    error = await fault_of(reader)
    assert (error.fault, error.retryable) == (ReadFault.OTHER, False)
    assert "AWS_ENDPOINT_URL_DYNAMODB_STREAMS" in str(error)


async def test_after_a_fault_the_place_is_to_be_opened_again(reader, endpoint) -> None:
    endpoint.answers["GetRecords"] = [answer(wire(1)), Refusal("ThrottlingException"), answer(wire(2))]
    await reader.read(TrimHorizon(), maximum_count=10)
    for fault in (ReadFault.THROTTLED, ReadFault.EXPIRED_ITERATOR):
        with pytest.raises(ShardReadError) as caught:
            await reader.read(None, maximum_count=10)
        assert caught.value.fault is fault
    assert numbers(await reader.read(AfterSequenceNumber(number="1"), maximum_count=10)) == ["2"]


async def test_after_a_read_that_was_cancelled_the_place_is_to_be_opened_again(reader, endpoint) -> None:
    endpoint.answers["GetRecords"] = [answer(wire(1)), answer(wire(2))]
    await reader.read(TrimHorizon(), maximum_count=10)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await reader.read(None, maximum_count=10)
    with pytest.raises(ShardReadError) as caught:
        await reader.read(None, maximum_count=10)
    assert caught.value.fault is ReadFault.EXPIRED_ITERATOR


@pytest.mark.parametrize("operation", ["GetShardIterator", "GetRecords"])
@pytest.mark.parametrize(
    ("described", "fault"),
    [
        (DESCRIBED, ReadFault.SHARD_GONE),
        (MISSING, ReadFault.STREAM_GONE),
        (Refusal("ThrottlingException"), ReadFault.THROTTLED),
        (Refusal("InternalServerError"), ReadFault.OTHER),
    ],
)
async def test_a_shard_is_gone_only_if_its_stream_is_known_to_be_there(
    reader, endpoint, operation: str, described: object, fault: ReadFault
) -> None:
    endpoint.answers[operation] = MISSING
    endpoint.answers["DescribeStream"] = described
    assert (await fault_of(reader)).fault is fault


@pytest.mark.parametrize("position", [TrimHorizon(), AtTimestamp(at=NOON)])
async def test_a_horizon_that_moves_before_its_first_record_is_read_loses_nothing(reader, endpoint, position) -> None:
    endpoint.answers["GetRecords"] = [answer(), Refusal("TrimmedDataAccessException")]
    await reader.read(position, maximum_count=10)
    with pytest.raises(ShardReadError) as caught:
        await reader.read(None, maximum_count=10)
    assert (caught.value.fault, caught.value.code) == (ReadFault.EXPIRED_ITERATOR, "TrimmedDataAccessException")


async def test_a_horizon_that_moves_past_the_place_of_reading_is_told(reader, endpoint) -> None:
    endpoint.answers["GetRecords"] = [answer(wire(1)), Refusal("TrimmedDataAccessException")]
    await reader.read(TrimHorizon(), maximum_count=10)
    with pytest.raises(ShardReadError) as caught:
        await reader.read(None, maximum_count=10)
    assert caught.value.fault is ReadFault.TRIMMED


@pytest.mark.parametrize(
    ("operation", "reply"),
    [
        ("GetShardIterator", {}),
        ("GetRecords", {"Records": [{}]}),
        ("GetRecords", {"Records": 7}),
        ("GetRecords", {"Records": [{"dynamodb": {}}]}),
    ],
)
async def test_an_answer_that_makes_no_sense_is_a_fault_and_not_an_empty_page(
    reader, endpoint, operation: str, reply: object
) -> None:
    endpoint.answers[operation] = reply
    error = await fault_of(reader)
    assert (error.fault, error.code) == (ReadFault.OTHER, "UnreadableAnswer")
