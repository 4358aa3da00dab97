"""Records that are given up: what their destination is told, and what becomes of them when it does not answer."""

import pytest

from broker.core.events import Finished, Stopping
from broker.core.stream_events import Discard, Discarded, SaveCheckpoint
from broker.core.stream_policy import StreamPolicy
from broker.model import observation as seen
from broker.model.discard import Condition
from broker.model.stream import TrimHorizon
from tests.unit.core.shard_talk import FAILED, START, Talk, entries, succeeded

SENT = StreamPolicy(batch_size=1, maximum_retry_attempts=0, has_destination=True)


def given_up(policy: StreamPolicy = SENT, **fields) -> Talk:
    """Record 1 is on its way to the destination; record 2 waits behind it."""
    talk = Talk(policy, **fields)
    talk.page(*entries(1, 2))
    talk.finish(FAILED)
    return talk


def test_records_are_settled_when_their_destination_has_them_and_not_before():
    talk = given_up()
    assert talk.position == TrimHorizon()
    assert talk.running == []
    talk.sent()

    assert talk.settled_through == 1
    assert talk.batch == [2]
    (told,) = talk.of(seen.RecordsDiscarded)
    assert (told.condition, told.count, told.first, told.last) == (Condition.RETRY_ATTEMPTS_EXHAUSTED, 1, "1", "1")
    assert (told.delivered, told.invoke_count) == (True, 1)
    assert (talk.consumer.statistics().delivered_count, talk.consumer.statistics().dropped_count) == (1, 0)


def test_without_a_destination_records_are_dropped_and_counted():
    talk = given_up(StreamPolicy(batch_size=1, maximum_retry_attempts=0))

    assert talk.of(Discard) == []
    assert talk.batch == [2]
    assert talk.settled_through == 1
    assert talk.of(seen.RecordsDiscarded)[0].delivered is False
    assert talk.consumer.statistics().dropped_count == 1


def test_a_destination_that_fails_is_tried_again_for_a_minute_then_the_records_are_dropped():
    talk = given_up()
    attempts = []
    while talk.consumer.statistics().dropped_count == 0:
        if talk.of(Discard):
            attempts.append(talk.now - START)
            talk.sent("no such queue")
        else:
            talk.after(talk.consumer.deadline - talk.now)

    assert attempts == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 30.5, 45.5, 60.5]
    assert talk.of(seen.RecordsDiscarded)[0].detail == "no such queue"
    assert talk.of(seen.DestinationProblem)[0] == seen.DestinationProblem(
        shard="shard-0", problem="no such queue", delay_seconds=0.5
    )
    assert talk.batch == [2]


def test_a_destination_that_fails_is_a_problem_of_the_shard_until_it_answers():
    talk = given_up()
    talk.sent("no such queue")
    assert talk.consumer.statistics().problem == "no such queue"
    talk.after(0.5)
    talk.sent()

    assert talk.consumer.statistics().problem == ""


def test_the_same_record_is_sent_again_and_nothing_is_told_twice():
    talk = given_up()
    first = talk.of(Discard)[0]
    talk.sent("no")
    talk.after(0.5)
    assert talk.of(Discard)[0] == first
    talk.sent()

    assert len(talk.of(seen.RecordsDiscarded)) == 1


def test_what_a_destination_can_never_take_is_dropped_at_once():
    talk = given_up()
    talk.sent("too large", is_final=True)

    assert talk.of(seen.RecordsDiscarded)[0].detail == "too large"
    assert talk.consumer.statistics().dropped_count == 1
    assert talk.batch == [2]


def test_a_shard_that_blocks_on_its_destination_waits_for_as_long_as_it_takes():
    talk = given_up(
        StreamPolicy(batch_size=1, maximum_retry_attempts=0, has_destination=True, blocks_on_destination=True)
    )
    for _ in range(50):
        talk.sent("down")
        talk.until(Discard)
    assert talk.now - START > 600
    assert talk.consumer.statistics().dropped_count == 0
    talk.sent()

    assert talk.batch == [2]


