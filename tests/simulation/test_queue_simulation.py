"""What holds of a broker on a queue, whatever the world does."""

import pytest

from broker.testing import run_in_virtual_time
from tests.simulation.queue_simulation import Plan, Simulation

SEEDS = range(12)
STANDARD = {"batch_size": 10}
WINDOW = {"batch_size": 30, "maximum_batching_window_in_seconds": 3, "report_batch_item_failures": True}
FIFO = {"batch_size": 4, "report_batch_item_failures": True}
PLANS = {
    "standard": Plan(seed=0, fields=STANDARD),
    "window": Plan(seed=0, fields=WINDOW),
    "fifo": Plan(seed=0, fifo=True, fields=FIFO),
    "fifo-whole": Plan(seed=0, fifo=True, fields={"batch_size": 3}, poison=0.0),
}


def simulate(plan: Plan) -> Simulation:
    async def main() -> Simulation:
        return await Simulation(plan).run()

    return run_in_virtual_time(main)


@pytest.fixture(params=[(name, seed) for name in PLANS for seed in SEEDS], ids=lambda param: f"{param[0]}-{param[1]}")
def ended(request: pytest.FixtureRequest) -> Simulation:
    name, seed = request.param
    plan = PLANS[name]
    return simulate(Plan(seed=seed, fifo=plan.fifo, fields=plan.fields, poison=plan.poison))


def test_a_world_of_faults_loses_nothing_and_breaks_no_order(ended: Simulation) -> None:
    everything_left_the_queue_handled_or_dead_lettered(ended)
    no_message_was_handled_twice_by_one_broker(ended)
    no_two_batches_of_one_group_overlapped(ended)
    each_group_was_handled_in_order(ended)
    the_drain_ended_well(ended)


def everything_left_the_queue_handled_or_dead_lettered(ended: Simulation) -> None:
    account = ended.queue.every_message_accounted(handled=ended.handled)
    assert account.remaining_count == 0
    assert account.arrived_count == ended.plan.messages
    assert account.deleted_count + account.dead_lettered_count == account.arrived_count


def no_message_was_handled_twice_by_one_broker(ended: Simulation) -> None:
    assert ended.repeated_by_one_broker() == {}


def no_two_batches_of_one_group_overlapped(ended: Simulation) -> None:
    open_until: dict[tuple[int, str], float] = {}
    for call in ended.calls:
        for group in call.groups:
            assert call.started_at >= open_until.get((call.broker, group), 0.0)
            open_until[call.broker, group] = call.ended_at or float("inf")


def each_group_was_handled_in_order(ended: Simulation) -> None:
    if not ended.plan.fifo:
        return
    first: dict[str, tuple[int, int]] = {}
    for position, call in enumerate(ended.calls):
        for place, identifier in enumerate(call.identifiers):
            if identifier in call.succeeded:
                first.setdefault(identifier, (position, place))
    for group in {group for _, group in ended.sent.values()}:
        of_group = [identifier for identifier, (_, own) in ended.sent.items() if own == group]
        in_order = [first[identifier] for identifier in of_group if identifier in first]
        assert in_order == sorted(in_order)


def the_drain_ended_well(ended: Simulation) -> None:
    assert ended.drained == [True]


def test_the_same_seed_gives_the_same_history() -> None:
    one, other = (simulate(Plan(seed=7, fields=WINDOW)) for _ in range(2))

    assert [(call.started_at, call.bodies) for call in one.calls] == [(c.started_at, c.bodies) for c in other.calls]
    assert one.observations == other.observations
