"""What all mappings have in common while their broker runs: a state, a problem, and how an error is taken."""

from collections.abc import Callable
from dataclasses import dataclass

from broker.core.lifecycle import MappingState, Refusal, Step, transition
from broker.errors import BrokerError
from broker.model.observation import MappingFailed, MappingStateChanged, Observation
from broker.model.reference import EventSourceKind
from broker.model.status import MappingStatus, QueueStatistics, StreamStatistics


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingFacts:
    """What a mapping is called."""

    uuid: str
    function_name: str
    """With the qualifier, where the mapping has one."""
    event_source_arn: str
    enabled: bool
    kind: EventSourceKind


class MappingLife:
    """One mapping's state, and why it is not well."""

    def __init__(self, facts: MappingFacts, *, observe: Callable[[Observation], None], raise_bugs: bool) -> None:
        self.facts = facts
        self._observe = observe
        self._raise_bugs = raise_bugs
        self._state = MappingState.GONE
        self.problem = ""
        self.step(Step.CREATE_ENABLED if facts.enabled else Step.CREATE_DISABLED)

    def step(self, step: Step) -> None:
        """Moves on. Raises `BrokerError` where the state does not allow it."""
        state = transition(self._state, step, self.facts.kind)
        if isinstance(state, Refusal):
            raise BrokerError(state.message)
        self._state = state

    def started(self) -> None:
        """What was asked for has become true: it consumes."""
        self.step(Step.STARTED)
        self._observe(MappingStateChanged(state=self._state))

    def status(self, statistics: QueueStatistics | StreamStatistics) -> MappingStatus:
        """What it shows of itself."""
        problem = self.problem or statistics.problem
        return MappingStatus(
            uuid=self.facts.uuid,
            function_name=self.facts.function_name,
            event_source_arn=self.facts.event_source_arn,
            state=self._state,
            healthy=not problem,
            problem=problem,
            statistics=statistics,
        )

    def failed(self, error: Exception, *, left: str) -> bool:
        """Takes an error; True where a bug stopped the mapping, False where the world is at fault and it begins again.

        `left` says what becomes of its records. Raises `error` again where bugs are to end the broker.
        """
        fault = fault_of(error)
        if fault is not None:
            self.problem = str(fault)
            return False
        if self._raise_bugs:
            raise error
        self.problem = f"stopped by a bug in the broker: {error!r}; {left}"
        self._observe(MappingFailed(error=error))
        return True


def fault_of(error: BaseException) -> BrokerError | None:
    """The world's fault behind an error; None where a bug is among the causes."""
    if isinstance(error, BaseExceptionGroup):
        faults = [fault_of(each) for each in error.exceptions]
        return faults[0] if all(faults) else None
    return error if isinstance(error, BrokerError) else None
