"""Nothing starts without a lease that is certain, and a drain ends in whatever it found."""

import pytest

from broker.core.events import Finished, Returned, Stopping
from broker.core.stream_events import Discard, InvokeStream, LeaseExtended, NotStarted, Read, SaveCheckpoint
from broker.core.stream_policy import StreamPolicy
from broker.errors import ReadFault
from broker.model.invocation import TimedOut
from tests.unit.core.shard_talk import FAILED, START, THROTTLED, Talk, entries, succeeded


async def returned() -> None:
    """The call has returned."""


# ---- the lease


def test_nothing_starts_from_the_end_of_the_lease_on():
    talk = Talk(lease_until=START)
    talk.page(*entries(1))

    assert talk.running == []
    assert talk.of(InvokeStream, talk.after(100)) == []


def test_an_extended_lease_starts_what_waited_for_it():
    talk = Talk(lease_until=START)
    talk.page(*entries(1))
    talk.hear(LeaseExtended(until_at=START + 10))

    assert talk.batch == [1]
    assert talk.invocation.start_before == START + 10


def test_a_retry_waits_for_the_lease_too():
    talk = Talk(lease_until=START + 1)
    talk.page(*entries(1))
    for _ in range(3):
        if talk.of(InvokeStream):
            talk.finish(FAILED)
        talk.after(5)
    assert talk.running == []
    talk.hear(LeaseExtended(until_at=talk.now + 10))

    assert talk.batch == [1]


def test_waiting_for_a_lease_is_no_hot_loop():
    talk = Talk(StreamPolicy(window_seconds=2, maximum_record_age_seconds=60), lease_until=START)
    talk.page(*entries(1))
    talk.after(30)

    assert talk.consumer.deadline is None or talk.consumer.deadline > talk.now + 1


def test_what_did_not_start_starts_when_the_lease_is_extended_and_is_not_counted():
    talk = Talk(StreamPolicy(maximum_retry_attempts=0), lease_until=START + 5)
    talk.page(*entries(1))
    number = talk.take(InvokeStream).batch.number
    talk.now += 5
    talk.hear(NotStarted(number=number))
    assert talk.running == []
    talk.hear(LeaseExtended(until_at=talk.now + 5))

    assert talk.invocation.batch.number == number
    assert talk.invocation.batch.attempt == 1


def test_what_did_not_start_starts_at_once_where_the_lease_was_extended_meanwhile():
    talk = Talk(lease_until=START + 5)
    talk.page(*entries(1))
    number = talk.take(InvokeStream).batch.number
    talk.now += 4
    talk.hear(LeaseExtended(until_at=START + 15))
    talk.now += 1
    talk.hear(NotStarted(number=number))

    assert talk.invocation.start_before == START + 15


def test_nothing_starts_before_its_time():
    talk = Talk(start_at=START + 30)
    talk.page(*entries(1))
    assert talk.running == []
    talk.after(29.9)
    assert talk.running == []
    talk.after(0.2)

    assert talk.batch == [1]
    assert talk.now == pytest.approx(START + 30.1)


def test_nothing_is_given_up_before_its_time_either():
    talk = Talk(StreamPolicy(maximum_record_age_seconds=60, has_destination=True), start_at=START + 30)
    talk.page(*entries(1, at=START - 100))
    assert talk.of(Discard, talk.after(29)) == []

    assert len(talk.of(Discard, talk.after(2))) == 1


def test_the_epoch_of_the_lease_is_among_the_numbers():
    assert Talk().consumer.statistics().epoch == 7


# ---- stopping


def stop(talk: Talk):
    return talk.hear(Stopping(deadline_at=talk.now + 10))


def test_a_shard_in_which_nothing_runs_stops_at_once():
    talk = Talk()
    stop(talk)

    assert talk.consumer.finished
    assert not talk.consumer.is_shard_finished


def test_a_drain_waits_for_the_handler_and_writes_what_it_settled():
    talk = Talk(StreamPolicy(batch_size=1))
    talk.page(*entries(1, 2))
    stop(talk)
    assert not talk.consumer.finished
    talk.finish(succeeded())

    assert talk.running == []
    assert talk.settled_through == 1
    assert talk.consumer.finished


