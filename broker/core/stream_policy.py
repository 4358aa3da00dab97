"""The numbers and switches that a shard's consumer decides by: plain values, derived from a mapping.

Source: AWS Lambda Developer Guide, "How Lambda processes records from Amazon Kinesis Data Streams" and "Using AWS
Lambda with Amazon DynamoDB" (read November 2026); what is marked inferred is ours.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from broker.core.queue_policy import BackoffPolicy
from broker.model.invocation import PAYLOAD_LIMIT_BYTES
from broker.model.stream import StreamRecord

MAXIMUM_STATE_BYTES = 1_048_576
"""A tumbling window whose state is larger ends early."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PacePolicy:
    """How often one shard may be read."""

    idle_seconds: float = 1.0
    """Between reads of a shard that has nothing more: AWS polls Kinesis once and DynamoDB four times a second."""
    minimum_seconds: float = 0.2
    """Between reads of a shard that has more: Kinesis allows five calls a second."""
    bytes_per_second: float = 2 * 1024 * 1024
    """What the shard gives in all."""
    maximum_count: int = 10_000
    """Most records that one call may bring: 10,000 for Kinesis, 1,000 for DynamoDB Streams."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPolicy:
    """Everything that a `ShardConsumer` decides by."""

    stream_arn: str = ""
    """The event source's ARN: a part of events with a tumbling window."""
    batch_size: int = 100
    window_seconds: int = 0
    """`MaximumBatchingWindowInSeconds`."""
    factor: int = 1
    """`ParallelizationFactor`: lanes of one shard, 1-10."""
    maximum_record_age_seconds: int = -1
    """-1 for never: a record in hand is tried on also when the stream no longer keeps it (AWS gives up then)."""
    maximum_retry_attempts: int = -1
    """-1 for as often as it takes."""
    bisect: bool = False
    report_batch_item_failures: bool = False
    tumbling_window_seconds: int = 0
    """0 for none; needs `factor` 1 and no filter."""
    accepts: Callable[[StreamRecord], bool] | None = None
    """The compiled filters; None where everything passes."""
    has_destination: bool = False
    blocks_on_destination: bool = False
    """Extension `DestinationOutage: block`: the shard waits for its destination; AWS drops the records."""
    destination_seconds: float = 60.0
    """How long a destination that fails is tried again, before the records are dropped (inferred: AWS says only that it
    retries)."""
    payload_limit_bytes: int = PAYLOAD_LIMIT_BYTES
    pace: PacePolicy = field(default_factory=PacePolicy)
    retention_seconds: float = 86_400.0
    """How long the stream keeps records."""
    failure_backoff: BackoffPolicy = field(default_factory=BackoffPolicy)
    """Between attempts of a batch that fails (inferred: 1 s, doubled, at most 30 s)."""
    throttle_backoff: BackoffPolicy = field(default_factory=lambda: BackoffPolicy(maximum_seconds=60.0))
    """Between attempts of a batch that was throttled or found its target unavailable (inferred)."""
    source_backoff: BackoffPolicy = field(default_factory=lambda: BackoffPolicy(base_seconds=2.0))
    """Between reads that fail; half of the first delay, the least, is the second that AWS asks for."""
    store_backoff: BackoffPolicy = field(default_factory=lambda: BackoffPolicy(base_seconds=0.5, maximum_seconds=10.0))
    """Between writes of a checkpoint."""
    destination_backoff: BackoffPolicy = field(default_factory=BackoffPolicy)
    buffered_count: int = 20_000
    """Records of one shard that are held; at least twice a batch for each lane."""
    buffered_bytes: int = 32 * 1024 * 1024
    ahead_count: int = 100_000
    """Records that lanes may be ahead of one that is blocked: what is read again after a crash."""
    ahead_bytes: int = 256 * 1024 * 1024
    idle_checkpoint_seconds: float = 1.0
    """How often progress is written that only filtered records made."""
    window_grace_seconds: float = 10.0
    """How long after its end a tumbling window of an idle shard is closed (inferred: AWS takes up to two minutes)."""
