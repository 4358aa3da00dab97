"""Messages that a person has in a file, as records: what `broker filter test` is asked about.

A file holds one JSON document (a list, a Lambda event, the answer to a ReceiveMessage, a single message) or one
message a line. A message is what SQS sends (`Body`) or what Lambda delivers (`body`); what it does not say is made up.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from broker.errors import ConfigurationError, Mistake
from broker.model.arn import Arn
from broker.model.record import Record
from broker.sources.sqs_record import queue_record

LISTS = ("Records", "Messages")
FORMS = 'neither an SQS message (with "Body") nor a record of a Lambda event (with "body")'


def read_records(text: bytes, *, name: str, arn: str) -> list[Record]:
    """The records in `text`, as of the queue `arn`. Raises `ConfigurationError` with every mistake in it."""
    mistakes: list[Mistake] = []
    records: list[Record] = []
    for place, document in _documents(text, name):
        try:
            records += [_record(item, number, arn) for number, item in enumerate(_items(document), len(records) + 1)]
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            mistakes.append(Mistake(message=f"this is {FORMS}: {_reason(error)}", place=place))
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


def _record(item: Any, number: int, arn: str) -> Record:
    if not isinstance(item, dict):
        raise TypeError("it is no JSON object")
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


def _reason(error: Exception) -> str:
    return f"there is no {error}" if isinstance(error, KeyError) else str(error)
