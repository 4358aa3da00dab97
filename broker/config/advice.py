"""What a user should hear of a valid configuration, because it will hardly do what is meant.

Source: AWS Lambda Developer Guide, "Using event filtering with …" of each source; Kinesis Data Streams and DynamoDB
Developer Guides, quotas for readers of a shard (read November 2026).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from json import loads
from typing import assert_never

from broker.config.consistency import Found
from broker.model.function import Function
from broker.model.mapping import EventSourceMapping
from broker.model.queue_mapping import QueueMapping
from broker.model.reference import StoreKind, StreamReference, StreamService
from broker.model.settings import BrokerSettings
from broker.model.stream_mapping import StreamMapping

MEMBERS_OF_A_MESSAGE = frozenset(
    {
        "messageId", "receiptHandle", "body", "attributes", "messageAttributes", "md5OfBody", "md5OfMessageAttributes",
        "eventSource", "eventSourceARN", "awsRegion", "$or",
    }
)  # fmt: skip
"""What a pattern may ask for at its top."""

_MEMBERS_OF_RECORDS = frozenset(
    {"eventID", "eventName", "eventVersion", "eventSource", "eventSourceARN", "awsRegion", "$or"}
)
MEMBERS_OF_A_STREAM_RECORD: Mapping[StreamService, frozenset[str]] = {
    StreamService.KINESIS: _MEMBERS_OF_RECORDS
    | {"data", "kinesis", "partitionKey", "sequenceNumber", "approximateArrivalTimestamp", "kinesisSchemaVersion"}
    | {"invokeIdentityArn"},
    StreamService.DYNAMODB: _MEMBERS_OF_RECORDS | {"dynamodb", "userIdentity"},
}
"""The same for streams."""

_READERS = {StreamService.KINESIS: 5, StreamService.DYNAMODB: 2}
"""How many can read one shard without throttling each other: Kinesis allows five calls a second, and each mapping makes
one; DynamoDB allows two readers."""


def hopeless_patterns(mapping: EventSourceMapping) -> Iterator[Found]:
    """Patterns that ask for what no record has, so that nothing passes; locations begin at the mapping."""
    members, noun, data_key = _members_of(mapping)
    for index, pattern in enumerate(mapping.filter_patterns):
        foreign = sorted(key for key in loads(pattern) if key.partition(".")[0] not in members)
        if foreign:
            message = (
                f"no {noun} has {', '.join(foreign)} beside its {data_key}, so this pattern matches none or not what "
                f'was meant: what the {data_key} holds is written {{"{data_key}": {{…}}}}'
            )
            yield ("FilterCriteria", "Filters", index, "Pattern"), message


def _members_of(mapping: EventSourceMapping) -> tuple[frozenset[str], str, str]:
    """What a pattern may ask for, and what record and data key are called."""
    match mapping:
        case QueueMapping():
            return MEMBERS_OF_A_MESSAGE, "message", "body"
        case StreamMapping():
            service = mapping.stream.service
            data_key = "data" if service is StreamService.KINESIS else "dynamodb"
            return MEMBERS_OF_A_STREAM_RECORD[service], "record", data_key
        case _:
            assert_never(mapping)


def contended_functions(functions: Sequence[Function], mappings: Sequence[EventSourceMapping]) -> Iterator[Found]:
    """Functions whose queues may together ask for more than they run at once, and so throttle each other."""
    queues = [mapping for mapping in mappings if isinstance(mapping, QueueMapping)]
    for index, function in enumerate(functions):
        limit = function.reserved_concurrent_executions
        shares = [
            each.scaling_config.maximum_concurrency for each in queues if each.function.name == function.function_name
        ]
        if limit is None or sum(min(share or limit, limit) for share in shares) <= limit:
            continue
        message = (
            f"{len(shares)} mappings share {limit}, so they throttle each other, as on AWS, and a throttled message "
            "costs a receive: give each a ScalingConfig.MaximumConcurrency that together fit, or raise this"
        )
        yield ("Functions", index, "ReservedConcurrentExecutions"), message


def crowded_streams(mappings: Sequence[EventSourceMapping]) -> Iterator[Found]:
    """Streams whose shards more mappings read than a shard stands, each told of at the first that is too many."""
    readers: defaultdict[StreamReference, int] = defaultdict(int)
    for index, mapping in enumerate(mappings):
        if not isinstance(mapping, StreamMapping):
            continue
        stream = mapping.stream
        readers[stream] += 1
        allowed = 1 if stream.consumer else _READERS[stream.service]
        if readers[stream] == allowed + 1:
            yield ("EventSourceMappings", index, "EventSourceArn"), _crowd(stream, allowed)


def _crowd(stream: StreamReference, allowed: int) -> str:
    if stream.consumer:
        return (
            "another mapping reads as this consumer already, and each ends the other's subscription: register a "
            "consumer for each"
        )
    advice = ": register a consumer for each (enhanced fan-out)" if stream.service is StreamService.KINESIS else ""
    return f"more than {allowed} mappings read the shards of {stream.name}, so they throttle each other{advice}"


def distant_destinations(mappings: Sequence[EventSourceMapping]) -> Iterator[Found]:
    """Destinations in another region; a bucket's name does not say where it is."""
    for index, mapping in enumerate(mappings):
        destination = mapping.destination if isinstance(mapping, StreamMapping) else None
        if destination and destination.region and destination.region != mapping.source.region:
            message = (
                f"the stream is in {mapping.source.region} and its destination in {destination.region}: records that "
                "are given up leave the region"
            )
            yield ("EventSourceMappings", index, "DestinationConfig", "OnFailure", "Destination"), message


def forgotten_positions(settings: BrokerSettings, mappings: Sequence[EventSourceMapping]) -> Iterator[Found]:
    """A store that keeps no positions, beside streams."""
    streams = [mapping for mapping in mappings if isinstance(mapping, StreamMapping)]
    if streams and settings.store.kind is StoreKind.MEMORY:
        message = (
            "memory: forgets positions when the broker ends, so that streams begin at their StartingPosition again: "
            "use sqlite:, or dynamodb:TABLE_PREFIX for a fleet"
        )
        yield ("Broker", "StateStore"), message
