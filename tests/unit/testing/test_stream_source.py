"""What only the source of a stream in memory does: faults, each as its verb says, limits, expiry and subscriptions.

What it shares with the real sources is in the conformance suite.
"""

import anyio
import pytest

from broker.errors import ReadFault, ShardReadError
from broker.model.stream import AfterSequenceNumber, AtSequenceNumber, AtTimestamp, TrimHorizon
from broker.testing import DYNAMODB, EPOCH, InMemoryStreamSource, StreamHappening

pytestmark = pytest.mark.anyio

MANY = {"maximum_count": 10_000}
MEGABYTE = 1024 * 1024


@pytest.fixture
def stream(make_stream):
    return make_stream("orders")


@pytest.fixture
def table(make_stream):
    return make_stream("orders", kind=DYNAMODB)


def reader_of(stream, **settings):
    return InMemoryStreamSource(stream, **settings).reader(stream.shards[0].shard_id)


def put(stream, *texts: str) -> list[str]:
    return [stream.put("key", text) for text in texts]


def change(table, *names: str) -> list[str]:
    return [table.change({"id": {"S": name}}, new_image={"id": {"S": name}}) for name in names]


def numbers(page) -> list[str]:
    return [record.identifier for record in page.records]


async def fault_of(call) -> ShardReadError:
    with pytest.raises(ShardReadError) as raised:
        await call
    return raised.value


# ---- faults


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("describe", "LimitExceededException"),
        ("list_shards", "LimitExceededException"),
        ("open", "ProvisionedThroughputExceededException"),
        ("read", "ProvisionedThroughputExceededException"),
    ],
)
async def test_each_operation_can_be_throttled(stream, operation, code) -> None:
    source = InMemoryStreamSource(stream)
    reader = source.reader(stream.shards[0].shard_id)
    calls = {"describe": source.describe, "list_shards": source.list_shards}
    stream.throttle(operation, calls=1)
    for name, call in calls.items():
        if name != operation:
            await call()
    call = calls.get(operation, lambda: reader.read(TrimHorizon(), **MANY))
    fault = await fault_of(call())
    assert (fault.fault, fault.code, fault.retryable) == (ReadFault.THROTTLED, code, True)
    await call()


async def test_a_lost_reply_uses_up_throughput_and_the_place_is_opened_again(stream) -> None:
    (number,) = put(stream, "a")
    reader = reader_of(stream)
    stream.lose_reply("read")
    fault = await fault_of(reader.read(TrimHorizon(), **MANY))
    assert (fault.fault, fault.code) == (ReadFault.OTHER, "")
    with pytest.raises(ValueError, match="needs a position"):
        await reader.read(None, **MANY)
    for _ in range(4):
        assert numbers(await reader.read(TrimHorizon(), **MANY)) == [number]
    assert (await fault_of(reader.read(TrimHorizon(), **MANY))).fault is ReadFault.THROTTLED


async def test_a_slow_call_reads_late_and_is_answered_later(stream) -> None:
    reader = reader_of(stream)
    stream.slow("read", request_seconds=2, reply_seconds=3)
    async with anyio.create_task_group() as tasks:

        async def put_meanwhile() -> None:
            for text in ("a", "b"):
                await anyio.sleep(1.5)
                put(stream, text)

        tasks.start_soon(put_meanwhile)
        page = await reader.read(TrimHorizon(), **MANY)
        assert (len(page.records), page.read_at, page.server_at) == (1, EPOCH + 5, EPOCH + 2.999)


async def test_a_vanished_stream_is_gone_until_it_is_restored(stream) -> None:
    source = InMemoryStreamSource(stream)
    stream.vanish()
    assert (await fault_of(source.describe())).fault is ReadFault.STREAM_GONE
    stream.restore()
    await source.describe()


async def test_a_listing_leaves_hidden_shards_out_as_often_as_told(make_stream) -> None:
    stream = make_stream("orders", shard_count=2)
    source = InMemoryStreamSource(stream, page_size=1)
    first, second = stream.open_shard_ids
    stream.hide_shards(first, listings=2)
    for expected in ([second], [second], [first, second]):
        assert [shard.shard_id for shard in await source.list_shards()] == expected


