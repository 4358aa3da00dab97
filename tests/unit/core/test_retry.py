import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.queue_policy import BackoffPolicy
from broker.core.retry import Backoff, delay_seconds

POLICY = BackoffPolicy(base_seconds=1.0, maximum_seconds=30.0)


@pytest.mark.parametrize(("failures", "ceiling"), [(1, 1), (2, 2), (3, 4), (5, 16), (6, 30), (7, 30), (10_000, 30)])
def test_delays_double_up_to_the_maximum(failures, ceiling):
    assert delay_seconds(POLICY, failures, 0.0) == ceiling / 2
    assert delay_seconds(POLICY, failures, 0.5) == ceiling * 0.75


@given(failures=st.integers(1, 5000), chance=st.floats(0, 1, exclude_max=True))
def test_no_draw_makes_a_hot_loop_and_none_exceeds_the_maximum(failures, chance):
    delay = delay_seconds(POLICY, failures, chance)

    assert 0.5 <= delay <= 30.0


def test_a_back_off_grows_with_failures_in_a_row():
    backoff = Backoff(POLICY)
    first = backoff.failed(100.0, 0.0)
    second = backoff.failed(backoff.until, 0.0)

    assert (first, second) == (0.5, 1.0)
    assert backoff.failures == 2


def test_what_fails_during_a_delay_was_begun_before_and_does_not_count():
    backoff = Backoff(POLICY)
    backoff.failed(100.0, 0.0)

    assert backoff.failed(100.2, 0.9) == pytest.approx(0.3)
    assert (backoff.failures, backoff.until) == (1, 100.5)


def test_a_success_forgets_the_failures():
    backoff = Backoff(POLICY)
    backoff.failed(100.0, 0.0)
    backoff.reset()

    assert backoff.failed(100.1, 0.0) == 0.5
