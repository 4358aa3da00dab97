"""Looking at a stream: the oldest records, shard after shard, in a bounded number of reads."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from broker.cli.events import read_stream_records
from broker.cli.live_streams import polled
from broker.cli.peeking import READS_OF_A_SHARD, oldest_records
from broker.model.reference import StreamReference
from broker.model.stream import Page, Position, Shard, StreamDescription, StreamRecord, TrimHorizon
from broker.sources.dynamodb_streams import DynamoDbStreamSource
from broker.sources.kinesis import KinesisStreamSource

ARN = "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks"
pytestmark = pytest.mark.anyio


def clicks(*numbers: int) -> list[StreamRecord]:
    lines = b"".join(b'{"Data": "", "SequenceNumber": "%d"}\n' % number for number in numbers)
    return read_stream_records(lines, name="e", arn=ARN)


@dataclass
class Pages:
    """A shard that is read page by page."""

    pages: list[Sequence[StreamRecord]]
    is_closed: bool = False
    positions: list[Position | None] = field(default_factory=list)
    is_open: bool = True

    async def read(self, position: Position | None, *, maximum_count: int) -> Page:
        self.positions.append(position)
        records = self.pages.pop(0) if self.pages else ()
        return Page(records=records, read_at=0.0, server_at=0.0, is_last=self.is_closed and not self.pages)

    async def aclose(self) -> None:
        self.is_open = False


@dataclass
class Stream:
    """Shards by id."""

    shards: dict[str, Pages]

    async def describe(self) -> StreamDescription:
        return StreamDescription(generation="1", retention_seconds=86_400.0, server_at=0.0)

    async def list_shards(self) -> tuple[Shard, ...]:
        return tuple(Shard(shard_id=name) for name in self.shards)

    def reader(self, shard_id: str) -> Pages:
        return self.shards[shard_id]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_records_are_taken_shard_after_shard_until_there_are_enough() -> None:
    first, second, third = Pages([clicks(1), clicks(2)], is_closed=True), Pages([(), clicks(3, 4)]), Pages([clicks(5)])
    records = await oldest_records(Stream({"a": first, "b": second, "c": third}), 3)
    assert [record.identifier for record in records] == ["1", "2", "3"]
    assert (first.positions, second.positions, third.positions) == ([TrimHorizon(), None], [TrimHorizon(), None], [])
    assert not first.is_open
    assert not second.is_open


async def test_a_shard_that_has_nothing_is_left_after_a_few_reads() -> None:
    empty = Pages([])
    assert await oldest_records(Stream({"a": empty}), 3) == []
    assert len(empty.positions) == READS_OF_A_SHARD


def test_a_consumers_stream_is_looked_at_by_polling() -> None:
    consumer = StreamReference.parse(f"{ARN}/consumer/shop:1")
    table = StreamReference.parse("arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/x")
    source = polled(consumer, clients=None)
    assert isinstance(source, KinesisStreamSource)
    assert type(source.reader("shardId-0")).__name__ == "PollingReader"
    assert isinstance(polled(table, clients=None), DynamoDbStreamSource)
