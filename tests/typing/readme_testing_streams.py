"""The README's example of a stream handler's test. pytest collects it through `tests/unit/test_readme.py`."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from broker import Broker, Surroundings
from broker.testing import HandlerLog, InMemoryStream, Process, VirtualClock, keyed_records, steal_lease
from broker.testing.stores import InMemoryStateStore


@pytest.mark.anyio
async def test_each_customers_clicks_stay_in_order_whatever_happens(
    make_stream: Callable[..., InMemoryStream], virtual_clock: VirtualClock
) -> None:
    stream, process, store = make_stream("clicks", shard_count=2), Process(), InMemoryStateStore()
    broker = Broker(
        streams={stream.arn: process.connect(stream)},
        store=store.seen_by("broker"),
        surroundings=Surroundings(clock=virtual_clock, raise_bugs=True),
    )
    log, tokens = HandlerLog(), set[int]()

    @broker.event_source_mapping(stream.arn, starting_position="TRIM_HORIZON")
    async def clicks(event: dict[str, Any], context: Any) -> None:
        call = log.start(keyed_records(event))
        tokens.add(context.fencing_token)
        await anyio.sleep(0.2)  # here the handler under test does its work
        stream.note_handled(event)
        log.end(call)

    async with broker:
        for number in range(200):
            stream.put(f"customer-{number % 7}", f'{{"number": {number}}}')
            await anyio.sleep(0.5)
            if number == 50:
                stream.reshard(3)
            if number == 100:
                await steal_lease(store.seen_by("thief"), broker.statuses()[0].uuid, stream.open_shard_ids[-1])
            if number == 150:
                process.pause_process(20)
        await anyio.sleep(60)
    assert log.order_violations() == []
    assert stream.every_record_accounted().handled_count == 200
    assert max(tokens) > 1  # a shard that changed hands has a higher token
