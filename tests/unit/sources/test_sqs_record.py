"""The event of one SQS message is the one that Lambda delivers."""

import copy
from typing import Any

import orjson
import pytest

from broker.model.record import Record
from broker.sources.sqs_record import queue_record

ARN = "arn:aws:sqs:us-east-2:123456789012:my-queue"

PLAIN: dict[str, Any] = {
    "MessageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
    "ReceiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
    "MD5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
    "Body": "Test message.",
    "Attributes": {
        "SenderId": "AIDAIENQZJOLO23YVJ4VO",
        "ApproximateFirstReceiveTimestamp": "1545082649185",
        "ApproximateReceiveCount": "3",
        "SentTimestamp": "1545082649183",
        "SqsManagedSseEnabled": "true",
    },
}


def record_of(message: dict[str, Any], arn: str = ARN) -> Record:
    return queue_record(copy.deepcopy(message), arn=arn, region="us-east-2", received_at=1000.0, visible_until=1030.0)


def with_attributes(**attributes: dict[str, Any]) -> dict[str, Any]:
    return {**PLAIN, "MessageAttributes": attributes, "MD5OfMessageAttributes": "d25a6aea97eb8f585bfa92d314504a92"}


def test_keys_come_in_the_order_in_which_lambda_sends_them() -> None:
    event = record_of(with_attributes(Title={"DataType": "String", "StringValue": "x"})).event
    assert list(event) == [
        "messageId",
        "receiptHandle",
        "body",
        "attributes",
        "messageAttributes",
        "md5OfMessageAttributes",
        "md5OfBody",
        "eventSource",
        "eventSourceARN",
        "awsRegion",
    ]


def test_a_message_without_attributes_has_an_empty_object_and_no_checksum_of_them() -> None:
    event = record_of(PLAIN).event
    assert event["messageAttributes"] == {}
    assert "md5OfMessageAttributes" not in event


def test_system_attributes_are_delivered_as_sent_except_the_encryption_flag() -> None:
    assert record_of(PLAIN).event["attributes"] == {
        "SenderId": "AIDAIENQZJOLO23YVJ4VO",
        "ApproximateFirstReceiveTimestamp": "1545082649185",
        "ApproximateReceiveCount": "3",
        "SentTimestamp": "1545082649183",
    }


def test_a_text_attribute_has_its_value_then_empty_lists_then_its_type() -> None:
    event = record_of(with_attributes(Title={"DataType": "String", "StringValue": "The Whistler"})).event
    assert orjson.dumps(event["messageAttributes"]["Title"]) == (
        b'{"stringValue":"The Whistler","stringListValues":[],"binaryListValues":[],"dataType":"String"}'
    )


def test_a_binary_attribute_stays_base64_text() -> None:
    event = record_of(with_attributes(Blob={"DataType": "Binary", "BinaryValue": "AQID"})).event
    assert event["messageAttributes"]["Blob"] == {
        "binaryValue": "AQID",
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": "Binary",
    }


def test_the_serialised_form_is_the_event_in_compact_utf8() -> None:
    record = record_of({**PLAIN, "Body": 'größer "☃" 😀'})
    assert record.json == orjson.dumps(record.event)
    assert "größer".encode() in record.json
    assert b": " not in record.json


def test_instants_receipt_and_receive_count_are_kept() -> None:
    record = record_of(PLAIN)
    assert (record.identifier, record.receipt) == (PLAIN["MessageId"], PLAIN["ReceiptHandle"])
    assert (record.received_at, record.visible_until, record.receive_count) == (1000.0, 1030.0, 3)


@pytest.mark.parametrize(("arn", "group"), [(ARN + ".fifo", "g1"), (ARN, None)])
def test_only_a_fifo_queue_has_message_groups_because_standard_ones_use_the_id_for_fair_shares(
    arn: str, group: str | None
) -> None:
    message = {**PLAIN, "Attributes": {**PLAIN["Attributes"], "MessageGroupId": "g1"}}
    record = record_of(message, arn)
    assert record.group == group
    assert record.event["attributes"]["MessageGroupId"] == "g1"


def test_a_message_of_an_emulator_that_leaves_out_attributes_counts_as_received_once() -> None:
    record = record_of({key: value for key, value in PLAIN.items() if key != "Attributes"})
    assert record.receive_count == 1
    assert record.event["attributes"] == {}


def test_what_is_no_message_is_refused() -> None:
    with pytest.raises(KeyError):
        record_of({"Body": "x"})
