import orjson
import pytest

from broker.cli.events import read_records
from broker.errors import ConfigurationError
from broker.model.record import Record

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
