"""What `broker validate --live` asks of AWS about a stream, its consumer and its destination. Nothing is changed.

Whether reading is permitted is asked by reading: one record of one shard, which uses one of the five calls a second
that a shard of Kinesis has. A subscription would end that of a running broker, so SubscribeToShard is asked for a shard
that cannot be; a service that checks permission first refuses the caller, or else the request (inferred).

Source: AWS Lambda Developer Guide, "Process Amazon Kinesis Data Streams records with Lambda" and "Process DynamoDB
records with Lambda", sections on permissions (read November 2026).
"""

from collections.abc import AsyncIterator, Sequence

from broker.aws.clients import Clients
from broker.cli.findings import DENIED_CODES, Finding, failure, good, mistake, permission, warning
from broker.cli.live_destinations import ask_destination
from broker.errors import ReadFault, ShardReadError, SourceError
from broker.model.reference import StreamReference, StreamService
from broker.model.stream import Shard, StreamDescription, TrimHorizon
from broker.model.stream_mapping import StreamMapping
from broker.ports import StreamSource
from broker.runtime.clock import SystemClock
from broker.sources.dynamodb_streams import DynamoDbStreamSource
from broker.sources.kinesis import KinesisStreamSource

NO_SHARD = "shardId-none"
CONSUMER_MISSING = "ResourceNotFoundException"
ACTIVE = "ACTIVE"


def polled(stream: StreamReference, clients: Clients) -> StreamSource:
    """The stream, read by polling even where the mapping names a consumer: looking must not end its subscription."""
    clock = SystemClock()
    match stream.service:
        case StreamService.KINESIS:
            return KinesisStreamSource(arn=stream.stream_arn, clients=clients, clock=clock)
        case StreamService.DYNAMODB:
            return DynamoDbStreamSource(arn=stream.stream_arn, clients=clients, clock=clock)


async def ask_stream(mapping: StreamMapping, path: str, clients: Clients) -> AsyncIterator[Finding]:
    """Everything that can be asked about the mapping of a stream; `path` is its place in the file."""
    source, source_path = polled(mapping.stream, clients), f"{path}.EventSourceArn"
    try:
        description, shards = await source.describe(), await source.list_shards()
    except ShardReadError as error:
        yield _unreachable(source_path, mapping, error)
        return
    open_count = sum(not shard.is_closed for shard in shards)
    yield good(source_path, f"the stream is there; open shards: {open_count}")
    for finding in retention_findings(path, mapping, description):
        yield finding
    if mapping.stream.consumer:
        async for finding in _ask_consumer(mapping, source_path, clients):
            yield finding
    else:
        yield await _ask_reading(mapping, source_path, source, shards)
    if mapping.destination:
        destination_path = f"{path}.DestinationConfig.OnFailure.Destination"
        yield await ask_destination(
            mapping.destination, destination_path, region=mapping.source.region, clients=clients
        )


def retention_findings(path: str, mapping: StreamMapping, description: StreamDescription) -> list[Finding]:
    """What the mapping asks of records that the stream no longer has."""
    retention, age = description.retention_seconds, mapping.maximum_record_age_in_seconds
    begins_at = mapping.starting_position_timestamp
    kept = f"the stream keeps records for {retention / 3600:g} hours"
    found = []
    if age > retention:
        message = f"{kept}, so none becomes {age} s old: a batch that fails is lost before it is given up"
        found.append(warning(f"{path}.MaximumRecordAgeInSeconds", message))
    if begins_at is not None and begins_at < description.server_at - retention:
        message = f"{kept}, so a first start begins at its oldest record"
        found.append(warning(f"{path}.StartingPositionTimestamp", message))
    return found


async def _ask_reading(mapping: StreamMapping, path: str, source: StreamSource, shards: Sequence[Shard]) -> Finding:
    actions = f"reading ({mapping.stream.service}:GetShardIterator, GetRecords)"
    if not shards:
        return warning(path, f"the stream has no shards, so {actions} could not be tried")
    reader = source.reader(shards[-1].shard_id)
    try:
        await reader.read(TrimHorizon(), maximum_count=1)
    except ShardReadError as error:
        return permission(path, actions, error)
    finally:
        await reader.aclose()
    return permission(path, actions, None)


async def _ask_consumer(mapping: StreamMapping, path: str, clients: Clients) -> AsyncIterator[Finding]:
    arn = mapping.event_source_arn
    endpoint = await clients.json_endpoint("kinesis", mapping.source.region)
    try:
        answer = await endpoint.call("DescribeStreamConsumer", {"ConsumerARN": arn}, resource=arn)
        status = str(answer.value.get("ConsumerDescription", {}).get("ConsumerStatus"))
        message = f"the consumer is {status}"
        yield good(path, message) if status == ACTIVE else warning(path, f"{message}, and cannot be read as yet")
    except SourceError as error:
        if error.code == CONSUMER_MISSING:
            yield mistake(path, f"the consumer does not exist: {error}")
            return
        if error.code not in DENIED_CODES:  # the broker itself does without this action
            yield failure(path, str(error))
            return
    request = {"ConsumerARN": arn, "ShardId": NO_SHARD, "StartingPosition": {"Type": "LATEST"}}
    try:
        await endpoint.call("SubscribeToShard", request, resource=arn)
    except SourceError as error:
        yield permission(path, "kinesis:SubscribeToShard", error)


def _unreachable(path: str, mapping: StreamMapping, error: ShardReadError) -> Finding:
    if error.fault is ReadFault.STREAM_GONE:
        return mistake(path, f"Stream not found: {mapping.stream.stream_arn} ({error})")
    return failure(path, str(error))