@pytest.mark.parametrize("result", [FAILED, THROTTLED], ids=["failed", "throttled"])
def test_nothing_is_tried_again_in_a_drain(result):
    talk = Talk()
    talk.page(*entries(1))
    stop(talk)
    talk.finish(result)
    assert talk.consumer.finished

    assert talk.of(InvokeStream, talk.after(100)) == []


def test_a_batch_that_waits_for_its_next_attempt_or_its_window_is_left_to_the_next_owner():
    backing_off = Talk()
    backing_off.page(*entries(1))
    backing_off.finish(FAILED)
    waiting = Talk(StreamPolicy(window_seconds=10))
    waiting.page(*entries(1))
    for talk in (backing_off, waiting):
        stop(talk)
        assert talk.consumer.finished
        assert talk.of(InvokeStream, talk.after(100)) == []


def test_a_page_that_comes_after_stopping_starts_nothing_and_is_not_passed():
    talk = Talk()
    stop(talk)
    talk.answer(talk.take(Read), *entries(1))

    assert talk.running == []
    assert talk.saved == []


def test_a_failed_read_after_stopping_is_not_repeated():

    talk = Talk()
    stop(talk)
    talk.fail_read(ReadFault.EXPIRED_ITERATOR)

    assert talk.of(Read, talk.after(60)) == []


def test_a_drain_waits_for_the_write_and_repeats_it_where_it_fails():
    talk = Talk(saves=False)
    talk.page(*entries(1))
    stop(talk)
    talk.finish(succeeded())
    assert not talk.consumer.finished
    talk.fail_save()
    assert not talk.consumer.finished
    talk.after(1)
    talk.save()

    assert talk.consumer.finished


def test_what_changed_during_a_write_is_written_before_the_drain_ends():
    talk = Talk(StreamPolicy(factor=2, batch_size=1), saves=False)
    talk.page(*entries(1, key="e"), *entries(2, key="a"))
    stop(talk)
    talk.finish(succeeded())
    talk.finish(succeeded())
    talk.save()
    assert not talk.consumer.finished
    talk.save()

    assert talk.consumer.finished
    assert talk.settled_through == 2


def test_a_drain_waits_for_a_handler_that_runs_on():
    talk = Talk()
    talk.page(*entries(1))
    talk.finish(TimedOut(message="Task timed out", wait_returned=returned))
    stop(talk)
    assert not talk.consumer.finished
    talk.hear(Returned(number=1))

    assert talk.consumer.finished


def test_a_drain_of_a_shard_that_ends_meanwhile_writes_that_it_is_finished():
    talk = Talk()
    talk.page(*entries(1), is_last=True)
    stop(talk)
    talk.finish(succeeded())

    assert talk.consumer.is_shard_finished
    assert talk.saved[-1].finished


def test_a_batch_that_is_given_up_in_a_drain_is_told_to_its_destination():
    talk = Talk(StreamPolicy(maximum_retry_attempts=0, has_destination=True))
    talk.page(*entries(1))
    stop(talk)
    talk.finish(FAILED)
    assert not talk.consumer.finished
    talk.sent()

    assert talk.consumer.finished
    assert talk.settled_through == 1


def test_what_did_not_start_is_not_started_in_a_drain():
    talk = Talk()
    talk.page(*entries(1))
    number = talk.take(InvokeStream).batch.number
    stop(talk)
    talk.hear(NotStarted(number=number))

    assert talk.running == []
    assert talk.consumer.finished


def test_the_right_half_of_a_batch_that_fails_in_a_drain_is_left_to_the_next_owner():
    talk = Talk(StreamPolicy(bisect=True))
    talk.page(*entries(1, 2, 3))
    stop(talk)
    talk.finish(FAILED)
    assert talk.consumer.finished
    resumed = talk.again()
    resumed.page(*entries(1, 2, 3))

    assert resumed.batch == [1, 2, 3]


def test_one_lane_that_runs_keeps_the_drain_from_ending():
    talk = Talk(StreamPolicy(factor=2))
    talk.page(*entries(1, key="e"), *entries(2, key="a"))
    stop(talk)
    talk.finish(succeeded(), lane=1)
    assert not talk.consumer.finished
    talk.hear(Finished(number=1, result=succeeded(), chance=0.0))

    assert talk.consumer.finished
    assert talk.of(SaveCheckpoint) == []
