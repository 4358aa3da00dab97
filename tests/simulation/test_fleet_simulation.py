"""What holds of a fleet on a stream, whatever befalls it: 100 seeds of ten virtual minutes."""

import gc

import pytest

from tests.simulation.fleet_checks import violations
from tests.simulation.fleet_plan import drawn
from tests.simulation.fleet_simulation import simulate

SEEDS = 100
SEEDS_OF_A_TEST = 5


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_OF_A_TEST))
def test_a_fleet_in_a_world_of_faults_loses_nothing_and_keeps_its_order(first: int) -> None:
    for seed in range(first, first + SEEDS_OF_A_TEST):
        wrong = violations(simulate(drawn(seed)))
        assert not wrong, f"replay: make simulate SEED={seed}"
    gc.collect()


def test_an_ordered_take_over_is_waited_out_also_by_a_lease_that_is_handed_on() -> None:
    assert not violations(simulate(drawn(163)))


def test_a_seed_is_the_whole_history() -> None:
    one, other = (simulate(drawn(3, minutes=3)) for _ in range(2))

    assert [(call.started_at, call.epoch, len(call.records)) for call in one.ledger.calls] == [
        (call.started_at, call.epoch, len(call.records)) for call in other.ledger.calls
    ]
    assert one.ledger.ticks == other.ledger.ticks
