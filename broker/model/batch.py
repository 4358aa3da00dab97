"""A batch of records on its way to a handler, and what becomes of it."""

from dataclasses import dataclass
from enum import StrEnum

from broker.model.record import Record


class BatchTrigger(StrEnum):
    """Why a batch was cut."""

    AVAILABLE = "available"
    """No batching window: whatever is there goes at once."""
    SIZE = "size"
    """`BatchSize` was reached."""
    WINDOW = "window"
    """`MaximumBatchingWindowInSeconds` had passed."""
    BYTES = "bytes"
    """The next record would have made the event exceed 6 MB."""
    SHARD_END = "shard_end"
    """The shard is closed: what is there is the rest."""
    TUMBLING_WINDOW = "tumbling_window"
    """The next record belongs to a later tumbling window, or the window is over."""
    RETRY = "retry"
    """A part of a batch that failed."""
    DRAIN = "drain"
    """The mapping is stopping: what is there goes at once."""


class Reason(StrEnum):
    """How an invocation ended."""

    SUCCEEDED = "succeeded"
    PARTIAL_FAILURE = "partial_failure"
    """The handler listed some of the records in `batchItemFailures`."""
    MALFORMED_RESPONSE = "malformed_response"
    """The handler's partial response could not be understood: the whole batch failed."""
    HANDLER_FAILED = "handler_failed"
    TIMED_OUT = "timed_out"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    TOO_LARGE = "too_large"
    """A single stream record whose event exceeds 6 MB: the handler never sees it."""
    MISSING_STATE = "missing_state"
    """The response of a tumbling window's invocation holds no `state`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Records that are handed to a handler together, in order."""

    number: int
    """Counts the batches of one consumer from 1; an attempt that changed nothing keeps its number and request id."""
    records: tuple[Record, ...]
    """At least one."""
    trigger: BatchTrigger
    attempt: int = 1
    """Counts the invocations of this very batch from 1."""

    @property
    def size_bytes(self) -> int:
        """Bytes of the compact UTF-8 event that carries these records."""
        return event_bytes(sum(len(record.json) for record in self.records), len(self.records))


ENVELOPE_BYTES = len(b'{"Records":[]}')


def event_bytes(record_bytes: int, count: int) -> int:
    """Size of an event whose `count` serialised records have `record_bytes` together."""
    return ENVELOPE_BYTES + record_bytes + max(count - 1, 0)
