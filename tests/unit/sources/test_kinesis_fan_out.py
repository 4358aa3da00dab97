"""A subscription is read as it comes, renewed behind what was read, and never renewed too early."""

from typing import Any

import anyio
import pytest

from broker.aws.event_stream import StreamEvent
from broker.aws.faults import Refusal
from broker.errors import ReadFault, ShardReadError
from broker.model.stream import AfterSequenceNumber, AtSequenceNumber, AtTimestamp, Page, Shard, TrimHorizon
from broker.sources.kinesis import KinesisStreamSource
from broker.sources.kinesis_fan_out import APART_SECONDS, QUIET_SECONDS, FanOutReader
from broker.testing import VirtualClock
from tests.unit.sources.kinesis_aggregates import aggregate
from tests.unit.sources.kinesis_world import (
    CONSUMER_ARN,
    FIRST,
    ROLE,
    SHARD,
    End,
    FakeClients,
    FakeEndpoint,
    wire_record,
)

pytestmark = pytest.mark.anyio

BUSY = Refusal("ResourceInUseException", "Another active subscription exists for this consumer")


@pytest.fixture
def endpoint() -> FakeEndpoint:
    return FakeEndpoint()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def reader(endpoint: FakeEndpoint, clock: VirtualClock) -> Any:
    source = KinesisStreamSource(arn=CONSUMER_ARN, clients=FakeClients(endpoint), clock=clock, role_arn=ROLE)  # type: ignore[arg-type]
    return source.reader(SHARD)


def event(*indexes: int, through: int | str | None = None, **members: Any) -> dict[str, Any]:
    """An event with these records; `through` counts as they do."""
    if through is None and indexes:
        through = indexes[-1]
    continuation = str(FIRST + through) if isinstance(through, int) else through
    return {
        "Records": [wire_record(index) for index in indexes],
        "ContinuationSequenceNumber": continuation,
        "MillisBehindLatest": 0,
        **members,
    }


def after(index: int) -> AfterSequenceNumber:
    return AfterSequenceNumber(number=str(FIRST + index))


def numbers(page: Page) -> list[int]:
    return [int(record.identifier) - FIRST for record in page.records]


def subscribed_from(endpoint: FakeEndpoint) -> list[dict[str, Any]]:
    return [request["StartingPosition"] for request in endpoint.requests("SubscribeToShard")]


async def read(reader: FanOutReader, position: Any = None) -> Page:
    return await reader.read(position, maximum_count=1000)


async def read_some(reader: FanOutReader, position: Any = None) -> Page:
    """The next page with records."""
    page = await read(reader, position)
    while not page.records:
        page = await read(reader)
    return page


