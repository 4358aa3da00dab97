import pytest

from broker.core.events import Fetch, FetchFailed
from broker.core.polling import ATTEMPT_LIFE_SECONDS, CircuitBreaker, Polling, TokenBucket
from broker.core.queue_policy import CircuitBreakerPolicy, QueuePolicy, ScalingPolicy
from broker.core.scaling import ConcurrencyScale

START = 1_800_000_000.0


class Poller:
    """A polling with its policy, and the call that the consumer makes."""

    def __init__(self, *, slots: int = 5, maximum: int = 5, **fields) -> None:
        policy = QueuePolicy(scaling=ScalingPolicy(initial=slots, maximum=maximum), **fields)
        self.polling = Polling(policy, ConcurrencyScale(policy.scaling))

    def plan(self, *, free: int = 5, buffered: int = 0, now: float = START, wait: int = 20) -> list[Fetch]:
        return self.polling.plan(free_slots=free, buffered=buffered, wait_seconds=wait, visibility=30, now=now)

    def fail(self, number: int, now: float = START, *, lost: bool = False) -> float:
        event = FetchFailed(number=number, problem="away", chance=0.5, may_have_taken_effect=lost)
        return self.polling.failed(event, now)


def counts(fetches: list[Fetch]) -> list[int]:
    return [fetch.maximum_count for fetch in fetches]


def test_a_receive_passes_the_long_poll_and_the_visibility_timeout():
    fetch = Poller().plan()[0]

    assert (fetch.wait_seconds, fetch.visibility_timeout_seconds) == (20, 30)


def test_each_free_slot_is_polled_for_a_batch():
    assert counts(Poller().plan()) == [10, 10, 10, 10, 10]


def test_no_receive_asks_for_more_than_ten():
    assert counts(Poller(slots=2, batch_size=100, window_seconds=1).plan(free=2)) == [10, 10]


@pytest.mark.parametrize(("size", "expected"), [(1, [5]), (3, [10, 3]), (4, [10, 8]), (7, [10, 10, 7]), (10, [10] * 5)])
def test_receives_of_a_mapping_without_window_fit_the_free_slots(size, expected):
    assert counts(Poller(batch_size=size).plan()) == expected


def test_messages_that_wait_take_the_slots_that_they_need():
    assert counts(Poller().plan(buffered=11)) == [10, 10, 10]


def test_nothing_is_received_while_no_slot_is_free():
    assert Poller().plan(free=0) == []


def test_receives_that_are_out_take_their_slots():
    poller = Poller()
    poller.plan(free=2)

    assert counts(poller.plan(free=4)) == [10, 10]


def test_with_a_window_all_receives_fill_one_batch():
    poller = Poller(batch_size=25, window_seconds=2)

    assert counts(poller.plan(free=1, buffered=3)) == [10, 10, 2]


def test_a_fifo_receive_asks_for_no_more_than_one_batch():
    assert counts(Poller(fifo=True, batch_size=4).plan()) == [4, 4, 4, 4, 4]


def test_an_empty_queue_is_polled_by_the_idle_pollers_only():
    poller = Poller()
    for fetch in poller.plan():
        poller.polling.fetched(fetch.number, 0, START + 20)

    assert len(poller.plan(now=START + 20)) == 2


def test_receives_of_an_empty_queue_that_does_not_wait_are_a_second_apart():
    poller = Poller(slots=1, long_poll_seconds=0)
    poller.polling.fetched(poller.plan(wait=0)[0].number, 0, START + 0.01)

    assert poller.plan(now=START + 0.01) == []
    assert poller.polling.deadline == START + 1.0
    assert len(poller.plan(now=START + 1.0)) == 1


def test_a_long_poll_that_ends_empty_is_followed_at_once():
    poller = Poller(slots=1)
    poller.polling.fetched(poller.plan()[0].number, 0, START + 20)

    assert len(poller.plan(now=START + 20)) == 1


def test_a_receive_that_brought_something_is_followed_at_once():
    poller = Poller(slots=1)
    poller.polling.fetched(poller.plan(free=1)[0].number, 1, START)

    assert len(poller.plan(now=START, free=1)) == 1


# ---- failures


def test_a_queue_that_cannot_be_read_is_left_alone_for_the_delay():
    poller = Poller()
    delay = poller.fail(poller.plan()[0].number)

    assert poller.plan(now=START + delay - 0.01) == []
    assert poller.polling.deadline == START + delay


def test_after_the_delay_one_receive_tries():
    poller = Poller()
    fetches = poller.plan()
    for fetch in fetches:
        delay = poller.fail(fetch.number)

    assert len(poller.plan(now=START + delay)) == 1


def test_a_receive_that_works_ends_the_caution():
    poller = Poller()
    for fetch in poller.plan():
        delay = poller.fail(fetch.number)
    poller.polling.fetched(poller.plan(now=START + delay)[0].number, 1, START + delay)

    assert len(poller.plan(now=START + delay)) == 5


