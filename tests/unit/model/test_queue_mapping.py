"""A mapping in hand is a valid mapping: Lambda's rules for SQS, with Lambda's words."""

from typing import Any

import pytest
from pydantic import ValidationError
from pydantic.alias_generators import to_snake

from broker.model.arn import Arn
from broker.model.extensions import Backoff, QueueExtensions, StreamExtensions
from broker.model.queue_mapping import QueueMapping, visibility_mistake
from broker.model.reference import EventSourceKind, FunctionReference

QUEUE = "arn:aws:sqs:eu-west-1:123456789012:orders"
FIFO = QUEUE + ".fifo"


def mapping(**fields: Any) -> QueueMapping:
    return QueueMapping.model_validate({"EventSourceArn": QUEUE, "FunctionName": "orders", **fields})


def mistakes(**fields: Any) -> dict[str, str]:
    """Sentences by path; the library's own words where a check is the library's."""
    with pytest.raises(ValidationError) as raised:
        mapping(**fields)
    return {path(each): each["msg"] for each in raised.value.errors()}


def path(error: Any) -> str:
    parts = error["loc"][:-1] if error["type"] == "wrong_as_a_whole" else error["loc"]
    return ".".join(map(str, parts))


def test_a_mapping_has_awss_defaults_for_queues() -> None:
    made = mapping()
    assert made.enabled
    assert (made.batch_size, made.maximum_batching_window_in_seconds) == (10, 0)
    assert made.filter_patterns == ()
    assert not made.reports_batch_item_failures
    assert made.scaling_config.maximum_concurrency is None
    assert made.provisioned_poller_config is None
    assert made.broker == QueueExtensions()
    assert made.uuid is None


def test_the_library_may_use_either_spelling() -> None:
    assert QueueMapping(event_source_arn=QUEUE, function_name="orders", batch_size=5) == mapping(BatchSize=5)


def test_a_mapping_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        mapping().batch_size = 3  # type: ignore[misc]


def test_numbers_are_not_guessed_from_text() -> None:
    assert "BatchSize" in mistakes(BatchSize="10")
    assert "BatchSize" in mistakes(BatchSize=10.0)
    assert "BatchSize" in mistakes(BatchSize=True)


@pytest.mark.parametrize(
    ("written", "name", "qualifier", "account_id"),
    [
        ("orders", "orders", None, None),
        ("orders:live", "orders", "live", None),
        ("orders:$LATEST", "orders", "$LATEST", None),
        ("function:orders", "orders", None, None),
        ("123456789012:function:orders:7", "orders", "7", "123456789012"),
        ("arn:aws:lambda:eu-west-1:123456789012:function:orders", "orders", None, "123456789012"),
        ("arn:aws:lambda:eu-west-1:123456789012:function:orders:live", "orders", "live", "123456789012"),
    ],
)
def test_a_function_is_named_by_name_or_arn_with_or_without_qualifier(
    written: str, name: str, qualifier: str | None, account_id: str | None
) -> None:
    reference = mapping(FunctionName=written).function
    assert (reference.name, reference.qualifier, reference.account_id) == (name, qualifier, account_id)
    assert reference.qualified_name == (f"{name}:{qualifier}" if qualifier else name)


def test_a_reference_that_names_no_function_is_refused() -> None:
    assert "FunctionName" in mistakes(FunctionName="two words")
    assert "FunctionName" in mistakes(FunctionName="")
    assert "FunctionName" in mistakes(FunctionName="x" * 257)
    with pytest.raises(ValueError, match="'two words' is neither a function's name nor its ARN"):
        FunctionReference.parse("two words")


def test_queue_and_function_must_share_a_region() -> None:
    name = "arn:aws:lambda:us-east-1:123456789012:function:orders"
    assert mistakes(FunctionName=name) == {
        "FunctionName": "source and function must be in the same Region, not in eu-west-1 and us-east-1"
    }
    assert "FunctionName" not in mistakes(EventSourceArn="x", FunctionName=name)


def test_a_queue_mapping_knows_its_queue() -> None:
    made = mapping(EventSourceArn=FIFO)
    assert made.kind is EventSourceKind.QUEUE
    assert made.source == Arn.parse(FIFO)
    assert made.is_fifo
    assert not mapping().is_fifo


