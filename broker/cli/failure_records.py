"""On-failure records, as a person has them: the JSON itself, or what a queue, a topic or a bucket made of it."""

from dataclasses import dataclass
from typing import Any

import orjson

from broker.errors import ConfigurationError, Mistake
from broker.model.reference import FunctionReference

BATCH_INFOS = ("KinesisBatchInfo", "DDBStreamBatchInfo")
WRAPPERS = ("Body", "body", "Message")
"""Members in which SQS, Lambda's events and SNS carry a record as text."""
FORM = (
    "this is no on-failure record of a stream: it should have a requestContext and a KinesisBatchInfo or a "
    "DDBStreamBatchInfo"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRange:
    """Where the records of a failed batch stand in their stream."""

    shard_id: str
    first: str
    """Sequence number of the first; empty for the last invocation of a tumbling window, which has no records."""
    last: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRecord:
    """What was given up."""

    stream_arn: str
    """As the mapping names it: of a stream, or of a consumer of it."""
    function: FunctionReference
    condition: str
    """`RetryAttemptsExhausted`, `RecordAgeExceeded`."""
    range: FailedRange
    payload: bytes | None
    """The event, where the record carries it (S3)."""


def read_failure_record(text: bytes, *, name: str) -> FailureRecord:
    """Takes a record out of whatever it was sent in. Raises `ConfigurationError` where there is none."""
    try:
        document = _unwrapped(orjson.loads(text))
    except orjson.JSONDecodeError as error:
        raise ConfigurationError([Mistake(message=f"this is not JSON: {error}", place=name)]) from error
    try:
        return _record(document)
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise ConfigurationError([Mistake(message=FORM, place=name)]) from error


def _unwrapped(document: Any) -> Any:
    """The innermost document: the only message of an answer, its body, the text of a notification."""
    if isinstance(document, dict):
        for member in ("Messages", "Records"):
            items = document.get(member)
            if isinstance(items, list) and len(items) == 1:
                return _unwrapped(items[0])
        for member in WRAPPERS:
            if isinstance(document.get(member), str):
                return _unwrapped(orjson.loads(document[member]))
    return document


def _record(document: dict[str, Any]) -> FailureRecord:
    info = next(document[name] for name in BATCH_INFOS if name in document)
    context, payload = document["requestContext"], document.get("payload")
    return FailureRecord(
        stream_arn=info["streamArn"],
        function=FunctionReference.parse(context["functionArn"]),
        condition=context["condition"],
        range=FailedRange(
            shard_id=info["shardId"],
            first=info.get("startSequenceNumber", ""),
            last=info.get("endSequenceNumber", ""),
            count=info.get("batchSize", 0),
        ),
        payload=None if payload is None else payload.encode(),
    )
