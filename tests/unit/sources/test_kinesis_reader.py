"""A shard is polled from iterator to iterator; whatever comes is read as AWS means it."""

from typing import Any

import pytest

from broker.aws.faults import Refusal
from broker.errors import ReadFault, ShardReadError
from broker.model.stream import AfterSequenceNumber, AtSequenceNumber, AtTimestamp, Page, Shard, TrimHorizon
from broker.sources.kinesis import KinesisStreamSource
from broker.sources.kinesis_reader import PollingReader
from tests.unit.sources.kinesis_aggregates import aggregate
from tests.unit.sources.kinesis_world import ARN, FIRST, ROLE, SHARD, FakeClients, FakeEndpoint, wire_record
from tests.unit.testing.clocks import HandClock

pytestmark = pytest.mark.anyio

NAMED = {"StreamName": "lambda-stream", "StreamARN": ARN}
CHILDREN = [
    {"ShardId": "s-7", "ParentShards": [SHARD], "HashKeyRange": {}},
    {"ShardId": "s-8", "ParentShards": [SHARD, "s-5"], "HashKeyRange": {}},
]


@pytest.fixture
def endpoint() -> FakeEndpoint:
    endpoint = FakeEndpoint()
    endpoint.answer("GetShardIterator", {"ShardIterator": "i-0"})
    return endpoint


@pytest.fixture
def clock() -> HandClock:
    return HandClock(1000.5)


@pytest.fixture
def reader(endpoint: FakeEndpoint, clock: HandClock) -> Any:
    source = KinesisStreamSource(arn=ARN, clients=FakeClients(endpoint), clock=clock, role_arn=ROLE)  # type: ignore[arg-type]
    return source.reader(SHARD)


def answer(count: int, *, first: int = 0, iterator: str | None = "i-1", **members: Any) -> dict[str, Any]:
    return {
        "Records": [wire_record(first + index) for index in range(count)],
        "NextShardIterator": iterator,
        "MillisBehindLatest": 0,
        **members,
    }


async def read(reader: PollingReader, position: Any = None, count: int = 1000) -> Page:
    return await reader.read(position, maximum_count=count)


def numbers(page: Page) -> list[int]:
    return [int(record.identifier) - FIRST for record in page.records]