@pytest.mark.parametrize(
    ("arn", "text"),
    [
        ("arn:aws:kinesis:eu-west-1:123456789012:stream/s", "Unrecognized event source."),
        ("arn:aws:kafka:eu-west-1:123456789012:cluster/c", "Unrecognized event source."),
        ("orders", "the event source is written as its ARN"),
        ("https://sqs.eu-west-1.amazonaws.com/1/orders", "the event source is written as its ARN"),
        ("arn:aws:sqs::123456789012:orders", "the ARN of a queue has a region, an account and a name"),
        ("arn:aws:sqs:eu-west-1::orders", "the ARN of a queue has a region, an account and a name"),
        ("arn:aws:sqs:eu-west-1:123456789012:or ders", "the ARN of a queue has a region, an account and a name"),
        ("arn:aws:sqs:eu-west-1:123456789012:" + "q" * 81, "the ARN of a queue has a region, an account and a name"),
    ],
)
def test_a_source_that_is_no_queue_is_refused_by_name(arn: str, text: str) -> None:
    assert mistakes(EventSourceArn=arn)["EventSourceArn"].startswith(text)


def test_regions_and_accounts_of_emulators_are_taken() -> None:
    assert mapping(EventSourceArn="arn:aws:sqs:elasticmq:000000000000:orders").source.region == "elasticmq"


def test_a_batch_of_more_than_ten_needs_a_window() -> None:
    assert mistakes(BatchSize=11) == {
        "BatchSize": "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
    }
    assert mapping(BatchSize=10_000, MaximumBatchingWindowInSeconds=1).batch_size == 10_000


def test_a_fifo_queue_has_no_window_and_batches_of_ten() -> None:
    assert mistakes(EventSourceArn=FIFO, MaximumBatchingWindowInSeconds=1, BatchSize=11) == {
        "MaximumBatchingWindowInSeconds": "Batching window is not supported for FIFO queues",
        "BatchSize": "Batch size must be at most 10 for FIFO queues",
    }
    assert mapping(EventSourceArn=FIFO, BatchSize=10, MaximumBatchingWindowInSeconds=0).is_fifo


def test_a_wrong_window_is_not_reported_twice_through_the_batch_size() -> None:
    assert set(mistakes(MaximumBatchingWindowInSeconds=301, BatchSize=11)) == {"MaximumBatchingWindowInSeconds"}


@pytest.mark.parametrize(
    "fields",
    [
        {"BatchSize": 0},
        {"BatchSize": 10_001},
        {"MaximumBatchingWindowInSeconds": -1},
        {"MaximumBatchingWindowInSeconds": 301},
        {"ScalingConfig": {"MaximumConcurrency": 1}},
        {"ScalingConfig": {"MaximumConcurrency": 1001}},
        {"FunctionResponseTypes": ["ReportBatchItemFailures"] * 2},
        {"FunctionResponseTypes": ["Other"]},
        {"KMSKeyArn": "key"},
        {"UUID": "1"},
        {"Tags": {"a": 1}},
        {"FilterCriteria": {"Filters": [{"Pattern": "x" * 4097}]}},
    ],
)
def test_what_awss_model_forbids_is_forbidden(fields: dict[str, Any]) -> None:
    assert mistakes(**fields)


def test_filters_are_at_most_five_unless_the_quota_says_more() -> None:
    filters = {"Filters": [{"Pattern": "{}"}] * 6}
    assert mistakes(FilterCriteria=filters) == {
        "FilterCriteria": "6 filters are more than 5: Broker.FilterQuota allows up to 10, as AWS does"
    }
    assert len(mapping(FilterCriteria=filters, Broker={"FilterQuota": 6}).filter_patterns) == 6


def test_partial_responses_are_asked_for_by_name() -> None:
    assert mapping(FunctionResponseTypes=["ReportBatchItemFailures"]).reports_batch_item_failures


@pytest.mark.parametrize(
    ("written", "pollers"),
    [
        ({"MinimumPollers": 3}, (3, 200)),
        ({"MaximumPollers": 2}, (2, 2)),
        ({"MinimumPollers": 200, "MaximumPollers": 10_000}, (200, 10_000)),
    ],
)
def test_provisioned_pollers_default_to_two_and_two_hundred(written: dict[str, int], pollers: tuple[int, int]) -> None:
    config = mapping(ProvisionedPollerConfig=written).provisioned_poller_config
    assert config is not None
    assert config.range == pollers


@pytest.mark.parametrize(
    "written",
    [{"MinimumPollers": 1}, {"MaximumPollers": 1}, {"MinimumPollers": 5, "MaximumPollers": 4}],
)
def test_provisioned_pollers_have_a_range(written: dict[str, int]) -> None:
    assert mistakes(ProvisionedPollerConfig=written) == {
        "ProvisionedPollerConfig": (
            "MinimumPollers should be between [2, 200] and MaximumPollers should be between [MinimumPollers, 10000]"
        )
    }


