"""A mapping in hand is a valid mapping: Lambda's rules for streams, with Lambda's words where it has any."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic.alias_generators import to_pascal

from broker.model.arn import Arn
from broker.model.extensions import QueueExtensions, StreamExtensions
from broker.model.reference import EventSourceKind, StreamReference, StreamService
from broker.model.stream_mapping import StreamMapping

KINESIS = "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks"
CONSUMER = f"{KINESIS}/consumer/shop:1700000000"
DYNAMODB = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-01-31T09:00:00.000"
QUEUE = "arn:aws:sqs:eu-west-1:123456789012:failed"
FILTERS = {"Filters": [{"Pattern": '{"data":{"k":["v"]}}'}]}


def mapping(**fields: Any) -> StreamMapping:
    written = {"EventSourceArn": KINESIS, "FunctionName": "orders", "StartingPosition": "TRIM_HORIZON", **fields}
    return StreamMapping.model_validate({key: value for key, value in written.items() if value is not ...})


def mistakes(**fields: Any) -> dict[str, str]:
    """Sentences by path; the library's own words where a check is the library's."""
    with pytest.raises(ValidationError) as raised:
        mapping(**fields)
    return {".".join(map(written, each["loc"])): each["msg"] for each in raised.value.errors()}


def written(key: Any) -> str:
    """A default that is wrong beside other fields has its attribute's name."""
    return to_pascal(key) if str(key).islower() else str(key)


def sent_to(destination: str) -> dict[str, Any]:
    return {"OnFailure": {"Destination": destination}}


def begins_at(timestamp: Any) -> float | None:
    return mapping(StartingPosition="AT_TIMESTAMP", StartingPositionTimestamp=timestamp).starting_position_timestamp


def test_a_mapping_has_awss_defaults_for_streams() -> None:
    made = mapping()
    assert made.enabled
    assert (made.batch_size, made.maximum_batching_window_in_seconds) == (100, 0)
    assert (made.parallelization_factor, made.tumbling_window_in_seconds) == (1, 0)
    assert (made.maximum_record_age_in_seconds, made.maximum_retry_attempts) == (-1, -1)
    assert not made.bisect_batch_on_function_error
    assert not made.reports_batch_item_failures
    assert made.destination is None
    assert made.filter_patterns == ()
    assert made.broker == StreamExtensions()


def test_a_stream_mapping_keeps_positions() -> None:
    assert mapping().kind is EventSourceKind.STREAM
    assert mapping().needs_store


# ---- the source


@pytest.mark.parametrize(
    ("arn", "reference"),
    [
        (KINESIS, StreamReference(service=StreamService.KINESIS, stream_arn=KINESIS, name="clicks")),
        (
            CONSUMER,
            StreamReference(
                service=StreamService.KINESIS, stream_arn=KINESIS, name="clicks", consumer="shop:1700000000"
            ),
        ),
        (
            DYNAMODB,
            StreamReference(
                service=StreamService.DYNAMODB, stream_arn=DYNAMODB, name="orders", label="2026-01-31T09:00:00.000"
            ),
        ),
    ],
)
def test_a_source_is_a_stream_a_consumer_or_the_stream_of_a_table(arn: str, reference: StreamReference) -> None:
    made = mapping(EventSourceArn=arn)
    assert made.stream == reference
    assert made.source == Arn.parse(arn)


@pytest.mark.parametrize(
    ("arn", "text"),
    [
        ("arn:aws:sqs:eu-west-1:123456789012:orders", "Unrecognized event source."),
        ("clicks", "the event source is written as its ARN, such as arn:aws:kinesis:"),
        ("arn:aws:kinesis:eu-west-1:123456789012:clicks", "the ARN of a stream looks like arn:aws:kinesis:"),
        (f"{KINESIS}/consumer/shop", "the ARN of a stream looks like arn:aws:kinesis:"),
        ("arn:aws:dynamodb:eu-west-1:123456789012:table/orders", "the ARN of a stream looks like arn:aws:dynamodb:"),
        ("arn:aws:kinesis::123456789012:stream/clicks", "the ARN of a stream has a region and an account, such as"),
        ("arn:aws:dynamodb:eu-west-1:1:table/t/stream/x", "the ARN of a stream has a region and an account, such as"),
    ],
)
def test_a_source_that_is_no_stream_is_refused_by_name(arn: str, text: str) -> None:
    assert mistakes(EventSourceArn=arn)["EventSourceArn"].startswith(text)


def test_stream_and_function_must_share_a_region() -> None:
    name = "arn:aws:lambda:us-east-1:123456789012:function:orders"
    assert mistakes(FunctionName=name) == {
        "FunctionName": "source and function must be in the same Region, not in eu-west-1 and us-east-1"
    }


# ---- where it begins


def test_a_starting_position_is_needed() -> None:
    assert set(mistakes(StartingPosition=...)) == {"StartingPosition"}
    assert set(mistakes(StartingPosition="FIRST")) == {"StartingPosition"}