@pytest.mark.parametrize(
    ("position", "members"),
    [
        (TrimHorizon(), {"ShardIteratorType": "TRIM_HORIZON"}),
        (AtTimestamp(at=17.25), {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 17.25}),
        (
            AtSequenceNumber(number="7"),
            {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": "7"},
        ),
        (
            AfterSequenceNumber(number="7"),
            {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": "7"},
        ),
    ],
)
async def test_a_place_is_opened_with_an_iterator(reader, endpoint, position, members) -> None:
    endpoint.answer("GetRecords", answer(1))
    await read(reader, position, 7)
    assert endpoint.asked == [
        ("GetShardIterator", {**NAMED, "ShardId": SHARD, **members}),
        ("GetRecords", {"ShardIterator": "i-0", "Limit": 7, "StreamARN": ARN}),
    ]


async def test_reading_goes_on_from_iterator_to_iterator(reader, endpoint) -> None:
    endpoint.answer("GetRecords", answer(2), answer(0, iterator="i-2"), answer(1, first=2, iterator="i-3"))
    pages = [await read(reader, TrimHorizon()), await read(reader), await read(reader)]
    assert [numbers(page) for page in pages] == [[0, 1], [], [2]]
    assert not any(page.is_last or page.has_more for page in pages)
    assert [request["ShardIterator"] for request in endpoint.requests("GetRecords")] == ["i-0", "i-1", "i-2"]
    assert len(endpoint.requests("GetShardIterator")) == 1


async def test_no_more_than_kinesis_allows_is_asked_for(reader, endpoint) -> None:
    endpoint.answer("GetRecords", answer(0))
    await read(reader, TrimHorizon(), 20_000)
    assert endpoint.requests("GetRecords")[0]["Limit"] == 10_000


async def test_a_large_answer_comes_in_parts_without_asking_again(reader, endpoint, clock) -> None:
    endpoint.answer("GetRecords", answer(2_300, MillisBehindLatest=5), answer(1, first=2_300, iterator="i-2"))
    pages = [await read(reader, TrimHorizon(), 10_000)]
    clock.move(9)
    pages += [await read(reader), await read(reader)]
    assert len(endpoint.requests("GetRecords")) == 1
    assert [len(page.records) for page in pages] == [1_000, 1_000, 300]
    assert [number for page in pages for number in numbers(page)] == list(range(2_300))
    assert [page.has_more for page in pages] == [True, True, False]
    assert [page.behind_ms for page in pages] == [5, 5, 5]
    assert [page.read_at for page in pages] == [1000.5, 1000.5, 1000.5]
    assert numbers(await read(reader)) == [2_300]


async def test_a_part_of_exactly_a_thousand_is_the_last_one(reader, endpoint) -> None:
    endpoint.answer("GetRecords", answer(1_000), answer(0))
    assert not (await read(reader, TrimHorizon())).has_more
    assert numbers(await read(reader)) == []


async def test_the_bytes_of_an_answer_count_once(reader, endpoint) -> None:
    records = [wire_record(index, data=bytes(99), key="k") for index in range(1_001)]
    endpoint.answer("GetRecords", {"Records": records, "NextShardIterator": "i-1"})
    first, second = await read(reader, TrimHorizon()), await read(reader)
    assert (first.size_bytes, second.size_bytes) == (1_001 * 100, 0)


@pytest.mark.parametrize("iterator", [None, ""])
async def test_an_answer_without_another_iterator_is_the_end_of_the_shard(reader, endpoint, iterator) -> None:
    endpoint.answer("GetRecords", answer(1_001, iterator=iterator, ChildShards=CHILDREN))
    first, last = await read(reader, TrimHorizon()), await read(reader)
    assert (first.is_last, first.children) == (False, ())
    assert last.is_last
    assert last.children == (
        Shard(shard_id="s-7", parents=(SHARD,)),
        Shard(shard_id="s-8", parents=(SHARD, "s-5")),
    )


async def test_a_missing_iterator_and_no_records_are_the_end_too(reader, endpoint) -> None:
    endpoint.answer("GetRecords", {"Records": []})
    page = await read(reader, TrimHorizon())
    assert (page.is_last, page.children, page.behind_ms) == (True, (), None)


async def test_nothing_can_be_read_before_a_place_is_opened_or_behind_the_end(reader, endpoint) -> None:
    endpoint.answer("GetRecords", answer(0, iterator=None))
    for _ in range(2):
        with pytest.raises(ShardReadError, match="no place in the shard is open") as caught:
            await read(reader)
        assert caught.value.fault is ReadFault.EXPIRED_ITERATOR
        await read(reader, TrimHorizon())
    assert len(endpoint.requests("GetRecords")) == 2


async def test_opening_a_place_forgets_what_was_left(reader, endpoint) -> None:
    endpoint.answer("GetRecords", answer(2_000), answer(1, first=5))
    await read(reader, TrimHorizon())
    assert numbers(await read(reader, AfterSequenceNumber(number=str(FIRST + 4)))) == [5]


async def test_the_services_time_comes_with_the_page(reader, endpoint, clock) -> None:
    endpoint.answer("GetRecords", answer(1))
    endpoint.sent_at = 1003.0
    page = await read(reader, TrimHorizon())
    assert (page.read_at, page.server_at) == (1000.5, 1003.0)


async def test_aggregates_are_left_alone(reader, endpoint) -> None:
    data = aggregate(("a", b"1"), ("b", b"2"))
    endpoint.answer("GetRecords", {"Records": [wire_record(data=data, key="whole")], "NextShardIterator": "i-1"})
    (record,) = (await read(reader, TrimHorizon())).records
    assert record.event["kinesis"]["partitionKey"] == "whole"


GONE_SHARD = f"Shard {SHARD} in stream lambda-stream under account 123456789012 does not exist"
GONE_STREAM = "Stream lambda-stream under account 123456789012 not found."
FOREIGN = (
    f"StartingSequenceNumber 7 used in GetShardIterator on shard {SHARD} in stream lambda-stream under account "
    "123456789012 is invalid because it did not come from this stream."
)


@pytest.mark.parametrize(
    ("refusal", "fault"),
    [
        (Refusal("ResourceNotFoundException", GONE_SHARD), ReadFault.SHARD_GONE),
        (Refusal("ResourceNotFoundException", GONE_STREAM), ReadFault.STREAM_GONE),
        (Refusal("InvalidArgumentException", FOREIGN), ReadFault.STREAM_GONE),
        (Refusal("InvalidArgumentException", "Timestamp cannot be in the future"), ReadFault.OTHER),
        (Refusal("ProvisionedThroughputExceededException", "Rate exceeded"), ReadFault.THROTTLED),
        (Refusal("KMSThrottlingException"), ReadFault.THROTTLED),
        (Refusal("KMSAccessDeniedException"), ReadFault.OTHER),
        (Refusal("InternalFailureException"), ReadFault.OTHER),
    ],
)
async def test_a_place_that_cannot_be_opened_says_why(reader, endpoint, refusal, fault) -> None:
    endpoint.answer("GetShardIterator", refusal)
    with pytest.raises(ShardReadError) as caught:
        await read(reader, AfterSequenceNumber(number="7"))
    assert (caught.value.fault, caught.value.retryable) == (fault, True)


@pytest.mark.parametrize(
    ("refusal", "fault"),
    [
        (Refusal("ExpiredIteratorException", "Iterator expired."), ReadFault.EXPIRED_ITERATOR),
        (Refusal("ProvisionedThroughputExceededException"), ReadFault.THROTTLED),
        (Refusal("ResourceNotFoundException", GONE_SHARD), ReadFault.SHARD_GONE),
    ],
)
async def test_a_read_that_fails_says_why_and_can_be_repeated(reader, endpoint, refusal, fault) -> None:
    endpoint.answer("GetRecords", refusal, answer(1))
    with pytest.raises(ShardReadError, match=f"GetRecords of {SHARD} of {ARN} at here failed") as caught:
        await read(reader, TrimHorizon())
    assert caught.value.fault is fault
    assert numbers(await read(reader, TrimHorizon())) == [0]


@pytest.mark.parametrize(
    ("operation", "value"),
    [
        ("GetShardIterator", {}),
        ("GetRecords", {}),
        ("GetRecords", {"Records": None}),
        ("GetRecords", {"Records": [{"Data": ""}]}),
        ("GetRecords", {"Records": [{"Data": "", "PartitionKey": ""}]}),
        ("GetRecords", {"Records": [], "ChildShards": [{}]}),
    ],
)
async def test_an_answer_of_another_shape_is_a_fault(reader, endpoint, operation, value) -> None:
    endpoint.answer("GetRecords", answer(1))
    endpoint.answer(operation, value)
    with pytest.raises(ShardReadError, match=f"{operation} of {SHARD} of .* cannot be understood") as caught:
        await read(reader, TrimHorizon())
    assert caught.value.fault is ReadFault.OTHER
    await reader.aclose()
