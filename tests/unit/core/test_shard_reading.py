"""When a shard is read, from where, and what is said when it cannot be."""

import pytest

from broker.core.events import Stopping
from broker.core.stream_events import Read
from broker.core.stream_policy import PacePolicy, StreamPolicy
from broker.errors import ReadFault
from broker.model import observation as seen
from broker.model.checkpoint import Checkpoint
from broker.model.stream import AfterSequenceNumber, AtTimestamp, Shard, TrimHorizon
from tests.unit.core.shard_talk import FAILED, START, Talk, after, entries, succeeded

MIB = 1024 * 1024


def read_at(talk: Talk) -> float:
    """When the next read is made, from now."""
    began = talk.now
    while not talk.of(Read):
        talk.after(talk.consumer.deadline - talk.now)
    return talk.now - began


def test_reading_begins_at_the_checkpoint_and_goes_on_where_the_page_before_ended():
    talk = Talk(start=after(5))
    read = talk.take(Read)
    assert read == Read(number=1, position=AfterSequenceNumber(number="5"), maximum_count=1_000)
    talk.answer(read, *entries(6))
    talk.after(1)

    assert talk.take(Read) == Read(number=2, position=None, maximum_count=1_000)


def test_as_many_are_asked_for_as_the_lanes_can_take_and_the_service_allows():
    assert Talk(StreamPolicy(batch_size=800, factor=4)).take(Read).maximum_count == 3_200
    assert Talk(StreamPolicy(batch_size=10_000, factor=4)).take(Read).maximum_count == 10_000
    assert Talk(StreamPolicy(pace=PacePolicy(maximum_count=500))).take(Read).maximum_count == 500


def test_a_shard_that_has_nothing_more_is_read_once_a_second():
    talk = Talk()
    talk.page()
    assert read_at(talk) == 1.0
    talk.page(behind_ms=0)
    assert read_at(talk) == 1.0


def test_a_shard_that_is_behind_is_read_five_times_a_second():
    talk = Talk()
    talk.page(*entries(1), behind_ms=5_000)
    assert read_at(talk) == pytest.approx(0.2)
    talk.page(behind_ms=4_000)
    assert read_at(talk) == pytest.approx(0.2)


def test_a_service_that_does_not_say_how_far_behind_is_taken_to_be_behind_while_it_brings_records():
    talk = Talk(StreamPolicy(pace=PacePolicy(idle_seconds=0.25)))
    talk.page(*entries(1), behind_ms=None)
    assert read_at(talk) == pytest.approx(0.2)
    talk.page(behind_ms=None)
    assert read_at(talk) == 0.25


def test_the_pause_counts_from_the_call_and_not_from_its_answer():
    talk = Talk()
    talk.now += 0.7
    talk.page()

    assert read_at(talk) == pytest.approx(0.3)


def test_no_more_than_two_megabytes_a_second_are_read():
    talk = Talk()
    talk.page(*entries(1), behind_ms=9_000, size_bytes=10 * MIB)

    assert read_at(talk) == 5.0


def test_the_bytes_of_an_answer_count_though_it_comes_in_parts():
    talk = Talk()
    talk.page(*entries(1), behind_ms=9_000, size_bytes=10 * MIB, has_more=True)
    assert read_at(talk) == 0.0
    talk.page(*entries(2), behind_ms=9_000)

    assert read_at(talk) == 5.0


def test_what_is_here_already_is_taken_at_once():
    talk = Talk()
    talk.page(*entries(1), has_more=True)

    assert talk.of(Read)[0].position is None


def test_an_expired_iterator_is_opened_anew_at_once_behind_the_last_record_that_was_read():
    talk = Talk(start=Checkpoint(position=AtTimestamp(at=START)))
    talk.page(*entries(1, 2))
    talk.after(1)
    actions = talk.fail_read(ReadFault.EXPIRED_ITERATOR)

    assert talk.of(Read, actions)[0].position == AfterSequenceNumber(number="2")
    assert talk.of(seen.SourceProblem) == []


