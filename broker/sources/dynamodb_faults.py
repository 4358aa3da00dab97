"""What the faults of DynamoDB Streams mean for reading.

Source: Amazon DynamoDB Streams API Reference, "Errors" of GetShardIterator, GetRecords and DescribeStream (read
November 2026).
"""

from typing import NamedTuple

from broker.aws.faults import THROTTLING_CODES, Call
from broker.errors import ReadFault, ShardReadError, SourceError

RESOURCE_MISSING = "ResourceNotFoundException"
"""The stream is not there, or the shard is not: the answer does not say which in a way to rely on."""
_DESCRIBE = "DescribeStream"


class _Kind(NamedTuple):
    fault: ReadFault
    what: str
    remedy: str
    retryable: bool = True


_EXPIRED = _Kind(ReadFault.EXPIRED_ITERATOR, "its iterator is older than 15 minutes", "The place is opened again.")
_TRIMMED = _Kind(
    ReadFault.TRIMMED, "what comes next is older than the 24 hours that a stream keeps", "Reading goes on after it."
)
_THROTTLED = _Kind(
    ReadFault.THROTTLED, "the service throttles", "A shard serves two readers: look for others of this stream."
)
_SHARD_GONE = _Kind(ReadFault.SHARD_GONE, "the stream has no such shard any more", "Reading goes on in others.")
_STREAM_GONE = _Kind(
    ReadFault.STREAM_GONE,
    "the stream does not exist",
    "A table that was made again, or whose stream was switched on again, has a stream with another ARN: correct "
    "EventSourceArn.",
)
_INVALID = _Kind(
    ReadFault.OTHER,
    "the service does not understand the request",
    "Does the endpoint serve DynamoDB Streams (AWS_ENDPOINT_URL_DYNAMODB_STREAMS)?",
    retryable=False,
)

_KINDS = {
    "ExpiredIteratorException": _EXPIRED,
    "TrimmedDataAccessException": _TRIMMED,
    "LimitExceededException": _THROTTLED,
    "ProvisionedThroughputExceededException": _THROTTLED,
    **dict.fromkeys(THROTTLING_CODES, _THROTTLED),
    **dict.fromkeys(["ValidationException", "UnknownOperationException"], _INVALID),
}


def read_fault(error: SourceError, call: Call) -> ShardReadError:
    """The fault of a call. Where something is not there it is the stream, if that was asked for, else the shard."""
    if error.code == RESOURCE_MISSING:
        return _fault(_STREAM_GONE if call.operation == _DESCRIBE else _SHARD_GONE, call, error.code)
    if kind := _KINDS.get(error.code):
        return _fault(kind, call, error.code)
    return ShardReadError(str(error), fault=ReadFault.OTHER, code=error.code, retryable=error.retryable)


def reopened(fault: ShardReadError) -> ShardReadError:
    """The same where opening the same place again is all that is needed."""
    return ShardReadError(str(fault), fault=ReadFault.EXPIRED_ITERATOR, code=fault.code)


def iterator_missing(call: Call) -> ShardReadError:
    """A read was to go on where none had got to."""
    kind = _EXPIRED._replace(what="no place in the shard is open")
    return _fault(kind, call, code="")


def _fault(kind: _Kind, call: Call, code: str) -> ShardReadError:
    suffix = f" ({code})" if code else ""
    message = f"{call} failed: {kind.what}{suffix}. {kind.remedy}"
    return ShardReadError(message, fault=kind.fault, code=code, retryable=kind.retryable)
