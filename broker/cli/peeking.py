"""Records of queues and streams for `broker filter test`: looked at, and left as they were."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import uuid4

import anyio

from broker.aws.clients import Clients
from broker.cli.live_streams import polled
from broker.model.queue_mapping import QueueMapping
from broker.model.record import Record
from broker.model.stream import StreamRecord, TrimHorizon
from broker.model.stream_mapping import StreamMapping
from broker.ports import StreamSource
from broker.runtime.clock import SystemClock
from broker.sources.sqs import SqsQueueSource

PAGE = 10
PEEK_VISIBILITY_SECONDS = 30
"""For how long peeked messages stay hidden should releasing them fail."""
READS_OF_A_SHARD = 5
"""Pages of a shard that are looked at: the first ones may be empty. Kinesis allows five a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """Where records come from."""

    messages: Callable[[QueueMapping], Sequence[Record]]
    """Those of a mapping's queue. Raises `BrokerError`."""
    records: Callable[[StreamMapping], Sequence[StreamRecord]]
    """Those of a mapping's stream. Raises `BrokerError`."""


def peeking(count: int) -> Feed:
    """Up to `count` records of each source, from AWS."""
    return Feed(
        messages=lambda mapping: anyio.run(_peek, mapping, count),
        records=lambda mapping: anyio.run(_peek_stream, mapping, count),
    )


async def _peek(mapping: QueueMapping, count: int) -> list[Record]:
    async with Clients() as clients:
        source = SqsQueueSource(arn=mapping.event_source_arn, clients=clients, clock=SystemClock())
        records: list[Record] = []
        try:
            while len(records) < count:
                page = await source.receive(
                    maximum_count=min(PAGE, count - len(records)),
                    wait_seconds=1,
                    visibility_timeout_seconds=PEEK_VISIBILITY_SECONDS,
                    attempt_id=str(uuid4()) if mapping.is_fifo else None,
                )
                if not page:
                    break
                records += page
        finally:
            with anyio.CancelScope(shield=True):
                await _release(source, records)
        return records


async def _release(source: SqsQueueSource, records: Sequence[Record]) -> None:
    """From the last to the first, so that the order of a message group holds."""
    backwards = records[::-1]
    for start in range(0, len(backwards), PAGE):
        await source.change_visibility(backwards[start : start + PAGE], visibility_timeout_seconds=0)


async def _peek_stream(mapping: StreamMapping, count: int) -> list[StreamRecord]:
    async with Clients() as clients:
        return await oldest_records(polled(mapping.stream, clients), count)


async def oldest_records(source: StreamSource, count: int) -> list[StreamRecord]:
    """Up to `count` of the oldest records, shard after shard. Raises `ShardReadError`."""
    records: list[StreamRecord] = []
    for shard in await source.list_shards():
        records += await _oldest_of(source, shard.shard_id, count - len(records))
        if len(records) == count:
            break
    return records


async def _oldest_of(source: StreamSource, shard_id: str, count: int) -> list[StreamRecord]:
    reader, position = source.reader(shard_id), TrimHorizon()
    records: list[StreamRecord] = []
    for number in range(READS_OF_A_SHARD):
        page = await reader.read(None if number else position, maximum_count=count)
        records += page.records
        if page.is_last or len(records) >= count:
            break
    await reader.aclose()
    return records[:count]
