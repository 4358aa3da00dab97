"""From what a stream's mapping says to what its shards' consumers decide by.

Paces are AWS's: a shard of Kinesis is polled once a second while it has nothing more, and one of DynamoDB four times; a
shard that has more is read on at once, as far as the service allows. Kinesis allows five calls and 2 MiB a second.

Inferred: DynamoDB publishes no such limit; ten calls a second are made at most.

Source: AWS Lambda Developer Guide, "How Lambda processes records from Amazon Kinesis Data Streams" and "Using AWS
Lambda with Amazon DynamoDB"; Kinesis Data Streams API, GetRecords; DynamoDB Streams API, GetRecords (read November
2026).
"""

from collections.abc import Callable
from math import inf
from typing import Final

from broker.core.queue_policy import BackoffPolicy
from broker.core.stream_policy import PacePolicy, StreamPolicy
from broker.model.extensions import Backoff
from broker.model.reference import StreamReference, StreamService
from broker.model.stream import StreamRecord
from broker.model.stream_mapping import StreamMapping

POLLED_KINESIS: Final = PacePolicy()
FAN_OUT: Final = PacePolicy(idle_seconds=0.0, minimum_seconds=0.0, bytes_per_second=inf)
"""Records are pushed as they come, and reading waits for them."""
DYNAMODB: Final = PacePolicy(idle_seconds=0.25, minimum_seconds=0.1, bytes_per_second=inf, maximum_count=1_000)


def pace_of(stream: StreamReference) -> PacePolicy:
    """How often a shard of this stream may be read."""
    if stream.service is StreamService.DYNAMODB:
        return DYNAMODB
    return FAN_OUT if stream.consumer else POLLED_KINESIS


def stream_policy(
    mapping: StreamMapping,
    *,
    accepts: Callable[[StreamRecord], bool] | None,
    retention_seconds: float = 86_400.0,
) -> StreamPolicy:
    """What a mapping says, in the terms of its shards' consumers.

    `accepts` are the compiled filters, None where everything passes; `retention_seconds` is how long the stream keeps
    records, as its description says.
    """
    extensions, factor = mapping.broker, mapping.parallelization_factor
    return StreamPolicy(
        stream_arn=mapping.event_source_arn,
        batch_size=mapping.batch_size,
        window_seconds=mapping.maximum_batching_window_in_seconds,
        factor=factor,
        maximum_record_age_seconds=mapping.maximum_record_age_in_seconds,
        maximum_retry_attempts=mapping.maximum_retry_attempts,
        bisect=mapping.bisect_batch_on_function_error,
        report_batch_item_failures=mapping.reports_batch_item_failures,
        tumbling_window_seconds=mapping.tumbling_window_in_seconds,
        accepts=accepts,
        has_destination=mapping.destination is not None,
        blocks_on_destination=extensions.destination_outage == "block",
        destination_seconds=extensions.destination_seconds,
        payload_limit_bytes=extensions.payload_limit_in_bytes,
        pace=pace_of(mapping.stream),
        retention_seconds=retention_seconds,
        failure_backoff=_backoff(extensions.retry_backoff),
        throttle_backoff=_backoff(extensions.throttle_backoff),
        source_backoff=_backoff(extensions.source_backoff),
        buffered_count=max(extensions.buffered_records, 2 * mapping.batch_size * factor),
        buffered_bytes=extensions.buffered_bytes,
        ahead_count=extensions.ahead_records,
        ahead_bytes=extensions.ahead_bytes,
        window_grace_seconds=extensions.window_grace_seconds,
    )


def _backoff(written: Backoff) -> BackoffPolicy:
    return BackoffPolicy(base_seconds=written.base_seconds, maximum_seconds=written.maximum_seconds)
