import pytest

from broker.core.batching import COVER_MARGIN_SECONDS, BatchBuffer
from broker.model.batch import Batch, BatchTrigger, event_bytes
from tests.unit.core.records import names, record, records


def make(*, batch_size=10, window=0.0, limit_bytes=10_000, cover=3.0) -> BatchBuffer:
    return BatchBuffer(batch_size=batch_size, window_seconds=window, limit_bytes=limit_bytes, cover_seconds=cover)


def free(_group: str) -> bool:
    return False


def test_without_a_window_whatever_is_there_goes_at_once():
    buffer = make()
    buffer.add(records("a"), 0.0)

    assert buffer.trigger(0.0) is BatchTrigger.AVAILABLE
    assert names(buffer.take(free, 0.0)) == "a"


def test_nothing_goes_from_an_empty_buffer():
    buffer = make(window=5)

    assert buffer.trigger(100.0) is None
    assert buffer.window_ends_at is None
    assert buffer.take(free, 100.0) == ()


def test_a_batch_has_at_most_batch_size_records_oldest_first():
    buffer = make(batch_size=3)
    buffer.add(records("abcde"), 0.0)

    assert names(buffer.take(free, 0.0)) == "abc"
    assert names(buffer.take(free, 0.0)) == "de"


def test_a_batch_is_cut_when_batch_size_is_reached_before_the_window_ends():
    buffer = make(batch_size=2, window=5)
    buffer.add(records("a"), 0.0)
    before = buffer.trigger(1.0)
    buffer.add(records("b"), 1.0)

    assert before is None
    assert buffer.trigger(1.0) is BatchTrigger.SIZE


def test_a_batch_is_cut_when_the_next_record_would_exceed_the_bytes():
    buffer = make(window=5, limit_bytes=event_bytes(30, 2))
    buffer.add(records("ab", size=15), 0.0)
    fits = buffer.trigger(0.0)
    buffer.add(records("c", size=1), 0.0)

    assert fits is None
    assert buffer.trigger(0.0) is BatchTrigger.BYTES
    assert names(buffer.take(free, 0.0)) == "ab"


def test_the_size_of_a_batch_is_that_of_its_compact_event():
    buffer = make(limit_bytes=event_bytes(30, 3))
    buffer.add(records("abcd", size=10), 0.0)
    batch = Batch(number=1, records=buffer.take(free, 0.0), trigger=BatchTrigger.AVAILABLE)

    assert batch.size_bytes == len(b'{"Records":[' + b",".join([b"." * 10] * 3) + b"]}")


def test_one_record_above_the_byte_limit_goes_alone():
    buffer = make(limit_bytes=50)
    buffer.add([*records("a", size=80), *records("b")], 0.0)

    assert names(buffer.take(free, 0.0)) == "a"


def test_bytes_that_left_no_longer_count():
    buffer = make(window=5, limit_bytes=40)
    buffer.add(records("ab", size=20), 0.0)
    buffer.take(free, 0.0)
    buffer.discard(lambda _: True)
    buffer.add(records("c", size=20), 0.0)

    assert buffer.trigger(0.0) is None


def test_a_window_opens_with_the_first_record_when_nothing_was_invoked_lately():
    buffer = make(window=5)
    buffer.add(records("a"), 10.0)

    assert buffer.window_ends_at == 15.0
    assert buffer.trigger(14.9) is None
    assert buffer.trigger(15.0) is BatchTrigger.WINDOW


def test_the_next_window_starts_when_the_previous_invocation_ends():
    buffer = make(window=5)
    buffer.invocation_ended(8.0, was_last=True)
    buffer.add(records("a"), 10.0)

    assert buffer.window_ends_at == 13.0


def test_what_came_during_the_last_invocation_waits_for_a_window_from_its_end():
    buffer = make(window=5)
    buffer.add(records("a"), 6.0)
    buffer.invocation_ended(10.0, was_last=True)

    assert buffer.window_ends_at == 15.0


def test_an_invocation_that_ends_beside_others_leaves_an_open_window_as_it_is():
    buffer = make(window=5)
    buffer.add(records("a"), 6.0)
    buffer.invocation_ended(10.0, was_last=False)

    assert buffer.window_ends_at == 11.0


