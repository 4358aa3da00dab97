"""What a stream in memory is made of: shards, numbers, arrival times, retention."""

import itertools

import anyio
import pytest

from broker.errors import ShardReadError
from broker.testing import DYNAMODB, EPOCH, InMemoryStream, StreamHappening
from tests.unit.testing.clocks import HandClock

ITEM = {"id": {"N": "1"}}


@pytest.fixture
def clock() -> HandClock:
    return HandClock(EPOCH)


def make(clock: HandClock, **settings) -> InMemoryStream:
    return InMemoryStream("orders", **{"clock": clock, **settings})


def make_table(clock: HandClock, **settings) -> InMemoryStream:
    return make(clock, kind=DYNAMODB, **settings)


def listed(stream: InMemoryStream) -> list[tuple[str, bool]]:
    return [(shard.shard_id[-1], shard.is_closed) for shard in stream.shards]


# ---- names and numbers


def test_a_stream_has_the_arn_and_the_shard_ids_of_its_kind(clock) -> None:
    stream, table = make(clock, shard_count=2), make_table(clock)
    assert stream.arn == "arn:aws:kinesis:eu-west-1:123456789012:stream/orders"
    assert stream.open_shard_ids == ("shardId-000000000000", "shardId-000000000001")
    assert table.arn == "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000"
    assert table.open_shard_ids == (f"shardId-{round(EPOCH * 1000):020}-c4ca4238",)
    assert repr(stream) == "<InMemoryStream orders: 0 records in 2 shards>"


@pytest.mark.parametrize(("kind", "digits"), [("kinesis", 56), ("dynamodb", 28)])
def test_sequence_numbers_grow_as_integers_but_not_as_text(clock, kind, digits) -> None:
    stream = make(clock) if kind == "kinesis" else make_table(clock)
    numbers = [put_any(stream) for _ in range(20)]
    assert {len(number) for number in numbers} == {digits, digits + 1}
    assert numbers == sorted(numbers, key=int) != sorted(numbers)


def put_any(stream: InMemoryStream) -> str:
    if stream.kind is DYNAMODB:
        return stream.change(ITEM, new_image=ITEM)
    return stream.put("key", b"data")


def test_a_record_goes_where_the_hash_of_its_key_belongs_or_where_it_is_told(clock) -> None:
    stream = make(clock, shard_count=3)
    for number in range(60):
        stream.put(f"key-{number % 12}", b"")
    held = {shard: len(stream.sequence_numbers(shard)) for shard in stream.open_shard_ids}
    assert sum(held.values()) == len(stream) == 60
    assert all(count % 5 == 0 for count in held.values())
    assert min(held.values()) > 0
    told = stream.put("key-1", b"", shard_id=stream.open_shard_ids[2])
    assert stream.sequence_numbers(stream.open_shard_ids[2])[-1] == told


def test_each_kind_refuses_the_others_verbs(clock) -> None:
    stream, table = make(clock), make_table(clock, shard_count=2)
    with pytest.raises(ValueError, match="is a kinesis stream"):
        stream.change(ITEM, new_image=ITEM)
    with pytest.raises(ValueError, match="is a dynamodb stream"):
        table.put("key", b"")
    with pytest.raises(ValueError, match="is a dynamodb stream"):
        table.merge(*table.open_shard_ids)


# ---- resharding


def test_a_split_divides_the_keys_among_two_children(clock) -> None:
    stream = make(clock)
    (parent,) = stream.open_shard_ids
    left, right = stream.split(parent)
    assert [(shard.shard_id, shard.parents, shard.is_closed) for shard in stream.shards] == [
        (parent, (), True),
        (left, (parent,), False),
        (right, (parent,), False),
    ]
    for number in range(40):
        stream.put(str(number), b"")
    assert not stream.sequence_numbers(parent)
    assert stream.sequence_numbers(left)
    assert stream.sequence_numbers(right)


def test_neighbours_merge_and_others_do_not(clock) -> None:
    stream = make(clock, shard_count=3)
    first, second, third = stream.open_shard_ids
    with pytest.raises(ValueError, match="not adjacent"):
        stream.merge(first, third)
    child = stream.merge(third, second)
    assert stream.shards[-1].parents == (third, second)
    assert stream.open_shard_ids == (first, child)


def test_a_closed_shard_takes_nothing_and_is_not_split_again(clock) -> None:
    stream = make(clock)
    (parent,) = stream.open_shard_ids
    stream.roll()
    for verb in (lambda: stream.split(parent), lambda: stream.put("key", b"", shard_id=parent)):
        with pytest.raises(ValueError, match="is closed"):
            verb()
    with pytest.raises(ShardReadError):
        stream.split("shardId-7")


