from typing import get_args

import pytest

from broker.cli.progress import Progress, line_of
from broker.model.batch import BatchTrigger, Reason
from broker.model.observation import (
    BatchInvoked,
    BatchSettled,
    CircuitClosed,
    CircuitOpened,
    DeleteAbandoned,
    EverythingFiltered,
    GroupOrderBroken,
    InvocationDeferred,
    InvocationReturned,
    InvocationStuck,
    MappingFailed,
    MappingStateChanged,
    Observation,
    PageReceived,
    RecordsDeleted,
    RecordsLetGo,
    SourceProblem,
    SourceRecovered,
    VisibilityChangeFailed,
    VisibilityTooShort,
)

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
    ): "batch 3: 0 handled, 3 to retry (ValueError: no)",
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
    SourceRecovered(): "the queue can be read again",
    VisibilityTooShort(visibility_timeout_seconds=2, function_timeout_seconds=3.0): (
        "the queue's visibility timeout (2 s) is less than the function's timeout (3 s)"
    ),
    CircuitOpened(pause_seconds=60, detail="unreachable"): "pauses for 60 s: unreachable",
    CircuitClosed(): "the target answers again",
    MappingStateChanged(state="Enabled"): "Enabled",
    MappingFailed(error=KeyError("x")): "stopped by a bug of the broker: KeyError('x')",
}


@pytest.mark.parametrize("observation", EXAMPLES, ids=lambda observation: type(observation).__name__)
def test_an_observation_is_one_line_for_people(observation: Observation) -> None:
    assert line_of(observation) == EXAMPLES[observation]


def test_every_observation_has_an_example() -> None:
    assert {type(observation) for observation in EXAMPLES} == set(get_args(Observation))


def test_counts_add_up_by_mapping() -> None:
    progress = Progress({"u-1": "orders"})
    for observation in EXAMPLES:
        progress.observe("u-1", observation)
    tally = progress.tallies["u-1"]
    assert (tally.polled, tally.filtered, tally.batches, tally.handled, tally.retried) == (3, 1, 1, 5, 4)


def test_a_batch_that_is_invoked_again_counts_once() -> None:
    progress = Progress({})
    for attempt in (1, 2, 3):
        invoked = BatchInvoked(batch=1, attempt=attempt, count=1, size_bytes=9, trigger=BatchTrigger.AVAILABLE)
        progress.observe("u-1", invoked)
    assert progress.tallies["u-1"].batches == 1


def test_successes_are_kept_but_not_said() -> None:
    said: list[str] = []
    progress = Progress({"u-1": "orders"}, say=said.append)
    for observation in list(EXAMPLES)[2:4]:
        progress.observe("u-1", observation)
    assert list(progress.lines) == [
        "orders: batch 1: 3 handled",
        "orders: batch 2: 2 handled, 1 to retry (partial failure)",
    ]
    assert said == ["orders: batch 2: 2 handled, 1 to retry (partial failure)"]


def test_what_a_handler_says_moves_no_cursor() -> None:
    progress = Progress({})
    progress.note("a\x1b[2Jb\nc\ud800")
    assert list(progress.lines) == ["a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}c\N{REPLACEMENT CHARACTER}"]
