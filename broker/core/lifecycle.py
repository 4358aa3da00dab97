"""The life of a mapping: its states and legal transitions, as a table.

A control call moves a settled mapping (`Enabled`, `Disabled`) into a transitional state at once; the mapping settles
when what the call asked for is true: its consumer runs, or has drained. While a mapping is not settled, AWS refuses
further calls, and so do we. `Gone` is where a mapping comes from and where it ends.

Source: AWS Lambda API, EventSourceMappingConfiguration `State`, CreateEventSourceMapping, UpdateEventSourceMapping,
DeleteEventSourceMapping (read November 2026). Observed on AWS: a queue's mapping that is created disabled is
`Disabled` at once, a stream's is `Creating` first; an update of a disabled queue's mapping leaves it `Disabled`.
Inferred: the same holds for streams; enabling what is enabled is an ordinary update.
"""

from dataclasses import dataclass
from enum import StrEnum

from broker.model.reference import EventSourceKind


class MappingState(StrEnum):
    """AWS's words, and one for a mapping that does not exist."""

    CREATING = "Creating"
    ENABLING = "Enabling"
    ENABLED = "Enabled"
    UPDATING = "Updating"
    DISABLING = "Disabling"
    DISABLED = "Disabled"
    DELETING = "Deleting"
    GONE = "Gone"


class Step(StrEnum):
    """What happens to a mapping: a call asks for something, or what was asked for has become true."""

    CREATE_ENABLED = "create enabled"
    CREATE_DISABLED = "create disabled"
    ENABLE = "enable"
    """An update that says `Enabled: true`."""
    DISABLE = "disable"
    """An update that says `Enabled: false`."""
    UPDATE = "update"
    """An update that says nothing of `Enabled`."""
    DELETE = "delete"
    STARTED = "started"
    """Settled: the mapping's consumer runs."""
    STOPPED = "stopped"
    """Settled: the mapping has no consumer, and what was in flight has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What AWS answers to a call that the mapping's state does not allow."""

    code: str
    """The exception's name."""
    status: int
    """HTTP."""
    message: str


IN_USE = Refusal(
    code="ResourceInUseException",
    status=400,
    message="Cannot update the event source mapping because it is in use.",
)
NOT_FOUND = Refusal(code="ResourceNotFoundException", status=404, message="The resource you requested does not exist.")

CALLS_ON_A_MAPPING = frozenset({Step.ENABLE, Step.DISABLE, Step.UPDATE, Step.DELETE})

_COMMON = {
    (MappingState.GONE, Step.CREATE_ENABLED): MappingState.CREATING,
    (MappingState.CREATING, Step.STARTED): MappingState.ENABLED,
    (MappingState.CREATING, Step.STOPPED): MappingState.DISABLED,
    (MappingState.ENABLED, Step.ENABLE): MappingState.UPDATING,
    (MappingState.ENABLED, Step.UPDATE): MappingState.UPDATING,
    (MappingState.UPDATING, Step.STARTED): MappingState.ENABLED,
    (MappingState.ENABLED, Step.DISABLE): MappingState.DISABLING,
    (MappingState.DISABLING, Step.STOPPED): MappingState.DISABLED,
    (MappingState.DISABLED, Step.ENABLE): MappingState.ENABLING,
    (MappingState.ENABLING, Step.STARTED): MappingState.ENABLED,
    (MappingState.DISABLED, Step.DISABLE): MappingState.DISABLED,
    (MappingState.DISABLED, Step.UPDATE): MappingState.DISABLED,
    (MappingState.ENABLED, Step.DELETE): MappingState.DELETING,
    (MappingState.DISABLED, Step.DELETE): MappingState.DELETING,
    (MappingState.DELETING, Step.STOPPED): MappingState.GONE,
}

TRANSITIONS = {
    EventSourceKind.QUEUE: {**_COMMON, (MappingState.GONE, Step.CREATE_DISABLED): MappingState.DISABLED},
    EventSourceKind.STREAM: {**_COMMON, (MappingState.GONE, Step.CREATE_DISABLED): MappingState.CREATING},
}
"""Every legal transition of each kind of event source; what is not here is refused, or a bug."""

TRANSITION_REASONS = {EventSourceKind.QUEUE: "USER_INITIATED", EventSourceKind.STREAM: "User action"}
"""`StateTransitionReason`, as AWS words it."""


def transition(state: MappingState, step: Step, kind: EventSourceKind) -> MappingState | Refusal:
    """The state after a step, or AWS's refusal of a call.

    Raises:
        ValueError: The step is none that can happen in this state: a bug.
    """
    after = TRANSITIONS[kind].get((state, step))
    if after is not None:
        return after
    if step not in CALLS_ON_A_MAPPING:
        raise ValueError(f"a mapping that is {state} cannot be {step}")
    return NOT_FOUND if state is MappingState.GONE else IN_USE