def test_a_window_that_passed_over_an_empty_buffer_opens_again():
    buffer = make(window=5)
    buffer.invocation_ended(1.0, was_last=True)
    buffer.add(records("a"), 10.0)

    assert buffer.window_ends_at == 15.0


def test_what_a_full_batch_leaves_behind_waits_for_a_window_of_its_own():
    buffer = make(batch_size=2, window=5)
    buffer.add(records("abc"), 0.0)
    buffer.take(free, 3.0)

    assert buffer.trigger(3.0) is None
    assert buffer.window_ends_at == 8.0


def test_a_window_ends_while_visibility_still_covers_the_oldest_message():
    buffer = make(window=20, cover=10.0)
    buffer.add([record("a", visible_until=30.0), record("b", visible_until=60.0)], 0.2)

    assert buffer.window_ends_at == 30.0 - 10.0 - COVER_MARGIN_SECONDS
    assert buffer.trigger(19.0) is BatchTrigger.WINDOW


def test_what_has_left_no_longer_ends_a_window():
    buffer = make(batch_size=1, window=20, cover=10.0)
    buffer.add([record("a", visible_until=15.0), record("b", visible_until=90.0)], 0.0)
    buffer.take(free, 1.0)

    assert buffer.window_ends_at == 21.0


def test_the_visibility_of_messages_that_went_before_does_not_end_a_new_window():
    buffer = make(window=5, cover=1.0)
    buffer.add([record("a", visible_until=3.0)], 0.0)
    buffer.take(free, 1.0)
    buffer.add([record("b", visible_until=90.0)], 2.0)

    assert buffer.window_ends_at == 7.0


def test_a_record_that_is_delivered_again_takes_its_older_selfs_place():
    buffer = make()
    buffer.add([record("a"), record("b")], 0.0)
    replaced = buffer.replace(record("a", receives=2, size=40))

    assert replaced
    assert [each.receipt for each in buffer.take(free, 0.0)] == ["a/2", "b/1"]


def test_an_older_delivery_does_not_replace_a_newer_one():
    buffer = make()
    buffer.add([record("a", receives=2)], 0.0)
    buffer.replace(record("a", receives=1))

    assert [each.receipt for each in buffer.take(free, 0.0)] == ["a/2"]


def test_a_record_that_does_not_wait_is_not_replaced():
    buffer = make()
    buffer.add(records("a"), 0.0)

    assert not buffer.replace(record("b"))
    assert buffer.has_none_of({"b"})
    assert not buffer.has_none_of({"a", "b"})


def test_the_bytes_of_a_newer_delivery_count():
    buffer = make(window=5, limit_bytes=event_bytes(30, 1))
    buffer.add(records("a", size=10), 0.0)
    buffer.replace(record("a", receives=2, size=31))

    assert buffer.trigger(0.0) is BatchTrigger.BYTES


def test_records_of_locked_groups_are_passed_over_and_keep_their_order():
    buffer = make(batch_size=2)
    buffer.add([record("a", group="g"), record("b", group="h"), record("c", group="g"), record("d", group="h")], 0.0)
    taken = buffer.take(lambda group: group == "g", 0.0)

    assert names(taken) == "bd"
    assert names(buffer.take(free, 0.0)) == "ac"


def test_nothing_is_taken_while_all_groups_are_locked():
    buffer = make()
    buffer.add(records("ab", group="g"), 0.0)

    assert buffer.take(lambda _: True, 0.0) == ()
    assert len(buffer) == 2
    assert buffer.startable_count(lambda _: True) == 0
    assert buffer.startable_count(free) == 2


@pytest.mark.parametrize("unwanted", ["", "a", "bd", "abcd"])
def test_discarded_records_come_out_in_order_and_the_others_stay(unwanted):
    buffer = make()
    buffer.add(records("abcd"), 0.0)
    discarded = buffer.discard(lambda each: each.identifier in unwanted)

    assert names(discarded) == unwanted
    assert names(buffer.take(free, 0.0)) == "".join(sorted(set("abcd") - set(unwanted)))


def test_the_commas_between_records_count():
    buffer = make(limit_bytes=event_bytes(30, 3) - 1)
    buffer.add(records("abc", size=10), 0.0)

    assert names(buffer.take(free, 0.0)) == "ab"
