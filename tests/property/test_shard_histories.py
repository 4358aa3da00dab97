"""Random histories of a stream and its consumers: whatever fails, the promises hold, and in the end all is done."""

from collections.abc import Callable
from math import inf
from random import Random

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from broker.core.stream_policy import StreamPolicy
from broker.model.stream import StreamRecord
from tests.property.shard_world import Plan, Step, World

OUTCOMES = ("success", "error", "first", "last", "malformed", "timeout", "stuck", "throttled", "unavailable", "late")
FAULTS = ("crash", "stop", "lose", "refuse", "fault", "undelivered", "late")
RARE = {"time": 0.5, "crash": 0.1, "stop": 0.1, "extend": 0.6, "take": 2.0}
SETTINGS = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def passes(record: StreamRecord) -> bool:
    """The filter of these worlds."""
    return not record.key.startswith(b"x")


@st.composite
def policies(draw: Callable[..., object]) -> tuple[StreamPolicy, tuple[int, ...]]:
    tumbling = draw(st.sampled_from([0, 0, 0, 5]))
    factors = (1,) if tumbling else draw(st.sampled_from([(1,), (2,), (3,), (1, 2), (3, 2), (10, 1, 2)]))
    policy = StreamPolicy(
        batch_size=draw(st.integers(1, 5)),
        window_seconds=draw(st.sampled_from([0, 0, 2])),
        maximum_record_age_seconds=draw(st.sampled_from([-1, -1, 60])),
        maximum_retry_attempts=draw(st.sampled_from([-1, 0, 1, 3])),
        bisect=draw(st.booleans()),
        report_batch_item_failures=draw(st.booleans()),
        tumbling_window_seconds=tumbling,
        accepts=None if tumbling else draw(st.sampled_from([None, passes])),
        has_destination=True,
        blocks_on_destination=draw(st.booleans()),
        payload_limit_bytes=draw(st.sampled_from([100_000, 400, 500])) + (300 if tumbling else 0),
        buffered_count=draw(st.sampled_from([1, 4, 1_000])),
        ahead_count=draw(st.sampled_from([1, 3, 1_000])),
        buffered_bytes=draw(st.sampled_from([10, 300, 1_000_000])),
    )
    return policy, factors


@st.composite
def records(draw: Callable[..., object], first: int, sizes: tuple[int, ...]) -> tuple[tuple[int, str, int], ...]:
    """Numbers that grow by one, or not at all (parts of an aggregate), across a change of their length."""
    drawn = draw(
        st.lists(
            st.tuples(st.sampled_from([1, 1, 1, 0, 3]), st.sampled_from("abcex"), st.sampled_from(sizes)),
            max_size=10,
        )
    )
    number, found = first, []
    for step, key, size in drawn:
        number += step
        found.append((number, key, size))
    return tuple(found)


@st.composite
def plans(draw: Callable[..., object]) -> Plan:
    policy, factors = draw(policies())
    # What is too large for an event and may be retried without end never settles.
    sizes = (20, 60) if policy.maximum_retry_attempts < 0 else (20, 60, 450)
    shards = [("parent", (), draw(records(5, sizes)))]
    if draw(st.booleans()):
        shards.append(("left", ("parent",), draw(records(95, sizes))))
        shards.append(("right", ("parent",), draw(records(97, sizes))))
    budget = {fault: draw(st.integers(0, 2)) for fault in FAULTS}
    lease_seconds = draw(st.sampled_from([20.0, inf]))
    if lease_seconds == inf:  # only deadlines wake a consumer; nobody may take a shard after a crash
        budget["crash"] = 0
    return Plan(
        policy=policy,
        shards=tuple(shards),
        factors=factors,
        outcomes=("success", *draw(st.lists(st.sampled_from(OUTCOMES[1:]), max_size=4, unique=True))),
        budget=(*budget.items(), ("fail", draw(st.sampled_from([0, 3, 20])))),
        page_sizes=draw(st.sampled_from([(1,), (10,), (1, 3)])),
        is_written=draw(st.booleans()),
        lease_seconds=lease_seconds,
        chances=(0.0, 0.5, 0.99),
    )


def play(world: World, length: int, seed: int) -> list[Step]:
    """Draws a history; what changes the world for good comes seldom."""
    random = Random(seed)
    history: list[Step] = []
    for _ in range(length):
        steps = world.steps()
        if not steps:
            break
        step = random.choices(steps, [RARE.get(str(step[0]), 1.0) for step in steps])[0]
        history.append(step)
        note(f"{step}")
        world.take(step)
    return history


HISTORIES = given(plan=plans(), length=st.integers(0, 200), seed=st.integers(0, 2**32))


@HISTORIES
@SETTINGS
def test_whatever_fails_nothing_is_lost_out_of_order_or_passed(plan: Plan, length: int, seed: int) -> None:
    ends_well(plan, length, seed)


@pytest.mark.slow
@HISTORIES
@settings(SETTINGS, max_examples=5000)
def test_many_more_histories_of_shards_lose_nothing(plan: Plan, length: int, seed: int) -> None:
    ends_well(plan, length, seed)


def ends_well(plan: Plan, length: int, seed: int) -> None:
    """Lets a history happen, then everything come to rest."""
    world = World(plan)
    play(world, length, seed)

    assert world.come_to_rest(), "a shard does not finish though nothing goes wrong any more"
    accepts = plan.policy.accepts
    for shard in world.shards.values():
        assert not shard.to_come
        for index, record in enumerate(shard.records):
            is_done = (shard.name, index) in world.promises.settled
            assert is_done or (accepts is not None and not accepts(record)), f"{record} is lost"
