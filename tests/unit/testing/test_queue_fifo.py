"""A FIFO queue in memory keeps order, locks groups and knows duplicates."""

import pytest

from broker.errors import SourceError
from broker.testing import Happening, InMemoryQueue
from tests.unit.testing.clocks import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def queue(clock) -> InMemoryQueue:
    return InMemoryQueue("orders.fifo", fifo=True, content_based_deduplication=True, clock=clock)


def send(queue, *bodies) -> None:
    """Each body begins with the letter of its group."""
    for body in bodies:
        queue.send(body, group=body[0])


def take(queue, count=10, **options) -> list[str]:
    return [message["Body"] for message in queue.take(maximum_count=count, **options)]


def receipts(queue, count=10, **options) -> dict[str, str]:
    return {m["Body"]: m["ReceiptHandle"] for m in queue.take(maximum_count=count, **options)}


def test_a_receive_prefers_one_group_and_keeps_its_order(queue) -> None:
    send(queue, "a1", "b1", "a2", "b2", "a3")
    assert take(queue, 4) == ["a1", "a2", "a3", "b1"]


def test_a_group_is_locked_while_one_of_its_messages_is_in_flight(queue) -> None:
    send(queue, "a1", "a2", "b1")
    held = receipts(queue, 1)
    assert take(queue) == ["b1"]
    queue.delete(held["a1"])
    assert take(queue) == ["a2"]


def test_a_released_message_does_not_open_a_group_of_which_another_is_in_flight(queue, clock) -> None:
    send(queue, "a1", "a2", "a3")
    held = receipts(queue)
    queue.change_visibility(held["a2"], 0)
    assert take(queue) == []
    queue.change_visibility(held["a1"], 0)
    assert take(queue) == []
    queue.change_visibility(held["a3"], 0)
    assert take(queue) == ["a1", "a2", "a3"]


def test_order_survives_the_visibility_timeout(queue, clock) -> None:
    send(queue, "a1", "a2", "a3")
    take(queue, 2)
    clock.move(30)
    assert take(queue, 2) == ["a1", "a2"]


def test_a_delayed_queue_keeps_the_order_of_a_group(clock) -> None:
    queue = InMemoryQueue("q.fifo", fifo=True, content_based_deduplication=True, clock=clock, delay_seconds=5)
    send(queue, "a1")
    clock.move(2)
    send(queue, "a2")
    assert take(queue) == []
    clock.move(3)
    assert take(queue) == ["a1"]


def test_an_expired_receipt_deletes_nothing_and_fails(queue, clock) -> None:
    send(queue, "a1")
    held = receipts(queue)
    clock.move(30)
    for failure in (queue.delete(held["a1"]), queue.change_visibility(held["a1"], 5)):
        assert failure.code == "InvalidParameterValue"
        assert "The receipt handle has expired" in failure.message
        assert failure.final
    assert len(queue) == 1


def test_a_stale_receipt_fails_too(queue, clock) -> None:
    send(queue, "a1")
    held = receipts(queue)
    clock.move(30)
    take(queue)
    assert "has expired" in str(queue.delete(held["a1"]))


def test_a_deleted_message_can_be_deleted_again(queue) -> None:
    send(queue, "a1")
    held = receipts(queue)
    assert queue.delete(held["a1"]) is None
    assert queue.delete(held["a1"]) is None


def test_a_duplicate_within_five_minutes_is_not_taken_even_after_its_first_was_deleted(queue, clock) -> None:
    first = queue.send("a1", group="a")
    queue.delete(receipts(queue)["a1"])
    clock.move(299)
    assert queue.send("a1", group="a") == first
    assert len(queue) == 0
    clock.move(1)
    assert queue.send("a1", group="a") != first
    assert queue.history.of(first)[-1] is Happening.DEDUPLICATED


