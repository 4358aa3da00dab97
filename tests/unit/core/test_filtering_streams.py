"""Which records of a stream pass: the tables of data formats, metadata, typed values of items, and what is refused."""

import json
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

import pytest

from broker.core import filtering_json
from broker.core.filtering_streams import compile_stream_filter, compile_stream_filters
from broker.errors import InvalidPattern
from broker.model.reference import StreamService
from broker.sources.dynamodb_record import DynamoDbRecord, dynamodb_record
from broker.sources.kinesis_record import KinesisRecord, ShardOrigin, kinesis_records

ARN = "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks"
TABLE = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/x"
ORIGIN = ShardOrigin(arn=ARN, region="eu-west-1", role_arn="arn:aws:iam::123456789012:role/r", shard_id="shardId-0")
KINESIS, DYNAMODB = StreamService.KINESIS, StreamService.DYNAMODB


def click(data: str | bytes) -> KinesisRecord:
    raw = data.encode() if isinstance(data, str) else data
    wire = {
        "SequenceNumber": "42",
        "ApproximateArrivalTimestamp": 1545084650.987,
        "Data": b64encode(raw).decode(),
        "PartitionKey": "k-1",
    }
    return kinesis_records([wire], ORIGIN)[0]


def change(operation: str = "INSERT", **image: Any) -> DynamoDbRecord:
    wire = {
        "eventID": "e-1",
        "eventName": operation,
        "dynamodb": {
            "ApproximateCreationDateTime": 1733418659,
            "Keys": {"Id": {"N": "101"}},
            "NewImage": image,
            "SequenceNumber": "43",
            "SizeBytes": 26,
            "StreamViewType": "NEW_IMAGE",
        },
    }
    return dynamodb_record(wire, arn=TABLE, region="eu-west-1")


