"""Who is taken for gone, and how long a worker trusts itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.watching import LeaseTiming, Watch

TIMING = LeaseTiming(lease_seconds=10.0)


def watch_from(start: float, end: float, versions: dict[str, int], *, watch: Watch | None = None) -> Watch:
    watch = watch or Watch(TIMING)
    for half in range(int((end - start) * 2) + 1):
        watch.saw(versions, asked_at=start + half / 2, answered_at=start + half / 2)
    return watch


def test_a_worker_is_expired_when_its_version_has_stood_still_for_the_lease_duration():
    assert watch_from(0, 9.5, {"a": 3}).expired() == ()
    assert watch_from(0, 10, {"a": 3}).expired() == (("a", 3),)


def test_a_version_that_moves_begins_a_new_watch():
    watch = watch_from(0, 9.5, {"a": 3, "b": 1})
    watch_from(10, 15, {"a": 4, "b": 1}, watch=watch)

    assert watch.expired() == (("b", 1),)


def test_a_worker_that_is_gone_and_comes_back_is_watched_anew():
    watch = watch_from(0, 9, {"a": 3})
    watch_from(9.5, 9.5, {}, watch=watch)
    watch_from(10, 12, {"a": 3}, watch=watch)

    assert watch.expired() == ()


def test_a_watcher_that_was_paused_begins_anew():
    watch = watch_from(0, 5, {"a": 3})
    watch_from(65, 74.5, {"a": 3}, watch=watch)
    assert watch.expired() == ()
    watch_from(75, 75, {"a": 3}, watch=watch)
    assert watch.expired() == (("a", 3),)


def test_a_watcher_that_was_paused_while_it_read_begins_anew():
    watch = watch_from(0, 5, {"a": 3})
    watch.saw({"a": 3}, asked_at=5.5, answered_at=65.0)
    watch.saw({"a": 3}, asked_at=65.5, answered_at=65.5)

    assert watch.expired() == ()


def test_one_reading_that_fails_makes_no_gap():
    watch = watch_from(0, 5, {"a": 3})
    watch_from(7, 10, {"a": 3}, watch=watch)

    assert watch.expired() == (("a", 3),)


def test_a_watch_begins_with_the_answer_and_ends_with_the_question():
    watch = Watch(TIMING)
    for second in range(12):
        watch.saw({"a": 1}, asked_at=second, answered_at=second + 0.5)
        assert watch.expired() == ((("a", 1),) if second >= 10.5 else ())


@given(st.lists(st.tuples(st.floats(0, 4), st.floats(0, 2), st.booleans()), max_size=60))
def test_trust_ends_before_anybody_evicts(history):
    """Readings as they may come, of a worker whose last heartbeat was sent when the watch began to see it."""
    watch, now, sent_at, version = Watch(TIMING), 100.0, 100.0, 1
    for wait, duration, beats in history:
        if beats and not watch.expired():
            sent_at, version = now, version + 1
        now += wait
        watch.saw({"a": version}, asked_at=now, answered_at=now + duration)
        now += duration
        if watch.expired():
            assert now > TIMING.trusted_until(sent_at)


def test_a_lease_is_trusted_for_three_quarters_of_its_duration():
    assert TIMING.trusted_until(100.0) == 107.5
    assert (TIMING.beat_seconds, TIMING.gap_seconds) == (2.5, 2.5)


@pytest.mark.parametrize(("count", "seconds"), [(1, 0.5), (32, 0.5), (64, 1.0), (100, 1.25)])
def test_a_large_fleet_is_read_less_often_and_never_so_rarely_that_one_failure_makes_a_gap(count, seconds):
    assert TIMING.poll_seconds(count) == seconds
    assert 2 * TIMING.poll_seconds(count) <= TIMING.gap_seconds
