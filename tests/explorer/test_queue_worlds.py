"""Every interleaving of small worlds: whatever happens when, each promise holds, and a way leads to rest."""

from collections.abc import Callable
from dataclasses import replace
from math import inf

import pytest

from broker.core.flights import Flight
from broker.core.group_locks import GroupLocks
from broker.core.queue_consumer import QueueConsumer
from broker.core.queue_policy import BackoffPolicy, QueuePolicy, ScalingPolicy
from broker.core.settlement import Deletions
from tests.explorer.explorer import Explorer, Violation
from tests.explorer.world import SmallWorld
from tests.property.queue_world import Plan

BACKOFF = BackoffPolicy(base_seconds=2.0, maximum_seconds=4.0)
POLICY = QueuePolicy(
    batch_size=2,
    report_batch_item_failures=True,
    function_timeout_seconds=2.0,
    scaling=ScalingPolicy(initial=2, maximum=2, growth_per_second=0.0, idle_pollers=1, reduce_on_error=False),
    delete_backoff=BACKOFF,
    source_backoff=BACKOFF,
    retry_backoff=BACKOFF,
    describe_seconds=inf,
)


def plan(
    groups: str, *, outcomes: tuple[str, ...] = ("success", "error"), page_sizes: tuple[int, ...] = (10,), **budget: int
) -> Plan:
    """A message for each letter, of that group; a dot is a message of a standard queue."""
    return Plan(
        policy=replace(POLICY, fifo="." not in groups),
        messages=tuple((f"m{number}", None if group == "." else group) for number, group in enumerate(groups)),
        visibility_seconds=4,
        maximum_receive_count=1_000_000,
        outcomes=outcomes,
        page_sizes=page_sizes,
        budget=tuple(budget.items()),
        drain_seconds=4.0,
        returns_empty=False,
        chances=(0.0,),
    )


SMALL = {
    "a standard queue, a crash, a lost reply and failures": plan("....", crash=1, lose=1, fail=2),
    "a standard queue, late replies and a crash": plan("...", late=1, crash=1),
    "a standard queue, a failure and a drain": plan("...", fail=1, stop=1),
    "a FIFO queue, a crash, a lost reply and failures": plan("abab", crash=1, lose=1, fail=2),
    "a FIFO queue, short receives and a crash": plan("aba", page_sizes=(1, 10), crash=1),
    "a FIFO queue, late replies and a crash": plan("aba", late=1, crash=1),
    "a FIFO queue, a failure and a drain": plan("aba", fail=1, stop=1),
}
PARTIAL = ("success", "error", "first")
LARGE = {
    "a standard queue, late replies, a crash and a lost reply": plan("....", late=1, crash=1, lose=1),
    "a FIFO queue, late replies, a crash and a lost reply": plan("abab", late=1, crash=1, lose=1),
    "a standard queue, late replies, a crash, a lost reply and a failure": plan(
        "....", late=1, crash=1, lose=1, fail=1
    ),
    "a FIFO queue, late replies, a crash, a lost reply and a failure": plan("abab", late=1, crash=1, lose=1, fail=1),
    "a FIFO queue, short receives, a crash and a lost reply": plan("aba", page_sizes=(1, 10), crash=1, lose=1),
    "a FIFO queue, late replies, a failure and a drain": plan("aba", late=1, fail=1, stop=1),
    "a standard queue, all faults": plan("....", outcomes=PARTIAL, crash=1, lose=1, fail=1, stop=1),
    "a FIFO queue, all faults": plan("abab", outcomes=PARTIAL, crash=1, lose=1, fail=1, stop=1),
}


@pytest.mark.parametrize("world", SMALL)
def test_every_interleaving_of_a_small_world_keeps_the_promises(
    world: str, record_property: Callable[[str, object], None]
) -> None:
    explore(SMALL[world], 20_000, record_property)


@pytest.mark.slow
@pytest.mark.parametrize("world", LARGE)
def test_every_interleaving_of_a_larger_world_keeps_the_promises(
    world: str, record_property: Callable[[str, object], None]
) -> None:
    explore(LARGE[world], 500_000, record_property)


def explore(world: Plan, most_states: int, record_property: Callable[[str, object], None]) -> None:
    report = Explorer(SmallWorld(world), most_states).explore()

    print(f"explored {report}")
    record_property("states", report.states)
    record_property("transitions", report.transitions)


def acks(consumer: QueueConsumer, flight: Flight, *ending: object) -> None:
    consumer._actions += consumer._deletions.delete(flight.batch.records)


BUGS = {
    "a failure is taken for a success": (QueueConsumer, "_failed", acks, "neither handled"),
    "no group is ever locked": (GroupLocks, "is_locked", lambda locks, group: False, "m1 started before m0"),
    "a group stays locked": (GroupLocks, "release", lambda locks, records: None, "stays locked"),
    "what was handled is forgotten": (Deletions, "_remember", lambda deletions, records: None, "is handled twice"),
    "nothing is waited for": (QueueConsumer, "deadline", None, "nothing can happen any more"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_found_with_a_shortest_history(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, wrong, problem = BUGS[bug]
    world = plan("aa", outcomes=("success", "error", "stuck"), page_sizes=(1, 10), fail=1, late=1, lose=1)
    monkeypatch.setattr(owner, name, wrong)

    with pytest.raises(Violation, match=problem) as caught:
        Explorer(SmallWorld(world), most_states=100_000).explore()

    print(caught.value)
