"""An event source mapping: the request that Lambda's own API takes, of a queue or of a stream.

The event source's ARN decides which of the two a request is, and so which members it may have.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Discriminator, Tag

from broker.model.arn import Arn
from broker.model.queue_mapping import QueueMapping
from broker.model.reference import EventSourceKind, StreamService
from broker.model.stream_mapping import StreamMapping

EventSourceMapping = QueueMapping | StreamMapping
"""Reads a queue or a stream and hands batches of its records to a function: CreateEventSourceMapping's members."""

MAPPING_MODELS: Final[Mapping[EventSourceKind, type[EventSourceMapping]]] = {
    EventSourceKind.QUEUE: QueueMapping,
    EventSourceKind.STREAM: StreamMapping,
}
_KINDS: Final = {
    "sqs": EventSourceKind.QUEUE,
    "kinesis": EventSourceKind.STREAM,
    "dynamodb": EventSourceKind.STREAM,
}
_ARN_KEYS: Final = ("EventSourceArn", "event_source_arn")
_STREAM_KEYS: Final = frozenset({"StartingPosition", "starting_position"})


def kind_of(written: Any) -> EventSourceKind:
    """What a request is about, right or wrong; where its ARN does not say, what its members suggest."""
    if isinstance(written, QueueMapping | StreamMapping):
        return written.kind
    members = written if isinstance(written, dict) else {}
    guess = EventSourceKind.QUEUE if _STREAM_KEYS.isdisjoint(members) else EventSourceKind.STREAM
    return _KINDS.get(_service_in(members), guess)


def service_of(written: Any) -> StreamService | None:
    """Whose stream a request is about, right or wrong; None where its ARN is of none."""
    service = _service_in(written if isinstance(written, dict) else {})
    return StreamService(service) if service in set(StreamService) else None


def _service_in(members: Mapping[str, Any]) -> str:
    """The service that the source's ARN names; empty where there is none."""
    arn = next((members[key] for key in _ARN_KEYS if key in members), None)
    try:
        return Arn.parse(arn).service if isinstance(arn, str) else ""
    except ValueError:
        return ""


WrittenMapping = Annotated[
    Annotated[QueueMapping, Tag(EventSourceKind.QUEUE.value)]
    | Annotated[StreamMapping, Tag(EventSourceKind.STREAM.value)],
    Discriminator(kind_of),
]
"""For fields that hold mappings: the location of a mistake has the kind (`queue`, `stream`) after the mapping's own."""