def test_dynamodb_cannot_begin_at_a_time() -> None:
    found = mistakes(EventSourceArn=DYNAMODB, StartingPosition="AT_TIMESTAMP", StartingPositionTimestamp=1)
    assert found == {"StartingPosition": f"Unsupported starting position for arn type: {DYNAMODB}"}


def test_a_wrong_source_is_not_reported_twice_through_its_position() -> None:
    found = mistakes(EventSourceArn="clicks", StartingPosition="AT_TIMESTAMP", StartingPositionTimestamp=1)
    assert set(found) == {"EventSourceArn"}


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (1_700_000_000, 1_700_000_000.0),
        (1_700_000_000.5, 1_700_000_000.5),
        ("1700000000.5", 1_700_000_000.5),
        ("2026-01-31T09:00:00Z", 1_769_850_000.0),
        ("2026-01-31T10:00:00+01:00", 1_769_850_000.0),
        ("2026-01-31 09:00", 1_769_850_000.0),
        ("2026-01-31", 1_769_817_600.0),
        (datetime(2026, 1, 31, 9, tzinfo=UTC), 1_769_850_000.0),
    ],
)
def test_a_time_is_taken_in_every_form_that_clients_send(written: Any, seconds: float) -> None:
    assert begins_at(written) == seconds


@pytest.mark.parametrize("written", [True, "yesterday", "", -1, float("inf"), "nan", [], "9999-99-99", "0001-01-01"])
def test_what_is_no_time_is_refused(written: Any) -> None:
    found = mistakes(StartingPosition="AT_TIMESTAMP", StartingPositionTimestamp=written)
    assert set(found) == {"StartingPositionTimestamp"}


def test_at_timestamp_needs_a_time_and_nothing_else_takes_one() -> None:
    assert mistakes(StartingPosition="AT_TIMESTAMP") == {
        "StartingPositionTimestamp": (
            'AT_TIMESTAMP needs the time to begin at: a time is written as epoch seconds or as "2026-01-31T09:00:00Z"'
        )
    }
    for position in ("LATEST", "TRIM_HORIZON"):
        assert mistakes(StartingPosition=position, StartingPositionTimestamp=1) == {
            "StartingPositionTimestamp": (
                f"StartingPositionTimestamp is for AT_TIMESTAMP, not for {position}: remove one of them"
            )
        }


# ---- batches, retries, windows


def test_a_large_batch_needs_no_window() -> None:
    assert mapping(BatchSize=10_000).batch_size == 10_000


@pytest.mark.parametrize(
    "fields",
    [
        {"BatchSize": 0},
        {"BatchSize": 10_001},
        {"MaximumBatchingWindowInSeconds": 301},
        {"ParallelizationFactor": 0},
        {"ParallelizationFactor": 11},
        {"MaximumRecordAgeInSeconds": -2},
        {"MaximumRecordAgeInSeconds": 604_801},
        {"MaximumRetryAttempts": -2},
        {"MaximumRetryAttempts": 10_001},
        {"TumblingWindowInSeconds": -1},
        {"TumblingWindowInSeconds": 901},
        {"BisectBatchOnFunctionError": "yes"},
        {"FunctionResponseTypes": ["Other"]},
        {"DestinationConfig": sent_to("x" * 351)},
        {"MetricsConfig": {"Metrics": ["KafkaMetrics"]}},
    ],
)
def test_what_awss_model_forbids_is_forbidden(fields: dict[str, Any]) -> None:
    assert len(mistakes(**fields)) == 1


@pytest.mark.parametrize("seconds", [0, 1, 59])
def test_an_age_below_a_minute_is_refused_in_awss_words(seconds: int) -> None:
    assert mistakes(MaximumRecordAgeInSeconds=seconds) == {
        "MaximumRecordAgeInSeconds": (
            "MaximumRecordAgeInSeconds must be either -1 (forever) or between 60 and 604800 (inclusive)"
        )
    }


@pytest.mark.parametrize("seconds", [-1, 60, 604_800])
def test_an_age_is_for_ever_or_a_minute_to_a_week(seconds: int) -> None:
    assert mapping(MaximumRecordAgeInSeconds=seconds).maximum_record_age_in_seconds == seconds


def test_no_retry_is_a_number_of_retries() -> None:
    assert mapping(MaximumRetryAttempts=0).maximum_retry_attempts == 0


def test_a_tumbling_window_excludes_filters_and_lanes() -> None:
    assert mapping(TumblingWindowInSeconds=900, FilterCriteria={"Filters": []}).tumbling_window_in_seconds == 900
    assert mistakes(TumblingWindowInSeconds=1, ParallelizationFactor=2) == {
        "TumblingWindowInSeconds": "TumblingWindowInSeconds needs a ParallelizationFactor of 1"
    }
    assert mistakes(TumblingWindowInSeconds=1, FilterCriteria=FILTERS) == {
        "TumblingWindowInSeconds": "TumblingWindowInSeconds cannot be combined with FilterCriteria"
    }
    assert mapping(ParallelizationFactor=2, FilterCriteria=FILTERS).tumbling_window_in_seconds == 0


# ---- destinations


