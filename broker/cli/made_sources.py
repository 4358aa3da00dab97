"""The sources and destinations that a file names, made in the emulator for `broker dev FILE`.

A stream is made in the emulator's account. The ARN of a table's stream ends in the time at which it was enabled, and
that of a consumer in the time of its registration: the mappings get the ARNs that the emulator gave.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from broker.cli.emulated_destinations import make_destination
from broker.cli.emulated_queues import EmulatedQueues, QueuePlan, emulated_queues
from broker.cli.emulated_streams import TABLE_KEY, EmulatedStreams, emulated_streams
from broker.cli.emulator import Emulator
from broker.cli.live import RECOMMENDED_VISIBILITY_FACTOR, timeout_seconds
from broker.model.mapping import EventSourceMapping
from broker.model.queue_mapping import QueueMapping
from broker.model.reference import StoreKind, StreamReference, StreamService
from broker.model.settings import Configuration
from broker.model.stream_mapping import StreamMapping

DEFAULT_VISIBILITY_SECONDS = 30
"""SQS's own."""
POSITIONS = "positions are kept in memory: the streams that they are of end with the emulator"
SHARDS = 2
"""Of each Kinesis stream: enough to see that order holds for a partition key only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeSources:
    """What was made."""

    configuration: Configuration
    """The file's, with the ARNs that its streams have here."""
    queues: tuple[tuple[QueuePlan, EmulatedQueues], ...]
    """The mappings' queues."""
    notes: tuple[str, ...]
    """What is otherwise than the file says."""


@asynccontextmanager
async def made_sources(configuration: Configuration, emulator: Emulator) -> AsyncIterator[MadeSources]:
    """Makes everything, each in the region of its ARN; what was made can be measured while the block is open."""
    async with AsyncExitStack() as stack:
        maker = _Maker(configuration, emulator, stack)
        # Queues of mappings come first: they may be destinations too, and then have their own attributes.
        for mapping in configuration.event_source_mappings:
            if isinstance(mapping, QueueMapping):
                await maker.make_queue(mapping)
        yield await maker.made()


def queue_plan(configuration: Configuration, mapping: EventSourceMapping) -> QueuePlan:
    """The queue of a mapping, hiding messages for as long as AWS recommends for its function."""
    recommended = RECOMMENDED_VISIBILITY_FACTOR * timeout_seconds(configuration, mapping)
    return QueuePlan(
        name=mapping.source.resource, visibility_timeout_seconds=max(DEFAULT_VISIBILITY_SECONDS, recommended)
    )


def _keeps_positions(configuration: Configuration) -> bool:
    """Whether the file would have them kept in a file."""
    has_streams = any(isinstance(mapping, StreamMapping) for mapping in configuration.event_source_mappings)
    return has_streams and configuration.broker.store.kind is StoreKind.SQLITE


class _Maker:
    """Makes each thing once, however many mappings name it."""

    def __init__(self, configuration: Configuration, emulator: Emulator, stack: AsyncExitStack) -> None:
        self._configuration = configuration
        self._emulator = emulator
        self._stack = stack
        self._queues: list[tuple[QueuePlan, EmulatedQueues]] = []
        self._notes: list[str] = [POSITIONS] if _keeps_positions(configuration) else []
        self._arns: dict[str, str] = {}

    async def make_queue(self, mapping: QueueMapping) -> None:
        there = replace(self._emulator, account_id=mapping.source.account, region=mapping.source.region)
        queues = await self._stack.enter_async_context(emulated_queues(there))
        plan = queue_plan(self._configuration, mapping)
        await queues.create(plan)
        self._queues.append((plan, queues))

    async def made(self) -> MadeSources:
        """Makes what mappings of streams need."""
        mappings = [
            await self._stream(mapping) if isinstance(mapping, StreamMapping) else mapping
            for mapping in self._configuration.event_source_mappings
        ]
        return MadeSources(
            configuration=self._configuration.model_copy(update={"event_source_mappings": tuple(mappings)}),
            queues=tuple(self._queues),
            notes=tuple(self._notes),
        )

    async def _stream(self, mapping: StreamMapping) -> StreamMapping:
        there = replace(self._emulator, region=mapping.source.region)
        async with emulated_streams(there) as streams:
            arn = await self._arn_of(mapping.stream, mapping.event_source_arn, streams)
        if destination := mapping.destination:
            owner = destination.account or there.account_id
            region = destination.region or there.region
            await make_destination(replace(there, account_id=owner, region=region), destination)
        return mapping.model_copy(update={"event_source_arn": arn})

    async def _arn_of(self, stream: StreamReference, written: str, streams: EmulatedStreams) -> str:
        """The emulator's ARN for the one that is written, made when it is first asked for."""
        if written not in self._arns:
            self._arns[written] = arn = await self._make(stream, streams)
            if arn != written:
                self._notes.append(f"{stream.name}: {arn} takes the place of {written}")
        return self._arns[written]

    async def _make(self, stream: StreamReference, streams: EmulatedStreams) -> str:
        if stream.service is StreamService.DYNAMODB:
            self._notes.append(f"{stream.name}: the table has the key {TABLE_KEY} (a text): the file names none")
            return await streams.create_table(stream.name)
        if not stream.consumer:
            return await streams.create_stream(stream.name, shard_count=SHARDS)
        own = StreamReference.parse(stream.stream_arn)
        arn = await self._arn_of(own, stream.stream_arn, streams)
        return await streams.register_consumer(arn, stream.consumer.partition(":")[0])
