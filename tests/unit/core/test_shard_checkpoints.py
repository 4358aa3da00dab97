"""What a shard's checkpoint says, when it is written, and what the next owner makes of it."""

from hashlib import md5

import pytest

from broker.core.events import Stopping, Woke
from broker.core.lanes import lane_of
from broker.core.stream_events import CheckpointSaved, InvokeStream, SaveCheckpoint
from broker.core.stream_policy import StreamPolicy
from broker.model import observation as seen
from broker.model.checkpoint import Checkpoint, HeadBatch, LaneMarks, OpenWindow
from broker.model.stream import AfterSequenceNumber, AtSequenceNumber, AtTimestamp, TrimHorizon
from tests.unit.core.shard_talk import FAILED, START, THROTTLED, Talk, after, entries, numbers, reported, succeeded

KEY_OF_LANE = {0: "e", 1: "a"}
"""For two lanes."""


def of_lane(lane: int, *given: int):
    return entries(*given, key=KEY_OF_LANE[lane])


# ---- lanes


@pytest.mark.parametrize("factor", range(1, 11))
def test_a_lane_follows_from_the_md5_of_the_key(factor):
    for key in (b"", b"a", b'{"id":{"S":"x"}}'):
        assert lane_of(key, factor) == int(md5(key).hexdigest(), 16) % factor


@pytest.mark.parametrize("factor", range(1, 11))
def test_lanes_run_side_by_side_and_keep_the_order_of_each_key(factor):
    talk = Talk(StreamPolicy(factor=factor, batch_size=1))
    keys = [chr(ord("a") + number) for number in range(12)]
    records = [entry for turn in range(2) for at, key in enumerate(keys) for entry in entries(turn * 12 + at, key=key)]
    talk.page(*records)
    lanes = {lane_of(key.encode(), factor) for key in keys}
    assert {invoke.batch.lane for invoke in talk.of(InvokeStream)} == lanes
    assert len(talk.of(InvokeStream)) == len(lanes)
    order = []
    while talk.of(InvokeStream):
        order += numbers(talk.of(InvokeStream)[0].batch.records)
        talk.finish(succeeded())

    assert sorted(order) == list(range(24))
    for at in range(12):
        assert order.index(at) < order.index(at + 12)
    assert talk.settled_through == 23


def test_a_lane_that_fails_does_not_hold_up_the_others():
    talk = Talk(StreamPolicy(factor=2, batch_size=1))
    talk.page(*of_lane(0, 1), *of_lane(1, 2, 3))
    talk.finish(FAILED, lane=0)
    talk.finish(succeeded(), lane=1)

    assert talk.running == [[3]]


# ---- what it says


def test_the_low_water_mark_stays_before_the_oldest_record_that_is_not_settled():
    talk = Talk(StreamPolicy(factor=2, batch_size=1))
    talk.page(*of_lane(0, 1), *of_lane(1, 2), *of_lane(0, 3), *of_lane(1, 4))
    talk.finish(succeeded(), lane=1)
    talk.finish(succeeded(), lane=1)
    assert talk.position == TrimHorizon()
    assert talk.saved[-1].lanes == (LaneMarks(factor=2, marks=(None, "4")),)
    talk.finish(succeeded(), lane=0)
    assert talk.settled_through == 1
    assert talk.saved[-1].lanes == (LaneMarks(factor=2, marks=(None, "4")),)
    talk.finish(succeeded(), lane=0)

    assert talk.settled_through == 4
    assert talk.saved[-1].lanes == ()


def test_sequence_numbers_are_compared_as_integers():
    talk = Talk(StreamPolicy(factor=2, batch_size=1))
    talk.page(*of_lane(0, 9), *of_lane(1, 10), *of_lane(0, 11))
    talk.finish(succeeded(), lane=0)
    assert talk.settled_through == 9
    talk.finish(succeeded(), lane=0)
    assert talk.settled_through == 9
    talk.finish(succeeded(), lane=1)

    assert talk.settled_through == 11


def test_a_crash_repeats_nothing_that_other_lanes_have_settled():
    talk = Talk(StreamPolicy(factor=2, batch_size=1))
    everything = [*of_lane(0, 1), *of_lane(1, 2), *of_lane(0, 3), *of_lane(1, 4, 5)]
    talk.page(*everything)
    talk.finish(FAILED, lane=0)
    talk.finish(succeeded(), lane=1)
    talk.finish(succeeded(), lane=1)
    resumed = talk.again()
    resumed.page(*everything)

    assert resumed.running == [[1], [5]]
    assert resumed.of(seen.PageReceived)[0].known_count == 2
    assert resumed.consumer.statistics().lanes[0].failures == 1


