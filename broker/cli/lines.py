"""Observations as lines for people: `batch 12: 9 handled, 1 to retry (partial failure)`."""

from broker.model.batch import Reason
from broker.model.observation import (
    BatchSettled,
    CheckpointProblem,
    CircuitClosed,
    CircuitOpened,
    DeleteAbandoned,
    DestinationProblem,
    EventLoopBlocked,
    EverythingFiltered,
    GroupOrderBroken,
    InvocationDeferred,
    InvocationStuck,
    LeaseTaken,
    LeaseWasLost,
    MappingFailed,
    MappingStateChanged,
    Observation,
    RecordsDiscarded,
    RecordsLetGo,
    RecordsLost,
    ShardStarted,
    ShardStopped,
    SourceProblem,
    SourceRecovered,
    StoreProblem,
    StoreRecovered,
    VisibilityChangeFailed,
    VisibilityTooShort,
    WindowClosed,
)

SHARD_CHARACTERS = 4
"""Of a shard's id, where the end of it is no small number."""


def shard_label(shard_id: str) -> str:
    """What a shard is called where there is little room: `2` for `shardId-000000000002`."""
    return shard_id.rpartition("-")[2].lstrip("0")[-SHARD_CHARACTERS:] or "0"


def is_success(observation: Observation) -> bool:
    """Whether it is only what should happen: a batch of which nothing failed, a shard that is read, a window closed."""
    if isinstance(observation, BatchSettled):
        return observation.reason is Reason.SUCCEEDED
    return isinstance(observation, ShardStarted | ShardStopped | WindowClosed)


def line_of(observation: Observation) -> str:
    """One line for a person; empty where there is nothing to say."""
    said = (_line_of_batch, _line_of_records, _line_of_shard, _line_of_mapping, _line_of_broker)
    return next((line for say in said if (line := say(observation))), "")


def _line_of_batch(observation: Observation) -> str:
    match observation:
        case BatchSettled():
            return _settled(observation)
        case InvocationDeferred():
            return f"batch {observation.batch} waits {observation.delay_seconds:.1f} s: {_words(observation.reason)}"
        case InvocationStuck():
            return f"batch {observation.batch} runs past its time limit and cannot be stopped"
        case GroupOrderBroken():
            return f"the handler's response broke the order of {', '.join(observation.groups)}"
        case _:
            return ""


def _line_of_records(observation: Observation) -> str:
    match observation:
        case RecordsLetGo():
            return f"{observation.count} let go: {observation.why}"
        case VisibilityChangeFailed():
            return f"visibility of {observation.count} unchanged: {observation.detail}"
        case DeleteAbandoned():
            return f"{observation.count} handled but not deleted: {observation.detail}"
        case EverythingFiltered():
            return f"all of the first {observation.count} messages were filtered away: check the patterns"
        case RecordsDiscarded():
            return _discarded(observation)
        case RecordsLost():
            certainty = "lost" if observation.is_certain else "perhaps lost"
            return f"records are {certainty} after {observation.after or 'the beginning'}: {observation.detail}"
        case DestinationProblem():
            return f"to the destination: {observation.problem} (again in {observation.delay_seconds:.0f} s)"
        case _:
            return ""


def _line_of_shard(observation: Observation) -> str:
    match observation:
        case ShardStarted():
            return f"read from {observation.position}"
        case ShardStopped():
            return f"no longer read: {observation.why}"
        case WindowClosed():
            return f"the window {observation.start} to {observation.end} is closed"
        case CheckpointProblem():
            return f"position not kept: {observation.problem} (again in {observation.delay_seconds:.0f} s)"
        case LeaseTaken():
            return f"{observation.key} taken over from {observation.from_worker}" if observation.from_worker else ""
        case LeaseWasLost():
            return f"{observation.key} is another broker's: {observation.detail}"
        case _:
            return ""


def _line_of_mapping(observation: Observation) -> str:
    match observation:
        case SourceProblem():
            return f"{observation.problem} (again in {observation.delay_seconds:.0f} s)"
        case SourceRecovered():
            return "can be read again"
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


def _line_of_broker(observation: Observation) -> str:
    match observation:
        case StoreProblem():
            return f"the state store does not answer: {observation.problem}"
        case StoreRecovered():
            return "the state store answers again"
        case EventLoopBlocked():
            return f"nothing went on for {observation.seconds:.1f} s: {observation.location}"
        case _:
            return ""


def _settled(batch: BatchSettled) -> str:
    ends = [f"{batch.acked_count} handled"] if batch.acked_count or not batch.retried_count else []
    if batch.retried_count:
        ends.append(f"{batch.retried_count} to retry")
    if batch.bisected_into:
        ends.append(f"split into {' and '.join(map(str, batch.bisected_into))}")
    why = f" ({batch.detail or _words(batch.reason)})" if batch.reason is not Reason.SUCCEEDED else ""
    return f"batch {batch.batch}: {', '.join(ends)}{why}"


def _discarded(given_up: RecordsDiscarded) -> str:
    tries = "1 try" if given_up.invoke_count == 1 else f"{given_up.invoke_count} tries"
    what = f"batch {given_up.batch}: {given_up.count} given up after {tries}"
    if given_up.delivered:
        return f"{what}, sent to the destination"
    return f"{what}, dropped{f': {given_up.detail}' if given_up.detail else ''}"


def _words(reason: Reason) -> str:
    return reason.replace("_", " ")
