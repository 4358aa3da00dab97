"""All that a queue consumer hears (`QueueEvent`) and says (`QueueAction`).

A consumer is `handle(event, now) -> list[Action]`; whoever performs an action answers with the event named in its
docstring, exactly once, however the action ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from broker.model.batch import Batch
from broker.model.invocation import InvocationResult
from broker.model.observation import Observation
from broker.model.record import Failure, QueueAttributes, Record

# ---- what it hears


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """The queue's attributes were read."""

    attributes: QueueAttributes


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeFailed:
    """The queue's attributes could not be read."""

    problem: str
    """The message of the `SourceError`."""
    chance: float
    """Jitter in [0, 1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A receive returned, perhaps with nothing."""

    number: int
    """The `number` of the `Fetch`."""
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchFailed:
    """A receive failed; what it may have brought stays hidden until its visibility timeout."""

    number: int
    problem: str
    chance: float
    may_have_taken_effect: bool = False
    """Whether no answer came, so that the queue may have handed messages over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """An invocation ended."""

    number: int
    """The `number` of the batch."""
    result: InvocationResult
    chance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """A call that had timed out and could not be stopped has returned at last."""

    number: int
    """The `number` of the batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """A `Delete` ended."""

    number: int
    """The `number` of the action."""
    failures: Mapping[str, Failure]
    """Why, by record identifier, for each record that was not deleted; all of them where the call failed."""
    chance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VisibilityChanged:
    """A `ChangeVisibility` ended."""

    number: int
    """The `number` of the action."""
    failures: Mapping[str, Failure]
    """As in `Deleted`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitChanged:
    """This process's share of the mapping's concurrency is another, or certain for longer."""

    limit: int
    """Batches that may be in flight here; with 0 nothing is received, and what waits is left to the queue."""
    until_at: float
    """Instant up to which the share is certain, by the broker's clock; from then on it is 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Woke:
    """The consumer's `deadline` has come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """The mapping is to drain: no new receives, what is in flight finishes."""

    deadline_at: float
    """Instant by which the consumer must have finished."""


QueueEvent = (
    Described
    | DescribeFailed
    | Fetched
    | FetchFailed
    | Finished
    | Returned
    | Deleted
    | VisibilityChanged
    | LimitChanged
    | Woke
    | Stopping
)

# ---- what it says


@dataclass(frozen=True, slots=True, kw_only=True)
class Describe:
    """Read the queue's attributes: `Described` or `DescribeFailed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """Receive messages: `Fetched` or `FetchFailed`. Never cancelled to stop faster."""

    number: int
    """Counts the receives of one consumer from 1."""
    attempt_number: int
    """The same for a FIFO receive and its repetition: what the `ReceiveRequestAttemptId` is made of."""
    maximum_count: int
    """1-10."""
    wait_seconds: int
    """Long poll, 0-20."""
    visibility_timeout_seconds: int
    """Passed explicitly, so that each message's deadline is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoke:
    """Hand a batch to the handler: `Finished`, and `Returned` after a time-out that left the call running."""

    batch: Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Acknowledge records: `Deleted`. Shielded and bounded."""

    number: int
    """Counts the deletes of one consumer from 1."""
    records: tuple[Record, ...]
    """1-10, each with the newest receipt known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeVisibility:
    """Let records be delivered again after some seconds, or keep them hidden for longer: `VisibilityChanged`.

    Shielded and bounded.
    """

    number: int
    """Counts the changes of one consumer from 1."""
    records: tuple[Record, ...]
    """1-10, in the order in which they are to be changed."""
    visibility_timeout_seconds: int
    """From now, 0-43200."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """Say to the observers what happened. No answer."""

    observation: Observation


QueueAction = Describe | Fetch | Invoke | Delete | ChangeVisibility | Tell
