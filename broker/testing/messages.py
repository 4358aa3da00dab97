"""A message in a queue in memory, and its wire form: what ReceiveMessage answers in AWS JSON.

Source: Amazon SQS Developer Guide, "Amazon SQS message metadata", sections on message attributes and on calculating
their MD5 digest; API reference, Message and ReceiveMessage (read November 2026).
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from broker.errors import SourceError

MessageAttribute = str | int | float | bytes | Mapping[str, str | bytes]
"""A value whose type is plain, or SQS's own form: `{"DataType": "Number.price", "StringValue": "9.99"}`."""

MAXIMUM_BYTES = 1_048_576
"""Largest message, body and attributes together."""

_OUTSIDE = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
_STRING_TRANSPORT, _BINARY_TRANSPORT = b"\x01", b"\x02"


class StoredMessage:
    """One message and its state in the queue that holds it."""

    __slots__ = (
        "attributes", "body", "change_count", "deduplication_id", "first_received_at", "group", "identifier",
        "receipt", "receive_count", "received_at", "receives_here", "retained_from", "sent_at", "sequence_number",
        "source_arn", "trace_header", "visible_at",
    )  # fmt: skip

    def __init__(
        self,
        *,
        identifier: str,
        body: str,
        attributes: dict[str, dict[str, str]],
        sent_at: float,
        visible_at: float,
        group: str | None = None,
        deduplication_id: str | None = None,
        sequence_number: str | None = None,
        trace_header: str | None = None,
    ) -> None:
        self.identifier = identifier
        self.body = body
        self.attributes = attributes
        """By name, in the wire form."""
        self.sent_at = sent_at
        self.retained_from = sent_at
        """Where the retention period counts from."""
        self.visible_at = visible_at
        """When it can be received: after its delay, or after the visibility timeout of its last receive."""
        self.group = group
        self.deduplication_id = deduplication_id
        self.sequence_number = sequence_number
        self.trace_header = trace_header
        self.receive_count = 0
        """Receives in all queues it was in: `ApproximateReceiveCount`."""
        self.receives_here = 0
        """Receives in this queue: what counts for its redrive policy."""
        self.first_received_at: float | None = None
        self.received_at = 0.0
        """The last receive."""
        self.receipt: str | None = None
        """The newest receipt handle; None before the first receive from this queue."""
        self.change_count = 0
        """How often somebody changed its visibility timeout."""
        self.source_arn: str | None = None
        """The queue that moved it here for having been received too often."""

    def __repr__(self) -> str:
        return f"<StoredMessage {self.identifier}>"

    def is_in_flight(self, now: float) -> bool:
        """Whether somebody has received it and its visibility timeout runs."""
        return self.receipt is not None and self.visible_at > now

    def is_delayed(self, now: float) -> bool:
        """Whether nobody could receive it yet."""
        return self.receipt is None and self.visible_at > now

    def wire(self) -> dict[str, Any]:
        """An element of `Messages`; the caller owns it."""
        message: dict[str, Any] = {
            "MessageId": self.identifier,
            "ReceiptHandle": self.receipt,
            "MD5OfBody": md5(self.body.encode()),
            "Body": self.body,
            "Attributes": self._system_attributes(),
        }
        if self.attributes:
            message["MessageAttributes"] = {name: dict(value) for name, value in self.attributes.items()}
            message["MD5OfMessageAttributes"] = md5_of_attributes(self.attributes)
        return message

    def _system_attributes(self) -> dict[str, str]:
        """In the order of the events that AWS documents."""
        attributes = {
            "ApproximateReceiveCount": str(self.receive_count),
            "AWSTraceHeader": self.trace_header,
            "SentTimestamp": _milliseconds(self.sent_at),
            "SequenceNumber": self.sequence_number,
            "MessageGroupId": self.group,
            "SenderId": SENDER_ID,
            "MessageDeduplicationId": self.deduplication_id,
            "ApproximateFirstReceiveTimestamp": _milliseconds(self.first_received_at or self.received_at),
            "DeadLetterQueueSourceArn": self.source_arn,
        }
        return {name: value for name, value in attributes.items() if value is not None}


SENDER_ID = "AIDAIENQZJOLO23YVJ4VO"
"""The user id that every sender has here; the form of an IAM user's."""


def _milliseconds(instant: float) -> str:
    return str(round(instant * 1000))


def wire_attributes(attributes: Mapping[str, MessageAttribute]) -> dict[str, dict[str, str]]:
    """Brings message attributes into the wire form: text, and bytes as base64."""
    return {name: _wire_attribute(value) for name, value in attributes.items()}


def _wire_attribute(value: MessageAttribute) -> dict[str, str]:
    match value:
        case str():
            return {"StringValue": value, "DataType": "String"}
        case bytes():
            return {"BinaryValue": _base64(value), "DataType": "Binary"}
        case int() | float():
            return {"StringValue": str(value), "DataType": "Number"}
        case _:
            return {key: _base64(part) if isinstance(part, bytes) else part for key, part in value.items()}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def require_sendable(body: str, attributes: Mapping[str, Mapping[str, str]], maximum_bytes: int) -> None:
    """Raises `SourceError` as SendMessage does: for no body, for characters outside XML's set, for too much."""
    if not body:
        raise SourceError(
            "The request must contain the parameter MessageBody.", code="MissingParameter", retryable=False
        )
    if _OUTSIDE.search(body):
        raise SourceError("Invalid characters found.", code="InvalidMessageContents", retryable=False)
    size = len(body.encode()) + sum(len(name.encode()) + _size(wire) for name, wire in attributes.items())
    if size > maximum_bytes:
        raise SourceError(
            f"One or more parameters are invalid. Reason: Message must be shorter than {maximum_bytes} bytes.",
            code="InvalidParameterValue",
            retryable=False,
        )


def _size(wire: Mapping[str, str]) -> int:
    return len(wire["DataType"].encode()) + len(_value(wire))


def _value(wire: Mapping[str, str]) -> bytes:
    binary = wire.get("BinaryValue")
    return wire["StringValue"].encode() if binary is None else base64.b64decode(binary)


def md5(data: bytes) -> str:
    """SQS's checksum, in hexadecimal."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def md5_of_attributes(attributes: Mapping[str, Mapping[str, str]]) -> str:
    """The checksum of message attributes: by name, each part preceded by its length, the value by its transport."""
    return md5(b"".join(_digest_form(name, attributes[name]) for name in sorted(attributes)))


def _digest_form(name: str, wire: Mapping[str, str]) -> bytes:
    transport = _STRING_TRANSPORT if "StringValue" in wire else _BINARY_TRANSPORT
    return _counted(name.encode()) + _counted(wire["DataType"].encode()) + transport + _counted(_value(wire))


def _counted(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data