def test_marks_of_another_factor_are_kept_until_the_low_water_mark_has_passed_them():
    two = StreamPolicy(factor=2, batch_size=1)
    talk = Talk(two)
    everything = [*of_lane(0, 1), *of_lane(1, 2), *of_lane(0, 3), *of_lane(1, 4, 5)]
    talk.page(*everything)
    for _ in range(2):
        talk.finish(succeeded(), lane=1)
    three = talk.again(StreamPolicy(factor=3, batch_size=1))
    three.page(*everything)
    assert {number for batch in three.running for number in batch}.isdisjoint({2, 4})
    one = three.again(StreamPolicy(batch_size=1))
    one.page(*everything)
    seen_by_one = []
    while one.of(InvokeStream):
        seen_by_one += one.batch
        one.finish(succeeded())

    assert seen_by_one == [1, 3, 5]
    assert one.settled_through == 5
    assert one.saved[-1].lanes == ()
    assert one.saved[0].lanes == (LaneMarks(factor=2, marks=(None, "4")),)


def test_marks_hold_again_when_their_factor_comes_back():
    start = Checkpoint(
        position=AfterSequenceNumber(number="0"),
        lanes=(LaneMarks(factor=3, marks=(None, None, None)), LaneMarks(factor=2, marks=(None, "4"))),
    )
    talk = Talk(StreamPolicy(factor=2, batch_size=1), start=start)
    talk.page(*of_lane(0, 1), *of_lane(1, 2, 4, 6))

    assert talk.running == [[1], [6]]


def test_the_head_batch_is_written_with_its_range_and_failures():
    talk = Talk(StreamPolicy(batch_size=2))
    talk.page(*entries(1, 2, 3))
    talk.finish(FAILED)
    assert talk.saved[-1].heads == (HeadBatch(factor=1, lane=0, first="1", last="2", failures=1, invocations=1),)
    talk.retry()
    talk.finish(succeeded())

    assert talk.saved[-1].heads == ()


def test_a_batch_that_was_only_throttled_has_no_failures_to_keep():
    talk = Talk()
    talk.page(*entries(1))
    talk.finish(THROTTLED)

    assert talk.saved == []


def test_a_checkpoint_survives_json():
    full = Checkpoint(
        position=AfterSequenceNumber(number="5"),
        lanes=(LaneMarks(factor=2, marks=(None, "9")),),
        heads=(HeadBatch(factor=2, lane=0, first="6", last="8", failures=3, invocations=4),),
        window=OpenWindow(start=100, state=b'{"a":"\xc3\xa9"}'),
        finished=True,
        settled_at=123.5,
        behind_ms=7,
    )

    assert Checkpoint.from_json(full.to_json()) == full
    for position in (TrimHorizon(), AtTimestamp(at=1.5), AtSequenceNumber(number="3")):
        assert Checkpoint.from_json(Checkpoint(position=position).to_json()) == Checkpoint(position=position)
    with pytest.raises(ValueError, match="'LATEST' is no position in a shard"):
        Checkpoint.from_json({"position": {"type": "LATEST"}})


def test_what_is_settled_in_time_is_the_arrival_of_the_oldest_record_or_the_tip():
    talk = Talk(StreamPolicy(batch_size=1))
    talk.page(*entries(1, at=START - 50), *entries(2, at=START - 40), behind_ms=30_000)
    talk.finish(succeeded())
    talk.finish(succeeded())

    assert [checkpoint.settled_at for checkpoint in talk.saved] == [START - 40, START - 30]
    assert talk.saved[-1].behind_ms == 30_000


def test_a_part_of_an_answer_is_settled_up_to_its_last_record_only():
    talk = Talk()
    talk.page(*entries(1, at=START - 50), has_more=True)
    talk.finish(succeeded())

    assert talk.saved[-1].settled_at == START - 50


# ---- when it is written


def test_a_batch_that_is_settled_is_written_at_once():
    talk = Talk()
    talk.page(*entries(1))
    actions = talk.finish(succeeded())

    assert len(talk.of(SaveCheckpoint, actions)) == 1


def test_progress_that_only_filtered_records_made_is_written_at_most_once_a_second():
    talk = Talk(StreamPolicy(accepts=lambda record: False))
    for number in range(1, 31):
        talk.page(*entries(number), behind_ms=1_000)
    elapsed = talk.now - START
    talk.after(1)

    assert elapsed == pytest.approx(29 * 0.2)
    assert len(talk.saved) == pytest.approx(elapsed + 1, abs=1)
    assert talk.settled_through == 30
    assert talk.consumer.statistics().filtered_count == 30


def test_filtered_records_around_what_passes_advance_the_mark_with_it():
    talk = Talk(StreamPolicy(accepts=lambda record: int(record.identifier) == 3))
    talk.page(*entries(1, 2, 3, 4, 5))
    assert talk.batch == [3]
    talk.finish(succeeded())

    assert talk.settled_through == 5


