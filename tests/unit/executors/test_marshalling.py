"""What a handler's value becomes: each row was compared with AWS's Python runtime interface client 4.2.2."""

import collections
import dataclasses
import datetime
import enum
from decimal import Decimal
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.executors.marshalling import marshal


class Failure(NamedTuple):
    itemIdentifier: str


class Level(enum.IntEnum):
    HIGH = 3


class Colour(enum.StrEnum):
    RED = "red"


class Plain(enum.Enum):
    ONE = 1


class OddFloat(float):
    def __repr__(self) -> str:
        return "odd"


@dataclasses.dataclass
class Order:
    number: int = 1


class WrongAsDict:
    def _asdict(self) -> int:
        return 3


class NeedyAsDict:
    def _asdict(self, argument: object) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, b"null"),
        (True, b"true"),
        ({"a": False, "b": None}, b'{"a": false, "b": null}'),
        ([1, -2, 2**70, 1.5, 1e300], b"[1, -2, 1180591620717411303424, 1.5, 1e+300]"),
        ((), b"[]"),
        ({}, b"{}"),
        ((1, (2,)), b"[1, [2]]"),
        ('é\U0001f600\n"\\', '"é\U0001f600\\n\\"\\\\"'.encode()),
        (b"raw, not JSON", b"raw, not JSON"),
        ({"a": b"text"}, b'{"a": "text"}'),
        ({b"k": 1, 2: 3, 1.5: 4, True: 5, None: 6}, b'{"k": 1, "2": 3, "1.5": 4, "true": 5, "null": 6}'),
        ([float("nan"), float("inf"), -float("inf")], b"[NaN, Infinity, -Infinity]"),
        ([Decimal("1.10"), Decimal("NaN"), Decimal("-NaN"), Decimal("Infinity")], b"[1.10, NaN, NaN, Infinity]"),
        ([Failure("m-1")], b'[{"itemIdentifier": "m-1"}]'),
        ([Level.HIGH, Colour.RED, OddFloat(2.5)], b'[3, "red", 2.5]'),
        (collections.OrderedDict(a=1), b'{"a": 1}'),
        (collections.defaultdict(int, a=1), b'{"a": 1}'),
    ],
)  # fmt: skip
def test_values_become_what_lambdas_client_sends(value: object, expected: bytes) -> None:
    assert marshal(value) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), "Object of type datetime is not JSON serializable"),
        ({"ids": {1, 2}}, "Object of type set is not JSON serializable"),
        (Order(), "Object of type Order is not JSON serializable"),
        (Plain.ONE, "Object of type Plain is not JSON serializable"),
        (bytearray(b"x"), "Object of type bytearray is not JSON serializable"),
        (Failure, "Object of type type is not JSON serializable"),
        (NeedyAsDict(), "Object of type NeedyAsDict is not JSON serializable"),
        (WrongAsDict(), "_asdict() must return a dict, not int"),
        ({(1, 2): 3}, "keys must be str, int, float, bool or None, not tuple"),
        ({Decimal(1): 3}, "keys must be str, int, float, bool or None, not Decimal"),
    ],
)
def test_values_that_lambdas_client_refuses_are_refused_in_its_words(value: object, text: str) -> None:
    with pytest.raises(TypeError) as caught:
        marshal(value)
    assert str(caught.value) == text


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[object] = []
    value.append({"again": value})
    with pytest.raises(ValueError, match="Circular reference detected"):
        marshal(value)


def test_a_value_that_is_there_twice_is_written_twice() -> None:
    shared = [1]
    assert marshal([shared, shared]) == b"[[1], [1]]"


@pytest.mark.parametrize("value", [[b"\xff"], {b"\xff": 1}, "\ud800"])
def test_text_that_is_not_unicode_is_refused(value: object) -> None:
    with pytest.raises(UnicodeError):
        marshal(value)


def test_a_value_nested_too_deeply_is_refused() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(RecursionError):
        marshal(value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    )
)  # fmt: skip
def test_json_values_survive_the_journey(value: object) -> None:
    assert orjson.loads(marshal(value)) == value
