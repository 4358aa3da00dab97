"""When a shard's batches are cut, and that waiting for them costs nothing."""

from broker.core.events import Woke
from broker.core.stream_events import InvokeStream, Read
from broker.core.stream_policy import StreamPolicy
from broker.model.batch import BatchTrigger
from broker.model.checkpoint import HeadBatch
from tests.unit.core.shard_talk import FAILED, START, Talk, after, entries, reported, succeeded

WINDOW = StreamPolicy(window_seconds=5, batch_size=3)


def test_without_a_window_whatever_is_there_goes_at_once():
    talk = Talk()
    talk.page(*entries(1, 2))

    assert talk.batch == [1, 2]
    assert talk.invocation.batch.trigger is BatchTrigger.AVAILABLE


def test_a_window_begins_with_its_first_record_and_ends_on_time():
    talk = Talk(WINDOW)
    talk.page()
    talk.after(100)
    talk.page(*entries(1))
    began = talk.now
    talk.page(*entries(2))
    talk.after(began + 4.9 - talk.now)
    assert talk.running == []
    talk.after(0.2)

    assert talk.batch == [1, 2]
    assert talk.invocation.batch.trigger is BatchTrigger.WINDOW


def test_a_full_batch_does_not_wait_for_its_window():
    talk = Talk(WINDOW)
    talk.page(*entries(1, 2, 3, 4))

    assert talk.batch == [1, 2, 3]
    assert talk.invocation.batch.trigger is BatchTrigger.SIZE


def test_a_batch_that_reaches_its_limit_of_bytes_does_not_wait_for_its_window():
    talk = Talk(StreamPolicy(window_seconds=5, payload_limit_bytes=150))
    talk.page(*entries(1, 2, size=100))

    assert talk.batch == [1]


def test_the_next_window_begins_when_the_invocation_before_has_ended():
    talk = Talk(WINDOW)
    talk.page(*entries(1, 2, 3, 4))
    talk.after(60)
    talk.finish(succeeded())
    talk.after(4.9)
    assert talk.running == []
    talk.after(0.2)

    assert talk.batch == [4]


def test_the_end_of_the_shard_does_not_wait_for_a_window():
    talk = Talk(WINDOW)
    talk.page(*entries(1), is_last=True)

    assert talk.batch == [1]
    assert talk.invocation.batch.trigger is BatchTrigger.SHARD_END


def test_a_trickle_into_a_window_wakes_nobody_in_vain():
    talk = Talk(StreamPolicy(window_seconds=300, batch_size=10_000, maximum_record_age_seconds=600))
    wakes = 0
    number = 0
    while talk.now < START + 250:
        deadline = talk.consumer.deadline
        if talk.of(Read):
            number += 1
            talk.now += 0.05
            talk.page(*entries(number, at=talk.now))
        else:
            assert deadline is not None
            assert deadline > talk.now
            talk.now = deadline
            talk.hear(Woke())
            wakes += 1

    assert talk.of(InvokeStream) == []
    assert wakes <= 251


def test_a_deadline_is_in_the_future_also_at_the_instant_at_which_a_record_expires():
    talk = Talk(StreamPolicy(window_seconds=300, maximum_record_age_seconds=60))
    talk.page(*entries(1, at=START - 30))
    talk.now = START + 30
    talk.hear(Woke())
    assert talk.consumer.deadline is not None
    assert talk.now < talk.consumer.deadline <= talk.now + 0.01
    talk.after(0.01)

    assert talk.settled_through == 1


# ---- the batch that an earlier owner was trying


def head(first: int, last: int, failures: int = 2) -> HeadBatch:
    return HeadBatch(factor=1, lane=0, first=str(first), last=str(last), failures=failures, invocations=failures + 1)


def test_a_batch_that_had_failed_is_cut_at_the_same_records_with_its_failures():
    talk = Talk(StreamPolicy(batch_size=3, maximum_retry_attempts=3))
    talk.page(*entries(1, 2, 3, 4))
    talk.finish(FAILED)
    resumed = talk.again()
    resumed.page(*entries(1), has_more=True)
    assert resumed.running == []
    resumed.page(*entries(2, 3, 4, 5))

    assert resumed.batch == [1, 2, 3]
    assert resumed.invocation.batch.attempt == 2
    assert resumed.consumer.statistics().lanes[0].failures == 1


