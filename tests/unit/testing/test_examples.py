"""The examples of the documentation run."""

import doctest
import importlib

import pytest

MODULES = [
    "broker.testing",
    "broker.testing.process",
    "broker.testing.queues",
    "broker.testing.stream_order",
    "broker.testing.streams",
    "broker.testing.virtual_time",
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_do_what_they_say(name) -> None:
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted > 0
    assert results.failed == 0


def test_every_public_name_can_be_had() -> None:
    testing = importlib.import_module("broker.testing")
    assert {name: getattr(testing, name) for name in testing.__all__}
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        testing.nonsense  # noqa: B018