def test_an_iterator_that_expires_before_the_first_record_is_opened_where_reading_began():
    talk = Talk(start=Checkpoint(position=AtTimestamp(at=START)))
    talk.page()
    talk.after(1)
    actions = talk.fail_read(ReadFault.EXPIRED_ITERATOR)

    assert talk.of(Read, actions)[0].position == AtTimestamp(at=START)


def test_an_iterator_that_expires_each_time_is_no_hot_loop():
    talk = Talk()
    talk.fail_read(ReadFault.EXPIRED_ITERATOR)
    talk.fail_read(ReadFault.EXPIRED_ITERATOR)

    assert talk.of(Read) == []
    assert read_at(talk) >= 1.0


def test_a_place_beyond_the_last_record_is_kept():
    talk = Talk()
    talk.page(*entries(1), read_through="9")
    talk.finish(succeeded())
    talk.after(1)
    actions = talk.fail_read(ReadFault.EXPIRED_ITERATOR)

    assert talk.of(Read, actions)[0].position == AfterSequenceNumber(number="9")
    assert talk.settled_through == 9


@pytest.mark.parametrize("fault", [ReadFault.THROTTLED, ReadFault.OTHER, ReadFault.STREAM_GONE])
def test_a_read_that_fails_waits_a_second_at_least_and_longer_each_time(fault):
    talk = Talk()
    delays = []
    for _ in range(6):
        talk.fail_read(fault, chance=0.0)
        delays.append(read_at(talk))

    assert delays == [1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
    assert talk.of(seen.SourceProblem)[0] == seen.SourceProblem(
        shard="shard-0", problem=f"it {fault}", delay_seconds=1.0, fault=fault
    )
    assert talk.consumer.statistics().problem == f"it {fault}"
    assert talk.consumer.statistics().failed_count == 0


def test_a_shard_that_can_be_read_again_says_so():
    talk = Talk()
    talk.fail_read(ReadFault.THROTTLED)
    talk.page()
    talk.page()

    assert talk.of(seen.SourceRecovered) == [seen.SourceRecovered(shard="shard-0")]
    assert talk.consumer.statistics().problem == ""


def test_what_was_trimmed_is_reported_with_its_range_and_reading_goes_on_at_the_oldest():
    talk = Talk(start=after(5))
    actions = talk.fail_read(ReadFault.TRIMMED)
    assert talk.of(Read, actions)[0].position == TrimHorizon()
    talk.page()
    assert talk.of(seen.RecordsLost) == []
    talk.page(*entries(20))
    talk.page(*entries(21))

    (lost,) = talk.of(seen.RecordsLost)
    assert (lost.after, lost.before, lost.is_certain) == ("5", "20", True)
    assert talk.consumer.statistics().lost_count == 1
    assert talk.batch == [20]


def test_what_is_trimmed_while_reading_is_lost_from_the_last_record_that_was_read():
    talk = Talk()
    talk.page(*entries(1, 2))
    talk.finish(succeeded())
    talk.after(1)
    talk.fail_read(ReadFault.TRIMMED)
    talk.page(is_last=True)

    (lost,) = talk.of(seen.RecordsLost)
    assert (lost.after, lost.before) == ("2", "")


def test_a_shard_that_is_trimmed_before_anything_was_read_names_no_number():
    talk = Talk()
    talk.fail_read(ReadFault.TRIMMED)
    talk.page(*entries(3))

    assert talk.of(seen.RecordsLost)[0].after == ""


def test_a_shard_that_is_gone_is_a_loss_and_finishes_when_what_was_read_is_settled():
    talk = Talk()
    talk.page(*entries(1))
    talk.after(1)
    talk.fail_read(ReadFault.SHARD_GONE)
    assert not talk.consumer.finished
    talk.finish(succeeded())

    (lost,) = talk.of(seen.RecordsLost)
    assert (lost.after, lost.before, lost.is_certain) == ("1", "", True)
    assert talk.consumer.is_shard_finished
    assert talk.saved[-1].finished


def test_a_shard_that_was_never_read_and_is_gone_is_a_loss_behind_its_checkpoint():
    talk = Talk(start=after(5))
    talk.fail_read(ReadFault.SHARD_GONE)

    assert talk.of(seen.RecordsLost)[0].after == "5"
    assert talk.consumer.is_shard_finished


def test_a_checkpoint_older_than_the_retention_is_reported_as_possible_loss_once():
    talk = Talk(StreamPolicy(retention_seconds=3_600), start=after(5, settled_at=START - 3_601))
    talk.page(*entries(9))
    talk.page()

    (lost,) = talk.of(seen.RecordsLost)
    assert (lost.after, lost.before, lost.is_certain) == ("5", "9", False)


def test_what_expires_while_the_shard_cannot_be_read_is_reported_as_possible_loss_once():
    talk = Talk(StreamPolicy(retention_seconds=600))
    talk.page(*entries(5))
    while talk.now < START + 700:
        read_at(talk)
        talk.fail_read(ReadFault.OTHER)
    read_at(talk)
    talk.page(*entries(9, at=talk.now))
    read_at(talk)
    talk.page()

    (lost,) = talk.of(seen.RecordsLost)
    assert (lost.after, lost.before, lost.is_certain) == ("5", "9", False)


def test_reading_at_the_edge_of_what_the_stream_keeps_is_reported_once():
    talk = Talk(StreamPolicy(retention_seconds=600))
    for number in range(1, 5):
        talk.page(*entries(number, at=talk.now - 601), behind_ms=601_000)
        read_at(talk)

    assert len(talk.of(seen.RecordsLost)) == 1


def test_a_checkpoint_younger_than_the_retention_is_no_loss():
    talk = Talk(StreamPolicy(retention_seconds=3_600), start=after(5, settled_at=START - 3_599))
    talk.page(*entries(9))

    assert talk.of(seen.RecordsLost) == []


def test_the_age_of_a_checkpoint_is_judged_by_the_services_clock():
    talk = Talk(StreamPolicy(retention_seconds=3_600), start=after(5, settled_at=START - 3_500), server_ahead=200.0)
    talk.page(*entries(9))

    assert len(talk.of(seen.RecordsLost)) == 1


def test_an_old_checkpoint_without_a_number_is_a_loss_from_the_beginning():
    talk = Talk(start=Checkpoint(position=TrimHorizon(), settled_at=1.0))
    talk.page()

    (lost,) = talk.of(seen.RecordsLost)
    assert (lost.after, lost.before) == ("", "")


def test_a_checkpoint_does_not_grow_younger_while_the_shard_cannot_be_read():
    talk = Talk(start=after(5, settled_at=START))
    talk.page()
    for _ in range(700):
        read_at(talk)
        talk.fail_read(ReadFault.OTHER)
    assert talk.now > START + 7_200

    assert talk.saved[-1].settled_at == START


def test_a_shard_that_nothing_was_read_of_keeps_the_age_of_its_checkpoint():
    talk = Talk(start=after(5, settled_at=START - 10))
    talk.after(7_300)

    assert {checkpoint.settled_at for checkpoint in talk.saved} == {START - 10}


def test_a_quiet_shard_tells_once_an_hour_that_it_is_at_its_tip():
    talk = Talk(StreamPolicy(pace=PacePolicy(idle_seconds=30.0)), start=after(5, settled_at=START))
    while talk.now < START + 3_700:
        talk.page()

    assert [checkpoint.settled_at - START for checkpoint in talk.saved] == [pytest.approx(3_600, abs=60)]


def test_reading_stops_while_enough_is_held():
    talk = Talk(StreamPolicy(batch_size=2, buffered_count=6))
    talk.page(*entries(1, 2, 3), has_more=True)
    talk.page(*entries(4, 5, 6), has_more=True)
    assert talk.of(Read) == []
    talk.after(3_000)
    assert talk.of(Read) == []
    talk.finish(succeeded())

    assert len(talk.of(Read)) == 1


def test_two_batches_of_each_lane_are_held_in_any_case():
    talk = Talk(StreamPolicy(batch_size=3, buffered_count=1))
    talk.page(*entries(1, 2, 3, 4, 5), has_more=True)
    assert len(talk.of(Read)) == 1
    talk.page(*entries(6), has_more=True)

    assert talk.of(Read) == []


def test_reading_stops_while_enough_bytes_are_held():
    talk = Talk(StreamPolicy(batch_size=1, buffered_bytes=300))
    talk.page(*entries(1, 2, size=100), has_more=True)
    assert len(talk.of(Read)) == 1
    talk.page(*entries(3, size=100), has_more=True)

    assert talk.of(Read) == []


def test_what_waits_for_its_destination_is_held():
    talk = Talk(StreamPolicy(batch_size=1, buffered_count=2, maximum_retry_attempts=0, has_destination=True))
    talk.page(*entries(1, 2), has_more=True)
    talk.finish(FAILED)

    lane = talk.consumer.statistics().lanes[0]
    assert (lane.in_flight_records, lane.batch_records) == (1, 1)
    assert talk.of(Read) == []


def test_lanes_run_ahead_of_a_blocked_one_only_so_far():
    talk = Talk(StreamPolicy(batch_size=10, factor=2, ahead_count=4))
    talk.page(*entries(1, key="e"), has_more=True)
    for number in (2, 3, 4):
        talk.page(*entries(number, key="b"), has_more=True)
        talk.finish(succeeded(), lane=1)
    assert talk.of(Read) == []
    talk.after(3_000)
    assert talk.of(Read) == []
    talk.finish(succeeded(), lane=0)

    assert len(talk.of(Read)) == 1


def test_lanes_run_ahead_of_a_blocked_one_only_so_many_bytes():
    talk = Talk(StreamPolicy(batch_size=10, factor=2, ahead_bytes=250))
    talk.page(*entries(1, key="e", size=100), has_more=True)
    talk.page(*entries(2, key="b", size=100), has_more=True)
    assert len(talk.of(Read)) == 1
    talk.page(*entries(3, key="b", size=100), has_more=True)

    assert talk.of(Read) == []


def test_a_lane_that_waits_for_its_destination_holds_the_others_back_too():
    policy = StreamPolicy(batch_size=1, factor=2, ahead_count=3, maximum_retry_attempts=0, has_destination=True)
    talk = Talk(policy, saves=False)
    talk.page(*entries(1, key="e"), has_more=True)
    talk.finish(FAILED, lane=0)
    for number in (2, 3):
        talk.page(*entries(number, key="b"), has_more=True)
        talk.finish(succeeded(), lane=1)

    assert talk.of(Read) == []


def test_reading_goes_on_as_soon_as_the_low_water_mark_has_moved_without_waiting_for_a_write():
    talk = Talk(StreamPolicy(batch_size=1, factor=2, ahead_count=2), saves=False)
    talk.page(*entries(1, key="e"), has_more=True)
    talk.page(*entries(2, key="b"), has_more=True)
    assert talk.of(Read) == []
    actions = talk.finish(succeeded(), lane=0)

    assert len(talk.of(Read, actions)) == 1


def test_nothing_is_read_after_stopping_or_after_the_end():
    talk = Talk()
    talk.page()
    talk.hear(Stopping(deadline_at=talk.now + 10))
    assert talk.of(Read, talk.after(10)) == []

    ended = Talk()
    ended.page(is_last=True)
    assert ended.of(Read, ended.after(10)) == []


def test_the_end_of_a_shard_may_name_its_children():
    talk = Talk()
    assert talk.consumer.children == ()
    talk.page(children=(Shard(shard_id="child", parents=("shard-0",)),), has_more=True)
    talk.page(is_last=True)

    assert [child.shard_id for child in talk.consumer.children] == ["child"]
