"""Every member of AWS's requests has a class here, exactly once, and the table says so."""

import gzip
import json
from collections import Counter
from importlib.metadata import version
from importlib.resources import files

import pytest

from broker.model.fields import (
    BOTOCORE_VERSION,
    FUNCTION_COLUMNS,
    MAPPING_COLUMNS,
    FieldClass,
    FieldRow,
    field_table,
    function_fields,
    mapping_fields,
)
from broker.model.mapping_fields import MappingFields
from broker.model.queue_mapping import QueueMapping
from broker.model.stream_mapping import StreamMapping

CHANGES_DELIVERY = {
    "BatchSize", "MaximumBatchingWindowInSeconds", "FilterCriteria", "FunctionResponseTypes", "ScalingConfig",
    "ProvisionedPollerConfig", "Enabled", "DestinationConfig", "MaximumRetryAttempts", "MaximumRecordAgeInSeconds",
    "BisectBatchOnFunctionError", "ParallelizationFactor", "StartingPosition", "TumblingWindowInSeconds", "Timeout",
    "ReservedConcurrentExecutions", "TenancyConfig", "CapacityProviderConfig", "DurableConfig", "Environment",
}  # fmt: skip


def members(request: str) -> set[str]:
    packed = files("botocore").joinpath("data/lambda/2015-03-31/service-2.json.gz")
    return set(json.loads(gzip.decompress(packed.read_bytes()))["shapes"][request]["members"])


def row(rows: tuple[FieldRow, ...], name: str) -> FieldRow:
    return next(each for each in rows if each.name == name)


@pytest.mark.parametrize(
    ("request_name", "rows"),
    [("CreateEventSourceMappingRequest", mapping_fields()), ("CreateFunctionRequest", function_fields())],
)
def test_every_member_of_awss_request_is_in_the_table_exactly_once(
    request_name: str, rows: tuple[FieldRow, ...]
) -> None:
    counts = Counter(each.name for each in rows)
    assert set(counts.values()) == {1}
    unknown = members(request_name) - set(counts)
    if unknown and version("botocore") != BOTOCORE_VERSION:
        pytest.skip(f"botocore {version('botocore')} has members that {BOTOCORE_VERSION} had not: {sorted(unknown)}")
    assert not unknown


@pytest.mark.parametrize("rows", [mapping_fields(), function_fields()])
def test_a_field_that_changes_delivery_is_honoured_or_refused(rows: tuple[FieldRow, ...]) -> None:
    for each in rows:
        if each.name in CHANGES_DELIVERY:
            assert FieldClass.STORED not in each.classes


def test_every_field_says_what_it_does_or_why_it_is_refused() -> None:
    assert all(each.note for each in (*mapping_fields(), *function_fields()))


def test_fifo_queues_have_no_window() -> None:
    classes = row(mapping_fields(), "MaximumBatchingWindowInSeconds").classes
    assert dict(zip(MAPPING_COLUMNS, classes, strict=True)) == {
        "SQS standard": FieldClass.HONOURED,
        "SQS FIFO": FieldClass.REFUSED,
        "Kinesis": FieldClass.HONOURED,
        "DynamoDB Streams": FieldClass.HONOURED,
    }


def test_only_kinesis_begins_at_a_time() -> None:
    classes = row(mapping_fields(), "StartingPositionTimestamp").classes
    assert classes == (FieldClass.REFUSED, FieldClass.REFUSED, FieldClass.HONOURED, FieldClass.REFUSED)


def test_queues_and_streams_have_the_same_members_taken_or_refused() -> None:
    def known(model: type[MappingFields]) -> set[str]:
        return {field.alias or name for name, field in model.model_fields.items()} | set(model.refused)

    assert known(QueueMapping) == known(StreamMapping)


def test_a_field_that_means_something_else_for_streams_says_both() -> None:
    note = row(mapping_fields(), "BatchSize").note
    assert note.startswith("Queues: The most records in one event. More than 10 needs")
    assert note.endswith("Streams: The most records in one event.")


def test_a_function_has_one_executor() -> None:
    assert row(function_fields(), "Callable").classes == (FieldClass.HONOURED, FieldClass.REFUSED)
    assert row(function_fields(), "Url").classes == (FieldClass.REFUSED, FieldClass.HONOURED)


def test_memory_is_stored_for_a_url() -> None:
    assert row(function_fields(), "MemorySize").classes == (FieldClass.HONOURED, FieldClass.STORED)


def test_the_table_has_a_row_for_each_field() -> None:
    table = field_table()
    assert "| Field | " + " | ".join(MAPPING_COLUMNS) + " | |" in table
    assert "| Field | " + " | ".join(FUNCTION_COLUMNS) + " | |" in table
    assert "| `BatchSize` | honoured | honoured | honoured | honoured | Queues: The most records in one event." in table
    assert table.count("\n| `") == len(mapping_fields()) + len(function_fields())
