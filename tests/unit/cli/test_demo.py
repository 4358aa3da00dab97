import pytest

from broker.cli.demo import SETTLING_SECONDS, order_fails
from broker.cli.stage import Schedule


@pytest.mark.parametrize(
    ("number", "times_received", "fails"),
    [(10, 1, True), (10, 2, True), (7, 1, True), (7, 2, False), (70, 2, True), (8, 1, False)],
)
def test_every_tenth_order_always_fails_and_every_seventh_once(number: int, times_received: int, fails: bool) -> None:
    assert order_fails(number, times_received=times_received) is fails


def test_sending_stops_early_enough_for_the_last_failure_to_be_dead_lettered() -> None:
    assert Schedule.of(20, settling_seconds=SETTLING_SECONDS) == Schedule(sending_seconds=15, total_seconds=20)


def test_a_short_demonstration_sends_for_half_of_its_time() -> None:
    assert Schedule.of(4, settling_seconds=SETTLING_SECONDS).sending_seconds == 2
