"""Mappings of streams beside each other in one process: what one of them suffers, and what it says of itself."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import UUID

import anyio
import pytest

from broker import Broker, BrokerSettings, Surroundings
from broker.composing.streams import LISTING_SECONDS
from broker.config import identity_of, parse_function, parse_mapping
from broker.core.lease_rows import CHECKPOINT_PREFIX
from broker.model.status import StreamStatistics
from broker.stores.memory import MemoryStateStore
from broker.testing import InMemoryQueueSource, InMemoryStream, InMemoryStreamSource, VirtualClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend(virtual_backend: tuple[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    return virtual_backend


@dataclass
class Pair:
    """Two streams with a mapping each, and a store."""

    streams: tuple[InMemoryStream, InMemoryStream]
    clock: VirtualClock = field(default_factory=VirtualClock)
    store: MemoryStateStore = field(default_factory=MemoryStateStore)
    handled: list[str] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.mappings = [
            parse_mapping(event_source_arn=stream.arn, function_name="f", starting_position="TRIM_HORIZON")
            for stream in self.streams
        ]

    def broker(self) -> Broker:
        async def handler(event: dict[str, Any], _context: Any) -> None:
            self.handled += [record["kinesis"]["partitionKey"] for record in event["Records"]]

        def new_id() -> UUID:
            return UUID(int=next(self.numbers))

        return Broker(
            settings=BrokerSettings(),
            functions=[parse_function(function_name="f", callable=handler, timeout=20)],
            mappings=self.mappings,
            streams={stream.arn: InMemoryStreamSource(stream) for stream in self.streams},
            store=self.store,
            surroundings=Surroundings(clock=self.clock, new_id=new_id, raise_bugs=True),
        )


@pytest.fixture
def pair(make_stream: Callable[..., InMemoryStream]) -> Pair:
    return Pair((make_stream("clicks"), make_stream("orders")))


async def test_a_checkpoint_that_is_not_understood_stops_its_mapping_and_no_other(pair: Pair) -> None:
    async with pair.broker():
        await anyio.sleep(2.0)
    uuid = identity_of(pair.mappings[0])
    key, row = next(each for each in (await pair.store.read(uuid)).items() if each[0].startswith(CHECKPOINT_PREFIX))
    newer = {"epoch": row.value["epoch"], "checkpoint": {"position": {"type": "AT_THE_MOON"}}}
    await pair.store.write(uuid, key, newer, version=row.version, nonce="n")
    for stream in pair.streams:
        stream.put(stream.name, b"1")
    async with pair.broker() as broker:
        await anyio.sleep(5.0)
        assert pair.handled == ["orders"]
        ill, well = sorted(broker.statuses(), key=lambda status: status.event_source_arn)
        assert (ill.healthy, well.healthy) == (False, True)
        assert "AT_THE_MOON" in ill.problem
        await pair.store.write(uuid, key, row.value, version=row.version + 1, nonce="m")
        await anyio.sleep(40.0)
        assert pair.handled == ["orders", "clicks"]
        assert all(status.healthy for status in broker.statuses())


async def test_a_disabled_mapping_reads_nothing_and_goes_on_where_it_was(pair: Pair) -> None:
    enabled = pair.mappings
    pair.streams[0].put("before", b"1")
    async with pair.broker():
        await anyio.sleep(5.0)
    pair.mappings = [mapping.model_copy(update={"enabled": False}) for mapping in enabled]
    pair.streams[0].put("meanwhile", b"1")
    async with pair.broker() as broker:
        await anyio.sleep(60.0)
        assert [status.state for status in broker.statuses()] == ["Disabled", "Disabled"]
    assert pair.handled == ["before"]
    pair.mappings = enabled
    async with pair.broker():
        await anyio.sleep(5.0)
    assert pair.handled == ["before", "meanwhile"]


async def test_an_invocation_that_is_throttled_is_the_last_result(make_queue, make_stream) -> None:
    queue, stream = make_queue(), make_stream()
    broker = Broker(
        sources={queue.arn: InMemoryQueueSource(queue)},
        streams={stream.arn: InMemoryStreamSource(stream)},
        surroundings=Surroundings(clock=stream.clock, raise_bugs=True),
    )

    async def handle(_event, _context):
        await anyio.sleep(8.0)

    function = {"function_name": "busy", "timeout": 20, "reserved_concurrent_executions": 1}
    broker.event_source_mapping(queue.arn, **function)(handle)
    broker.event_source_mapping(stream.arn, starting_position="TRIM_HORIZON", **function)(handle)
    async with broker:
        queue.send("it holds the only slot")
        await anyio.sleep(1.0)
        stream.put("key", b"1")
        await anyio.sleep(4.0)
        assert _results(broker)[0] == "PROBLEM: Function call failed"
        await anyio.sleep(60.0)
        assert _results(broker)[0] == "OK"


def _results(broker: Broker) -> list[str]:
    statuses = sorted(broker.statuses(), key=lambda status: status.event_source_arn)
    found = [status.statistics for status in statuses]
    return [each.last_processing_result for each in found if isinstance(each, StreamStatistics)]


async def test_nobody_reads_on_for_a_stream_that_was_deleted_and_made_again(pair: Pair) -> None:
    stream = pair.streams[0]
    async with pair.broker():
        await anyio.sleep(2.0)
        stream.recreate()
        stream.put("early", b"1")
        await anyio.sleep(LISTING_SECONDS + 5.0)
        assert set(pair.handled) == {"early"}
        stream.put("late", b"1")
        await anyio.sleep(5.0)
    assert pair.handled[-1] == "late"
    assert pair.handled.count("late") == 1