def passes(pattern: Any, record: KinesisRecord | DynamoDbRecord) -> bool:
    service = KINESIS if isinstance(record, KinesisRecord) else DYNAMODB
    text = pattern if isinstance(pattern, str) else json.dumps(pattern)
    accepts = compile_stream_filters([text], service)
    assert accepts is not None
    assert accepts(record) is compile_stream_filter(text, service)(record)
    return accepts(record)


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A Kinesis record that says what is looked at."""

    seen: list[str]
    identifier: str = "42"
    arrived_at: float = 1545084650.987
    size_bytes: int = 0
    key: bytes = b""
    json: bytes = b""

    @property
    def data(self) -> str:
        self.seen.append("data")
        return b64encode(b'{"k":"v"}').decode()

    @property
    def partition_key(self) -> str:
        self.seen.append("partition key")
        return "k-1"

    @property
    def event(self) -> dict[str, Any]:
        self.seen.append("event")
        return click('{"k":"v"}').event


def looked_at(*patterns: Any) -> list[str]:
    record = Watched(seen=[])
    accepts = compile_stream_filters([json.dumps(pattern) for pattern in patterns], KINESIS)
    assert accepts is not None
    accepts(record)
    return record.seen


# ---- both


@pytest.mark.parametrize("service", StreamService)
def test_without_patterns_there_is_nothing_to_ask(service: StreamService) -> None:
    assert compile_stream_filters([], service) is None


def test_a_record_passes_when_any_pattern_matches() -> None:
    patterns = ['{"data":{"k":["a"]}}', '{"partitionKey":["k-1"]}']
    accepts = compile_stream_filters(patterns, KINESIS)
    assert accepts is not None
    assert accepts(click('{"k":"b"}'))
    assert accepts(click('{"k":"a"}'))
    assert not compile_stream_filter(patterns[0], KINESIS)(click('{"k":"b"}'))


@pytest.mark.parametrize(
    ("pattern", "service"),
    [
        ("null", KINESIS),
        ('"single-string"', DYNAMODB),
        ('{"eventSource":"aws:kinesis"}', KINESIS),
        ('{"eventName":[]}', DYNAMODB),
        ('[{"eventName": ["INSERT"=123}]', DYNAMODB),
        ('{"data":"plain"}', KINESIS),
        ('{"data":["plain"]}', KINESIS),
        ('{"data":[{"exists":true}]}', KINESIS),
        ('{"$or":[{"partitionKey":["a"]},{"data":["plain"]}]}', KINESIS),
        ('{"data":["plain"],"data.k":["v"]}', KINESIS),
        ('{"dynamodb":["plain"]}', DYNAMODB),
    ],
)
def test_a_plain_or_malformed_pattern_is_refused_in_awss_words(pattern: str, service: StreamService) -> None:
    with pytest.raises(InvalidPattern, match=r"^Invalid filter pattern definition\.$") as raised:
        compile_stream_filters(['{"eventName":["x"]}', pattern], service)
    assert raised.value.reason
    with pytest.raises(InvalidPattern):
        compile_stream_filter(pattern, service)


def test_each_service_has_a_data_key_of_its_own() -> None:
    assert not passes({"dynamodb": ["x"]}, click("{}"))
    assert not passes({"data": ["x"]}, change())


# ---- Kinesis

OBJECT = {"data": {"k": ["v"]}}
METADATA = {"eventSource": ["aws:kinesis"]}
OTHER_METADATA = {"eventSource": ["aws:sqs"]}


@pytest.mark.parametrize(
    ("data", "pattern", "expected"),
    [
        ('{"k":"v"}', OBJECT, True),
        (' {"k" : "v"}\n', OBJECT, True),
        ('{"k":"v"}', {"data.k": ["v"]}, True),
        ('{"k":"w"}', OBJECT, False),
        ('[{"k":"w"},{"k":"v"}]', OBJECT, True),
        ('{"k":"v"}', METADATA, True),
        ('{"k":"v"}', OTHER_METADATA, False),
        ("plain", OBJECT, False),
        ("plain", {"data": {"k": [{"exists": False}]}}, False),
        ("plain", METADATA, True),
        ("plain", OTHER_METADATA, False),
        ("", OBJECT, False),
        (b"\xff\xfe", OBJECT, False),
        (b'{"k":"\xff"}', {"data": {"k": [{"exists": True}]}}, False),
        (b"\xff\xfe", METADATA, True),
        ("42", {"data": {"k": [{"exists": False}]}}, True),
        ('{"k":"v"}', {**METADATA, **OBJECT}, True),
        ('{"k":"v"}', {**OTHER_METADATA, **OBJECT}, False),
        ('{"k":"w"}', {**METADATA, **OBJECT}, False),
        ('{"k":9007199254740993.0}', {"data": {"k": [9007199254740993]}}, True),
        ('{"k":9007199254740993.0}', {"data": {"k": [9007199254740992]}}, False),
        ('{"k":301.8}', {"data": {"k": [{"numeric": [">", 301, "<", 302]}]}}, True),
    ],
)
def test_data_passes_as_the_table_of_formats_says(data: str | bytes, pattern: Any, expected: bool) -> None:
    assert passes(pattern, click(data)) is expected


def test_data_that_is_not_base64_is_not_json() -> None:
    broken = click("{}")._replace(data="&")
    assert not passes(OBJECT, broken)
    assert not passes(OBJECT, broken._replace(data="e"))
    assert passes(METADATA, broken)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"partitionKey": ["k-1"]}, True),
        ({"partitionKey": ["k-2"]}, False),
        ({"sequenceNumber": ["42"]}, True),
        ({"sequenceNumber": [42]}, False),
        ({"approximateArrivalTimestamp": [{"numeric": [">=", 1545084650.987]}]}, True),
        ({"approximateArrivalTimestamp": [{"numeric": [">", 1545084651]}]}, False),
        ({"kinesisSchemaVersion": ["1.0"]}, True),
        ({"eventID": ["shardId-0:42"]}, True),
        ({"eventName": ["aws:kinesis:record"]}, True),
        ({"eventSourceARN": [ARN]}, True),
        ({"awsRegion": ["us-east-1"]}, False),
        ({"kinesis": {"partitionKey": ["k-1"]}}, True),
        ({"kinesis.sequenceNumber": ["43"]}, False),
        ({"kinesis": {"data": ["e30="]}}, True),
        ({"partitionKey": ["k-1"], "eventSource": ["aws:kinesis"]}, True),
        ({"partitionKey": ["k-1"], "eventSource": ["aws:sqs"]}, False),
        ({"partitionKey": [{"exists": False}]}, False),
        ({"body": [{"exists": False}]}, True),
    ],
)
def test_metadata_are_matched_at_the_top_and_where_they_are_delivered(pattern: Any, expected: bool) -> None:
    assert passes(pattern, click("{}")) is expected


def test_only_what_a_pattern_names_is_looked_at() -> None:
    assert looked_at(OBJECT) == ["data"]
    assert looked_at({"partitionKey": ["k-2"], **OBJECT}) == ["partition key"]
    assert looked_at({"partitionKey": ["k-1"], **OBJECT}) == ["partition key", "data"]
    assert looked_at(OTHER_METADATA) == ["event"]
    assert looked_at({**OTHER_METADATA, **OBJECT}) == ["event"]


def test_data_are_decoded_and_parsed_once_for_all_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    parse = filtering_json.parse_fast
    monkeypatch.setattr(filtering_json, "parse_fast", lambda text: (texts.append(text), parse(text))[1])
    assert looked_at({"data": {"k": ["a"]}}, {"data": {"k": ["b"]}}, OBJECT) == ["data"]
    assert texts == ['{"k":"v"}']


def test_a_record_is_delivered_as_it_came() -> None:
    record = click('{"k" : "v"}')
    before = record.json
    assert passes(OBJECT, record)
    assert record.json == before


# ---- DynamoDB


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"eventName": ["INSERT"]}, True),
        ({"eventName": ["INSERT", "MODIFY"]}, True),
        ({"eventName": ["REMOVE"]}, False),
        ({"eventName": ["INSERT"], "eventSource": ["aws:dynamodb"]}, True),
        ({"eventName": ["INSERT"], "eventSource": ["aws:kinesis"]}, False),
        ({"eventSourceARN": [TABLE]}, True),
        ({"dynamodb": {"NewImage": {"present": ["value"]}}}, False),
        ({"dynamodb": {"NewImage": {"present": {"S": ["value"]}}}}, True),
        ({"dynamodb.NewImage.present.S": ["value"]}, True),
        ({"dynamodb": {"NewImage": {"present": {"S": ["other"]}}}}, False),
        ({"dynamodb": {"Keys": {"Id": {"N": ["101"]}}}}, True),
    ],
)
def test_a_change_is_matched_as_it_is_delivered(pattern: Any, expected: bool) -> None:
    assert passes(pattern, change(present={"S": "value"})) is expected


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ({"present": [{"exists": True}]}, False),
        ({"present": {"S": [{"exists": True}]}}, True),
        ({"present": {"N": [{"exists": True}]}}, False),
        ({"absent": [{"exists": False}]}, True),
        ({"present": [{"exists": False}]}, True),
        ({"present": {"S": [{"exists": False}]}}, False),
        ({"present": {"N": [{"exists": False}]}}, True),
    ],
)
def test_only_a_leaf_exists(test: Any, expected: bool) -> None:
    assert passes({"dynamodb": {"NewImage": test}}, change(present={"S": "value"})) is expected


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ({"numeric": [">", 0]}, False),
        ({"numeric": ["=", 42]}, False),
        (42, False),
        ("42", True),
        ({"anything-but": "101"}, True),
        ({"anything-but": "42"}, False),
        ({"prefix": "4"}, True),
    ],
)
def test_a_number_of_an_item_is_a_string(test: Any, expected: bool) -> None:
    assert passes({"dynamodb": {"NewImage": {"count": {"N": [test]}}}}, change(count={"N": "42"})) is expected


def test_a_comparison_that_an_item_fails_passes_by_what_is_not_listed() -> None:
    pattern = {"dynamodb": {"NewImage": {"count": {"N": [{"numeric": [">", 100]}, {"anything-but": "101"}]}}}}
    assert passes(pattern, change(count={"N": "42"}))
    assert not passes(pattern, change(count={"N": "101"}))


def test_absence_beside_anything_but_is_enough() -> None:
    pattern = {"dynamodb": {"NewImage": {"h": {"S": [{"anything-but": ["roses"]}, {"exists": False}]}}}}
    assert passes(pattern, change(h={"S": "ABCD"}))
    assert passes(pattern, change(h={"N": "1"}))
    assert passes(pattern, change())
    assert not passes(pattern, change(h={"S": "roses"}))


def test_text_of_an_item_has_a_beginning() -> None:
    pattern = {"dynamodb": {"NewImage": {"name": {"S": [{"prefix": "xyz"}]}}}}
    assert passes(pattern, change(name={"S": "xyz-1"}))
    assert not passes(pattern, change(name={"S": "axyz"}))


def test_the_time_of_a_change_is_a_number() -> None:
    assert passes({"dynamodb": {"ApproximateCreationDateTime": [{"numeric": [">", 1733418658]}]}}, change())
    assert not passes({"dynamodb": {"ApproximateCreationDateTime": [{"numeric": ["<", 1733418659]}]}}, change())


def test_a_document_inside_an_item_is_not_looked_into() -> None:
    pattern = {"dynamodb": {"NewImage": {"doc": {"S": {"k": ["v"]}}}}}
    assert not passes(pattern, change(doc={"S": '{"k":"v"}'}))


def test_the_event_of_a_change_that_passes_is_built_once() -> None:
    record = change(state={"S": "paid"})
    shown = record.shown
    assert passes({"dynamodb": {"NewImage": {"state": {"S": ["paid"]}}}}, record)
    assert record.key == b'{"Id":{"N":"101"}}'
    assert record.event is shown