@pytest.mark.parametrize("arn", [QUEUE, QUEUE.replace(":sqs:", ":sns:"), "arn:aws:s3:::failed.records-1"])
def test_a_destination_is_a_queue_a_topic_or_a_bucket(arn: str) -> None:
    assert mapping(DestinationConfig=sent_to(arn)).destination == Arn.parse(arn)


@pytest.mark.parametrize("written", [{}, {"OnFailure": {}}, sent_to("")])
def test_an_empty_destination_is_none(written: dict[str, Any]) -> None:
    assert mapping(DestinationConfig=written).destination is None


@pytest.mark.parametrize("service", ["sqs", "sns"])
def test_a_fifo_destination_is_refused(service: str) -> None:
    (sentence,) = mistakes(DestinationConfig=sent_to(f"{QUEUE}.fifo".replace(":sqs:", f":{service}:"))).values()
    assert sentence.startswith("a FIFO queue or topic cannot be an on-failure destination: use a standard one, not")


@pytest.mark.parametrize(
    "written",
    [
        "failed",
        "arn:aws:lambda:eu-west-1:123456789012:function:failed",
        "arn:aws:s3:::failed/folder",
        "arn:aws:s3:eu-west-1:123456789012:failed",
        "arn:aws:sqs::123456789012:failed",
        "arn:aws:sns:eu-west-1:123456789012:failed:14e0db71-5d35-4eb5-b481-8945cf9d10c2",
    ],
)
def test_what_is_no_destination_is_refused_by_name(written: str) -> None:
    (sentence,) = mistakes(DestinationConfig=sent_to(written)).values()
    assert sentence.startswith("an on-failure destination is the ARN of an SQS queue, an SNS topic or an S3 bucket")


def test_a_destination_is_of_the_streams_partition() -> None:
    assert mistakes(DestinationConfig=sent_to("arn:aws-cn:s3:::failed")) == {
        "DestinationConfig": "stream and destination must be in the same partition, not in aws and aws-cn"
    }
    elsewhere = mistakes(EventSourceArn="clicks", DestinationConfig=sent_to("arn:aws-cn:s3:::failed"))
    assert set(elsewhere) == {"EventSourceArn"}


def test_success_has_no_destination() -> None:
    assert set(mistakes(DestinationConfig={"OnSuccess": {"Destination": QUEUE}})) == {"DestinationConfig.OnSuccess"}


# ---- extensions


def test_extensions_of_queues_are_refused_by_name() -> None:
    only_of_queues = QueueExtensions.model_fields.keys() - StreamExtensions.model_fields.keys()
    assert len(StreamExtensions.refused) == len(only_of_queues) + 1
    assert StreamExtensions.refused["FifoFailure"] == (
        "FifoFailure is for queues, and this mapping reads a stream: remove it"
    )
    assert StreamExtensions.refused["AssumeRoles"] == "AssumeRoles belongs to a later version: remove it"


def test_a_take_over_is_at_once_or_ordered() -> None:
    assert mapping().broker.take_over == "at-once"
    assert mapping(Broker={"TakeOver": "ordered"}).broker.take_over == "ordered"
    assert mistakes(Broker={"TakeOver": "later"})


@pytest.mark.parametrize(
    ("extensions", "fields", "sentence"),
    [
        (
            {"DestinationOutage": "block"},
            {},
            "Broker.DestinationOutage has no effect without an on-failure destination: remove it",
        ),
        (
            {"DestinationSeconds": 5},
            {},
            "Broker.DestinationSeconds has no effect without an on-failure destination: remove it",
        ),
        (
            {"DestinationSeconds": 60, "DestinationOutage": "block"},
            {"DestinationConfig": sent_to(QUEUE)},
            "Broker.DestinationSeconds has no effect beside DestinationOutage: block: remove one of them",
        ),
        (
            {"WindowGraceSeconds": 10},
            {},
            "Broker.WindowGraceSeconds has no effect without TumblingWindowInSeconds: remove it",
        ),
        ({"AheadRecords": 1}, {}, "Broker.AheadRecords has no effect with a ParallelizationFactor of 1: remove it"),
        (
            {"AheadBytes": 1_048_576},
            {},
            "Broker.AheadBytes has no effect with a ParallelizationFactor of 1: remove it",
        ),
    ],
)
def test_an_extension_without_effect_is_refused(
    extensions: dict[str, Any], fields: dict[str, Any], sentence: str
) -> None:
    assert list(mistakes(Broker=extensions, **fields).values()) == [sentence]


def test_extensions_that_have_an_effect_are_taken() -> None:
    blocked = mapping(Broker={"DestinationOutage": "block"}, DestinationConfig=sent_to(QUEUE))
    assert blocked.broker.destination_outage == "block"
    dropped = mapping(Broker={"DestinationSeconds": 5}, DestinationConfig=sent_to(QUEUE))
    assert dropped.broker.destination_seconds == 5
    ahead = mapping(Broker={"AheadRecords": 1, "AheadBytes": 1_048_576}, ParallelizationFactor=2)
    assert ahead.broker.ahead_records == 1
    tumbling = mapping(Broker={"WindowGraceSeconds": 0}, TumblingWindowInSeconds=1)
    assert tumbling.broker.window_grace_seconds == 0