def test_a_fifo_receive_whose_reply_was_lost_is_repeated_with_its_attempt():
    poller = Poller(slots=1, fifo=True)
    first = poller.plan(free=1)[0]
    delay = poller.fail(first.number, lost=True)
    again = poller.plan(free=1, now=START + delay)[0]

    assert again.number != first.number
    assert (again.attempt_number, again.maximum_count) == (first.attempt_number, first.maximum_count)
    assert again.visibility_timeout_seconds == first.visibility_timeout_seconds


@pytest.mark.parametrize(("fifo", "lost"), [(False, True), (True, False)])
def test_other_receives_that_failed_begin_anew(fifo, lost):
    poller = Poller(slots=1, fifo=fifo)
    first = poller.plan(free=1)[0]
    delay = poller.fail(first.number, lost=lost)

    assert poller.plan(free=1, now=START + delay)[0].attempt_number != first.attempt_number


def test_a_repetition_waits_until_there_is_room_for_all_that_it_may_bring():
    poller = Poller(slots=1, fifo=True, batch_size=10, records_per_second=10)
    first = poller.plan(free=1)[0]
    delay = poller.fail(first.number, lost=True)
    poller.polling.rate.take(5)
    now = START + delay
    poller.polling.rate.available(now)
    poller.polling.rate.take(poller.polling.rate.available(now) - 3)
    other = poller.plan(free=1, now=now)[0]
    poller.polling.fetched(other.number, 1, now)
    again = poller.plan(free=1, now=now + 1)[0]

    assert (other.maximum_count, other.attempt_number != first.attempt_number) == (3, True)
    assert again.attempt_number == first.attempt_number


def test_an_attempt_that_the_queue_has_forgotten_is_not_repeated():
    poller = Poller(slots=1, fifo=True)
    first = poller.plan(free=1)[0]
    poller.fail(first.number, lost=True)
    later = poller.plan(free=1, now=START + ATTEMPT_LIFE_SECONDS)[0]

    assert later.attempt_number != first.attempt_number


# ---- rate limit


def test_a_rate_limit_bounds_what_is_asked_for():
    assert counts(Poller(records_per_second=12).plan()) == [10, 2]


def test_what_a_receive_did_not_bring_may_be_asked_for_again():
    poller = Poller(records_per_second=10)
    poller.polling.fetched(poller.plan()[0].number, 4, START)

    assert counts(poller.plan()) == [6]


def test_the_rate_limit_says_when_there_is_a_record_again():
    poller = Poller(records_per_second=2)
    poller.polling.fetched(poller.plan()[0].number, 2, START)

    assert poller.plan() == []
    assert poller.polling.deadline == START + 0.5
    assert counts(poller.plan(now=START + 0.5)) == [1]


@pytest.mark.parametrize("rate", [0.3, 3.0, 7.7, 1000.0, 33_333.3])
def test_the_instant_at_which_a_token_is_promised_brings_it_in_this_century(rate):
    bucket = TokenBucket(rate)
    now = START + 0.123
    for _ in range(200):
        bucket.take(bucket.available(now))
        if bucket.available(now) == 0 and bucket.next_at > now:
            now = bucket.next_at
        assert bucket.available(now) >= 1


def test_an_idle_hour_saves_one_second_of_tokens():
    bucket = TokenBucket(5)
    bucket.take(bucket.available(START))

    assert bucket.available(START + 3600) == 5


# ---- circuit breaker


def breaker() -> CircuitBreaker:
    return CircuitBreaker(CircuitBreakerPolicy(consecutive_failures=2, pause_seconds=60))


def test_a_circuit_opens_after_failures_in_a_row():
    circuit = breaker()

    assert [circuit.failed(START), circuit.failed(START)] == [False, True]
    assert circuit.limit(5, START) == 0


def test_a_success_between_failures_keeps_the_circuit_closed():
    circuit = breaker()
    circuit.failed(START)
    circuit.succeeded()

    assert not circuit.failed(START)
    assert circuit.limit(5, START) == 5


def test_failures_of_batches_that_were_on_their_way_do_not_open_it_twice():
    circuit = breaker()

    assert [circuit.failed(START + at) for at in range(4)] == [False, True, False, False]
    assert circuit.until == START + 61


def test_after_the_pause_one_batch_tries():
    circuit = breaker()
    circuit.failed(START)
    circuit.failed(START)

    assert circuit.limit(5, START + 60) == 1


def test_a_trial_that_fails_opens_it_again():
    circuit = breaker()
    circuit.failed(START)
    circuit.failed(START)

    assert circuit.failed(START + 60)
    assert circuit.limit(5, START + 60) == 0


def test_a_trial_that_works_closes_it():
    circuit = breaker()
    circuit.failed(START)
    circuit.failed(START)

    assert circuit.succeeded()
    assert not circuit.succeeded()
    assert circuit.limit(5, START + 1) == 5