async def test_a_throttle_can_strike_the_second_page_of_a_listing(make_stream) -> None:
    stream = make_stream("orders", shard_count=3)
    source = InMemoryStreamSource(stream, page_size=2)
    stream.slow("list_shards", reply_seconds=1)
    async with anyio.create_task_group() as tasks:

        async def throttle() -> None:
            await anyio.sleep(0.5)
            stream.throttle("list_shards")

        tasks.start_soon(throttle)
        assert (await fault_of(source.list_shards())).fault is ReadFault.THROTTLED
    assert len(await source.list_shards()) == 3


async def test_a_shard_that_leaves_between_two_pages_of_a_listing_fails_it(make_stream) -> None:
    stream = make_stream("orders", shard_count=1)
    stream.roll()
    source = InMemoryStreamSource(stream, page_size=1)
    stream.slow("list_shards", reply_seconds=1)
    async with anyio.create_task_group() as tasks:

        async def trim() -> None:
            await anyio.sleep(0.5)
            stream.trim()

        tasks.start_soon(trim)
        assert (await fault_of(source.list_shards())).fault is ReadFault.SHARD_GONE


# ---- limits


async def test_a_shard_is_read_five_times_a_second_and_no_more(stream) -> None:
    first, second = reader_of(stream), reader_of(stream)
    for reader in (first, first, second, second, second):
        await reader.read(TrimHorizon(), **MANY)
    fault = await fault_of(first.read(TrimHorizon(), **MANY))
    assert (fault.fault, fault.code) == (ReadFault.THROTTLED, "ProvisionedThroughputExceededException")
    await anyio.sleep(1)
    await first.read(TrimHorizon(), **MANY)


async def test_two_megabytes_a_second_are_given_and_what_is_more_is_paid_for_by_waiting(stream) -> None:
    put(stream, *["x" * MEGABYTE] * 12)
    reader = reader_of(stream)
    page = await reader.read(TrimHorizon(), **MANY)
    assert len(page.records) == 9
    assert page.size_bytes == 9 * (MEGABYTE + 3)
    await anyio.sleep(4.4)
    assert (await fault_of(reader.read(TrimHorizon(), **MANY))).fault is ReadFault.THROTTLED
    await anyio.sleep(0.2)
    await reader.read(TrimHorizon(), **MANY)


async def test_an_answer_of_many_records_comes_in_slices_that_ask_nothing(stream) -> None:
    put(stream, *map(str, range(2500)))
    reader = reader_of(stream)
    pages = [await reader.read(TrimHorizon(), **MANY), await reader.read(None, **MANY), await reader.read(None, **MANY)]
    assert [(len(page.records), page.has_more) for page in pages] == [(1000, True), (1000, True), (500, False)]
    assert [page.size_bytes > 0 for page in pages] == [True, False, False]
    assert len(stream.history.reads(stream.shards[0].shard_id)) == 1


async def test_the_end_of_a_shard_is_in_the_last_slice(stream) -> None:
    put(stream, *map(str, range(1500)))
    stream.roll()
    reader = reader_of(stream)
    first, second = await reader.read(TrimHorizon(), **MANY), await reader.read(None, **MANY)
    assert (first.is_last, first.children) == (False, ())
    assert (second.is_last, len(second.children)) == (True, 1)


async def test_the_stream_of_a_table_gives_a_thousand_records_or_a_megabyte_at_once(table) -> None:
    change(table, *map(str, range(1200)))
    page = await reader_of(table).read(TrimHorizon(), **MANY)
    assert (len(page.records), page.has_more, page.behind_ms) == (1000, False, None)


@pytest.mark.parametrize("count", [0, 10_001])
async def test_a_read_asks_for_one_to_ten_thousand_records(stream, count) -> None:
    with pytest.raises(ValueError, match="1 to 10000"):
        await reader_of(stream).read(TrimHorizon(), maximum_count=count)


