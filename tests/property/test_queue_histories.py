"""Random histories of a queue and its consumers: whatever fails, the promises hold, and in the end all is done."""

import copy
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from broker.core.events import QueueAction, QueueEvent
from broker.core.queue_consumer import QueueConsumer
from broker.core.queue_policy import BackoffPolicy, CircuitBreakerPolicy, QueuePolicy, ScalingPolicy
from broker.model.record import Record
from tests.property.queue_world import Plan, Step, Worker, World

TIMEOUT_SECONDS = 3.0
OUTCOMES = ("success", "error", "first", "last", "malformed", "throttled", "unavailable", "timeout", "stuck")
RARE = {"time": 0.4, "crash": 0.1, "stop": 0.03, "attribute": 0.1}
FAULTS = ("crash", "stop", "lose", "refuse", "partial", "attribute")
SETTINGS = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


class RecordedWorld(World):
    """Keeps what each consumer heard and said."""

    def __init__(self, plan: Plan) -> None:
        self.heard: dict[int, list[tuple[QueueEvent, float]]] = {}
        self.said: dict[int, list[str]] = {}
        super().__init__(plan)

    def _ask(self, worker: Worker, event: QueueEvent) -> list[QueueAction]:
        self.heard.setdefault(worker.name, []).append((copy.deepcopy(event), self.now))
        actions = super()._ask(worker, event)
        self.said.setdefault(worker.name, []).append(repr(actions))
        return actions


def passes(record: Record) -> bool:
    """The filter of these worlds."""
    return not record.identifier.startswith("x")


@st.composite
def policies(draw: Callable[..., object], *, fifo: bool) -> QueuePolicy:
    window = 0 if fifo else draw(st.sampled_from([0, 0, 1, 4]))
    return QueuePolicy(
        fifo=fifo,
        batch_size=draw(st.integers(1, 15 if window else 10)),
        window_seconds=window,
        report_batch_item_failures=draw(st.booleans()),
        accepts=draw(st.sampled_from([None, passes])),
        function_timeout_seconds=TIMEOUT_SECONDS,
        payload_limit_bytes=draw(st.sampled_from([10_000, 25, 40])),
        scaling=ScalingPolicy(
            initial=draw(st.integers(1, 4)),
            maximum=draw(st.integers(1, 6)),
            idle_pollers=draw(st.integers(1, 2)),
            reduce_on_error=draw(st.booleans()),
        ),
        fresh_seconds=draw(st.sampled_from([1.0, 0.0])),
        delete_attempts=draw(st.sampled_from([6, 1, 2])),
        long_poll_seconds=draw(st.sampled_from([20, 0])),
        hold_group=draw(st.booleans()),
        heartbeat=draw(st.booleans()),
        failure_backoff=draw(st.sampled_from([None, BackoffPolicy()])),
        records_per_second=draw(st.sampled_from([None, None, 0.7, 3.0])),
        circuit_breaker=draw(st.sampled_from([None, CircuitBreakerPolicy(consecutive_failures=2, pause_seconds=5.0)])),
    )


@st.composite
def plans(draw: Callable[..., object]) -> Plan:
    fifo = draw(st.booleans())
    policy = draw(policies(fifo=fifo))
    names = st.tuples(st.sampled_from(["m", "m", "m", "x"]), st.sampled_from("abc"))
    drawn = draw(st.lists(names, min_size=1, max_size=12))
    budget = {fault: draw(st.integers(0, 2)) for fault in FAULTS}
    if policy.heartbeat:
        budget |= {"lose": 0, "refuse": 0, "partial": 0}
    return Plan(
        policy=policy,
        messages=tuple((f"{kind}{number}", group if fifo else None) for number, (kind, group) in enumerate(drawn)),
        visibility_seconds=draw(st.sampled_from([10, 3, 4, 30])),
        maximum_receive_count=draw(st.integers(1, 6)),
        sizes=tuple(draw(st.lists(st.integers(1, 12), min_size=1, max_size=3))),
        workers=draw(st.integers(1, 2)),
        outcomes=("success", "timeout", *draw(st.lists(st.sampled_from(OUTCOMES), max_size=3, unique=True))),
        budget=tuple(budget.items()),
        page_sizes=(1, 10),
        returns_empty=draw(st.booleans()),
        drain_seconds=draw(st.sampled_from([8.0, 2.0])),
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
        world.take(step)
    note(f"{history} at {world.now}")
    return history


HISTORIES = given(plan=plans(), length=st.integers(0, 250), seed=st.integers(0, 2**32))


@HISTORIES
@SETTINGS
def test_whatever_fails_nothing_is_lost_handled_twice_or_out_of_order(plan: Plan, length: int, seed: int) -> None:
    ends_well(plan, length, seed)


@pytest.mark.slow
@HISTORIES
@settings(SETTINGS, max_examples=5000)
def test_many_more_histories_lose_nothing(plan: Plan, length: int, seed: int) -> None:
    ends_well(plan, length, seed)


def ends_well(plan: Plan, length: int, seed: int) -> None:
    """Lets a history happen, then everything come to rest."""
    world = World(plan)
    play(world, length, seed)

    assert world.come_to_rest(), "messages are left that nobody handles"
    for message in world.queue.messages.values():
        assert message.place == "dead" or message.identifier in world.promises.handled or not passes(message)
    assert world.drain()


@HISTORIES
@SETTINGS
def test_the_same_history_gives_the_same_actions(plan: Plan, length: int, seed: int) -> None:
    world = RecordedWorld(plan)
    play(world, length, seed)

    for name, heard in world.heard.items():
        again = QueueConsumer(plan.policy)
        assert [repr(again.handle(event, now)) for event, now in heard] == world.said[name]


@HISTORIES
@SETTINGS
def test_a_drain_ends_before_its_deadline_whatever_happened_before(plan: Plan, length: int, seed: int) -> None:
    world = World(plan)
    play(world, length, seed)
    world.become_kind()

    assert world.drain()