@pytest.mark.parametrize(
    ("position", "wanted"),
    [
        (TrimHorizon(), {"Type": "TRIM_HORIZON"}),
        (AtTimestamp(at=17.5), {"Type": "AT_TIMESTAMP", "Timestamp": 17.5}),
        (AtSequenceNumber(number="7"), {"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": "7"}),
        (AfterSequenceNumber(number="7"), {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": "7"}),
    ],
)
async def test_a_shard_is_subscribed_to_from_a_place(reader, endpoint, position, wanted) -> None:
    endpoint.answer("SubscribeToShard", [event(0)])
    assert numbers(await read(reader, position)) == [0]
    assert endpoint.asked == [
        ("SubscribeToShard", {"ConsumerARN": CONSUMER_ARN, "ShardId": SHARD, "StartingPosition": wanted})
    ]


async def test_each_event_is_a_page(reader, endpoint) -> None:
    first = StreamEvent("initial-response", {})
    endpoint.answer("SubscribeToShard", [first, event(0, 1, MillisBehindLatest=7), event(through=5), event(6)])
    pages = [await read(reader, TrimHorizon()), await read(reader), await read(reader)]
    assert [numbers(page) for page in pages] == [[0, 1], [], [6]]
    assert [page.read_through for page in pages] == [None, str(FIRST + 5), None]
    assert [page.behind_ms for page in pages] == [7, 0, 0]
    assert [page.size_bytes for page in pages] == [0, 0, 0]
    assert not any(page.is_last or page.has_more for page in pages)


async def test_a_large_event_comes_in_parts_and_its_continuation_with_the_last(reader, endpoint) -> None:
    endpoint.answer("SubscribeToShard", [event(*range(2_100), through=2_500), event(2_501)])
    pages = [await read(reader, TrimHorizon()), await read(reader), await read(reader)]
    assert [len(page.records) for page in pages] == [1_000, 1_000, 100]
    assert [page.has_more for page in pages] == [True, True, False]
    assert [page.read_through for page in pages] == [None, None, str(FIRST + 2_500)]
    assert numbers(await read(reader)) == [2_501]


@pytest.mark.parametrize("continuation", ["0", "", None, "AAAAxyz", str(FIRST - 9), str(FIRST + 3)])
async def test_a_continuation_that_leads_nowhere_is_passed_over(reader, endpoint, continuation) -> None:
    endpoint.answer("SubscribeToShard", [event(through=continuation), End], [])
    assert (await read(reader, after(3))).read_through is None
    await read(reader)
    await read(reader)
    await read(reader)
    assert subscribed_from(endpoint)[1]["SequenceNumber"] == str(FIRST + 3)


async def test_an_idle_shard_gives_an_empty_page_every_few_seconds(reader, endpoint, clock) -> None:
    endpoint.answer("SubscribeToShard", [])
    started_at = clock.now()
    page = await read(reader, TrimHorizon())
    assert (page.records, page.is_last, page.behind_ms) == ((), False, None)
    await read(reader)
    assert clock.now() - started_at == pytest.approx(2 * QUIET_SECONDS)
    assert len(endpoint.subscriptions) == 1


async def test_when_a_subscription_ends_another_begins_behind_what_was_read(reader, endpoint) -> None:
    endpoint.answer("SubscribeToShard", [event(0, 1), End], [event(2), event(through=8), End], [event(9)])
    assert numbers(await read_some(reader, TrimHorizon())) == [0, 1]
    assert numbers(await read_some(reader)) == [2]
    assert numbers(await read_some(reader)) == [9]
    assert subscribed_from(endpoint)[1:] == [
        {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": str(FIRST + 1)},
        {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": str(FIRST + 8)},
    ]
    assert [subscription.is_closed for subscription in endpoint.subscriptions] == [True, True, False]


async def test_subscriptions_are_at_least_five_seconds_apart(reader, endpoint, clock) -> None:
    endpoint.answer("SubscribeToShard", [event(0), End], [event(1), End], [event(2)])
    started_at = clock.now()
    for expected in range(3):
        assert numbers(await read_some(reader, None if expected else TrimHorizon())) == [expected]
    assert clock.now() - started_at == pytest.approx(2 * APART_SECONDS)


async def test_no_read_waits_long_for_the_next_subscription(reader, endpoint, clock) -> None:
    endpoint.answer("SubscribeToShard", [End], [event(0)])
    await read(reader, TrimHorizon())
    before = clock.now()
    assert not (await read(reader)).records
    assert clock.now() - before == pytest.approx(QUIET_SECONDS)


async def test_between_two_subscriptions_nothing_is_said_to_be_the_tip(reader, endpoint, clock) -> None:
    endpoint.answer("SubscribeToShard", [event(0), End], [event(1)])
    tip = await read(reader, TrimHorizon())
    assert (tip.behind_ms, tip.has_more) == (0, False)
    between = await read(reader)
    assert not between.records
    assert between.has_more


@pytest.mark.parametrize("refused", [BUSY, [BUSY]], ids=["in the answer", "in the stream"])
async def test_a_refusal_because_another_subscription_is_fresh_is_waited_out_once(reader, endpoint, refused) -> None:
    endpoint.answer("SubscribeToShard", refused, [event(0), BUSY], refused, refused)
    assert not (await read(reader, TrimHorizon())).records
    assert numbers(await read_some(reader)) == [0]
    for _ in range(2):
        assert not (await read(reader)).records
    with pytest.raises(ShardReadError, match="the consumer has a subscription") as caught:
        await read(reader)
    assert caught.value.fault is ReadFault.OTHER


@pytest.mark.parametrize(
    ("refusal", "fault"),
    [
        (Refusal("LimitExceededException"), ReadFault.THROTTLED),
        (Refusal("ResourceNotFoundException", f"Consumer {CONSUMER_ARN} not found."), ReadFault.STREAM_GONE),
        (Refusal("ResourceNotFoundException", f"Shard {SHARD} in stream x not found"), ReadFault.SHARD_GONE),
        (Refusal("InternalFailureException"), ReadFault.OTHER),
    ],
)
@pytest.mark.parametrize("in_stream", [False, True])
async def test_a_fault_says_what_to_do_and_the_place_can_be_opened_again(
    reader, endpoint, refusal, fault, in_stream
) -> None:
    endpoint.answer("SubscribeToShard", [refusal] if in_stream else refusal, [event(4)])
    with pytest.raises(ShardReadError, match="SubscribeToShard") as caught:
        await read(reader, TrimHorizon())
    assert caught.value.fault is fault
    assert numbers(await read_some(reader, after(3))) == [4]


async def test_a_lost_connection_is_a_fault_and_ends_the_subscription(reader, endpoint) -> None:
    endpoint.answer("SubscribeToShard", [event(0), Refusal("ConnectionClosedError")], [event(1)])
    await read(reader, TrimHorizon())
    with pytest.raises(ShardReadError):
        await read(reader)
    assert endpoint.subscriptions[0].is_closed
    assert numbers(await read_some(reader, after(0))) == [1]


async def test_the_shards_that_follow_tell_that_the_shard_has_ended(reader, endpoint) -> None:
    children = [{"ShardId": "s-7", "ParentShards": [SHARD], "HashKeyRange": {}}]
    last = {**event(*range(1_001)), "ContinuationSequenceNumber": None, "ChildShards": children}
    endpoint.answer("SubscribeToShard", [last])
    pages = [await read(reader, TrimHorizon()), await read(reader)]
    assert [page.is_last for page in pages] == [False, True]
    assert pages[1].children == (Shard(shard_id="s-7", parents=(SHARD,)),)
    assert endpoint.subscriptions[0].is_closed
    with pytest.raises(ShardReadError, match="no place in the shard is open"):
        await read(reader)


async def test_aggregates_are_taken_apart(reader, endpoint) -> None:
    data = aggregate(("a", b"1"), ("b", b"2"))
    endpoint.answer("SubscribeToShard", [{**event(), "Records": [wire_record(data=data, key="whole")]}])
    one, other = (await read(reader, TrimHorizon())).records
    assert one.event["eventID"] == other.event["eventID"]
    assert [record.event["kinesis"]["partitionKey"] for record in (one, other)] == ["a", "b"]
    assert [record.event["kinesis"]["data"] for record in (one, other)] == ["MQ==", "Mg=="]
    assert (one.size_bytes, other.size_bytes) == (len(one.json), len(other.json))


async def test_the_parts_of_an_aggregate_come_in_one_page(reader, endpoint) -> None:
    def whole(index: int, count: int) -> dict[str, Any]:
        return wire_record(index, data=aggregate(*[("k", b"%d" % part) for part in range(count)]))

    records = [whole(0, 600), whole(1, 600), whole(2, 1_500), wire_record(3)]
    endpoint.answer("SubscribeToShard", [{**event(), "Records": records}])
    pages = [await read(reader, TrimHorizon())]
    while pages[-1].has_more:
        pages.append(await read(reader))
    assert [len(page.records) for page in pages] == [600, 600, 1_500, 1]
    assert [set(numbers(page)) for page in pages] == [{0}, {1}, {2}, {3}]


async def test_the_services_time_goes_on_from_that_of_the_subscription(reader, endpoint, clock) -> None:
    endpoint.sent_at = float(int(clock.now()) + 60)
    endpoint.answer("SubscribeToShard", [event(0)])
    first = await read(reader, TrimHorizon())
    second = await read(reader)
    assert first.server_at == endpoint.sent_at
    assert second.server_at - first.server_at == pytest.approx(second.read_at - first.read_at)


async def test_opening_a_place_ends_the_subscription_and_forgets_what_was_left(reader, endpoint) -> None:
    endpoint.answer("SubscribeToShard", [event(*range(1_500))], [event(8)])
    await read(reader, TrimHorizon())
    assert numbers(await read_some(reader, after(7))) == [8]
    assert endpoint.subscriptions[0].is_closed


async def test_closing_ends_the_subscription(reader, endpoint) -> None:
    endpoint.answer("SubscribeToShard", [event(0)])
    await read(reader, TrimHorizon())
    await reader.aclose()
    await reader.aclose()
    assert endpoint.subscriptions[0].is_closed
    with pytest.raises(ShardReadError, match="no place in the shard is open"):
        await read(reader)


async def test_a_read_may_be_cancelled_without_loss(reader, endpoint) -> None:
    endpoint.answer("SubscribeToShard", [event(0)])
    await read(reader, TrimHorizon())
    with anyio.move_on_after(QUIET_SECONDS / 2):
        await read(reader)
    endpoint.subscriptions[0]._events.append(event(1))
    assert numbers(await read(reader)) == [1]


@pytest.mark.parametrize("value", [{"Records": [{}]}, {"Records": 5}, {"ChildShards": [{}]}])
async def test_an_event_of_another_shape_is_a_fault(reader, endpoint, value) -> None:
    endpoint.answer("SubscribeToShard", [value])
    with pytest.raises(ShardReadError, match="cannot be understood"):
        await read(reader, TrimHorizon())