async def test_a_closed_reader_reads_nothing(stream) -> None:
    for reader in (reader_of(stream), reader_of(stream, consumer="c")):
        await reader.aclose()
        with pytest.raises(anyio.ClosedResourceError):
            await reader.read(TrimHorizon(), **MANY)


async def test_a_page_that_is_not_the_last_says_how_far_behind_it_is(stream) -> None:
    put(stream, "a", "b")
    await anyio.sleep(7)
    put(stream, "c")
    reader = reader_of(stream)
    assert (await reader.read(TrimHorizon(), maximum_count=1)).behind_ms == 7000
    assert (await reader.read(None, maximum_count=2)).behind_ms == 0


async def test_the_time_of_the_service_is_its_own(stream) -> None:
    source = InMemoryStreamSource(stream)
    stream.clock_offset_seconds = -100.0
    assert (await source.describe()).server_at == EPOCH - 100 + 0.999
    put(stream, "a")
    page = await source.reader(stream.shards[0].shard_id).read(TrimHorizon(), **MANY)
    assert page.records[0].arrived_at == EPOCH - 100


# ---- places


@pytest.mark.parametrize(("kind", "seconds"), [("kinesis", 300), ("dynamodb", 900)])
async def test_an_iterator_expires(stream, table, kind, seconds) -> None:
    reader = reader_of(stream if kind == "kinesis" else table)
    await reader.read(TrimHorizon(), **MANY)
    await anyio.sleep(seconds)
    await reader.read(None, **MANY)
    await anyio.sleep(seconds + 1)
    assert (await fault_of(reader.read(None, **MANY))).fault is ReadFault.EXPIRED_ITERATOR


async def test_kinesis_passes_over_what_was_trimmed_in_silence(stream) -> None:
    first, second, third = put(stream, "a", "b", "c")
    reader = reader_of(stream)
    await reader.read(TrimHorizon(), maximum_count=1)
    stream.trim(before=EPOCH)
    assert numbers(await reader.read(None, maximum_count=1)) == [second]
    stream.trim()
    last = put(stream, "d")
    assert numbers(await reader.read(AfterSequenceNumber(number=first), **MANY)) == last
    assert third not in stream.sequence_numbers(stream.shards[0].shard_id)


async def test_a_tables_stream_refuses_what_was_trimmed(table) -> None:
    (first,) = change(table, "a")
    reader = reader_of(table)
    await reader.read(TrimHorizon(), **MANY)
    change(table, "b")
    table.trim()
    (kept,) = change(table, "c")
    places = [None, AfterSequenceNumber(number=first), AtSequenceNumber(number=first)]
    for place in places:
        fault = await fault_of(reader.read(place, **MANY))
        assert (fault.fault, fault.code) == (ReadFault.TRIMMED, "TrimmedDataAccessException")
    assert numbers(await reader.read(TrimHorizon(), **MANY)) == [kept]


async def test_an_instant_is_read_from_a_tables_stream_by_skipping_older_records(table) -> None:
    change(table, "a", "b")
    await anyio.sleep(60)
    second = change(table, "c")
    reader = reader_of(table)
    skipped = await reader.read(AtTimestamp(at=EPOCH + 60.7), maximum_count=1)
    assert (numbers(skipped), skipped.read_through) == ([], None)
    page = await reader.read(None, **MANY)
    assert (numbers(page), page.read_through) == (second, None)


def stream_number(stream, index: int) -> str:
    return stream.history.sequence_numbers()[index]


async def test_an_instant_that_nothing_followed_is_the_tip(stream) -> None:
    put(stream, "a")
    await anyio.sleep(5)
    reader = reader_of(stream)
    assert numbers(await reader.read(AtTimestamp(at=EPOCH + 1), **MANY)) == []
    later = put(stream, "b")
    assert numbers(await reader.read(None, **MANY)) == later


