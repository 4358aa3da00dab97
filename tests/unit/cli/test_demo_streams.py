import json
from typing import Any

import pytest

from broker.cli.demo_streams import (
    BROKEN_EVERY,
    BROKEN_VISITOR,
    CLICKS,
    REAL_CLICKS,
    REAL_STOCK,
    STOCK,
    StreamTraffic,
    change_fails,
    is_real_change,
    is_real_click,
)
from broker.cli.demo_traffic import Ledger
from broker.core.filtering_streams import compile_stream_filters
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
    streams, _ = await sent(20)
    broken = [json.loads(data)["kind"] for key, data in streams.clicks if key == BROKEN_VISITOR]
    assert broken == ["click"] * (len(streams.clicks) // BROKEN_EVERY)


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
