"""The instant of hand-over is corrected for time in which this process did not run."""

import pytest

from broker.aws.hand_over import HandOverClock


def handed_over(clock: HandOverClock, *, now: float, sent_at: float | None, asked_at: float = 0.0) -> float:
    return clock.handed_over_at(now=now, sent_at=sent_at, asked_at=asked_at)


@pytest.fixture
def clock() -> HandOverClock:
    """One that has seen an ordinary answer: the local clock is 100.2 s ahead of the server's."""
    clock = HandOverClock()
    handed_over(clock, now=1100.2, sent_at=1000.0)
    return clock


def test_an_ordinary_answer_was_handed_over_now(clock: HandOverClock) -> None:
    assert handed_over(clock, now=1105.9, sent_at=1005.0) == 1105.9


def test_the_first_answer_is_believed_whatever_the_clocks_say() -> None:
    assert handed_over(HandOverClock(), now=5000.0, sent_at=1.0) == 5000.0


def test_an_answer_that_waited_for_this_process_was_handed_over_earlier(clock: HandOverClock) -> None:
    assert handed_over(clock, now=1150.2, sent_at=1010.0) == pytest.approx(1110.2)


def test_a_delay_within_the_missing_fraction_of_the_date_is_no_delay(clock: HandOverClock) -> None:
    assert handed_over(clock, now=1111.6, sent_at=1010.0) == 1111.6


def test_no_answer_is_older_than_its_question(clock: HandOverClock) -> None:
    assert handed_over(clock, now=1150.2, sent_at=1010.0, asked_at=1130.0) == 1130.0


def test_an_answer_without_a_date_was_handed_over_now(clock: HandOverClock) -> None:
    assert handed_over(clock, now=1150.2, sent_at=None) == 1150.2


def test_a_smaller_difference_is_the_new_measure(clock: HandOverClock) -> None:
    handed_over(clock, now=1110.0, sent_at=1010.0)
    assert handed_over(clock, now=1121.6, sent_at=1020.0) == pytest.approx(1120.0)


def test_a_night_asleep_is_corrected_because_the_last_measure_outlives_it(clock: HandOverClock) -> None:
    asleep = 8 * 3600.0
    assert handed_over(clock, now=1110.2 + asleep, sent_at=1010.0) == pytest.approx(1110.2)


def test_clocks_that_drift_apart_are_no_delay(clock: HandOverClock) -> None:
    drift_per_second = 1e-4
    for second in range(0, 100_000, 20):
        now = 1100.2 + second * (1 + drift_per_second)
        assert handed_over(clock, now=now, sent_at=1000.0 + second) == now


def test_two_delays_in_a_row_are_both_corrected(clock: HandOverClock) -> None:
    assert handed_over(clock, now=2100.2, sent_at=1010.0) == pytest.approx(1110.2)
    assert handed_over(clock, now=2200.2, sent_at=2010.0) == pytest.approx(2110.2)