@pytest.mark.parametrize(("before", "after"), [(1, 5), (5, 2), (3, 3)])
def test_a_stream_is_resharded_to_a_number_of_shards(clock, before, after) -> None:
    stream = make(clock, shard_count=before)
    assert len(stream.reshard(after)) == after
    for number in range(50):
        stream.put(str(number), b"")
    assert len(stream) == 50


def test_the_shards_of_a_table_roll_every_four_hours_unattended(clock) -> None:
    table = make_table(clock)
    table.change(ITEM, new_image=ITEM)
    clock.move(4 * 3600 - 1)
    assert len(table.shards) == 1
    clock.move(2)
    first, second = table.shards
    assert (first.is_closed, second.is_closed, second.parents) == (True, False, (first.shard_id,))
    assert table.change(ITEM) in table.sequence_numbers(second.shard_id)


def test_a_stream_of_kinesis_does_not_roll_by_itself_but_when_told(clock) -> None:
    stream = make(clock, shard_count=2)
    clock.move(20 * 3600)
    assert len(stream.shards) == 2
    first, _ = stream.open_shard_ids
    assert len(stream.roll(first)) == 1
    assert len(stream.roll()) == 2


# ---- retention


def test_records_leave_when_their_retention_is_over(clock) -> None:
    stream = make(clock, retention_seconds=100)
    first = stream.put("key", b"")
    clock.move(60)
    second = stream.put("key", b"")
    clock.move(41)
    assert stream.sequence_numbers(stream.open_shard_ids[0]) == (second,)
    assert stream.history.of(first) == (StreamHappening.PUT, StreamHappening.TRIMMED)


def test_a_closed_shard_leaves_when_it_is_empty_and_was_closed_for_the_retention(clock) -> None:
    stream = make(clock, retention_seconds=100)
    stream.put("key", b"")
    clock.move(50)
    stream.roll()
    clock.move(60)
    assert listed(stream) == [("0", True), ("1", False)]
    assert len(stream) == 0
    clock.move(50)
    assert listed(stream) == [("1", False)]


def test_records_are_trimmed_by_shard_by_instant_or_by_age(clock) -> None:
    stream = make(clock, shard_count=2)
    first, second = stream.open_shard_ids
    for shard_id, _ in itertools.product((first, second), range(2)):
        stream.put("key", b"", shard_id=shard_id)
        clock.move(10)
    assert stream.trim(first, before=EPOCH + 5) == 1
    assert stream.trim(older_than_seconds=15) == 2
    assert (len(stream.sequence_numbers(first)), len(stream.sequence_numbers(second))) == (0, 1)
    assert stream.trim() == 1
    assert listed(stream) == [("0", False), ("1", False)]


def test_a_trim_of_everything_takes_closed_shards_with_it(clock) -> None:
    stream = make(clock)
    stream.put("key", b"")
    stream.roll()
    stream.trim()
    assert listed(stream) == [("1", False)]


def test_the_retention_and_the_services_clock_can_be_changed(clock) -> None:
    stream = make(clock, clock_offset_seconds=-3600.0)
    stream.put("key", b"")
    assert stream.service_now == EPOCH - 3600
    stream.retention_seconds = 10
    clock.move(11)
    assert len(stream) == 0


# ---- a stream that was made again


def test_a_recreated_stream_has_the_same_shard_ids_another_generation_and_lower_numbers(clock) -> None:
    for stream in (make(clock, shard_count=2), make_table(clock, shard_count=2)):
        ids, before = stream.open_shard_ids, stream.describe().generation
        last = [put_any(stream) for _ in range(30)][-1]
        stream.recreate()
        assert stream.describe().generation != before
        assert (stream.open_shard_ids, len(stream)) == (ids, 0)
        assert int(put_any(stream)) < int(last)
        clock.move(1)
        assert stream.open_shard_ids == ids


def test_a_recreated_stream_may_have_another_number_of_shards(clock) -> None:
    stream = make(clock)
    stream.split(stream.open_shard_ids[0])
    stream.recreate(shard_count=1)
    assert listed(stream) == [("0", False)]


def test_arrival_times_have_the_resolution_of_the_kind(clock) -> None:
    clock.move(0.6789)
    stream, table = make(clock), make_table(clock)
    assert arrival(stream) == EPOCH + 0.678
    assert arrival(table) == EPOCH


def arrival(stream: InMemoryStream) -> float:
    put_any(stream)
    (shard_id,) = stream.open_shard_ids
    return stream.take(shard_id, 0 if stream.kind is not DYNAMODB else 1, count=1).records[0].arrived_at


@pytest.mark.anyio
async def test_whoever_waits_hears_of_a_record(make_stream) -> None:
    stream = make_stream("orders")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stream.wait_for_change, 60)
        await anyio.sleep(1)
        stream.put("key", "text")
    assert anyio.current_time() == 1