def test_one_write_is_outstanding_and_what_happens_meanwhile_is_in_the_next():
    talk = Talk(StreamPolicy(batch_size=1), saves=False)
    talk.page(*entries(1, 2, 3, 4))
    for _ in range(3):
        talk.finish(succeeded())
    assert len(talk.of(SaveCheckpoint)) == 1
    talk.save()
    assert len(talk.of(SaveCheckpoint)) == 1
    talk.save()

    assert [getattr(c.position, "number", "") for c in talk.saved] == ["1", "3"]
    assert talk.of(SaveCheckpoint) == []


def test_positions_never_go_back():
    talk = Talk(StreamPolicy(factor=2, batch_size=1), start=after(5))
    talk.page(*of_lane(0, 6), *of_lane(1, 7))
    talk.finish(succeeded(), lane=1)
    talk.finish(succeeded(), lane=0)

    found = [int(c.position.number) for c in talk.saved]
    assert found == sorted(found)
    assert found[-1] == 7


def test_a_write_that_fails_is_repeated_with_the_newest_state_farther_and_farther_apart():
    talk = Talk(StreamPolicy(batch_size=1), saves=False)
    talk.page(*entries(1, 2))
    talk.finish(succeeded())
    delays = []
    for _ in range(6):
        talk.fail_save()
        began = talk.now
        assert talk.of(SaveCheckpoint) == []
        while not talk.of(SaveCheckpoint):
            talk.after(talk.consumer.deadline - talk.now)
        delays.append(talk.now - began)
    assert delays == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0]
    assert talk.consumer.statistics().problem == "no answer"
    talk.finish(succeeded())
    talk.fail_save()
    talk.after(10)
    talk.save()

    assert talk.settled_through == 2
    assert talk.consumer.statistics().problem == ""
    assert talk.of(seen.CheckpointProblem)[0].delay_seconds == 0.25


def test_a_store_that_fails_holds_up_no_batch():
    talk = Talk(StreamPolicy(batch_size=1), saves=False)
    talk.page(*entries(1, 2))
    talk.finish(succeeded())
    talk.fail_save()

    assert talk.batch == [2]


def test_a_write_whose_answer_was_lost_is_repeated_though_the_state_is_again_what_stood_before():
    talk = Talk(StreamPolicy(bisect=True, report_batch_item_failures=True), start=after(0), saves=False)
    talk.page(*entries(1, 2))
    talk.finish(reported(1))
    assert talk.of(SaveCheckpoint)[0].checkpoint.heads
    talk.fail_save()
    talk.retry()
    while talk.of(SaveCheckpoint):
        talk.fail_save()
        talk.now += 0.1
    talk.finish(FAILED)
    assert talk.batch == [1]
    talk.after(10)

    assert talk.of(SaveCheckpoint)[0].checkpoint == after(0, settled_at=START)


def test_an_answer_that_comes_twice_changes_nothing():
    talk = Talk()
    talk.page(*entries(1))
    talk.finish(succeeded())
    talk.hear(CheckpointSaved(number=1))

    assert talk.settled_through == 1


# ---- the end


def test_a_shard_is_finished_when_it_is_closed_and_everything_in_it_is_settled_and_written():
    talk = Talk(StreamPolicy(batch_size=1), saves=False)
    talk.page(*entries(1, 2), is_last=True)
    talk.finish(succeeded())
    talk.finish(succeeded())
    assert not talk.consumer.finished
    talk.save()
    assert not talk.consumer.finished
    final = talk.of(SaveCheckpoint)[0].checkpoint
    talk.save()

    assert talk.consumer.finished
    assert talk.consumer.is_shard_finished
    assert final == Checkpoint(position=AfterSequenceNumber(number="2"), finished=True, settled_at=START)
    assert talk.consumer.statistics().finished
    assert talk.consumer.statistics().checkpoint == "2"


def test_the_last_write_is_repeated_until_it_stands():
    talk = Talk(saves=False)
    talk.page(is_last=True)
    talk.fail_save()
    talk.hear(Woke())
    assert talk.of(SaveCheckpoint) == []
    talk.after(1)
    talk.save()

    assert talk.consumer.is_shard_finished
    talk.hear(Woke())
    assert talk.of(SaveCheckpoint) == []


def test_an_empty_shard_that_is_closed_keeps_the_position_where_it_began():
    talk = Talk(start=Checkpoint(position=AtTimestamp(at=START)))
    talk.page(is_last=True)

    assert talk.saved[-1].position == AtTimestamp(at=START)
    assert talk.saved[-1].finished


def test_stopping_writes_what_was_held_back():
    talk = Talk(StreamPolicy(accepts=lambda record: False))
    talk.page(*entries(1), behind_ms=1)
    talk.page(*entries(2), behind_ms=1)
    assert talk.settled_through == 1
    talk.hear(Stopping(deadline_at=talk.now + 5))

    assert talk.settled_through == 2
    assert talk.consumer.finished
