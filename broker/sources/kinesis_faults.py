"""What the faults of Kinesis mean for reading.

Source: Amazon Kinesis Data Streams API Reference, "Errors" of GetShardIterator, GetRecords, ListShards,
DescribeStreamSummary and SubscribeToShard (read November 2026). That the text of a missing shard names it, and that of
a foreign sequence number, were observed: the codes do not tell these from a missing stream.
"""

from typing import NamedTuple

from broker.aws.faults import THROTTLING_CODES, Call
from broker.errors import ReadFault, ShardReadError, SourceError

RESOURCE_MISSING = "ResourceNotFoundException"
"""The stream, its consumer, or the shard."""
RESOURCE_IN_USE = "ResourceInUseException"
"""The stream is not active, or somebody subscribes to the shard through this very consumer."""
_INVALID_ARGUMENT = "InvalidArgumentException"
_FOREIGN_NUMBER = "did not come from this stream"


class _Kind(NamedTuple):
    fault: ReadFault
    what: str
    remedy: str
    retryable: bool = True


_EXPIRED = _Kind(ReadFault.EXPIRED_ITERATOR, "its iterator is older than five minutes", "The place is opened again.")
_THROTTLED = _Kind(
    ReadFault.THROTTLED,
    "the shard's throughput is used up",
    "All consumers of a shard share 5 reads and 2 MB a second: enhanced fan-out has its own.",
)
_SHARD_GONE = _Kind(ReadFault.SHARD_GONE, "the stream has no such shard any more", "Reading goes on in others.")
_STREAM_GONE = _Kind(
    ReadFault.STREAM_GONE,
    "there is no such stream, or no such consumer of it",
    "Create it, or correct EventSourceArn.",
)
_MADE_AGAIN = _Kind(
    ReadFault.STREAM_GONE,
    "the stream was deleted and made again: the sequence number is not one of its own",
    "It is read from its beginning.",
)
_BUSY = _Kind(
    ReadFault.OTHER,
    "the stream is being changed, or the consumer has a subscription to the shard",
    "It should pass by itself.",
)
_INVALID = _Kind(
    ReadFault.OTHER,
    "the service does not understand the request",
    "Does the endpoint serve Kinesis (AWS_ENDPOINT_URL_KINESIS)?",
    retryable=False,
)

_KINDS = {
    "ExpiredIteratorException": _EXPIRED,
    "ProvisionedThroughputExceededException": _THROTTLED,
    "LimitExceededException": _THROTTLED,
    "KMSThrottlingException": _THROTTLED._replace(
        what="the key that encrypts the stream is used too often", remedy="It should pass by itself."
    ),
    **dict.fromkeys(THROTTLING_CODES, _THROTTLED._replace(what="the service throttles")),
    RESOURCE_IN_USE: _BUSY,
    **dict.fromkeys(["ValidationException", "UnknownOperationException"], _INVALID),
}


def read_fault(error: SourceError, call: Call, *, shard_id: str = "") -> ShardReadError:
    """The fault of a call about a shard, or about the stream. `error` was raised without naming the shard."""
    kind = _KINDS.get(error.code)
    if error.code == RESOURCE_MISSING:
        kind = _SHARD_GONE if shard_id and shard_id in str(error) else _STREAM_GONE
    elif error.code == _INVALID_ARGUMENT and _FOREIGN_NUMBER in str(error):
        kind = _MADE_AGAIN
    if kind is None:
        return ShardReadError(str(error), fault=ReadFault.OTHER, code=error.code, retryable=error.retryable)
    return _fault(kind, call, error.code)


def iterator_missing(call: Call) -> ShardReadError:
    """A read was to go on where none had got to."""
    return _fault(_EXPIRED._replace(what="no place in the shard is open"), call, code="")


def stream_changing(call: Call, status: str) -> ShardReadError:
    """The stream is on its way into the world, or out of it: what it says of itself is not to be relied on."""
    if status == "DELETING":
        return _fault(_STREAM_GONE._replace(what="the stream is being deleted"), call, status)
    return _fault(_BUSY._replace(what="the stream is being created"), call, status)


def _fault(kind: _Kind, call: Call, code: str) -> ShardReadError:
    suffix = f" ({code})" if code else ""
    message = f"{call} failed: {kind.what}{suffix}. {kind.remedy}"
    return ShardReadError(message, fault=kind.fault, code=code, retryable=kind.retryable)
