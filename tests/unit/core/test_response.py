"""Every row of the partial-batch table."""

import pytest

from broker.core.response import failed_identifiers, followers, identifiers_of
from broker.model.payload import Payload
from tests.unit.core.records import names, record, records

BATCH = frozenset("abc")


def failed(value) -> frozenset[str] | None:
    return failed_identifiers(Payload.of_value(value), BATCH)


def items(*identifiers) -> dict[str, list]:
    return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in identifiers]}


@pytest.mark.parametrize(
    "value",
    [None, "", [], {}, {"batchItemFailures": None}, {"batchItemFailures": []}, {"other": 1}],
    ids=repr,
)
def test_nothing_reported_is_success(value):
    assert failed(value) == frozenset()


@pytest.mark.parametrize("data", [b"", b"  \n", b"null", b'""', b"[]", b"{}", b'{"batchItemFailures":[]}'])
def test_nothing_in_bytes_is_success(data):
    assert failed_identifiers(Payload.of_bytes(data), BATCH) == frozenset()


@pytest.mark.parametrize(("value", "expected"), [(items("a"), "a"), (items("c", "a"), "ac"), (items("b", "b"), "b")])
def test_reported_records_failed_and_the_others_did_not(value, expected):
    assert failed(value) == frozenset(expected)


def test_other_keys_beside_the_identifier_do_not_matter():
    assert failed({"batchItemFailures": [{"itemIdentifier": "a", "reason": 7}], "x": 1}) == {"a"}


@pytest.mark.parametrize(
    "value",
    [
        items("z"),
        items("a", "z"),
        items(""),
        items(None),
        items(7),
        items(["a"]),
        items({}),
        {"batchItemFailures": [{}]},
        {"batchItemFailures": [{"foo": "a"}]},
        {"batchItemFailures": ["a"]},
        {"batchItemFailures": [None]},
        {"batchItemFailures": {"itemIdentifier": "a"}},
        {"batchItemFailures": "a"},
        {"batchItemFailures": 0},
        {"batchItemFailures": False},
        [{"itemIdentifier": "a"}],
        "success",
        "null",
        0,
        7,
        1.5,
        True,
        False,
    ],
    ids=repr,
)
def test_what_cannot_be_understood_fails_the_whole_batch(value):
    assert failed(value) is None


@pytest.mark.parametrize("data", [b"not json", b"{", b"NaN", b"\xff", b"{'batchItemFailures': []}"])
def test_what_is_not_json_fails_the_whole_batch(data):
    assert failed_identifiers(Payload.of_bytes(data), BATCH) is None


def test_an_empty_identifier_is_refused_even_where_it_cannot_be_anybody():
    assert failed_identifiers(Payload.of_value(items("")), frozenset({"a"})) is None


def test_followers_are_the_unreported_ones_behind_a_failed_one_of_their_group():
    batch = [
        record("a", group="g"),
        record("b", group="h"),
        record("c", group="g"),
        record("d", group="g"),
        record("e", group="h"),
    ]

    assert names(followers(batch, frozenset("c"))) == "d"
    assert names(followers(batch, frozenset("ad"))) == "c"
    assert names(followers(batch, frozenset("ab"))) == "cde"


def test_records_without_a_group_follow_nobody():
    assert followers(records("abc"), frozenset("a")) == []


def test_records_are_named_by_their_identifiers():
    assert identifiers_of(records("abc")) == BATCH
