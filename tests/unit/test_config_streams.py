"""Streams in a file: AWS's texts with their places, the store that a file means, and what is noticed."""

from pathlib import Path
from typing import Any

import pytest

from broker.config import check, identity_of, load, mapping_from, notices, parse_function, parse_mapping
from broker.config.advice import MEMBERS_OF_A_MESSAGE, MEMBERS_OF_A_STREAM_RECORD
from broker.errors import ConfigurationError
from broker.model.mapping import EventSourceMapping
from broker.model.reference import StreamService
from broker.model.settings import BrokerSettings, Configuration
from broker.model.stream_mapping import StreamMapping

KINESIS = "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks"
CONSUMER = f"{KINESIS}/consumer/shop:1700000000"
DYNAMODB = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-01-31T09:00:00.000"
QUEUE = "arn:aws:sqs:eu-west-1:123456789012:orders"
HEAD = 'Functions:\n  - {FunctionName: orders, Callable: "shop.handlers:orders"}\nEventSourceMappings:\n'
BEGINNING = "StartingPosition: LATEST"


def written(folder: Path, *mappings: str, head: str = HEAD) -> Path:
    path = folder / "broker.yaml"
    path.write_text(head + "".join(f"  - {{FunctionName: orders, {each}}}\n" for each in mappings))
    return path


def mistakes(folder: Path, *mappings: str, head: str = HEAD) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        load(written(folder, *mappings, head=head), {})
    return [f"{mistake.path}: {mistake.message}" for mistake in raised.value.mistakes]


def of_stream(folder: Path, fields: str, arn: str = KINESIS) -> str:
    (only,) = mistakes(folder, f"EventSourceArn: '{arn}', {fields}")
    return only.removeprefix("EventSourceMappings[0].")


def stream(arn: str = KINESIS, **fields: Any) -> EventSourceMapping:
    return parse_mapping(
        event_source_arn=arn, function_name=fields.pop("function_name", "orders"), starting_position="LATEST", **fields
    )


def noticed(*mappings: EventSourceMapping, store: str = "sqlite:") -> list[str]:
    return notices(Configuration(broker=BrokerSettings(state_store=store), event_source_mappings=mappings), {})


# ---- one mapping


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            "Enabled: true",
            (
                "StartingPosition: 1 validation error detected: Value null at 'startingPosition' failed to satisfy "
                "constraint: Member must not be null."
            ),
        ),
        (
            "StartingPosition: ~",
            (
                "StartingPosition: 1 validation error detected: Value null at 'startingPosition' failed to satisfy "
                "constraint: Member must not be null."
            ),
        ),
        (
            "StartingPosition: invalid",
            (
                "StartingPosition: 1 validation error detected: Value 'invalid' at 'startingPosition' failed to "
                "satisfy constraint: Member must satisfy enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]"
            ),
        ),
        (
            f"{BEGINNING}, MaximumRecordAgeInSeconds: 59",
            (
                "MaximumRecordAgeInSeconds: MaximumRecordAgeInSeconds must be either -1 (forever) or between 60 and "
                "604800 (inclusive)"
            ),
        ),
        (
            f"{BEGINNING}, ParallelizationFactor: 11",
            (
                "ParallelizationFactor: 1 validation error detected: Value '11' at 'parallelizationFactor' failed to "
                "satisfy constraint: Member must have value less than or equal to 10"
            ),
        ),
        (
            f"{BEGINNING}, DestinationConfig: {{OnSuccess: {{}}}}",
            (
                "DestinationConfig.OnSuccess: Unsupported DestinationConfig parameter for given event source mapping "
                "type."
            ),
        ),
        (
            f"{BEGINNING}, ScalingConfig: {{MaximumConcurrency: 2}}",
            "ScalingConfig: Unsupported 'scalingConfig' parameter for given event source mapping type.",
        ),
        (
            f"{BEGINNING}, ProvisionedPollerConfig: {{}}",
            (
                "ProvisionedPollerConfig: Unsupported 'provisionedPollerConfig' parameter for given event source "
                "mapping type."
            ),
        ),
        (
            f"{BEGINNING}, LoggingConfig: {{}}",
            "LoggingConfig: Unsupported 'loggingConfig' parameter for given event source mapping type.",
        ),
        (
            f"{BEGINNING}, ParalelizationFactor: 2",
            (
                "ParalelizationFactor: there is no key 'ParalelizationFactor' here; did you mean "
                "'ParallelizationFactor'?"
            ),
        ),
        (
            f"{BEGINNING}, Broker: {{FifoFailure: delete}}",
            "Broker.FifoFailure: FifoFailure is for queues, and this mapping reads a stream: remove it",
        ),
        (
            f"{BEGINNING}, Broker: {{TakeOver: soon}}",
            "Broker.TakeOver: must be one of ordered, at-once, not the text 'soon'",
        ),
        (
            f'{BEGINNING}, FilterCriteria: {{Filters: [{{Pattern: \'{{"data":["x"]}}\'}}]}}',
            ('FilterCriteria.Filters[0].Pattern: Invalid filter pattern definition. ("data" must be an object)'),
        ),
        (
            "StartingPosition: AT_TIMESTAMP",
            (
                "StartingPositionTimestamp: AT_TIMESTAMP needs the time to begin at: a time is written as epoch "
                'seconds or as "2026-01-31T09:00:00Z"'
            ),
        ),
        (
            "StartingPosition: AT_TIMESTAMP, StartingPositionTimestamp: 2999-01-01",
            "StartingPositionTimestamp: the time to begin at is in the future",
        ),
    ],
)
def test_a_mistake_in_a_streams_mapping_has_awss_words_where_aws_has_any(
    tmp_path: Path, fields: str, sentence: str
) -> None:
    assert of_stream(tmp_path, fields) == sentence