def test_an_explicit_deduplication_id_beats_the_content(queue) -> None:
    queue.send("same", group="a", deduplication_id="1")
    queue.send("same", group="a", deduplication_id="2")
    queue.send("other", group="a", deduplication_id="2")
    assert list(queue) == ["same", "same"]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, "MissingParameter"),
        ({"group": "a"}, "InvalidParameterValue"),
        ({"group": "a", "deduplication_id": "1", "delay_seconds": 5}, "InvalidParameterValue"),
    ],
)
def test_what_a_fifo_queue_needs_or_does_not_take_is_refused(clock, options, code) -> None:
    queue = InMemoryQueue("q.fifo", fifo=True, clock=clock)
    with pytest.raises(SourceError) as raised:
        queue.send("x", **options)
    assert raised.value.code == code
    assert len(queue) == 0


def test_its_messages_carry_group_deduplication_id_and_growing_sequence_numbers(queue) -> None:
    send(queue, "a1", "a2")
    first, second = (message["Attributes"] for message in queue.take(maximum_count=2))
    assert first["MessageGroupId"] == "a"
    assert len(first["MessageDeduplicationId"]) == 64
    assert len(first["SequenceNumber"]) == len(second["SequenceNumber"]) == 20
    assert first["SequenceNumber"] < second["SequenceNumber"]


# ---- repeated receives


def test_a_repeated_receive_brings_the_same_messages_and_receipts_and_hides_them_anew(queue, clock) -> None:
    send(queue, "a1", "a2")
    first = queue.take(maximum_count=10, attempt_id="t", visibility_timeout_seconds=30)
    clock.move(20)
    assert queue.take(maximum_count=10, attempt_id="t", visibility_timeout_seconds=30) == first
    clock.move(29)
    assert queue.in_flight_count == 2
    clock.move(1)
    assert queue.visible_count == 2


def test_another_attempt_is_another_receive(queue) -> None:
    send(queue, "a1", "b1")
    assert take(queue, 1, attempt_id="t") == ["a1"]
    assert take(queue, 1, attempt_id="u") == ["b1"]
    assert take(queue, 1, attempt_id="u") == ["b1"]


def test_an_attempt_that_brought_nothing_can_be_used_again(queue) -> None:
    assert take(queue, attempt_id="t") == []
    send(queue, "a1")
    assert take(queue, attempt_id="t") == ["a1"]


def test_an_attempt_can_be_repeated_for_five_minutes(queue, clock) -> None:
    send(queue, "a1")
    take(queue, attempt_id="t", visibility_timeout_seconds=1000)
    clock.move(299)
    assert take(queue, attempt_id="t", visibility_timeout_seconds=1000) == ["a1"]
    clock.move(1)
    assert take(queue, attempt_id="t") == []


@pytest.mark.parametrize("touch", ["delete", "change", "receive"])
def test_an_attempt_of_which_a_message_was_touched_cannot_be_repeated(queue, clock, touch) -> None:
    send(queue, "a1", "a2")
    held = receipts(queue, attempt_id="t")
    if touch == "delete":
        queue.delete(held["a1"])
    elif touch == "change":
        queue.change_visibility(held["a1"], 60)
    else:
        clock.move(30)
        take(queue, 1)
    with pytest.raises(SourceError, match="not valid anymore since the receive call is not retryable"):
        queue.take(maximum_count=10, attempt_id="t")


# ---- limits and dead letters


def test_at_its_in_flight_limit_it_brings_nothing_and_no_error(clock) -> None:
    queue = InMemoryQueue("q.fifo", fifo=True, content_based_deduplication=True, clock=clock, in_flight_limit=1)
    send(queue, "a1", "b1")
    assert take(queue) == ["a1"]
    assert take(queue) == []


def test_a_dead_letter_leaves_its_place_to_the_next_of_its_group(clock) -> None:
    dead_letters = InMemoryQueue("dlq.fifo", fifo=True, clock=clock, retention_seconds=100)
    queue = InMemoryQueue(
        "q.fifo",
        fifo=True,
        content_based_deduplication=True,
        clock=clock,
        maximum_receive_count=1,
        dead_letter_queue=dead_letters,
    )
    send(queue, "a1", "a2")
    take(queue, 1)
    clock.move(60)
    assert take(queue, 1) == ["a2"]
    clock.move(60)
    (dead,) = dead_letters.take(maximum_count=1)
    assert dead["Attributes"]["MessageGroupId"] == "a"
    assert dead["Attributes"]["SentTimestamp"] == "1000000"
