"""What every `StreamSource` promises: the contract of Kinesis and DynamoDB Streams, as far as a consumer relies on it.

The class is collected where it is subclassed with a world. A server that is known to differ from AWS names the test and
the reason in `DEVIATIONS`; the test must then fail there. What a world cannot do it skips.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import anyio
import orjson
import pytest

from broker.errors import ReadFault, ShardReadError
from broker.model.stream import (
    AfterSequenceNumber,
    AtSequenceNumber,
    AtTimestamp,
    Page,
    Position,
    Shard,
    StreamRecord,
    TrimHorizon,
)
from broker.ports import ShardReader
from tests.conformance.stream_worlds import OpenStreamWorld, StreamWorld

BETWEEN_READS = 0.25
"""Seconds: a shard may be read five times in one, and DynamoDB's four times."""
PATIENCE = 40
"""Pages that a test reads before it gives up."""


@dataclass(kw_only=True)
class Reading:
    """What several reads of one shard brought."""

    records: list[StreamRecord]
    pages: list[Page]

    @property
    def texts(self) -> list[str]:
        return [text_of(record) for record in self.records]

    @property
    def numbers(self) -> list[int]:
        return [int(record.identifier) for record in self.records]

    @property
    def last_page(self) -> Page:
        return self.pages[-1]


def text_of(record: StreamRecord) -> str:
    """What was put."""
    event = record.event
    if "kinesis" in event:
        return base64.b64decode(event["kinesis"]["data"]).decode()
    return str(event["dynamodb"]["NewImage"]["text"]["S"])


async def read(
    reader: ShardReader,
    position: Position | None,
    count: int,
    *,
    to_the_end: bool = False,
    maximum_count: int = 1000,
    patience: int = PATIENCE,
) -> Reading:
    """Reads `patience` pages at most, until there are `count` records, and with `to_the_end` until the shard ends."""
    reading = Reading(records=[], pages=[])
    for _ in range(patience):
        page = await reader.read(position, maximum_count=maximum_count)
        position = None
        reading.pages.append(page)
        reading.records += page.records
        if page.is_last or (len(reading.records) >= count and not to_the_end):
            break
        await anyio.sleep(BETWEEN_READS)
    return reading


async def read_anew(world: StreamWorld, shard_id: str, position: Position, count: int, **options: Any) -> Reading:
    """Reads by a reader of its own."""
    await anyio.sleep(world.reopen_seconds)
    reader = world.source.reader(shard_id)
    reading = await read(reader, position, count, **options)
    await reader.aclose()
    return reading


async def put(world: StreamWorld, *texts: str) -> None:
    for text in texts:
        await world.put("key", text)


async def only_shard(world: StreamWorld) -> str:
    (shard,) = await world.source.list_shards()
    return shard.shard_id


async def children_of(world: StreamWorld, *parents: str) -> list[Shard]:
    return [shard for shard in await world.source.list_shards() if set(shard.parents) == set(parents)]


async def fault_of(call: Any) -> ShardReadError:
    with pytest.raises(ShardReadError) as raised:
        await call
    return raised.value