def test_dynamodb_refuses_a_time_in_awss_words(tmp_path: Path) -> None:
    fields = "StartingPosition: AT_TIMESTAMP, StartingPositionTimestamp: 1"
    assert of_stream(tmp_path, fields, DYNAMODB) == (
        f"StartingPosition: Unsupported starting position for arn type: {DYNAMODB}"
    )


def test_a_pattern_is_judged_by_the_service_of_its_stream(tmp_path: Path) -> None:
    criteria = 'FilterCriteria: {Filters: [{Pattern: \'{"data":["x"]}\'}]}'
    load(written(tmp_path, f"EventSourceArn: '{QUEUE}', {criteria}"), {})
    load(written(tmp_path, f"EventSourceArn: '{DYNAMODB}', {BEGINNING}, {criteria}"), {})


def test_mistakes_of_queues_and_streams_are_told_together_with_their_places(tmp_path: Path) -> None:
    assert mistakes(tmp_path, f"EventSourceArn: '{QUEUE}', BatchSize: 11", f"EventSourceArn: '{KINESIS}'", "X: 1") == [
        (
            "EventSourceMappings[0].BatchSize: Maximum batch window in seconds must be greater than 0 if maximum batch "
            "size is greater than 10"
        ),
        (
            "EventSourceMappings[1].StartingPosition: 1 validation error detected: Value null at 'startingPosition' "
            "failed to satisfy constraint: Member must not be null."
        ),
        "EventSourceMappings[2].EventSourceArn: Unrecognized event source.",
        "EventSourceMappings[2].X: there is no key 'X' here",
    ]


# ---- the library and requests


def test_keyword_arguments_and_requests_make_a_streams_mapping() -> None:
    made = parse_mapping(
        event_source_arn=KINESIS,
        function_name="orders",
        starting_position="TRIM_HORIZON",
        report_batch_item_failures=True,
        broker={"take_over": "ordered"},
    )
    assert made == mapping_from(
        {
            "EventSourceArn": KINESIS,
            "FunctionName": "orders",
            "StartingPosition": "TRIM_HORIZON",
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "Broker": {"TakeOver": "ordered"},
        }
    )
    assert isinstance(made, StreamMapping)
    assert made.reports_batch_item_failures


def test_a_missing_time_is_told_in_the_librarys_spelling() -> None:
    with pytest.raises(ConfigurationError, match=r"^starting_position_timestamp: AT_TIMESTAMP needs"):
        parse_mapping(event_source_arn=KINESIS, function_name="orders", starting_position="AT_TIMESTAMP")


def test_the_future_begins_at_the_clock_that_counts() -> None:
    function = parse_function(function_name="orders", callable=print)
    later = parse_mapping(
        event_source_arn=KINESIS,
        function_name="orders",
        starting_position="AT_TIMESTAMP",
        starting_position_timestamp=1_000,
    )
    configuration = Configuration(functions=(function,), event_source_mappings=(later,))
    check(configuration)
    check(configuration, now=1_000)
    with pytest.raises(ConfigurationError, match="the time to begin at is in the future"):
        check(configuration, now=999)


def test_a_plain_pattern_is_refused_wherever_it_comes_from() -> None:
    criteria = {"filters": [{"pattern": '{"data":["x"]}'}]}
    with pytest.raises(ConfigurationError, match=r"Invalid filter pattern definition\."):
        stream(filter_criteria=criteria)


# ---- between mappings


def test_a_streams_mapping_that_exists_already_has_awss_words(tmp_path: Path) -> None:
    once = f"EventSourceArn: '{KINESIS}', {BEGINNING}"
    uuid = identity_of(stream())
    assert mistakes(tmp_path, once, once) == [
        (
            f'EventSourceMappings[1]: The event source arn (" {KINESIS} ") and function (" orders ") provided mapping '
            f"already exists. Please update or delete the existing mapping with UUID {uuid}"
        )
    ]


def test_a_stream_and_its_consumer_are_two_sources(tmp_path: Path) -> None:
    mappings = [f"EventSourceArn: '{arn}', {BEGINNING}" for arn in (KINESIS, CONSUMER)]
    assert len(load(written(tmp_path, *mappings), {}).event_source_mappings) == 2


# ---- the store


