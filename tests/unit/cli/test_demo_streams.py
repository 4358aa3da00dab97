import json
from typing import Any

import pytest

from broker.cli.demo_streams import (
    BROKEN_EVERY,
    BROKEN_VISITOR,
    CLICKS,
    CLICKS_EACH_TIME,
    LANES,
    NEIGHBOUR,
    REAL_CLICKS,
    REAL_STOCK,
    SHARDS,
    STOCK,
    StreamTraffic,
    change_fails,
    is_real_change,
    is_real_click,
)
from broker.cli.demo_traffic import Ledger
from broker.core.filtering_streams import compile_stream_filters
from broker.core.lanes import lane_of
from broker.model.reference import StreamService
from broker.model.stream import StreamRecord, TrimHorizon
from broker.testing import DYNAMODB, InMemoryStream, InMemoryStreamSource, VirtualClock

pytestmark = pytest.mark.anyio


class Streams:
    """Takes all records but the last of each call, and all items."""

    def __init__(self) -> None:
        self.clicks: list[tuple[str, bytes]] = []
        self.items: list[dict[str, Any]] = []

    async def put_records(self, name: str, records: list[tuple[str, bytes]]) -> int:
        self.clicks += records
        return len(records) - 1

    async def put_item(self, table: str, item: dict[str, Any]) -> None:
        self.items.append(item)


async def sent(times: int) -> tuple[Streams, Ledger]:
    streams, ledger = Streams(), Ledger()
    traffic = StreamTraffic(streams, ledger)
    for _ in range(times):
        await traffic.send()
    return streams, ledger


async def records_of(stream: InMemoryStream) -> list[StreamRecord]:
    source = InMemoryStreamSource(stream)
    (shard,) = await source.list_shards()
    return list((await source.reader(shard.shard_id).read(TrimHorizon(), maximum_count=1_000)).records)


async def test_what_a_stream_took_is_counted() -> None:
    streams, ledger = await sent(3)
    assert ledger.sent == {CLICKS: len(streams.clicks) - 3, STOCK: len(streams.items)}


async def test_one_visitor_sends_few_clicks_and_none_of_them_is_a_bots() -> None:
    streams, _ = await sent(2 * BROKEN_EVERY // CLICKS_EACH_TIME)
    broken = [json.loads(data)["kind"] for key, data in streams.clicks if key == BROKEN_VISITOR]
    assert broken == ["click"] * 2


async def test_what_fails_comes_between_two_clicks_of_its_shard_and_lane() -> None:
    streams, _ = await sent(1)
    visitors = [key for key, _ in streams.clicks]
    place = visitors.index(BROKEN_VISITOR)
    around = visitors[place - 1 : place + 2]
    stream = InMemoryStream("clicks", shard_count=SHARDS, clock=VirtualClock())
    for key in around:
        stream.put(key, b"x")

    assert around == [NEIGHBOUR, BROKEN_VISITOR, NEIGHBOUR]
    assert sorted(len(stream.sequence_numbers(shard)) for shard in stream.open_shard_ids) == [0, 0, 0, 3]
    assert len({lane_of(key.encode(), LANES) for key in around}) == 1


async def test_the_filters_let_through_what_the_sender_means() -> None:
    streams, _ = await sent(20)
    clicks = InMemoryStream("clicks", shard_count=1, clock=VirtualClock())
    stock = InMemoryStream("stock", kind=DYNAMODB, shard_count=1, clock=VirtualClock())
    for key, data in streams.clicks:
        clicks.put(key, data)
    for item in streams.items:
        stock.change({"id": item["id"]}, new_image=item)
    accepts_click = compile_stream_filters([REAL_CLICKS["Pattern"]], StreamService.KINESIS)
    accepts_change = compile_stream_filters([REAL_STOCK["Pattern"]], StreamService.DYNAMODB)

    assert [accepts_click(each) for each in await records_of(clicks)] == [
        is_real_click(each) for each in await records_of(clicks)
    ]
    assert [accepts_change(each) for each in await records_of(stock)] == [
        is_real_change(each) for each in await records_of(stock)
    ]
    assert {is_real_click(each) for each in await records_of(clicks)} == {True, False}
    assert {is_real_change(each) for each in await records_of(stock)} == {True, False}


@pytest.mark.parametrize(("number", "before", "fails"), [(9, False, True), (9, True, False), (10, False, False)])
def test_every_ninth_change_fails_once(number: int, before: bool, fails: bool) -> None:
    assert change_fails(number, failed_before={number} if before else set()) is fails
