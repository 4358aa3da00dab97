"""An aggregated record is taken apart; what only looks like one is left as it is."""

from base64 import b64decode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.sources.kinesis_aggregate import expanded
from tests.unit.sources.kinesis_aggregates import MAGIC, aggregate, member, part, sealed, varint
from tests.unit.sources.kinesis_world import FIRST, wire_record

TABLE = member(1, b"a")


def contents(records: Any) -> list[tuple[str, bytes]]:
    return [(record["PartitionKey"], b64decode(record["Data"])) for record in records]


@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8"), max_size=5), st.binary(max_size=300)), min_size=1))
def test_each_part_has_its_own_key_and_data(parts: list[tuple[str, bytes]]) -> None:
    assert contents(expanded([wire_record(data=aggregate(*parts))])) == parts


def test_the_parts_keep_sequence_number_and_arrival_and_their_place() -> None:
    records = expanded(
        [wire_record(0), wire_record(1, data=aggregate(("a", b"1"), ("b", b"2"))), wire_record(2, data=b"plain")]
    )
    assert [record["SequenceNumber"] for record in records] == [str(FIRST + index) for index in (0, 1, 1, 2)]
    assert {record["ApproximateArrivalTimestamp"] for record in records} == {1545084650.987}
    assert contents(records)[1:] == [("a", b"1"), ("b", b"2"), ("1", b"plain")]


def test_the_order_of_fields_does_not_matter_and_unknown_ones_are_passed_over() -> None:
    fixed = varint(9 << 3 | 1) + bytes(8) + varint(10 << 3 | 5) + bytes(4)
    message = part(0, b"1") + fixed + TABLE + member(12, 7)
    assert contents(expanded([wire_record(data=sealed(message))])) == [("a", b"1")]


@pytest.mark.parametrize(
    "data",
    [
        MAGIC,
        MAGIC + bytes(16),
        aggregate(("a", b"1"))[:-1] + b"\x00",
        aggregate(("a", b"1"))[:20],
        b"\xf3\x89\x9a\xc3" + aggregate(("a", b"1"))[4:],
        sealed(b""),
        sealed(TABLE),
        sealed(TABLE + part(7, b"1")),
        sealed(part(0, b"1")),
        sealed(member(1, b"\xff") + part(0, b"1")),
        sealed(TABLE + member(3, member(1, 0))),
        sealed(TABLE + member(3, member(3, b"1"))),
        sealed(TABLE + member(3, member(1, b"0") + member(3, b"1"))),
        sealed(TABLE + member(3, member(1, 0) + member(3, 1))),
        sealed(TABLE + member(3, 5)),
        sealed(TABLE + part(0, b"1")[:-1]),
        sealed(TABLE + b"\x80"),
        sealed(TABLE + b"\x1b"),
        sealed(b"\xff" * 11),
    ],
)
def test_an_aggregate_that_does_not_decode_is_a_plain_record(data: bytes) -> None:
    record = wire_record(data=data)
    assert list(expanded([record])) == [record]


def test_data_that_is_no_base64_is_a_plain_record() -> None:
    record = wire_record(Data="84maw")
    assert list(expanded([record])) == [record]


def test_a_page_without_aggregates_is_not_even_copied() -> None:
    records = [wire_record(index) for index in range(3)]
    assert expanded(records) is records
