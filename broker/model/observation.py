"""What the broker says of itself: facts that observers turn into logs, metrics and the live view. Never payloads."""

from dataclasses import dataclass

from broker.model.batch import BatchTrigger, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class PageReceived:
    """A receive returned."""

    count: int
    """Records in it; 0 for an empty poll."""
    filtered_count: int
    """Of these, records that no filter pattern matched."""
    known_count: int = 0
    """Of these, records that this process had already: in hand, or handled before and not yet deleted."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationDeferred:
    """The function was throttled or unreachable: the same batch is tried again."""

    batch: int
    attempt: int
    reason: Reason
    delay_seconds: float
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationStuck:
    """A handler ran into its time limit and cannot be stopped; its slot and message groups stay taken."""

    batch: int
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationReturned:
    """A handler that had been stuck has returned."""

    batch: int
    overdue_seconds: float
    """How long after its time limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordsLetGo:
    """Records were neither handled nor settled: their visibility timeout brings them back."""

    count: int
    why: str
    """`visibility too short`, `group failed`, `not reached in time`, `circuit open`, `drain`."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRecovered:
    """The queue can be read again."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingFailed:
    """A bug stopped a mapping; the others go on."""

    error: BaseException
    """What was raised, with its traceback."""


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
)
