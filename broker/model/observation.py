"""What the broker says of itself: facts that observers turn into logs, metrics and the live view. Never payloads."""

from dataclasses import dataclass

from broker.errors import ReadFault
from broker.model.batch import BatchTrigger, Reason
from broker.model.discard import Condition
from broker.model.stream import Position


@dataclass(frozen=True, slots=True, kw_only=True)
class PageReceived:
    """A receive returned."""

    count: int
    """Records in it; 0 for an empty poll."""
    filtered_count: int
    """Of these, records that no filter pattern matched."""
    known_count: int = 0
    """Of these, records that this process had already: in hand, or handled before and not yet deleted."""
    shard: str = ""
    """The shard's id; empty for a queue, here and below."""
    behind_ms: int | None = None
    """How far behind the shard's tip the page ended; None where that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchInvoked:
    """A batch was handed to its handler."""

    batch: int
    """Number of the batch."""
    attempt: int
    count: int
    """Records in it."""
    size_bytes: int
    trigger: BatchTrigger
    shard: str = ""
    lane: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSettled:
    """It is decided what becomes of a batch."""

    batch: int
    attempt: int
    reason: Reason
    acked_count: int
    """Records that are now deleted."""
    retried_count: int
    """Records that come again when their visibility timeout has passed."""
    duration_seconds: float
    """From the start of the last attempt to its end."""
    detail: str = ""
    """The error's type and message, where there is one."""
    location: str = ""
    """File and line of the handler where the error was raised, where it is known."""
    shard: str = ""
    lane: int | None = None
    bisected_into: tuple[int, ...] = ()
    """The batches that it was split into, where it was: their numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationDeferred:
    """The function was throttled or unreachable: the same batch is tried again."""

    batch: int
    attempt: int
    reason: Reason
    delay_seconds: float
    detail: str
    shard: str = ""
    lane: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationStuck:
    """A handler ran into its time limit and cannot be stopped; its slot and message groups stay taken."""

    batch: int
    groups: tuple[str, ...]
    shard: str = ""
    lane: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationReturned:
    """A handler that had been stuck has returned."""

    batch: int
    overdue_seconds: float
    """How long after its time limit."""
    shard: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordsLetGo:
    """Records were neither handled nor settled: their visibility timeout brings them back."""

    count: int
    why: str
    """`visibility too short`, `group failed`, `not reached in time`, `circuit open`, `no share`, `drain`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordsDeleted:
    """Records left the queue for good."""

    count: int
    """0 where the delete failed."""
    failed_count: int = 0
    detail: str = ""
    """The first failure's code and text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteAbandoned:
    """Records were handled but could not be deleted; they are remembered and deleted on sight."""

    count: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VisibilityChangeFailed:
    """Records could not be released, or not be kept hidden: their visibility timeout stays what it was."""

    count: int
    detail: str
    """The first failure's code and text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupOrderBroken:
    """A handler reported a FIFO message as failed but not the later ones of its group, which are now deleted."""

    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EverythingFiltered:
    """Not one of the first messages passed the filter: likely a mistake in the pattern."""

    count: int
    """Messages deleted so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceProblem:
    """The queue cannot be read; the mapping keeps trying."""

    problem: str
    delay_seconds: float
    shard: str = ""
    fault: ReadFault | None = None
    """What kind of problem a shard has; None for a queue's, and for a mapping's as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRecovered:
    """The queue, or the shard, can be read again."""

    shard: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisibilityTooShort:
    """The queue's visibility timeout has become shorter than the function's timeout."""

    visibility_timeout_seconds: int
    function_timeout_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitOpened:
    """The target failed so often in a row that the mapping pauses."""

    pause_seconds: float
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitClosed:
    """The target answers again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingStateChanged:
    """A mapping moved to another state."""

    state: str
    """AWS's word: `Creating`, `Enabled`, `Disabling`, `Disabled`, …"""
    detail: str = ""
    """Why, where there is more to say: `paused by ana@desk at …`, `resumed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingFailed:
    """A bug stopped a mapping; the others go on."""

    error: BaseException
    """What was raised, with its traceback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardStarted:
    """This broker began to read a shard."""

    shard: str
    position: Position
    epoch: int
    """The lease's fencing token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardStopped:
    """This broker no longer reads a shard."""

    shard: str
    why: str
    """`finished`, `handed over`, `given back`, `paused`, `lease lost`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordsDiscarded:
    """Records were given up, and what became of that is certain."""

    shard: str
    batch: int
    count: int
    condition: Condition
    first: str
    last: str
    invoke_count: int
    delivered: bool
    """Whether an on-failure destination has their record; False where there is none, or where it did not take it."""
    detail: str = ""
    """Why the destination did not take it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationProblem:
    """An on-failure destination did not take a record; it is tried again."""

    shard: str
    problem: str
    delay_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointProblem:
    """A checkpoint could not be written; it is tried again."""

    shard: str
    problem: str
    delay_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordsLost:
    """Records left the stream before they were read, as far as can be told."""

    shard: str
    after: str
    """The last that is known to be settled: a sequence number, or the place where reading was to begin."""
    before: str
    """The sequence number of the first record that could be read; empty where there is none."""
    is_certain: bool
    """False where the checkpoint is only older than the stream keeps records."""
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowClosed:
    """A tumbling window has had its final invocation, or was given up."""

    shard: str
    start: int
    end: int
    is_terminated_early: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTaken:
    """This broker has taken a lease."""

    key: str
    epoch: int
    from_worker: str
    """Whose it was; empty where it was nobody's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseReleased:
    """This broker has given a lease back, or to the worker that asked for it."""

    key: str
    to_worker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseWasLost:
    """A lease is somebody else's: its work is cancelled, its checkpoint is not written."""

    key: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreProblem:
    """The state store does not answer; leases are kept as long as they are certain."""

    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRecovered:
    """The state store answers again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLoopBlocked:
    """Something keeps the broker's event loop from running: a handler that should be a plain function, say."""

    seconds: float
    location: str
    """File and line of what runs."""


Observation = (
    PageReceived
    | BatchInvoked
    | BatchSettled
    | InvocationDeferred
    | InvocationStuck
    | InvocationReturned
    | RecordsLetGo
    | RecordsDeleted
    | DeleteAbandoned
    | VisibilityChangeFailed
    | GroupOrderBroken
    | EverythingFiltered
    | SourceProblem
    | SourceRecovered
    | VisibilityTooShort
    | CircuitOpened
    | CircuitClosed
    | MappingStateChanged
    | MappingFailed
    | ShardStarted
    | ShardStopped
    | RecordsDiscarded
    | DestinationProblem
    | CheckpointProblem
    | RecordsLost
    | WindowClosed
    | LeaseTaken
    | LeaseReleased
    | LeaseWasLost
    | StoreProblem
    | StoreRecovered
    | EventLoopBlocked
)