def test_a_batch_waits_for_its_end_without_a_deadline_of_its_own():
    talk = Talk(StreamPolicy(maximum_record_age_seconds=60), start=after(0, heads=(head(1, 3),)))
    talk.page(*entries(1, at=START - 100))
    talk.after(1)

    assert talk.running == []
    assert len(talk.of(Read)) == 1
    assert talk.consumer.deadline is None or talk.consumer.deadline > talk.now + 100


def test_a_batch_whose_end_no_longer_passes_the_filter_is_cut_when_it_has_been_read_past():
    talk = Talk(StreamPolicy(accepts=lambda record: int(record.identifier) != 3), start=after(0, heads=(head(1, 3),)))
    talk.page(*entries(1, 2, 3))

    assert talk.batch == [1, 2]
    assert talk.consumer.statistics().lanes[0].failures == 2


def test_a_batch_of_which_nothing_is_left_is_forgotten():
    talk = Talk(start=after(0, heads=(head(1, 3),)))
    talk.page(*entries(7))

    assert talk.batch == [7]
    assert talk.consumer.statistics().lanes[0].failures == 0


def test_a_batch_whose_records_are_all_filtered_now_holds_nothing_up():
    talk = Talk(StreamPolicy(accepts=lambda record: int(record.identifier) > 3), start=after(0, heads=(head(1, 3),)))
    talk.page(*entries(1, 2, 3))
    assert talk.settled_through == 3
    talk.page(*entries(4))

    assert talk.batch == [4]
    assert talk.consumer.statistics().lanes[0].failures == 0


def test_records_before_it_that_pass_the_filter_now_have_a_budget_of_their_own():
    talk = Talk(StreamPolicy(maximum_retry_attempts=1), start=after(0, heads=(head(3, 4),)))
    talk.page(*entries(1, 2, 3, 4, 5))
    assert talk.batch == [1, 2]
    assert talk.consumer.statistics().lanes[0].failures == 0
    talk.finish(FAILED)
    assert talk.saved[-1].heads[0].first == "1"
    talk.retry()
    talk.finish(succeeded())

    assert talk.of(InvokeStream)[0].batch.records[0].identifier == "5"
    assert talk.settled_through == 4


def test_a_budget_waits_in_the_checkpoint_until_its_batch_is_cut():
    talk = Talk(StreamPolicy(report_batch_item_failures=True), start=after(0, heads=(head(3, 4),)))
    talk.page(*entries(1, 2))
    talk.page(*entries(3, 4, 5))
    talk.finish(reported(2))
    assert talk.saved[-1].heads == (head(3, 4),)
    talk.retry()
    talk.finish(succeeded())

    assert talk.batch == [3, 4]
    assert talk.saved[-1].heads[0].failures == 2


def test_a_batch_that_is_cut_again_keeps_to_a_batch_size_that_was_lowered():
    talk = Talk(StreamPolicy(batch_size=2), start=after(0, heads=(head(1, 3),)))
    talk.page(*entries(1, 2, 3))

    assert talk.batch == [1, 2]
    assert talk.consumer.statistics().lanes[0].failures == 2


def test_the_end_of_the_shard_ends_the_wait_for_a_batch():
    talk = Talk(start=after(0, heads=(head(1, 3),)))
    talk.page(*entries(1, 2), is_last=True)

    assert talk.batch == [1, 2]
    assert talk.consumer.statistics().lanes[0].failures == 2


def test_neither_records_held_nor_lanes_ahead_keep_a_batch_from_its_end():
    first = HeadBatch(factor=2, lane=0, first="1", last="9", failures=1, invocations=1)
    policy = StreamPolicy(factor=2, batch_size=1, buffered_count=2, ahead_count=3)
    talk = Talk(policy, start=after(0, heads=(first,)))
    for number in range(1, 9):
        talk.page(*entries(number, key="e"), has_more=True)
    talk.page(*entries(9, key="e"), has_more=True)

    assert len(talk.of(InvokeStream)) == 1
    assert talk.of(Read) == []


def test_a_batch_of_another_factor_is_not_cut_again():
    other = HeadBatch(factor=2, lane=0, first="1", last="3", failures=1, invocations=1)
    talk = Talk(start=after(0, heads=(other,)))
    talk.page(*entries(1, 2))

    assert talk.batch == [1, 2]
