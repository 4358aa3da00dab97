"""Every interleaving of small worlds of shards: whatever happens when, each promise holds, and a way leads to rest."""

from collections.abc import Callable
from dataclasses import replace
from math import inf

import pytest

from broker.core.attempts import Attempts
from broker.core.checkpointing import Ledger
from broker.core.lanes import Lane
from broker.core.queue_policy import BackoffPolicy
from broker.core.shard_consumer import ShardConsumer
from broker.core.stream_policy import PacePolicy, StreamPolicy
from tests.explorer.explorer import Explorer, Violation
from tests.explorer.shard_world import SmallShardWorld
from tests.property.shard_world import Plan

BACKOFF = BackoffPolicy(base_seconds=2.0, maximum_seconds=2.0)
POLICY = StreamPolicy(
    batch_size=2,
    has_destination=True,
    pace=PacePolicy(idle_seconds=1.0, minimum_seconds=1.0),
    failure_backoff=BACKOFF,
    throttle_backoff=BACKOFF,
    source_backoff=BACKOFF,
    store_backoff=BACKOFF,
    destination_backoff=BACKOFF,
)


def plan(
    keys: str,
    *,
    children: str = "",
    outcomes: tuple[str, ...] = ("success", "error"),
    page_sizes: tuple[int, ...] = (10,),
    factors: tuple[int, ...] = (1,),
    retries: int = -1,
    bisect: bool = False,
    lease_seconds: float = 8.0,
    **budget: int,
) -> Plan:
    """A record for each letter, with that key; those of `children` are in the shard that follows."""
    records = [(number, key, 20) for number, key in enumerate(keys + children, 8)]
    shards = [("parent", (), tuple(records[: len(keys)]))]
    if children:
        shards.append(("child", ("parent",), tuple(records[len(keys) :])))
    return Plan(
        policy=replace(POLICY, maximum_retry_attempts=retries, bisect=bisect, report_batch_item_failures=True),
        shards=tuple(shards),
        factors=factors,
        outcomes=outcomes,
        page_sizes=page_sizes,
        budget=tuple(budget.items()),
        lease_seconds=lease_seconds,
        chances=(0.0,),
    )


ALONE = plan("aeae", factors=(2,), fail=2, fault=1, lose=1, lease_seconds=inf)
"""Here no extension of a lease wakes anybody: only deadlines do."""
SMALL = {
    "deadlines and answers alone": ALONE,
    "a reshard, a crash, a lost reply and a failure": plan("ae", children="ae", crash=1, lose=1, fail=1),
    "two lanes, a crash, a lost reply and a failure": plan("aeae", factors=(2,), crash=1, lose=1, fail=1),
    "two workers, a lease that runs out and a failure": plan("aeae", late=2, fail=1),
    "a changed factor, a hand-over and a failure": plan("aeae", factors=(2, 1), stop=1, fail=1),
    "bisecting, a destination and a crash": plan("aea", retries=0, bisect=True, crash=1, fail=3, undelivered=1),
    "partial responses, odd pages and a crash": plan(
        "aea", outcomes=("success", "error", "first", "last"), page_sizes=(1, 10), retries=1, crash=1, fail=2
    ),
}
LARGE = {
    "a reshard, two lanes, a crash, a lost reply, a lease that runs out and failures": plan(
        "aee", children="a", factors=(2,), crash=1, lose=1, late=1, fail=2
    ),
    "a reshard, one lane, a crash, a lost reply, a lease that runs out and failures": plan(
        "ae", children="ae", crash=1, lose=1, late=2, fail=2, retries=1, bisect=True
    ),
    "a changed factor, a crash, a lost reply and a lease that runs out": plan(
        "aeae", factors=(2, 1), crash=1, lose=1, late=1, fail=1
    ),
}


@pytest.mark.parametrize("world", SMALL)
def test_every_interleaving_of_a_small_world_of_shards_keeps_the_promises(
    world: str, record_property: Callable[[str, object], None]
) -> None:
    explore(SMALL[world], 40_000, record_property)


@pytest.mark.slow
@pytest.mark.parametrize("world", LARGE)
def test_every_interleaving_of_a_larger_world_of_shards_keeps_the_promises(
    world: str, record_property: Callable[[str, object], None]
) -> None:
    explore(LARGE[world], 1_000_000, record_property)


def explore(world: Plan, most_states: int, record_property: Callable[[str, object], None]) -> None:
    report = Explorer(SmallShardWorld(world), most_states).explore()

    print(f"explored {report}")
    record_property("states", report.states)
    record_property("transitions", report.transitions)


def advances_to_what_was_read(ledger: Ledger, read_through: str | None, tip_at: float | None) -> None:
    ledger.low = read_through or ledger.low


def never_ends(attempts: Attempts) -> float:
    return inf


def is_said(attempts: Attempts, until: float) -> None:
    pass


BUGS = {
    "a checkpoint is what was read": (Ledger, "advance", advances_to_what_was_read, "a checkpoint passes"),
    "a lane does not wait for its batch": (Lane, "is_busy", False, "two batches of a lane|starts before"),
    "a lease never ends": (
        Attempts,
        "lease_until",
        property(never_ends, is_said),
        "start_before|without a lease|trusted",
    ),
    "nothing is waited for": (ShardConsumer, "deadline", None, "nothing can happen any more"),
    "a shard is finished when it is closed": (Attempts, "is_empty", True, "a checkpoint passes"),
    "marks of other lanes are forgotten": (Ledger, "unsettled", lambda ledger, records: records, "settled before"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_of_shards_is_found_with_a_shortest_history(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, wrong, problem = BUGS[bug]
    world = ALONE if wrong is None else plan("aeae", factors=(2,), crash=1, fail=1, late=1)
    monkeypatch.setattr(owner, name, wrong, raising=False)

    with pytest.raises(Violation, match=problem) as caught:
        Explorer(SmallShardWorld(world), most_states=100_000).explore()

    print(caught.value)
