"""A message's wire form and its checksums are SQS's."""

import pytest

from broker.errors import SourceError
from broker.testing.messages import (
    MAXIMUM_BYTES,
    StoredMessage,
    md5_of_attributes,
    require_sendable,
    wire_attributes,
)


def a_message(**changes) -> StoredMessage:
    defaults = {"identifier": "id", "body": "Test message.", "attributes": {}, "sent_at": 1.5, "visible_at": 1.5}
    return StoredMessage(**{**defaults, **changes})


def test_the_checksum_of_message_attributes_is_the_one_that_aws_documents() -> None:
    attributes = wire_attributes({"WeeksOn": 6, "Title": "The Whistler", "Author": "John Grisham"})
    assert md5_of_attributes(attributes) == "d25a6aea97eb8f585bfa92d314504a92"


def test_the_checksum_of_the_body_is_the_one_that_aws_documents() -> None:
    assert a_message(body="This is my message text.").wire()["MD5OfBody"] == "6a1559560f67c5e7a7d5d838bf0272ee"


def test_the_checksum_tells_binary_from_text_and_one_type_from_another() -> None:
    forms = [
        {"a": b"1"},
        {"a": "1"},
        {"a": 1},
        {"a": {"DataType": "Number.int", "StringValue": "1"}},
        {"b": "1"},
    ]
    assert len({md5_of_attributes(wire_attributes(form)) for form in forms}) == len(forms)


def test_plain_values_get_the_type_that_fits() -> None:
    assert wire_attributes({"s": "x", "i": 5, "f": 1.5, "b": b"\x01\x02"}) == {
        "s": {"StringValue": "x", "DataType": "String"},
        "i": {"StringValue": "5", "DataType": "Number"},
        "f": {"StringValue": "1.5", "DataType": "Number"},
        "b": {"BinaryValue": "AQI=", "DataType": "Binary"},
    }


def test_sqs_own_form_is_taken_as_it_is_with_bytes_as_base64() -> None:
    assert wire_attributes({"b": {"DataType": "Binary.png", "BinaryValue": b"\x01"}}) == {
        "b": {"DataType": "Binary.png", "BinaryValue": "AQ=="}
    }


def test_time_stamps_are_milliseconds_as_text_and_missing_attributes_are_left_out() -> None:
    message = a_message()
    message.receive_count, message.received_at, message.first_received_at = 2, 9.0, 2.25
    assert message.wire()["Attributes"] == {
        "ApproximateReceiveCount": "2",
        "SentTimestamp": "1500",
        "SenderId": "AIDAIENQZJOLO23YVJ4VO",
        "ApproximateFirstReceiveTimestamp": "2250",
    }


def test_the_caller_may_change_the_wire_form() -> None:
    message = a_message(attributes=wire_attributes({"s": "x"}))
    message.wire()["MessageAttributes"]["s"]["StringValue"] = "y"
    message.wire()["Attributes"].clear()
    assert message.wire()["MessageAttributes"]["s"]["StringValue"] == "x"
    assert message.wire()["Attributes"]


def test_its_repr_tells_nothing_of_the_payload() -> None:
    assert repr(a_message()) == "<StoredMessage id>"


def test_body_and_attributes_count_for_the_size() -> None:
    attributes = wire_attributes({"name": b"12"})
    size = len("Binary") + len("name") + 2
    require_sendable("x" * (MAXIMUM_BYTES - size), attributes, MAXIMUM_BYTES)
    with pytest.raises(SourceError, match="must be shorter than 1048576 bytes") as raised:
        require_sendable("x" * (MAXIMUM_BYTES - size + 1), attributes, MAXIMUM_BYTES)
    assert (raised.value.code, raised.value.retryable) == ("InvalidParameterValue", False)


def test_a_message_needs_a_body() -> None:
    with pytest.raises(SourceError) as raised:
        require_sendable("", {}, MAXIMUM_BYTES)
    assert raised.value.code == "MissingParameter"


@pytest.mark.parametrize("character", ["\x00", "\x1f", "\ud800", "\uffff"])
def test_a_body_is_made_of_the_characters_of_xml(character) -> None:
    require_sendable("\t\n\r ~\ud7ff\ue000\ufffd\U0001f600", {}, MAXIMUM_BYTES)
    with pytest.raises(SourceError) as raised:
        require_sendable(f"a{character}", {}, MAXIMUM_BYTES)
    assert raised.value.code == "InvalidMessageContents"
