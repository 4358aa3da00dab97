"""What tells a Kinesis stream from a table's stream: limits, time stamps, names and numbers.

Source: Amazon Kinesis Data Streams API reference, GetRecords, GetShardIterator and SubscribeToShard; Amazon DynamoDB
Streams API reference, GetRecords and DescribeStream (read November 2026). Inferred: ten reads a second of a DynamoDB
shard (AWS only advises against more than two readers).
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamKind:
    """One of the two kinds of streams."""

    name: str
    iterator_seconds: float
    """How long a shard iterator lives."""
    calls_per_second: int
    """Reads of one shard."""
    bytes_per_second: float
    """What one shard gives to all who read it."""
    records_per_call: int
    bytes_per_call: int
    page_size: int
    """Shards in one page of a listing."""
    arrival_seconds: float
    """Resolution of the arrival time; it is rounded down."""
    retention_seconds: float
    roll_seconds: float
    """After how long a shard is closed and followed by another without anybody asking."""
    names_children: bool
    """Whether the end of a closed shard names the shards that follow."""
    reports_trims: bool
    """Whether reading what is trimmed is refused; else reading goes on silently with the oldest record."""
    has_timestamp_iterators: bool
    can_merge: bool
    digits: int
    """Of the first sequence numbers; the eleventh of a stream has one more, so that text sorts them wrongly."""


KINESIS = StreamKind(
    name="kinesis",
    iterator_seconds=300,
    calls_per_second=5,
    bytes_per_second=2 * 1024 * 1024,
    records_per_call=10_000,
    bytes_per_call=10 * 1024 * 1024,
    page_size=1000,
    arrival_seconds=0.001,
    retention_seconds=86_400,
    roll_seconds=math.inf,
    names_children=True,
    reports_trims=False,
    has_timestamp_iterators=True,
    can_merge=True,
    digits=56,
)
"""A Kinesis data stream."""

DYNAMODB = StreamKind(
    name="dynamodb",
    iterator_seconds=900,
    calls_per_second=10,
    bytes_per_second=math.inf,
    records_per_call=1000,
    bytes_per_call=1024 * 1024,
    page_size=100,
    arrival_seconds=1.0,
    retention_seconds=86_400,
    roll_seconds=14_400,
    names_children=False,
    reports_trims=True,
    has_timestamp_iterators=False,
    can_merge=False,
    digits=28,
)
"""The stream of a DynamoDB table."""
