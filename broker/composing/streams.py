"""The run of a stream's mapping."""

from functools import partial

from broker.composing.parts import Parts
from broker.core.filtering_streams import compile_stream_filters
from broker.core.stream_settings import stream_policy
from broker.destinations.failure_record import Origin
from broker.destinations.opening import open_destination
from broker.errors import ReadFault, ShardReadError
from broker.model.reference import StreamService
from broker.model.stream_mapping import StreamMapping
from broker.ports import Destination, StateStore, StreamSource
from broker.runtime.fleet import Fleet
from broker.runtime.shard_register import Beginning, ShardRegister
from broker.runtime.shard_run import ShardTools
from broker.runtime.stream_run import StreamPlan, StreamRun
from broker.runtime.target import Target
from broker.sources.dynamodb_streams import DynamoDbStreamSource
from broker.sources.kinesis import KinesisStreamSource

LISTING_SECONDS = 30.0
"""Between listings of a stream's shards: what follows a shard that ends is found at once, all else may take as long.
An account may describe its DynamoDB streams ten times a second."""


def stream_run(parts: Parts, mapping: StreamMapping, *, store: StateStore, fleet: Fleet) -> StreamRun:
    """Makes the run of a mapping."""
    around, facts, target = parts.around, parts.facts_of(mapping), parts.target_of(mapping)
    observe = partial(parts.observe, facts.uuid)
    source = stream_source(parts, mapping)
    tools = ShardTools(
        uuid=facts.uuid,
        policy=stream_policy(mapping, accepts=compile_stream_filters(mapping.filter_patterns, mapping.stream.service)),
        source=source,
        executor=parts.executors.of(mapping),
        destination=_destination(parts, mapping, facts.uuid, target),
        target=target,
        store=store,
        clock=around.clock,
        chance=around.chance,
        new_id=around.new_id,
        observe=observe,
        gate=parts.executors.gate_of(mapping),
    )
    register = ShardRegister(
        uuid=facts.uuid,
        source=source,
        store=store,
        beginning=Beginning(
            starting_position=mapping.starting_position, timestamp=mapping.starting_position_timestamp or 0.0
        ),
        new_id=around.new_id,
        observe=observe,
    )
    plan = StreamPlan(
        facts=facts,
        tools=tools,
        register=register,
        fleet=fleet,
        listing_seconds=LISTING_SECONDS,
        waits_out_expired=mapping.broker.take_over == "ordered",
    )
    return StreamRun(plan, raise_bugs=around.raise_bugs)


def stream_source(parts: Parts, mapping: StreamMapping) -> StreamSource:
    """The stream that a mapping reads."""
    arn, clock = mapping.event_source_arn, parts.around.clock
    if given := parts.overrides.streams.get(arn):
        return given
    if mapping.stream.service is StreamService.DYNAMODB:
        return DynamoDbStreamSource(arn=arn, clients=parts.clients, clock=clock)
    role = parts.function_of(mapping).role
    return KinesisStreamSource(arn=arn, clients=parts.clients, clock=clock, role_arn=role)


def _destination(parts: Parts, mapping: StreamMapping, uuid: str, target: Target) -> Destination | None:
    arn = mapping.destination
    if arn is None:
        return None
    origin = Origin(
        mapping_uuid=uuid,
        function_arn=target.function_arn,
        stream_arn=mapping.event_source_arn,
        executed_version=target.function_version,
    )
    return parts.overrides.destinations.get(str(arn)) or open_destination(
        str(arn), region=mapping.source.region, clients=parts.clients, origin=origin
    )


async def stream_problem(parts: Parts, mapping: StreamMapping) -> str | None:
    """Why a mapping may not begin: its stream is missing. Raises `SourceError`."""
    try:
        await stream_source(parts, mapping).describe()
    except ShardReadError as error:
        if error.fault is ReadFault.STREAM_GONE:
            return str(error)
        raise
    return None
