"""From a message as SQS puts it on the wire to a record as Lambda delivers it.

Nothing is decoded: binary attributes stay base64 text, time stamps stay the decimal strings that both the wire and the
Lambda event use.

Source: AWS Lambda Developer Guide, "Using Lambda with Amazon SQS", section "Example event" (read November 2026); the
order of keys, the empty `…ListValues` and the absent `md5OfMessageAttributes` are as observed in events that AWS
delivered; that `SqsManagedSseEnabled` is left out is observed too.
"""

from typing import Any

import orjson

from broker.model.record import Record

_FIFO_SUFFIX = ".fifo"


def queue_record(message: dict[str, Any], *, arn: str, region: str, received_at: float, visible_until: float) -> Record:
    """Makes the record of one element of `Messages` in a ReceiveMessage answer (AWS JSON 1.0).

    Takes `message` over: its parts become parts of the event. Instants are epoch seconds. Raises `KeyError`,
    `TypeError`, `ValueError` or `AttributeError` where `message` has not the shape of a message.
    """
    identifier = message["MessageId"]
    receipt = message["ReceiptHandle"]
    attributes = message.get("Attributes") or {}
    attributes.pop("SqsManagedSseEnabled", None)
    event = {"messageId": identifier, "receiptHandle": receipt, "body": message["Body"], "attributes": attributes}
    if named := message.get("MessageAttributes"):
        event["messageAttributes"] = {name: _message_attribute(wire) for name, wire in named.items()}
        event["md5OfMessageAttributes"] = message.get("MD5OfMessageAttributes", "")
    else:
        event["messageAttributes"] = {}
    event["md5OfBody"] = message.get("MD5OfBody", "")
    event["eventSource"] = "aws:sqs"
    event["eventSourceARN"] = arn
    event["awsRegion"] = region
    return Record(
        identifier=identifier,
        event=event,
        json=orjson.dumps(event),
        receipt=receipt,
        received_at=received_at,
        visible_until=visible_until,
        group=attributes.get("MessageGroupId") if arn.endswith(_FIFO_SUFFIX) else None,
        receive_count=int(attributes.get("ApproximateReceiveCount", 1)),
    )


def _message_attribute(wire: dict[str, Any]) -> dict[str, Any]:
    """`{"DataType": …, "StringValue" or "BinaryValue": …}` with Lambda's names."""
    delivered: dict[str, Any] = {}
    if (text := wire.get("StringValue")) is not None:
        delivered["stringValue"] = text
    if (binary := wire.get("BinaryValue")) is not None:
        delivered["binaryValue"] = binary
    delivered["stringListValues"] = []  # SQS has reserved lists but never implemented them
    delivered["binaryListValues"] = []
    delivered["dataType"] = wire["DataType"]
    return delivered
