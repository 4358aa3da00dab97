from typing import get_args

import pytest

from broker.cli.lines import is_success, line_of, shard_label
from broker.model.batch import BatchTrigger, Reason
from broker.model.discard import Condition
from broker.model.observation import (
    BatchInvoked,
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
    InvocationReturned,
    InvocationStuck,
    LeaseReleased,
    LeaseTaken,
    LeaseWasLost,
    MappingFailed,
    MappingStateChanged,
    Observation,
    PageReceived,
    RecordsDeleted,
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
from broker.model.stream import TrimHorizon


def given_up(*, delivered: bool, detail: str = "", tries: int = 3) -> RecordsDiscarded:
    return RecordsDiscarded(
        shard="s",
        batch=6,
        count=1,
        condition=Condition.RETRY_ATTEMPTS_EXHAUSTED,
        first="1",
        last="1",
        invoke_count=tries,
        delivered=delivered,
        detail=detail,
    )


def lost(*, is_certain: bool, after: str) -> RecordsLost:
    return RecordsLost(shard="s", after=after, before="9", is_certain=is_certain, detail="trimmed")


EXAMPLES: dict[Observation, str] = {
    PageReceived(count=3, filtered_count=1): "",
    BatchInvoked(batch=1, attempt=1, count=3, size_bytes=99, trigger=BatchTrigger.SIZE): "",
    BatchSettled(
        batch=1, attempt=1, reason=Reason.SUCCEEDED, acked_count=3, retried_count=0, duration_seconds=0.1
    ): "batch 1: 3 handled",
    BatchSettled(
        batch=2, attempt=1, reason=Reason.PARTIAL_FAILURE, acked_count=2, retried_count=1, duration_seconds=0.1
    ): "batch 2: 2 handled, 1 to retry (partial failure)",
    BatchSettled(
        batch=3,
        attempt=1,
        reason=Reason.HANDLER_FAILED,
        acked_count=0,
        retried_count=3,
        duration_seconds=0.1,
        detail="ValueError: no",
    ): "batch 3: 3 to retry (ValueError: no)",
    BatchSettled(
        batch=4,
        attempt=1,
        reason=Reason.HANDLER_FAILED,
        acked_count=0,
        retried_count=5,
        duration_seconds=0.1,
        detail="ValueError: no",
        bisected_into=(5, 6),
    ): "batch 4: 5 to retry, split into 5 and 6 (ValueError: no)",
    InvocationDeferred(
        batch=4, attempt=1, reason=Reason.THROTTLED, delay_seconds=1.25, detail="slow down"
    ): "batch 4 waits 1.2 s: throttled",
    InvocationStuck(batch=5, groups=()): "batch 5 runs past its time limit and cannot be stopped",
    InvocationReturned(batch=5, overdue_seconds=1): "",
    RecordsLetGo(count=2, why="drain"): "2 let go: drain",
    RecordsDeleted(count=2): "",
    VisibilityChangeFailed(count=2, detail="InternalError"): "visibility of 2 unchanged: InternalError",
    DeleteAbandoned(count=2, detail="AccessDenied"): "2 handled but not deleted: AccessDenied",
    GroupOrderBroken(groups=("a", "b")): "the handler's response broke the order of a, b",
    EverythingFiltered(count=100): "all of the first 100 messages were filtered away: check the patterns",
    SourceProblem(problem="no such queue", delay_seconds=2): "no such queue (again in 2 s)",
    SourceRecovered(): "can be read again",
    VisibilityTooShort(visibility_timeout_seconds=2, function_timeout_seconds=3.0): (
        "the queue's visibility timeout (2 s) is less than the function's timeout (3 s)"
    ),
    CircuitOpened(pause_seconds=60, detail="unreachable"): "pauses for 60 s: unreachable",
    CircuitClosed(): "the target answers again",
    MappingStateChanged(state="Enabled"): "Enabled",
    MappingFailed(error=KeyError("x")): "stopped by a bug of the broker: KeyError('x')",
    given_up(delivered=True): "batch 6: 1 given up after 3 tries, sent to the destination",
    given_up(delivered=False, tries=1): "batch 6: 1 given up after 1 try, dropped",
    given_up(delivered=False, detail="no such queue"): "batch 6: 1 given up after 3 tries, dropped: no such queue",
    lost(is_certain=True, after="7"): "records are lost after 7: trimmed",
    lost(is_certain=False, after=""): "records are perhaps lost after the beginning: trimmed",
    DestinationProblem(shard="s", problem="no such queue", delay_seconds=2): (
        "to the destination: no such queue (again in 2 s)"
    ),
    CheckpointProblem(shard="s", problem="disk full", delay_seconds=2): "position not kept: disk full (again in 2 s)",
    ShardStarted(shard="s", position=TrimHorizon(), epoch=1): "read from TRIM_HORIZON",
    ShardStopped(shard="s", why="finished"): "no longer read: finished",
    WindowClosed(shard="s", start=60, end=120, is_terminated_early=False): "the window 60 to 120 is closed",
    LeaseTaken(key="shard:1:s", epoch=2, from_worker="other"): "shard:1:s taken over from other",
    LeaseTaken(key="shard:1:s", epoch=1, from_worker=""): "",
    LeaseReleased(key="shard:1:s", to_worker=""): "",
    LeaseWasLost(key="shard:1:s", detail="evicted"): "shard:1:s is another broker's: evicted",
    StoreProblem(problem="no answer"): "the state store does not answer: no answer",
    StoreRecovered(): "the state store answers again",
    EventLoopBlocked(seconds=2.04, location="app.py:3"): "nothing went on for 2.0 s: app.py:3",
}


@pytest.mark.parametrize("observation", EXAMPLES, ids=lambda observation: type(observation).__name__)
def test_an_observation_is_one_line_for_people(observation: Observation) -> None:
    assert line_of(observation) == EXAMPLES[observation]


def test_every_observation_has_an_example() -> None:
    assert {type(observation) for observation in EXAMPLES} == set(get_args(Observation))


def test_what_should_happen_is_a_success_and_nothing_else() -> None:
    quiet = [line_of(observation) for observation in EXAMPLES if line_of(observation) and is_success(observation)]
    assert quiet == [
        "batch 1: 3 handled",
        "read from TRIM_HORIZON",
        "no longer read: finished",
        "the window 60 to 120 is closed",
    ]


@pytest.mark.parametrize(
    ("shard_id", "label"),
    [
        ("shardId-000000000000", "0"),
        ("shardId-000000000012", "12"),
        ("shardId-00000001541105770000-5e6a6c9f", "6c9f"),
        ("shardId-00000000000000000000-00000000", "0"),
        ("plain", "lain"),
    ],
)
def test_a_shard_is_called_by_the_end_of_its_id(shard_id: str, label: str) -> None:
    assert shard_label(shard_id) == label
