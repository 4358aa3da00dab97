"""Keyword arguments and requests become the same values as the file, with the same mistakes."""

import uuid
from typing import Any

import pytest

from broker.config import (
    check,
    identity_of,
    mapping_from,
    mapping_identity,
    notices,
    parse_function,
    parse_mapping,
    parse_settings,
)
from broker.config.consistency import IDENTITY_NAMESPACE
from broker.errors import ConfigurationError
from broker.model.function import Function
from broker.model.mapping import EventSourceMapping
from broker.model.queue_mapping import QueueMapping
from broker.model.settings import Configuration

QUEUE = "arn:aws:sqs:eu-west-1:123456789012:orders"


def mapping(**fields: Any) -> EventSourceMapping:
    return parse_mapping(event_source_arn=QUEUE, function_name="orders", **fields)


def mistakes(**fields: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        mapping(**fields)
    return [str(mistake) for mistake in raised.value.mistakes]


def test_both_spellings_and_the_request_give_the_same_mapping() -> None:
    request = {"EventSourceArn": QUEUE, "FunctionName": "orders", "BatchSize": 5, "Broker": {"FreshSeconds": 2}}
    assert mapping(batch_size=5, broker={"fresh_seconds": 2}) == mapping_from(request)
    assert mapping(BatchSize=5, broker={"FreshSeconds": 2}) == mapping_from(request)


def test_partial_responses_have_a_short_form() -> None:
    assert mapping(report_batch_item_failures=True).reports_batch_item_failures
    assert not mapping(report_batch_item_failures=False).reports_batch_item_failures


def test_a_mistake_in_keyword_arguments_is_told_in_their_spelling() -> None:
    assert mistakes(batch_siz=5, parallelization_factor=2, broker={"fresh_second": 1}, BatchSise=3) == [
        "broker.fresh_second: there is no key 'fresh_second' here; did you mean 'fresh_seconds'?",
        "batch_siz: there is no key 'batch_siz' here; did you mean 'batch_size'?",
        "parallelization_factor: Unsupported 'parallelizationFactor' parameter for given event source mapping type.",
        "BatchSise: there is no key 'BatchSise' here; did you mean 'BatchSize'?",
    ]


def test_awss_text_has_awss_spelling_whatever_was_written() -> None:
    assert mistakes(batch_size=0) == [
        (
            "batch_size: 1 validation error detected: Value '0' at 'batchSize' failed to satisfy constraint: "
            "Member must have value greater than or equal to 1"
        )
    ]


def test_a_pattern_that_is_none_is_refused_with_its_reason() -> None:
    (only,) = mistakes(filter_criteria={"filters": [{"pattern": '{"a": [1]}'}, {"pattern": '{"a": []}'}]})
    assert only == (
        "FilterCriteria.Filters[1].Pattern: Invalid filter pattern definition. (Empty arrays are not allowed)"
    )


def test_a_request_has_awss_spelling_only() -> None:
    with pytest.raises(ConfigurationError, match="there is no key 'batch_size' here; did you mean 'BatchSize'"):
        mapping_from({"EventSourceArn": QUEUE, "FunctionName": "orders", "batch_size": 5})


def test_a_value_that_no_file_can_hold_is_told_by_its_type() -> None:
    assert mistakes(batch_size=object()) == ["batch_size: must be a whole number, not a value of type object"]


def test_functions_and_settings_are_made_of_keyword_arguments() -> None:
    assert parse_function(function_name="orders", callable=print) == Function(FunctionName="orders", Callable=print)
    assert parse_settings(account_id="123456789012").account_id == "123456789012"
    with pytest.raises(ConfigurationError, match="account_id: must be text: put it in quotes"):
        parse_settings(account_id=123456789012)
    with pytest.raises(ConfigurationError, match=r"^runtime: Runtime is not supported by this version"):
        parse_function(function_name="orders", runtime="python3.12", callable=print)


# ---- identity


def test_an_identity_is_the_same_for_ever() -> None:
    assert mapping_identity(QUEUE, "orders") == "60da6ce6-0dd3-5d2c-825d-8d76b63b1717"
    assert uuid.UUID(mapping_identity(QUEUE, "orders")).version == 5
    assert str(IDENTITY_NAMESPACE) == "6b8f0c1e-52a5-4f0c-9d0b-3d1b7f9f2a41"


def test_an_identity_does_not_depend_on_how_the_function_is_written() -> None:
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:orders"
    by_arn = parse_mapping(event_source_arn=QUEUE, function_name=arn)
    assert identity_of(by_arn) == identity_of(mapping()) == mapping_identity(QUEUE, "orders")


def test_an_identity_depends_on_source_and_qualifier() -> None:
    live = parse_mapping(event_source_arn=QUEUE, function_name="orders:live")
    other = parse_mapping(event_source_arn=QUEUE + "2", function_name="orders")
    assert len({identity_of(each) for each in (mapping(), live, other)}) == 3


def test_an_identity_that_is_given_is_kept() -> None:
    given = "14e0db71-5d35-4eb5-b481-8945cf9d10c2"
    assert identity_of(mapping(uuid=given)) == given


# ---- the whole


def test_a_configuration_from_several_hands_is_checked_as_a_whole() -> None:
    function = parse_function(function_name="orders", callable=print)
    check(Configuration(functions=(function,), event_source_mappings=(mapping(),)))
    unchecked = QueueMapping.model_validate(
        {"EventSourceArn": QUEUE, "FunctionName": "x", "FilterCriteria": {"Filters": [{"Pattern": "x"}]}}
    )
    with pytest.raises(ConfigurationError) as raised:
        check(Configuration(functions=(function, function), event_source_mappings=(mapping(), mapping(), unchecked)))
    assert [mistake.path for mistake in raised.value.mistakes] == [
        "Functions[1].FunctionName",
        "EventSourceMappings[1]",
        "EventSourceMappings[2].FunctionName",
        "EventSourceMappings[2].FilterCriteria.Filters[0].Pattern",
    ]


def test_fields_without_effect_are_told_of() -> None:
    function = parse_function(function_name="orders", callable=print, role="arn:aws:iam::123456789012:role/x", tags={})
    configuration = Configuration(functions=(function,), event_source_mappings=(mapping(), mapping(tags={"a": "b"})))
    assert notices(configuration, {}) == [
        "Functions[0]: kept without effect here: Role, Tags",
        "EventSourceMappings[1]: kept without effect here: Tags",
    ]
