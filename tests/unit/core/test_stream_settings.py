"""What a stream's mapping says reaches its shards' consumers, each number in its place."""

from math import inf
from typing import Any

import pytest

from broker.core.queue_policy import BackoffPolicy
from broker.core.stream_policy import StreamPolicy
from broker.core.stream_settings import pace_of, stream_policy
from broker.model.reference import StreamReference
from broker.model.stream_mapping import StreamMapping

KINESIS = "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks"
DYNAMODB = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/x"


def policy(**fields: Any) -> StreamPolicy:
    written = {"EventSourceArn": KINESIS, "FunctionName": "f", "StartingPosition": "LATEST", **fields}
    return stream_policy(StreamMapping.model_validate(written), accepts=None)


def test_a_mapping_that_says_nothing_has_the_policys_own_defaults() -> None:
    assert policy() == StreamPolicy(stream_arn=KINESIS)


def test_what_a_mapping_says_is_what_its_shards_do() -> None:
    made = policy(
        BatchSize=7,
        MaximumBatchingWindowInSeconds=8,
        ParallelizationFactor=3,
        MaximumRecordAgeInSeconds=60,
        MaximumRetryAttempts=4,
        BisectBatchOnFunctionError=True,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        DestinationConfig={"OnFailure": {"Destination": "arn:aws:s3:::failed"}},
    )
    assert (made.batch_size, made.window_seconds, made.factor) == (7, 8, 3)
    assert (made.maximum_record_age_seconds, made.maximum_retry_attempts) == (60, 4)
    assert made.bisect
    assert made.report_batch_item_failures
    assert made.has_destination
    assert not made.blocks_on_destination
    assert policy(TumblingWindowInSeconds=9).tumbling_window_seconds == 9


def test_extensions_reach_the_policy() -> None:
    made = policy(
        ParallelizationFactor=2,
        DestinationConfig={"OnFailure": {"Destination": "arn:aws:s3:::failed"}},
        Broker={
            "DestinationSeconds": 5,
            "PayloadLimitInBytes": 2048,
            "RetryBackoff": {"BaseSeconds": 3, "MaximumSeconds": 4},
            "ThrottleBackoff": {"BaseSeconds": 5, "MaximumSeconds": 6},
            "SourceBackoff": {"BaseSeconds": 7, "MaximumSeconds": 8},
            "BufferedRecords": 500,
            "BufferedBytes": 2_000_000,
            "AheadRecords": 10,
            "AheadBytes": 3_000_000,
        },
    )
    assert (made.destination_seconds, made.payload_limit_bytes) == (5, 2048)
    assert [made.failure_backoff, made.throttle_backoff, made.source_backoff] == [
        BackoffPolicy(base_seconds=base, maximum_seconds=base + 1) for base in (3, 5, 7)
    ]
    assert (made.buffered_count, made.buffered_bytes) == (500, 2_000_000)
    assert (made.ahead_count, made.ahead_bytes) == (10, 3_000_000)
    assert policy(TumblingWindowInSeconds=9, Broker={"WindowGraceSeconds": 1}).window_grace_seconds == 1


def test_a_shard_that_waits_for_its_destination_blocks() -> None:
    destination = {"OnFailure": {"Destination": "arn:aws:s3:::failed"}}
    assert policy(DestinationConfig=destination, Broker={"DestinationOutage": "block"}).blocks_on_destination


def test_two_batches_of_each_lane_are_held_whatever_the_limit() -> None:
    assert policy(BatchSize=5_000, ParallelizationFactor=4, Broker={"BufferedRecords": 10}).buffered_count == 40_000


@pytest.mark.parametrize(
    ("arn", "idle", "least", "most_bytes", "count"),
    [
        (KINESIS, 1.0, 0.2, 2 * 1024 * 1024, 10_000),
        (f"{KINESIS}/consumer/shop:1", 0.0, 0.0, inf, 10_000),
        (DYNAMODB, 0.25, 0.1, inf, 1_000),
    ],
)
def test_a_shard_is_read_as_often_as_its_service_allows(
    arn: str, idle: float, least: float, most_bytes: float, count: int
) -> None:
    pace = pace_of(StreamReference.parse(arn))
    assert (pace.idle_seconds, pace.minimum_seconds) == (idle, least)
    assert (pace.bytes_per_second, pace.maximum_count) == (most_bytes, count)