def test_what_can_never_be_taken_is_dropped_also_where_the_shard_blocks():
    talk = given_up(
        StreamPolicy(batch_size=1, maximum_retry_attempts=0, has_destination=True, blocks_on_destination=True)
    )
    talk.sent("too large", is_final=True)

    assert talk.batch == [2]


def test_a_discard_is_answered_once():
    talk = given_up()
    number = talk.of(Discard)[0].discarded.number
    talk.sent()

    with pytest.raises(KeyError):
        talk.hear(Discarded(number=number, problem=None, is_final=False, chance=0.0))


def test_no_checkpoint_passes_a_record_before_its_destination_has_answered():
    talk = given_up(saves=False)
    while talk.of(SaveCheckpoint):
        assert talk.take(SaveCheckpoint).checkpoint.position == TrimHorizon()
    actions = talk.sent()

    assert talk.of(Discard, actions) == []


def test_the_other_lanes_go_on_while_one_waits_for_its_destination():
    talk = Talk(StreamPolicy(batch_size=1, factor=2, maximum_retry_attempts=0, has_destination=True))
    talk.page(*entries(1, key="e"), *entries(2, 3, key="a"))
    talk.finish(FAILED, lane=0)
    talk.finish(succeeded(), lane=1)
    talk.finish(FAILED, lane=1)
    assert len(talk.of(Discard)) == 2
    talk.sent()
    talk.sent()

    assert talk.settled_through == 3


def test_a_spent_batch_goes_straight_to_its_destination_after_a_restart():
    talk = given_up()
    resumed = talk.again()
    resumed.page(*entries(1, 2))

    discarded = resumed.of(Discard)[0].discarded
    assert (discarded.first, discarded.last, discarded.invoke_count) == ("1", "1", 1)
    assert discarded.response is not None
    assert resumed.running == []


def test_a_spent_record_that_was_too_large_says_so_again_after_a_restart():
    policy = StreamPolicy(payload_limit_bytes=150, maximum_retry_attempts=0, has_destination=True)
    talk = Talk(policy)
    talk.page(*entries(1, size=200))
    resumed = talk.again()
    resumed.page(*entries(1, size=200))

    assert resumed.of(Discard)[0].discarded.response is None


def test_expired_records_of_the_middle_do_not_move_the_mark_beyond_what_remains():
    talk = Talk(StreamPolicy(maximum_record_age_seconds=60, has_destination=True))
    talk.page(*entries(1, at=START - 70), *entries(2), *entries(3, at=START - 70))
    talk.sent()
    assert talk.settled_through == 1
    assert talk.batch == [2]
    talk.finish(succeeded())

    assert talk.settled_through == 3


def test_a_mark_never_passes_expired_records_whose_destination_has_not_answered():
    talk = Talk(StreamPolicy(maximum_record_age_seconds=60, has_destination=True))
    talk.page(*entries(1), *entries(2, at=START - 70))

    assert talk.position == TrimHorizon()


def test_a_drain_waits_for_an_answer_that_is_outstanding_and_not_for_the_next_attempt():
    talk = given_up()
    talk.hear(Stopping(deadline_at=talk.now + 10))
    assert not talk.consumer.finished
    talk.sent("down")

    assert talk.consumer.finished
    assert talk.consumer.deadline is None or talk.consumer.deadline > talk.now


def test_a_drain_repeats_a_discard_while_it_has_to_wait_for_something_else():
    talk = Talk(StreamPolicy(batch_size=1, factor=2, maximum_retry_attempts=0, has_destination=True))
    talk.page(*entries(1, key="e"), *entries(2, key="a"))
    talk.finish(FAILED, lane=0)
    talk.hear(Stopping(deadline_at=talk.now + 10))
    talk.sent("down")
    assert not talk.consumer.finished
    talk.after(1)
    assert len(talk.of(Discard)) == 1
    talk.sent()
    talk.hear(Finished(number=2, result=succeeded(), chance=0.0))

    assert talk.consumer.finished
    assert talk.settled_through == 2