def test_provisioned_mode_needs_a_number() -> None:
    assert mistakes(ProvisionedPollerConfig={}) == {
        "ProvisionedPollerConfig": (
            "Either MinimumPollers or MaximumPollers are required if ProvisionedPollerConfig is provided."
        )
    }


def test_a_wrong_minimum_is_not_reported_twice_through_the_maximum() -> None:
    assert set(mistakes(ProvisionedPollerConfig={"MinimumPollers": 201})) == {"ProvisionedPollerConfig.MinimumPollers"}


def test_provisioned_mode_excludes_a_maximum_concurrency() -> None:
    assert mistakes(ProvisionedPollerConfig={"MinimumPollers": 2}, ScalingConfig={"MaximumConcurrency": 2}) == {
        "ProvisionedPollerConfig": (
            "Provisioned mode for SQS ESM does not support maximum concurrency feature. "
            "Use MaximumPollers as the control mechanism and remove maximum concurrency."
        )
    }


def test_queues_have_one_metric() -> None:
    assert mapping(MetricsConfig={"Metrics": ["EventCount"]}).stored_fields == ("MetricsConfig",)
    assert mistakes(MetricsConfig={"Metrics": ["KafkaMetrics", "ErrorCount"]}) == {
        "MetricsConfig.Metrics": "queues and streams have only the metric EventCount: remove ErrorCount, KafkaMetrics"
    }


def test_fields_without_effect_are_named_when_they_are_written() -> None:
    assert mapping().stored_fields == ()
    assert mapping(Tags={"a": "b"}, KMSKeyArn="").stored_fields == ("KMSKeyArn", "Tags")
    assert QueueMapping(event_source_arn=QUEUE, function_name="f", tags={}).stored_fields == ("Tags",)


def test_a_given_identity_is_kept_in_lower_case() -> None:
    assert mapping(UUID="14E0DB71-5D35-4EB5-B481-8945CF9D10C2").uuid == "14e0db71-5d35-4eb5-b481-8945cf9d10c2"


def test_group_order_is_held_for_fifo_queues_only() -> None:
    held = {"FifoFailure": "hold-group"}
    assert mapping(EventSourceArn=FIFO, Broker=held).broker.fifo_failure == "hold-group"
    assert mistakes(Broker=held) == {
        "Broker": "FifoFailure: hold-group needs a FIFO queue, and this one's name does not end in .fifo"
    }
    assert set(mistakes(EventSourceArn="x", Broker=held)) == {"EventSourceArn"}


@pytest.mark.parametrize(("visibility", "timeout"), [(30, 30), (31, 30), (43_200, 900)])
def test_a_visibility_that_covers_the_timeout_is_no_mistake(visibility: int, timeout: int) -> None:
    assert visibility_mistake(visibility, timeout) is None


def test_a_visibility_shorter_than_the_timeout_is_awss_mistake() -> None:
    assert visibility_mistake(29, 30) == (
        "Queue visibility timeout: 29 seconds is less than Function timeout: 30 seconds"
    )


def test_backoff_grows() -> None:
    with pytest.raises(ValidationError, match=r"MaximumSeconds \(1\) is less than BaseSeconds \(2\)"):
        Backoff(base_seconds=2, maximum_seconds=1)
    with pytest.raises(ValidationError):
        Backoff(base_seconds=0)
    with pytest.raises(ValidationError) as raised:
        Backoff(base_seconds=float("nan"), maximum_seconds=1)
    assert raised.value.error_count() == 1


def test_extensions_of_later_versions_are_refused_by_name() -> None:
    assert QueueExtensions.refused["AssumeRoles"] == "AssumeRoles belongs to a later version: remove it"


def test_extensions_of_streams_are_refused_by_name() -> None:
    assert set(StreamExtensions.model_fields) - set(QueueExtensions.model_fields) == {
        to_snake(name) for name in QueueExtensions.refused
    } - {"assume_roles"}
    assert QueueExtensions.refused["TakeOver"] == ("TakeOver is for streams, and this mapping reads a queue: remove it")


def test_a_queue_needs_a_store_only_to_share_its_concurrency() -> None:
    assert not mapping().needs_store
    assert mapping(ScalingConfig={"MaximumConcurrency": 2}).needs_store
