"""All that a shard's consumer hears (`ShardEvent`) and says (`ShardAction`).

A consumer is `handle(event, now) -> list[Action]`; whoever performs an action answers with the event named in its
docstring, exactly once, however the action ends.
"""

from dataclasses import dataclass
from typing import Any

from broker.core.events import Finished, Returned, Stopping, Tell, Woke
from broker.errors import ReadFault
from broker.model.batch import BatchTrigger
from broker.model.checkpoint import Checkpoint
from broker.model.discard import DiscardedBatch
from broker.model.payload import Payload
from broker.model.stream import Page, Position, StreamRecord

# ---- what it hears


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRead:
    """A read returned, perhaps with nothing."""

    number: int
    """The `number` of the `Read`."""
    page: Page


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFailed:
    """A read failed."""

    number: int
    fault: ReadFault
    problem: str
    """The error's message."""
    chance: float
    """Jitter in [0, 1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotStarted:
    """An invocation did not start, because the lease was no longer certain when it was its turn."""

    number: int
    """The `number` of the batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSaved:
    """A checkpoint stands in the store."""

    number: int
    """The `number` of the `SaveCheckpoint`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointFailed:
    """A checkpoint could not be written; whether it stands is unknown."""

    number: int
    problem: str
    chance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Discarded:
    """A `Discard` ended."""

    number: int
    """The `number` of the discarded batch."""
    problem: str | None
    """Why the destination did not take it; None where it did."""
    is_final: bool
    """Whether trying again cannot help: it is too large for the destination, say."""
    chance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseExtended:
    """The lease is certain for longer."""

    until_at: float
    """Instant up to which invocations may start, by the broker's clock."""


ShardEvent = (
    PageRead
    | ReadFailed
    | Finished
    | Returned
    | NotStarted
    | CheckpointSaved
    | CheckpointFailed
    | Discarded
    | LeaseExtended
    | Woke
    | Stopping
)

# ---- what it says


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamBatch:
    """Records of one lane that are handed to a handler together, in order."""

    number: int
    """Counts the batches of one consumer from 1; an attempt that changed nothing keeps its number and request id."""
    lane: int
    """0 to `ParallelizationFactor` - 1."""
    records: tuple[StreamRecord, ...]
    """None for the final invocation of a tumbling window."""
    trigger: BatchTrigger
    attempt: int = 1
    """Counts the invocations of this very batch from 1."""
    window: dict[str, Any] | None = None
    """The keys that a tumbling window adds to the event: `window`, `state` (as a parsed value), `shardId`, …"""
    size_bytes: int = 0
    """Bytes of the compact UTF-8 event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Read the shard: `PageRead` or `ReadFailed`. May be cancelled at any time."""

    number: int
    """Counts the reads of one consumer from 1."""
    position: Position | None
    """Where; None where the page before ended."""
    maximum_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeStream:
    """Hand a batch to the handler: `Finished`, or `NotStarted` at or after `start_before`.

    After a time-out that left the call running `Returned` follows.
    """

    batch: StreamBatch
    payload: Payload
    start_before: float
    """Instant up to which the lease is certain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveCheckpoint:
    """Write how far the shard is settled: `CheckpointSaved` or `CheckpointFailed`. Shielded and bounded.

    Where the lease turns out to be lost there is no answer: the consumer is cancelled.
    """

    number: int
    """Counts the writes of one consumer from 1; one is outstanding at a time."""
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Discard:
    """Hand records that are given up to the on-failure destination: `Discarded`. Shielded and bounded."""

    discarded: DiscardedBatch
    at: float
    """When they were given up: the same for every attempt, so that a lost answer makes no second object."""


ShardAction = Read | InvokeStream | SaveCheckpoint | Discard | Tell