async def test_a_sequence_number_from_before_the_shard_is_refused(stream) -> None:
    (first,) = put(stream, "a")
    put(stream, "b")
    (child,) = stream.roll()
    reader = InMemoryStreamSource(stream).reader(child)
    fault = await fault_of(reader.read(AfterSequenceNumber(number=first), **MANY))
    assert (fault.fault, fault.code, fault.retryable) == (ReadFault.OTHER, "InvalidArgumentException", False)


async def test_a_checkpoint_of_a_deleted_stream_passes_over_the_new_one_in_silence(stream) -> None:
    last = put(stream, "a", "b")[-1]
    reader = reader_of(stream)
    await reader.read(TrimHorizon(), **MANY)
    stream.recreate()
    put(stream, "c")
    assert (await fault_of(reader.read(None, **MANY))).fault is ReadFault.EXPIRED_ITERATOR
    assert numbers(await reader.read(AfterSequenceNumber(number=last), **MANY)) == []
    assert len((await reader.read(TrimHorizon(), **MANY)).records) == 1


async def test_the_end_names_only_children_that_are_still_there(stream) -> None:
    (parent,) = stream.open_shard_ids
    (child,) = stream.roll()
    stream.roll()
    stream.trim(child)
    page = await InMemoryStreamSource(stream).reader(parent).read(TrimHorizon(), **MANY)
    assert (page.is_last, page.children) == (True, ())


# ---- enhanced fan-out


async def test_a_pushed_page_comes_when_something_is_put(stream) -> None:
    reader = reader_of(stream, consumer="c")
    async with anyio.create_task_group() as tasks:

        async def put_later() -> None:
            await anyio.sleep(3)
            put(stream, "a")

        tasks.start_soon(put_later)
        page = await reader.read(TrimHorizon(), **MANY)
    assert (len(page.records), anyio.current_time()) == (1, 3)
    assert page.records[0].event["eventSourceARN"].endswith(":stream/orders/consumer/c:1")


async def test_a_quiet_subscription_sends_an_empty_page_every_five_seconds_and_says_how_far_it_is(make_stream) -> None:
    stream = make_stream("orders", shard_count=2)
    first, second = stream.open_shard_ids
    other = stream.put("key", "elsewhere", shard_id=second)
    reader = InMemoryStreamSource(stream, consumer="c").reader(first)
    page = await reader.read(TrimHorizon(), **MANY)
    assert (numbers(page), page.read_through, anyio.current_time()) == ([], other, 5)
    later = stream.put("key", "here", shard_id=first)
    await reader.aclose()
    reopened = InMemoryStreamSource(stream, consumer="c").reader(first)
    assert numbers(await reopened.read(AfterSequenceNumber(number=page.read_through), **MANY)) == [later]


async def test_a_subscription_ends_after_five_minutes(stream) -> None:
    reader = reader_of(stream, consumer="c")
    position = TrimHorizon()
    for _ in range(59):
        await reader.read(position, **MANY)
        position = None
    fault = await fault_of(reader.read(None, **MANY))
    assert (fault.fault, anyio.current_time()) == (ReadFault.EXPIRED_ITERATOR, 300)
    with pytest.raises(ValueError, match="needs a position"):
        await reader.read(None, **MANY)
    put(stream, "a")
    assert len((await reader.read(TrimHorizon(), **MANY)).records) == 1


async def test_a_consumer_subscribes_again_after_five_seconds_and_ends_its_other_subscription(stream) -> None:
    first, second = reader_of(stream, consumer="c"), reader_of(stream, consumer="c")
    put(stream, "a")
    await first.read(TrimHorizon(), **MANY)
    fault = await fault_of(second.read(TrimHorizon(), **MANY))
    assert (fault.fault, fault.code, fault.retryable) == (ReadFault.OTHER, "ResourceInUseException", True)
    assert len((await reader_of(stream, consumer="d").read(TrimHorizon(), **MANY)).records) == 1
    await anyio.sleep(5)
    await second.read(TrimHorizon(), **MANY)
    assert (await fault_of(first.read(None, **MANY))).fault is ReadFault.EXPIRED_ITERATOR


