"""Whatever a stranger writes is either a configuration or a list of plain sentences, never a traceback."""

import re
from collections.abc import Sequence
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.config.document import parse
from broker.config.loading import configuration_from
from broker.config.schema import json_schema
from broker.errors import ConfigurationError, Mistake

JARGON = re.compile(
    r"pydantic|Input should|validation errors? for|valid (string|integer|dictionary|tuple)|dict\b|instance"
)
DEFINITIONS = json_schema()["$defs"]
KEYS = sorted({key for each in DEFINITIONS.values() for key in each.get("properties", {})})

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        [
            "orders",
            "a:b",
            "http://a",
            "127.0.0.1:1",
            "arn:aws:sqs:eu-west-1:123456789012:orders.fifo",
            "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks",
            "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/x",
            "AT_TIMESTAMP",
            "2026-01-31T09:00:00Z",
            "hold-group",
            "{}",
        ]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from([*KEYS, "Runtime", "Zebra"]), inner, max_size=4)
    ),
    max_leaves=8,
)
FUNCTION_KEYS = st.sampled_from(sorted(DEFINITIONS["Function"]["properties"]))
MAPPING_KEYS = st.sampled_from(
    sorted(DEFINITIONS["QueueMapping"]["properties"].keys() | DEFINITIONS["StreamMapping"]["properties"].keys())
)
FILES = st.fixed_dictionaries(
    {},
    optional={
        "Broker": st.dictionaries(st.sampled_from(sorted(DEFINITIONS["BrokerSettings"]["properties"])), VALUES)
        | VALUES,
        "Functions": st.lists(st.dictionaries(FUNCTION_KEYS, VALUES) | VALUES, max_size=3),
        "EventSourceMappings": st.lists(st.dictionaries(MAPPING_KEYS, VALUES) | VALUES, max_size=3),
    },
)


def is_explained(text: str) -> None:
    for mistake in mistakes_in(text):
        assert mistake.message
        assert not JARGON.search(re.sub(r"'.*?'|\".*?\"", "", mistake.message))


def mistakes_in(text: str) -> Sequence[Mistake]:
    try:
        assert configuration_from(parse(text, name="broker.yaml")).functions is not None
    except ConfigurationError as error:
        return error.mistakes or [Mistake(message="")]
    return []


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(FILES)
def test_any_value_in_any_place_is_taken_or_explained(value: Any) -> None:
    is_explained(yaml.safe_dump(value))


@settings(deadline=None)
@given(st.text())
def test_any_text_is_taken_or_explained(text: str) -> None:
    is_explained(text)


@settings(deadline=None)
@given(st.text(alphabet="ab:-[]{}&*<>|!%@`'\"# \n\t0.~,?", max_size=40))
def test_any_text_that_resembles_yaml_is_taken_or_explained(text: str) -> None:
    is_explained(text)
