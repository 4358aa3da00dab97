"""Records that are given up, and what their on-failure destination is told."""

from dataclasses import dataclass
from enum import StrEnum

from broker.model.payload import Payload


class Condition(StrEnum):
    """Why records were given up, in AWS's words."""

    RETRY_ATTEMPTS_EXHAUSTED = "RetryAttemptsExhausted"
    RECORD_AGE_EXCEEDED = "RecordAgeExceeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseContext:
    """How the last invocation ended, where there was one."""

    function_error: str | None
    """`Unhandled` for an exception, a time-out or a crash; None where the function answered, with failures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeWindow:
    """The tumbling window of a final invocation that was given up."""

    start: int
    """Epoch seconds."""
    end: int
    is_final_invoke: bool
    is_terminated_early: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardedBatch:
    """Records that are given up, in order; none for the final invocation of a tumbling window."""

    number: int
    """Counts the discards of one shard's consumer from 1."""
    batch: int
    """The number of the batch: what its request id is made of."""
    condition: Condition
    invoke_count: int
    """`approximateInvokeCount`."""
    response: ResponseContext | None
    """None where the function was not run: too old, or too large."""
    count: int
    """Records given up."""
    first: str
    """Sequence number of the first of them; empty without records."""
    last: str
    first_arrived_at: float
    """Epoch seconds; 0 without records."""
    last_arrived_at: float
    payload: Payload
    """The event with these records, as it would have been delivered: S3 gets it."""
    window: TimeWindow | None = None