async def test_the_verbs_for_iterators_and_streams_reach_whoever_waits_for_a_push(stream) -> None:
    for verb, fault in (
        (stream.expire_iterators, ReadFault.EXPIRED_ITERATOR),
        (stream.vanish, ReadFault.STREAM_GONE),
    ):
        reader = reader_of(stream, consumer=verb.__name__)
        async with anyio.create_task_group() as tasks:

            async def act() -> None:
                await anyio.sleep(1)
                verb()  # noqa: B023

            tasks.start_soon(act)
            assert (await fault_of(reader.read(TrimHorizon(), **MANY))).fault is fault


async def test_pushed_records_do_not_count_against_the_shards_throughput(stream) -> None:
    reader = reader_of(stream, consumer="c")
    position = TrimHorizon()
    for text in "abcdefgh":
        put(stream, text)
        assert len((await reader.read(position, **MANY)).records) == 1
        position = None


async def test_a_large_pushed_answer_comes_in_slices(stream) -> None:
    put(stream, *map(str, range(1200)))
    reader = reader_of(stream, consumer="c")
    pages = [await reader.read(TrimHorizon(), **MANY), await reader.read(None, **MANY)]
    assert [(len(page.records), page.has_more) for page in pages] == [(1000, True), (200, False)]
    assert [page.read_through for page in pages] == [None, stream_number(stream, -1)]


async def test_only_kinesis_pushes(table) -> None:
    with pytest.raises(ValueError, match="only Kinesis"):
        InMemoryStreamSource(table, consumer="c")


# ---- records


async def test_a_change_shows_what_the_view_type_says(make_stream) -> None:
    keys, old, new = {"id": {"S": "1"}}, {"id": {"S": "1"}, "n": {"N": "1"}}, {"id": {"S": "1"}, "n": {"N": "2"}}
    for view_type, images in (
        ("KEYS_ONLY", set()),
        ("NEW_IMAGE", {"NewImage"}),
        ("OLD_IMAGE", {"OldImage"}),
        ("NEW_AND_OLD_IMAGES", {"NewImage", "OldImage"}),
    ):
        table = make_stream(view_type, kind=DYNAMODB, view_type=view_type)
        table.change(keys, new_image=new, old_image=old)
        (record,) = (await reader_of(table).read(TrimHorizon(), **MANY)).records
        assert images == record.event["dynamodb"].keys() & {"NewImage", "OldImage"}
        assert record.event["eventName"] == "MODIFY"


async def test_a_change_is_an_insertion_a_removal_or_one_by_the_service(table) -> None:
    keys = {"id": {"S": "1"}}
    expiry = {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}
    table.change(keys, new_image=keys)
    table.change(keys, old_image=keys, user_identity=expiry)
    inserted, removed = (await reader_of(table).read(TrimHorizon(), **MANY)).records
    assert (inserted.event["eventName"], "userIdentity" in inserted.event) == ("INSERT", False)
    assert removed.event["eventName"] == "REMOVE"
    assert removed.event["userIdentity"] == {"type": "Service", "principalId": "dynamodb.amazonaws.com"}


async def test_a_record_that_a_handler_changed_is_whole_again_when_it_is_read_again(table) -> None:
    change(table, "a")
    for _ in range(2):
        (record,) = (await reader_of(table).read(TrimHorizon(), **MANY)).records
        assert record.event["dynamodb"].pop("Keys") == {"id": {"S": "a"}}


async def test_the_history_tells_who_read_what(stream) -> None:
    sent = put(stream, "a", "b")
    await reader_of(stream, name="first").read(TrimHorizon(), **MANY)
    (entry,) = stream.history.reads(stream.shards[0].shard_id)
    assert (entry.reader, entry.count, str(entry.first), str(entry.last)) == ("first", 2, *sent)
    assert stream.history.of(sent[1]) == (StreamHappening.PUT, StreamHappening.READ)
