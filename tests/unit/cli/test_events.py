import orjson
import pytest

from broker.cli.events import UNKNOWN_SHARD, read_records, read_stream_records
from broker.errors import ConfigurationError
from broker.model.record import Record
from broker.model.stream import StreamRecord

ARN = "arn:aws:sqs:eu-west-1:123456789012:orders"
WIRE = {"MessageId": "m-1", "ReceiptHandle": "r", "Body": "hello", "Attributes": {"SentTimestamp": "1"}}
DELIVERED = {"messageId": "m-2", "body": "hello", "eventSource": "aws:sqs"}


def read(document: object) -> list[Record]:
    return read_records(orjson.dumps(document), name="events.json", arn=ARN)


@pytest.mark.parametrize(
    ("document", "identifiers"),
    [
        (WIRE, ["m-1"]),
        ([WIRE, DELIVERED], ["m-1", "m-2"]),
        ({"Records": [DELIVERED]}, ["m-2"]),
        ({"Messages": [WIRE]}, ["m-1"]),
        ({"Body": "x"}, ["message-1"]),
        ([{"body": "x"}, {"body": "y"}], ["message-1", "message-2"]),
        ([], []),
    ],
)
def test_every_form_of_messages_is_read(document: object, identifiers: list[str]) -> None:
    assert [record.identifier for record in read(document)] == identifiers


def test_a_message_on_the_wire_becomes_a_record_as_lambda_delivers_it() -> None:
    (record,) = read(WIRE)
    assert (record.event["body"], record.event["eventSourceARN"]) == ("hello", ARN)


def test_json_lines_are_read_and_blank_lines_are_not() -> None:
    text = b'{"body": "a"}\n\n{"Messages": [{"Body": "b"}, {"Body": "c"}]}\n'
    records = read_records(text, name="events.jsonl", arn=ARN)
    assert [record.identifier for record in records] == ["message-1", "message-2", "message-3"]


def test_every_line_that_is_no_message_is_named() -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_records(b'{"x": 1}\n{"body": "a"}\n7\n', name="events.jsonl", arn=ARN)
    assert [mistake.place for mistake in refused.value.mistakes] == ["events.jsonl:1", "events.jsonl:3"]


@pytest.mark.parametrize(
    "document", ["text", 7, None, [7], {"Records": [{"x": 1}]}, {"Records": 7}, {"body": 7, "Body": 7}]
)
def test_what_holds_no_message_is_refused(document: object) -> None:
    with pytest.raises(ConfigurationError, match="neither an SQS message"):
        read(document)


def test_what_is_not_json_is_refused_with_its_line() -> None:
    with pytest.raises(ConfigurationError, match=r"events.jsonl:2: this is not JSON"):
        read_records(b'{"body": "a"}\n{"body":\n', name="events.jsonl", arn=ARN)


# ---- streams

KINESIS = "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks"
DYNAMODB = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/x"
SENT = {
    "SequenceNumber": "42",
    "PartitionKey": "k",
    "Data": "e30=",
    "ApproximateArrivalTimestamp": "2026-01-31T09:00:00+00:00",
}
CHANGED = {
    "eventID": "e-1",
    "eventName": "MODIFY",
    "dynamodb": {"SequenceNumber": "43", "ApproximateCreationDateTime": 1, "Keys": {"Id": {"N": "1"}}},
}


def read_stream(document: object, arn: str) -> list[StreamRecord]:
    return read_stream_records(orjson.dumps(document), name="events.json", arn=arn)


def test_a_kinesis_record_on_the_wire_becomes_one_as_lambda_delivers_it() -> None:
    (record,) = read_stream({"Records": [SENT]}, KINESIS)
    assert record.event["kinesis"]["approximateArrivalTimestamp"] == 1769850000.0
    assert record.event["eventID"] == f"{UNKNOWN_SHARD}:42"
    assert record.event["eventSourceARN"] == KINESIS


def test_a_kinesis_record_that_was_delivered_is_read_as_it_was() -> None:
    (sent,) = read_stream(SENT, KINESIS)
    delivered = {**sent.event, "eventID": "shardId-7:42", "invokeIdentityArn": "arn:aws:iam::1:role/r"}
    (record,) = read_stream({"Records": [delivered]}, KINESIS)
    assert record.event == delivered


def test_what_a_record_of_a_stream_does_not_say_is_made_up() -> None:
    assert [record.identifier for record in read_stream([{"Data": ""}, {"kinesis": {"data": ""}}], KINESIS)] == [
        "1",
        "2",
    ]
    (record,) = read_stream({"dynamodb": {}}, DYNAMODB)
    assert (record.identifier, record.event["eventID"], record.event["eventName"]) == ("1", "event-1", "INSERT")


def test_a_change_of_an_item_is_read_in_both_forms() -> None:
    (sent,) = read_stream({"Records": [CHANGED]}, DYNAMODB)
    (delivered,) = read_stream({"Records": [sent.event]}, DYNAMODB)
    assert delivered.event == sent.event
    assert sent.event["eventSourceARN"] == DYNAMODB


@pytest.mark.parametrize("document", [WIRE, DELIVERED, {"Data": 7}, {"kinesis": {}}, {"kinesis": 7}, 7])
def test_what_holds_no_record_of_kinesis_is_refused(document: object) -> None:
    with pytest.raises(ConfigurationError, match="neither a record of Kinesis"):
        read_stream(document, KINESIS)


@pytest.mark.parametrize("document", [WIRE, SENT, {"dynamodb": 7}, {"dynamodb": {"ApproximateCreationDateTime": "x"}}])
def test_what_holds_no_change_of_an_item_is_refused(document: object) -> None:
    with pytest.raises(ConfigurationError, match="no record of a DynamoDB stream"):
        read_stream(document, DYNAMODB)
