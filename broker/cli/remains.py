"""What a stream still holds that is not settled, asked of those who keep it: the state store and the service.

The store says how far each shard is settled, the service has the records beyond: together that is what a broker would
read that started now.
"""

from broker.aws.clients import Clients
from broker.core.checkpointing import is_settled
from broker.core.lease_rows import checkpoint_key, checkpoint_of
from broker.model.checkpoint import Checkpoint
from broker.model.reference import StreamReference, StreamService
from broker.model.stream import Position, StreamRecord, TrimHorizon
from broker.ports import StateStore, StreamSource
from broker.runtime.clock import SystemClock
from broker.sources.dynamodb_streams import DynamoDbStreamSource
from broker.sources.kinesis import KinesisStreamSource

PAGE_RECORDS = 10_000


def stream_source(event_source_arn: str, clients: Clients) -> StreamSource:
    """The stream of a mapping; a consumer's is polled like any other."""
    stream = StreamReference.parse(event_source_arn)
    if stream.service is StreamService.DYNAMODB:
        return DynamoDbStreamSource(arn=stream.stream_arn, clients=clients, clock=SystemClock())
    return KinesisStreamSource(arn=stream.stream_arn, clients=clients, clock=SystemClock())


async def everything(source: StreamSource) -> list[StreamRecord]:
    """All records that the stream has. Raises `ShardReadError`."""
    shards = await source.list_shards()
    return [record for shard in shards for record in await _read(source, shard.shard_id, TrimHorizon())]


async def unsettled(source: StreamSource, store: StateStore, uuid: str) -> list[StreamRecord]:
    """The records that the mapping has not settled: what it would read if it started now.

    Raises:
        ShardReadError: the stream cannot be read.
        StoreError: the store does not say how far the mapping is.
    """
    generation = (await source.describe()).generation
    found: list[StreamRecord] = []
    for shard in await source.list_shards():
        row = await store.get(uuid, checkpoint_key(generation, shard.shard_id))
        checkpoint = checkpoint_of(row)[1] if row else Checkpoint(position=TrimHorizon())
        if not checkpoint.finished:
            records = await _read(source, shard.shard_id, checkpoint.position)
            found += [each for each in records if not any(is_settled(each, marks) for marks in checkpoint.lanes)]
    return found


async def _read(source: StreamSource, shard_id: str, position: Position) -> list[StreamRecord]:
    """Reads a shard from `position` to its tip."""
    reader, records = source.reader(shard_id), list[StreamRecord]()
    start: Position | None = position
    while True:
        page = await reader.read(start, maximum_count=PAGE_RECORDS)
        records += page.records
        if page.is_last or not (page.records or page.has_more or page.behind_ms):
            return records
        start = None