class StreamSourceContract:
    """One test for each promise."""

    DEVIATIONS: ClassVar[dict[str, str]] = {}

    @pytest.fixture(autouse=True)
    def _expect_deviation(self, request: pytest.FixtureRequest) -> None:
        if reason := self.DEVIATIONS.get(request.node.originalname):
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))

    # ---- describing and listing

    async def test_it_describes_its_stream_as_the_same_each_time(self, open_world: OpenStreamWorld) -> None:
        async with open_world() as world:
            first = await world.source.describe()
            await anyio.sleep(1.5)
            second = await world.source.describe()
            assert first.generation == second.generation != ""
            assert first.retention_seconds >= 86_400
            assert 0 < second.server_at - first.server_at < 30

    async def test_a_listing_shows_the_shards_of_a_stream(self, open_world: OpenStreamWorld) -> None:
        async with open_world(shard_count=3) as world:
            shards = await world.source.list_shards()
            assert len({shard.shard_id for shard in shards}) == 3
            assert {(shard.parents, shard.is_closed) for shard in shards} == {((), False)}

    async def test_a_listing_of_several_pages_is_complete(self, open_world: OpenStreamWorld) -> None:
        async with open_world(pages=3) as world:
            shards = await world.source.list_shards()
            assert len({shard.shard_id for shard in shards}) == len(shards) == world.shard_count

    # ---- places

    async def test_trim_horizon_is_the_oldest_record(self, open_world: OpenStreamWorld) -> None:
        async with open_world() as world:
            await put(world, "a", "b", "c")
            reading = await read_anew(world, await only_shard(world), TrimHorizon(), 3)
            assert reading.texts == ["a", "b", "c"]

    async def test_after_a_sequence_number_comes_the_record_that_follows(self, open_world: OpenStreamWorld) -> None:
        async with open_world() as world:
            await put(world, "a", "b", "c")
            shard_id = await only_shard(world)
            first = (await read_anew(world, shard_id, TrimHorizon(), 3)).records[0]
            reading = await read_anew(world, shard_id, AfterSequenceNumber(number=first.identifier), 2)
            assert reading.texts == ["b", "c"]

    async def test_at_a_sequence_number_comes_that_very_record(self, open_world: OpenStreamWorld) -> None:
        async with open_world() as world:
            await put(world, "a", "b", "c")
            shard_id = await only_shard(world)
            second = (await read_anew(world, shard_id, TrimHorizon(), 3)).records[1]
            reading = await read_anew(world, shard_id, AtSequenceNumber(number=second.identifier), 2)
            assert reading.texts == ["b", "c"]

    async def test_at_an_instant_come_the_records_that_arrived_then_or_later(self, open_world: OpenStreamWorld) -> None:
        async with open_world() as world:
            await put(world, "a")
            await anyio.sleep(2.1)
            await put(world, "b", "c")
            shard_id = await only_shard(world)
            second = (await read_anew(world, shard_id, TrimHorizon(), 3)).records[1]
            reading = await read_anew(world, shard_id, AtTimestamp(at=second.arrived_at), 2)
            assert reading.texts == ["b", "c"]

    async def test_what_is_put_after_a_place_was_opened_is_read_from_there(self, open_world: OpenStreamWorld) -> None:
        async with open_world() as world:
            await put(world, "a")
            await anyio.sleep(2.1)
            shard_id = await only_shard(world)
            now = (await world.source.describe()).server_at
            reader = world.source.reader(shard_id)
            assert not (await reader.read(AtTimestamp(at=now), maximum_count=1000)).records
            await put(world, "b")
            await anyio.sleep(BETWEEN_READS)
            assert (await read(reader, None, 1)).texts == ["b"]
            await reader.aclose()

    # ---- order and pages

    async def test_sequence_numbers_grow_as_integers(self, open_world: OpenStreamWorld) -> None:
        async with open_world() as world:
            await put(world, *map(str, range(15)))
            reading = await read_anew(world, await only_shard(world), TrimHorizon(), 15)
            assert reading.texts == [str(number) for number in range(15)]
            assert reading.numbers == sorted(set(reading.numbers))
            assert all(record.identifier == str(int(record.identifier)) for record in reading.records)

    async def test_arrival_times_do_not_go_back_in_a_shard(self, open_world: OpenStreamWorld) -> None:
        async with open_world() as world:
            await put(world, "a", "b")
            await anyio.sleep(1.1)
            await put(world, "c")
            reading = await read_anew(world, await only_shard(world), TrimHorizon(), 3)
            arrivals = [record.arrived_at for record in reading.records]
            assert arrivals == sorted(arrivals)

    async def test_reading_goes_on_where_the_page_before_ended(self, open_world: OpenStreamWorld) -> None:
        async with open_world() as world:
            await put(world, *"abcde")
            reader = world.source.reader(await only_shard(world))
            assert (await read(reader, TrimHorizon(), 5, maximum_count=2)).texts == list("abcde")
            await put(world, "f")
            await anyio.sleep(BETWEEN_READS)
            assert (await read(reader, None, 1, maximum_count=2)).texts == ["f"]
            await reader.aclose()

    async def test_a_page_has_no_more_records_than_were_asked_for(self, open_world: OpenStreamWorld) -> None:
        async with open_world() as world:
            world.require_polling()
            await put(world, *"abcde")
            reading = await read_anew(world, await only_shard(world), TrimHorizon(), 5, maximum_count=2)
            assert [len(page.records) for page in reading.pages if page.records] == [2, 2, 1]

    async def test_an_open_shard_without_records_gives_empty_pages(self, open_world: OpenStreamWorld) -> None:
        async with open_world() as world:
            reader = world.source.reader(await only_shard(world))
            position: Position | None = TrimHorizon()
            for _ in range(3):
                page = await reader.read(position, maximum_count=1000)
                position = None
                assert (list(page.records), page.is_last, page.has_more) == ([], False, False)
                await anyio.sleep(BETWEEN_READS)
            await reader.aclose()

    async def test_a_page_says_how_far_behind_it_is_and_when_it_was_read(self, open_world: OpenStreamWorld) -> None:
        async with open_world() as world:
            await put(world, "a")
            page = (await read_anew(world, await only_shard(world), TrimHorizon(), 1)).last_page
            assert page.behind_ms in ({0} if world.tells_lag else {None})
            assert abs(page.server_at - page.read_at) < 30
            assert page.size_bytes >= 0

    # ---- the ends of shards

    async def test_a_shard_that_is_split_ends_and_is_followed_by_two(self, open_world: OpenStreamWorld) -> None:
        async with open_world() as world:
            await put(world, "a", "b")
            parent = await only_shard(world)
            await world.split(parent)
            children = await children_of(world, parent)
            assert (len(children), {child.is_closed for child in children}) == (2, {False})
            assert [shard.is_closed for shard in await world.source.list_shards() if shard.shard_id == parent] == [True]
            reading = await read_anew(world, parent, TrimHorizon(), 2, to_the_end=True)
            assert (reading.texts, reading.last_page.is_last) == (["a", "b"], True)
            assert named(reading) == (children if world.names_children else [])

    async def test_what_is_put_after_a_split_is_in_a_child(self, open_world: OpenStreamWorld) -> None:
        async with open_world() as world:
            await put(world, "a")
            parent = await only_shard(world)
            await world.split(parent)
            await put(world, "b")
            assert (await read_anew(world, parent, TrimHorizon(), 1, to_the_end=True)).texts == ["a"]
            children = [child.shard_id for child in await children_of(world, parent)]
            found = [(await read_anew(world, child, TrimHorizon(), 1, patience=3)).texts for child in children]
            assert sorted(found) == [[], ["b"]]

    async def test_a_merged_shard_names_both_parents_and_both_end(self, open_world: OpenStreamWorld) -> None:
        async with open_world(shard_count=2) as world:
            parents = [shard.shard_id for shard in await world.source.list_shards()]
            await world.merge(*parents)
            (child,) = await children_of(world, *parents)
            assert len(child.parents) == 2
            for parent in parents:
                reading = await read_anew(world, parent, TrimHorizon(), 0, to_the_end=True)
                assert reading.last_page.is_last
                assert [set(each.parents) for each in named(reading)] == [set(parents)] * world.names_children

    async def test_a_shard_that_rolled_ends_and_is_followed_by_one(self, open_world: OpenStreamWorld) -> None:
        async with open_world() as world:
            await put(world, "a")
            parent = await only_shard(world)
            await world.roll(parent)
            assert len(await children_of(world, parent)) == 1
            reading = await read_anew(world, parent, TrimHorizon(), 1, to_the_end=True)
            assert (reading.texts, reading.last_page.is_last) == (["a"], True)

    async def test_a_closed_shard_can_be_read_again_and_ends_again(self, open_world: OpenStreamWorld) -> None:
        async with open_world() as world:
            await put(world, "a", "b")
            parent = await only_shard(world)
            await world.split(parent)
            for _ in range(2):
                reading = await read_anew(world, parent, TrimHorizon(), 2, to_the_end=True)
                assert (reading.texts, reading.last_page.is_last) == (["a", "b"], True)
            last = AfterSequenceNumber(number=reading.records[-1].identifier)
            again = await read_anew(world, parent, last, 0, to_the_end=True)
            assert (again.texts, again.last_page.is_last) == ([], True)

    async def test_a_reader_that_waits_at_the_tip_sees_the_end_come(self, open_world: OpenStreamWorld) -> None:
        async with open_world() as world:
            await put(world, "a")
            parent = await only_shard(world)
            reader = world.source.reader(parent)
            assert not (await read(reader, TrimHorizon(), 1)).last_page.is_last
            await world.split(parent)
            await anyio.sleep(BETWEEN_READS)
            reading = await read(reader, None, 0, to_the_end=True)
            assert (reading.texts, reading.last_page.is_last) == ([], True)
            await reader.aclose()

    # ---- what is not there

    async def test_a_missing_stream_is_told_by_its_fault(self, open_world: OpenStreamWorld) -> None:
        async with open_world() as world:
            shard_id = await only_shard(world)
            reader = world.missing.reader(shard_id)
            for call in (
                world.missing.describe(),
                world.missing.list_shards(),
                reader.read(TrimHorizon(), maximum_count=1000),
            ):
                assert (await fault_of(call)).fault is ReadFault.STREAM_GONE
            await reader.aclose()

    async def test_an_unknown_shard_is_told_by_its_fault(self, open_world: OpenStreamWorld) -> None:
        async with open_world() as world:
            reader = world.source.reader(world.unknown_shard_id)
            fault = await fault_of(reader.read(TrimHorizon(), maximum_count=1000))
            assert fault.fault is ReadFault.SHARD_GONE
            await reader.aclose()

    async def test_an_expired_iterator_is_told_and_the_place_can_be_opened_again(
        self, open_world: OpenStreamWorld
    ) -> None:
        async with open_world() as world:
            await put(world, "a")
            shard_id = await only_shard(world)
            reader = world.source.reader(shard_id)
            first = (await read(reader, TrimHorizon(), 1)).records[0]
            await world.expire_iterators()
            fault = await fault_of(reader.read(None, maximum_count=1000))
            assert (fault.fault, fault.retryable) == (ReadFault.EXPIRED_ITERATOR, True)
            await put(world, "b")
            await anyio.sleep(world.reopen_seconds)
            assert (await read(reader, AfterSequenceNumber(number=first.identifier), 1)).texts == ["b"]
            await reader.aclose()

    # ---- records

    async def test_a_record_is_the_one_that_lambda_delivers(self, open_world: OpenStreamWorld) -> None:
        async with open_world() as world:
            await world.put("käse", "größe ☃")
            shard_id = await only_shard(world)
            (record,) = (await read_anew(world, shard_id, TrimHorizon(), 1)).records
            assert record.event == world.event_of(record, shard_id, "käse", "größe ☃")
            assert order_of(record.event) == order_of(world.event_of(record, shard_id, "käse", "größe ☃"))
            assert orjson.loads(record.json) == record.event
            assert record.size_bytes == len(record.json)
            assert list(orjson.loads(record.json)) == list(record.event)

    async def test_a_records_key_is_the_same_for_what_must_stay_in_order(self, open_world: OpenStreamWorld) -> None:
        async with open_world() as world:
            for key, text in (("x", "1"), ("y", "2"), ("x", "3")):
                await world.put(key, text)
            records = (await read_anew(world, await only_shard(world), TrimHorizon(), 3)).records
            keys = [record.key for record in records]
            assert keys[0] == keys[2] != keys[1]


def named(reading: Reading) -> list[Shard]:
    """The children that the end of the shard names, as a listing shows them."""
    return sorted(reading.last_page.children, key=lambda shard: shard.shard_id)


def order_of(document: Any) -> Any:
    """The names of an object's members in their order, at every depth."""
    if isinstance(document, dict):
        return [(name, order_of(member)) for name, member in document.items()]
    return (
        [order_of(each) for each in document]
        if isinstance(document, Sequence) and not isinstance(document, str)
        else ()
    )
