"""The event of one Kinesis record is the one that Lambda delivers, and its size is known without building it."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.sources.kinesis_record import KinesisRecord, ShardOrigin, kinesis_records
from tests.unit.sources.kinesis_world import ARN, FIRST, ORIGIN, ROLE, SHARD, wire_record

KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
ARRIVALS = st.one_of(
    st.integers(0, 4_000_000_000),
    st.floats(0, 4e9, allow_nan=False),
    st.integers(0, 4_000_000_000_000).map(lambda ms: ms / 1000),
)


def record_of(**changes: object) -> KinesisRecord:
    (record,) = kinesis_records([wire_record(**changes)], ORIGIN)
    return record


def test_the_event_is_the_one_that_lambda_sends_key_by_key() -> None:
    assert record_of(data=b"Hello, this is a test.").json == (
        b'{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":"1",'
        b'"sequenceNumber":"49590338271490256608559692538361571095921575989136588898",'
        b'"data":"SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==","approximateArrivalTimestamp":1545084650.987},'
        b'"eventSource":"aws:kinesis","eventVersion":"1.0",'
        b'"eventID":"shardId-000000000006:49590338271490256608559692538361571095921575989136588898",'
        b'"eventName":"aws:kinesis:record","invokeIdentityArn":"arn:aws:iam::123456789012:role/lambda-role",'
        b'"awsRegion":"us-east-2",'
        b'"eventSourceARN":"arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream"}'
    )


@given(st.lists(st.tuples(KEYS, ARRIVALS, st.binary(max_size=50)), min_size=1, max_size=5))
def test_the_serialised_form_is_the_event_and_its_size_is_known_beforehand(
    wire: list[tuple[str, float, bytes]],
) -> None:
    records = kinesis_records(
        [
            wire_record(index, key=key, data=data, ApproximateArrivalTimestamp=arrived_at)
            for index, (key, arrived_at, data) in enumerate(wire)
        ],
        ORIGIN,
    )
    for record, (key, arrived_at, _) in zip(records, wire, strict=True):
        assert record.size_bytes == len(record.json)
        assert record.json == orjson.dumps(record.event)
        assert (record.key, record.arrived_at) == (key.encode(), arrived_at)


@pytest.mark.parametrize("key", ['"', "\\", "größer", "😀", "\n", "\x00", "/", "\x7f", '","'])
def test_a_partition_key_that_needs_escaping_counts_as_it_is_written(key: str) -> None:
    plain, record = kinesis_records([wire_record(key="plain"), wire_record(key=key)], ORIGIN)
    assert plain.size_bytes == len(plain.json)
    assert record.size_bytes == len(record.json)
    assert json.loads(record.json)["kinesis"]["partitionKey"] == key


def test_names_that_need_escaping_count_as_they_are_written() -> None:
    origin = ShardOrigin(arn=f"{ARN}-größer", region='"', role_arn=f"{ROLE}/\\", shard_id=f"{SHARD}é")
    (record,) = kinesis_records([wire_record()], origin)
    assert record.json == orjson.dumps(record.event)
    assert record.size_bytes == len(record.json)


def test_a_time_in_scientific_notation_is_delivered_in_plain_digits() -> None:
    (wire,) = orjson.loads(orjson.dumps([wire_record()]).replace(b"1545084650.987", b"1.545084650987E9"))
    (record,) = kinesis_records([wire], ORIGIN)
    assert b'"approximateArrivalTimestamp":1545084650.987}' in record.json
    assert record.arrived_at == 1545084650.987


def test_every_look_at_the_event_makes_another_so_that_a_handler_may_change_it() -> None:
    record = record_of()
    record.event["kinesis"].clear()
    assert record.event["kinesis"]["sequenceNumber"] == str(FIRST)


def test_records_that_are_alike_are_not_the_same() -> None:
    one, other = kinesis_records([wire_record(), wire_record()], ORIGIN)
    assert one != other
    assert not one == other  # noqa: SIM201 - another method
    assert len({one, other, one}) == 2


def test_a_record_never_shows_its_payload() -> None:
    assert repr(record_of(data=b"secret")) == f"<KinesisRecord {FIRST}>"


def test_no_records_are_no_records() -> None:
    assert kinesis_records([], ORIGIN) == []


@pytest.mark.parametrize("member", ["SequenceNumber", "ApproximateArrivalTimestamp", "Data", "PartitionKey"])
@pytest.mark.parametrize("value", [None, 1.5j, {}])
def test_what_is_no_record_is_refused(member: str, value: object) -> None:
    missing = {name: content for name, content in wire_record().items() if name != member}
    with pytest.raises(KeyError):
        kinesis_records([missing], ORIGIN)
    if not (member in {"SequenceNumber", "Data"} and value == {}):
        with pytest.raises((TypeError, ValueError, AttributeError)):
            kinesis_records([{**missing, member: value}], ORIGIN)
