"""What the live view shows: an observer that counts what happens to each mapping and keeps the last events as lines."""

from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from broker.model.batch import Reason
from broker.model.observation import (
    BatchInvoked,
    BatchSettled,
    CircuitClosed,
    CircuitOpened,
    DeleteAbandoned,
    EverythingFiltered,
    GroupOrderBroken,
    InvocationDeferred,
    InvocationStuck,
    MappingFailed,
    MappingStateChanged,
    Observation,
    PageReceived,
    RecordsLetGo,
    SourceProblem,
    SourceRecovered,
    VisibilityChangeFailed,
    VisibilityTooShort,
)

KEPT_LINES = 100


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts of one mapping since the start, in records except for batches."""

    polled: int = 0
    filtered: int = 0
    batches: int = 0
    handled: int = 0
    retried: int = 0


class Progress:
    """Counts by mapping, and lines such as `orders: batch 12: 9 handled, 1 to retry`.

    `names` are what people know the mappings by, by UUID. `say` gets the lines worth a reader's time: all but those of
    batches that succeeded.
    """

    def __init__(self, names: Mapping[str, str], *, say: Callable[[str], None] | None = None) -> None:
        self.tallies: dict[str, Tally] = defaultdict(Tally)
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._names = names
        self._say = say

    def observe(self, mapping: str, observation: Observation) -> None:
        """Counts, and keeps a line where there is something to say."""
        count(self.tallies[mapping], observation)
        if text := line_of(observation):
            self.note(f"{self._names.get(mapping, mapping)}: {text}", loud=not is_success(observation))

    def note(self, line: str, *, loud: bool = True) -> None:
        """Keeps a line, and says it where it is loud."""
        line = printable(line)
        self.lines.append(line)
        if loud and self._say:
            self._say(line)


def printable(text: str) -> str:
    """One line without anything that moves a cursor or that no terminal can show: handlers put their texts here."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def count(tally: Tally, observation: Observation) -> None:
    """Adds one observation to the counts."""
    match observation:
        case PageReceived():
            tally.polled += observation.count
            tally.filtered += observation.filtered_count
        case BatchInvoked(attempt=1):
            tally.batches += 1
        case BatchSettled():
            tally.handled += observation.acked_count
            tally.retried += observation.retried_count
        case _:
            pass


def is_success(observation: Observation) -> bool:
    """Whether it is a batch of which nothing failed."""
    return isinstance(observation, BatchSettled) and observation.reason is Reason.SUCCEEDED


def line_of(observation: Observation) -> str:
    """One line for a person; empty where there is nothing to say."""
    return _line_of_records(observation) or _line_of_mapping(observation)


def _line_of_records(observation: Observation) -> str:
    match observation:
        case BatchSettled():
            return _settled(observation)
        case InvocationDeferred():
            return f"batch {observation.batch} waits {observation.delay_seconds:.1f} s: {_words(observation.reason)}"
        case InvocationStuck():
            return f"batch {observation.batch} runs past its time limit and cannot be stopped"
        case RecordsLetGo():
            return f"{observation.count} let go: {observation.why}"
        case VisibilityChangeFailed():
            return f"visibility of {observation.count} unchanged: {observation.detail}"
        case DeleteAbandoned():
            return f"{observation.count} handled but not deleted: {observation.detail}"
        case GroupOrderBroken():
            return f"the handler's response broke the order of {', '.join(observation.groups)}"
        case EverythingFiltered():
            return f"all of the first {observation.count} messages were filtered away: check the patterns"
        case _:
            return ""


def _line_of_mapping(observation: Observation) -> str:
    match observation:
        case SourceProblem():
            return f"{observation.problem} (again in {observation.delay_seconds:.0f} s)"
        case SourceRecovered():
            return "the queue can be read again"
        case VisibilityTooShort():
            return (
                f"the queue's visibility timeout ({observation.visibility_timeout_seconds} s) is less than "
                f"the function's timeout ({observation.function_timeout_seconds:g} s)"
            )
        case CircuitOpened():
            return f"pauses for {observation.pause_seconds:g} s: {observation.detail}"
        case CircuitClosed():
            return "the target answers again"
        case MappingStateChanged():
            return ": ".join(filter(None, (observation.state, observation.detail)))
        case MappingFailed():
            return f"stopped by a bug of the broker: {observation.error!r}"
        case _:
            return ""


def _settled(batch: BatchSettled) -> str:
    retried = f", {batch.retried_count} to retry" if batch.retried_count else ""
    why = f" ({batch.detail or _words(batch.reason)})" if batch.reason is not Reason.SUCCEEDED else ""
    return f"batch {batch.batch}: {batch.acked_count} handled{retried}{why}"


def _words(reason: Reason) -> str:
    return reason.replace("_", " ")