@pytest.mark.parametrize(
    ("mapping", "head", "store"),
    [
        (f"EventSourceArn: '{QUEUE}'", "", "memory:"),
        (f"EventSourceArn: '{QUEUE}', ScalingConfig: {{MaximumConcurrency: 2}}", "", "sqlite:"),
        (f"EventSourceArn: '{KINESIS}', {BEGINNING}", "", "sqlite:"),
        (f"EventSourceArn: '{KINESIS}', {BEGINNING}", 'Broker: {StateStore: "memory:"}\n', "memory:"),
        (f"EventSourceArn: '{QUEUE}'", 'Broker: {StateStore: "dynamodb:broker"}\n', "dynamodb:broker"),
    ],
)
def test_a_file_that_names_no_store_means_sqlite_where_it_needs_one(
    tmp_path: Path, mapping: str, head: str, store: str
) -> None:
    assert load(written(tmp_path, mapping, head=head + HEAD), {}).broker.state_store == store


def test_the_environment_names_a_store_too(tmp_path: Path) -> None:
    path = written(tmp_path, f"EventSourceArn: '{KINESIS}', {BEGINNING}")
    assert load(path, {"BROKER_STATE_STORE": "memory:"}).broker.state_store == "memory:"


def test_the_library_keeps_positions_in_memory() -> None:
    assert Configuration(event_source_mappings=(stream(),)).broker.state_store == "memory:"


# ---- what is noticed


def test_positions_that_will_be_forgotten_are_noticed() -> None:
    (notice,) = noticed(stream(), store="memory:")
    assert notice.startswith("Broker.StateStore: memory: forgets positions when the broker ends")
    assert noticed(parse_mapping(event_source_arn=QUEUE, function_name="orders"), store="memory:") == []
    assert noticed(stream()) == []


@pytest.mark.parametrize(
    ("destination", "count"),
    [
        ("arn:aws:sqs:us-east-1:123456789012:failed", 1),
        ("arn:aws:sqs:eu-west-1:123456789012:failed", 0),
        ("arn:aws:s3:::failed", 0),
    ],
)
def test_a_destination_in_another_region_is_noticed(destination: str, count: int) -> None:
    found = noticed(stream(destination_config={"on_failure": {"destination": destination}}))
    assert [notice.partition(": ")[2] for notice in found] == [
        "the stream is in eu-west-1 and its destination in us-east-1: records that are given up leave the region"
    ] * count


@pytest.mark.parametrize(
    ("arn", "allowed", "text"),
    [
        (
            KINESIS,
            5,
            "more than 5 mappings read the shards of clicks, so they throttle each other: register a consumer",
        ),
        (DYNAMODB, 2, "more than 2 mappings read the shards of orders, so they throttle each other"),
        (CONSUMER, 1, "another mapping reads as this consumer already"),
    ],
)
def test_more_readers_than_a_shard_stands_are_noticed_once(arn: str, allowed: int, text: str) -> None:
    mappings = [stream(arn, function_name=f"orders-{number}") for number in range(allowed + 2)]
    assert noticed(*mappings[:allowed]) == []
    (notice,) = noticed(*mappings)
    assert notice.startswith(f"EventSourceMappings[{allowed}].EventSourceArn: {text}")


@pytest.mark.parametrize(
    ("arn", "pattern", "key"),
    [(KINESIS, '{"body":{"kind":["click"]}}', "data"), (DYNAMODB, '{"NewImage":{"x":{"S":["y"]}}}', "dynamodb")],
)
def test_a_pattern_that_forgets_the_data_key_is_noticed(arn: str, pattern: str, key: str) -> None:
    (notice,) = noticed(stream(arn, filter_criteria={"filters": [{"pattern": pattern}]}))
    assert notice.startswith("EventSourceMappings[0].FilterCriteria.Filters[0].Pattern: no record has ")
    assert f'{{"{key}": {{…}}}}' in notice


@pytest.mark.parametrize(
    ("arn", "pattern"),
    [
        (KINESIS, '{"data":{"kind":["click"]},"partitionKey":["a"],"kinesis.sequenceNumber":["1"]}'),
        (DYNAMODB, '{"eventName":["INSERT"],"dynamodb":{"Keys":{"Id":{"N":["1"]}}}}'),
    ],
)
def test_a_pattern_that_asks_for_what_records_have_is_not_noticed(arn: str, pattern: str) -> None:
    assert noticed(stream(arn, filter_criteria={"filters": [{"pattern": pattern}]})) == []


def test_each_kind_of_record_has_members_of_its_own() -> None:
    assert "body" in MEMBERS_OF_A_MESSAGE
    assert "data" in MEMBERS_OF_A_STREAM_RECORD[StreamService.KINESIS]
    assert "data" not in MEMBERS_OF_A_STREAM_RECORD[StreamService.DYNAMODB]


def test_streams_take_no_share_of_a_functions_limit() -> None:
    function = parse_function(function_name="orders", callable=print, reserved_concurrent_executions=1)
    queue = parse_mapping(event_source_arn=QUEUE, function_name="orders")
    configuration = Configuration(
        broker=BrokerSettings(state_store="sqlite:"), functions=(function,), event_source_mappings=(queue, stream())
    )
    assert notices(configuration, {}) == []
