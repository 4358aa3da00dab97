"""A mapping, in the terms of its consumer."""

from typing import Any

import pytest

from broker.core.events import Fetch
from broker.core.queue_policy import (
    BackoffPolicy,
    CircuitBreakerPolicy,
    QueuePolicy,
    ScalingPolicy,
    queue_policy,
)
from broker.model.queue_mapping import QueueMapping
from tests.unit.core.talk import Talk

QUEUE = "arn:aws:sqs:eu-west-1:123456789012:orders"


def policy(*, arn: str = QUEUE, concurrency: int | None = None, drain: float = 60.0, **fields: Any) -> QueuePolicy:
    mapping = QueueMapping.model_validate({"EventSourceArn": arn, "FunctionName": "orders", **fields})
    return queue_policy(
        mapping, accepts=None, function_timeout_seconds=3.0, function_concurrency=concurrency, drain_seconds=drain
    )


def test_a_mapping_without_extensions_behaves_as_on_aws():
    made = policy()

    assert made == QueuePolicy()
    assert made.scaling == ScalingPolicy(
        initial=5, maximum=1250, growth_per_second=5.0, idle_pollers=2, floor=2, reduce_on_error=True
    )


def test_batching_is_the_mappings():
    made = policy(BatchSize=100, MaximumBatchingWindowInSeconds=5)

    assert (made.batch_size, made.window_seconds) == (100, 5)


def test_a_fifo_queue_is_consumed_in_groups():
    assert policy(arn=f"{QUEUE}.fifo").fifo
    assert not policy().fifo


def test_reported_failures_count_and_function_errors_do_not_reduce():
    made = policy(FunctionResponseTypes=["ReportBatchItemFailures"])

    assert made.report_batch_item_failures
    assert not made.scaling.reduce_on_error


def test_the_filters_and_the_functions_timeout_are_taken_as_given():
    mapping = QueueMapping.model_validate({"EventSourceArn": QUEUE, "FunctionName": "orders"})

    def accepts(_record):
        return True

    made = queue_policy(
        mapping, accepts=accepts, function_timeout_seconds=7.5, function_concurrency=None, drain_seconds=60.0
    )
    assert (made.accepts, made.function_timeout_seconds) == (accepts, 7.5)


@pytest.mark.parametrize(("drain", "expected"), [(60.0, 20), (40.0, 20), (20.0, 10), (5.0, 2), (1.0, 0), (0.0, 0)])
def test_a_long_poll_lasts_at_most_half_of_the_drain(drain, expected):
    assert policy(drain=drain).long_poll_seconds == expected


def test_maximum_concurrency_caps_and_ends_the_idle_saving():
    made = policy(ScalingConfig={"MaximumConcurrency": 3}).scaling

    assert (made.maximum, made.idle_pollers) == (3, 3)
    assert policy(ScalingConfig={"MaximumConcurrency": 50}).scaling.idle_pollers == 5


def test_provisioned_pollers_bring_ten_batches_each():
    made = policy(ProvisionedPollerConfig={"MinimumPollers": 3, "MaximumPollers": 20}).scaling

    assert (made.initial, made.maximum, made.floor, made.idle_pollers) == (30, 200, 30, 3)
    assert made.growth_per_second * 60 == pytest.approx(1000)


@pytest.mark.parametrize(("fields", "expected"), [({}, 7), ({"ScalingConfig": {"MaximumConcurrency": 3}}, 3)])
def test_no_more_batches_are_in_flight_than_the_function_runs_at_once(fields, expected):
    assert policy(concurrency=7, **fields).scaling.maximum == expected


def test_the_numbers_of_aws_can_be_changed():
    scaling = {"Initial": 8, "Maximum": 90, "GrowthPerSecond": 2.5, "IdlePollers": 3, "Floor": 4}

    assert policy(Broker={"Scaling": scaling}).scaling == ScalingPolicy(
        initial=8, maximum=90, growth_per_second=2.5, idle_pollers=3, floor=4
    )


def test_extensions_are_taken_up():
    made = policy(
        arn=f"{QUEUE}.fifo",
        Broker={
            "VisibilityHeartbeat": True,
            "FailureBackoff": {"BaseSeconds": 2.0, "MaximumSeconds": 60.0},
            "FifoFailure": "hold-group",
            "RateLimit": {"RecordsPerSecond": 5.0},
            "CircuitBreaker": {"ConsecutiveFailures": 4, "PauseSeconds": 9.0},
            "RetryBackoff": {"BaseSeconds": 0.5, "MaximumSeconds": 5.0},
            "SourceBackoff": {"BaseSeconds": 3.0, "MaximumSeconds": 6.0},
            "FreshSeconds": 0.25,
            "LongPollSeconds": 4,
            "PayloadLimitInBytes": 4096,
        },
    )

    assert made.heartbeat
    assert made.hold_group
    assert made.failure_backoff == BackoffPolicy(base_seconds=2.0, maximum_seconds=60.0)
    assert made.records_per_second == 5.0
    assert made.circuit_breaker == CircuitBreakerPolicy(consecutive_failures=4, pause_seconds=9.0)
    assert made.retry_backoff == BackoffPolicy(base_seconds=0.5, maximum_seconds=5.0)
    assert made.source_backoff == BackoffPolicy(base_seconds=3.0, maximum_seconds=6.0)
    assert (made.fresh_seconds, made.long_poll_seconds, made.payload_limit_bytes) == (0.25, 4, 4096)


def test_what_a_provisioned_poller_is_can_be_set():
    written = policy(
        ProvisionedPollerConfig={"MinimumPollers": 2, "MaximumPollers": 4},
        Broker={"Provisioned": {"InvocationsPerPoller": 5, "GrowthPerSecond": 2.0}},
    ).scaling

    assert (written.initial, written.maximum, written.floor, written.growth_per_second) == (10, 20, 10, 2.0)


def test_the_margin_of_a_window_can_be_set():
    written = policy(BatchSize=20, MaximumBatchingWindowInSeconds=30, Broker={"WindowMarginSeconds": 5})
    talk = Talk(written)

    assert talk.take(Fetch).visibility_timeout_seconds == 30 + 3 + 5
