"""Records that a person has in a file: what `broker filter test` is asked about.

A file holds one JSON document (a list, a Lambda event, the answer to a ReceiveMessage or a GetRecords, a single record)
or one of these a line. A record is what the source sends (`Body`, `Data`) or what Lambda delivers (`body`, `kinesis`);
those of DynamoDB look alike in both. What a record does not say is made up.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, TypeVar, assert_never

import orjson

from broker.errors import ConfigurationError, Mistake
from broker.model.arn import Arn
from broker.model.record import Record
from broker.model.reference import StreamReference, StreamService
from broker.model.stream import StreamRecord
from broker.sources.dynamodb_record import dynamodb_record
from broker.sources.kinesis_record import KinesisRecord, ShardOrigin, kinesis_records
from broker.sources.sqs_record import queue_record

LISTS = ("Records", "Messages")
QUEUE_FORMS = 'neither an SQS message (with "Body") nor a record of a Lambda event (with "body")'
STREAM_FORMS = {
    StreamService.KINESIS: 'neither a record of Kinesis (with "Data") nor one of a Lambda event (with "kinesis")',
    StreamService.DYNAMODB: 'no record of a DynamoDB stream (with "dynamodb")',
}
UNKNOWN_SHARD = "shardId-000000000000"

Made = TypeVar("Made")


def read_records(text: bytes, *, name: str, arn: str) -> list[Record]:
    """The messages in `text`, as of the queue `arn`. Raises `ConfigurationError` with every mistake in it."""
    return _read(text, name, lambda item, number: _message(item, number, arn), QUEUE_FORMS)


def read_stream_records(text: bytes, *, name: str, arn: str) -> list[StreamRecord]:
    """The records in `text`, as of the stream or consumer `arn`. Raises `ConfigurationError` as `read_records` does."""
    service = StreamReference.parse(arn).service

    def made(item: dict[str, Any], number: int) -> StreamRecord:
        match service:
            case StreamService.KINESIS:
                return _kinesis(item, number, arn)
            case StreamService.DYNAMODB:
                return _dynamodb(item, number, arn)
            case _:
                assert_never(service)

    return _read(text, name, made, STREAM_FORMS[service])


def _read(text: bytes, name: str, made: Callable[[dict[str, Any], int], Made], forms: str) -> list[Made]:
    mistakes: list[Mistake] = []
    records: list[Made] = []
    for place, document in _documents(text, name):
        try:
            records += [made(_object(item), number) for number, item in enumerate(_items(document), len(records) + 1)]
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            mistakes.append(Mistake(message=f"this is {forms}: {_reason(error)}", place=place))
    if mistakes:
        raise ConfigurationError(mistakes)
    return records


def _documents(text: bytes, name: str) -> Iterator[tuple[str, Any]]:
    try:
        yield name, orjson.loads(text)
    except orjson.JSONDecodeError:
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                yield f"{name}:{number}", _parsed(line, f"{name}:{number}")


def _parsed(line: bytes, place: str) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ConfigurationError([Mistake(message=f"this is not JSON: {error}", place=place)]) from error


def _items(document: Any) -> list[Any]:
    if isinstance(document, list):
        return document
    for key in LISTS:
        if isinstance(document, dict) and key in document:
            return list(document[key])
    return [document]


def _object(item: Any) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise TypeError("it is no JSON object")
    return item


def _message(item: dict[str, Any], number: int, arn: str) -> Record:
    if not isinstance(item.get("Body", item.get("body", "")), str):
        raise TypeError("its body is not text")
    if "Body" in item:
        message = {"MessageId": f"message-{number}", "ReceiptHandle": "", **item}
        return queue_record(message, arn=arn, region=Arn.parse(arn).region, received_at=0.0, visible_until=0.0)
    event = {"messageId": f"message-{number}", **item, "body": item["body"]}
    return Record(
        identifier=event["messageId"],
        event=event,
        json=orjson.dumps(event),
        receipt="",
        received_at=0.0,
        visible_until=0.0,
    )


def _kinesis(item: dict[str, Any], number: int, arn: str) -> KinesisRecord:
    """A record on the wire, or the same from what Lambda delivers: their members differ in the first letter's case."""
    inner = {key[:1].upper() + key[1:]: value for key, value in item.get("kinesis", item).items()}
    wire = {
        "SequenceNumber": str(number),
        "PartitionKey": "",
        **inner,
        "Data": _text(inner["Data"]),
        "ApproximateArrivalTimestamp": _seconds(inner.get("ApproximateArrivalTimestamp", 0)),
    }
    shard_id, _, identifier = str(item.get("eventID", "")).partition(":")
    origin = ShardOrigin(
        arn=arn,
        region=Arn.parse(arn).region,
        role_arn=str(item.get("invokeIdentityArn", "")),
        shard_id=shard_id if identifier else UNKNOWN_SHARD,
    )
    return kinesis_records([wire], origin)[0]


def _dynamodb(item: dict[str, Any], number: int, arn: str) -> StreamRecord:
    written = item["dynamodb"]
    change = {
        "SequenceNumber": str(number),
        **written,
        "ApproximateCreationDateTime": _seconds(written.get("ApproximateCreationDateTime", 0)),
    }
    wire = {"eventID": f"event-{number}", "eventName": "INSERT", **item, "dynamodb": change}
    return dynamodb_record(wire, arn=arn, region=Arn.parse(arn).region)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("its data is not base64 text")
    return value


def _seconds(value: Any) -> float:
    """A time as services send it, or as the AWS command line prints it."""
    return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else float(value)


def _reason(error: Exception) -> str:
    return f"there is no {error}" if isinstance(error, KeyError) else str(error)
