"""A queue in memory keeps SQS's contract."""

import random

import anyio
import pytest

from broker.errors import SourceError
from broker.model.record import QueueAttributes
from broker.testing import Happening, InMemoryQueue
from tests.unit.testing.clocks import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def queue(clock) -> InMemoryQueue:
    return InMemoryQueue("orders", clock=clock)


def bodies(messages) -> list[str]:
    return [message["Body"] for message in messages]


def test_what_is_sent_is_received_and_hidden(queue, clock) -> None:
    message_id = queue.send("a")
    (message,) = queue.take(maximum_count=10)
    assert (message["MessageId"], message["Body"]) == (message_id, "a")
    assert queue.take(maximum_count=10) == []
    assert (queue.visible_count, queue.in_flight_count, queue.delayed_count) == (0, 1, 0)


def test_the_queues_visibility_timeout_holds_unless_another_is_given(queue, clock) -> None:
    queue.send("a")
    queue.take(maximum_count=1)
    clock.move(29.99)
    assert queue.take(maximum_count=1) == []
    clock.move(0.01)
    assert bodies(queue.take(maximum_count=1, visibility_timeout_seconds=5)) == ["a"]
    clock.move(5)
    assert bodies(queue.take(maximum_count=1)) == ["a"]


def test_a_receive_brings_at_most_what_it_asks_for(queue) -> None:
    for number in range(5):
        queue.send(str(number))
    assert bodies(queue.take(maximum_count=3)) == ["0", "1", "2"]
    assert bodies(queue.take(maximum_count=3)) == ["3", "4"]


def test_each_receive_has_a_new_receipt_and_counts(queue) -> None:
    queue.send("a")
    first, second = (queue.take(maximum_count=1, visibility_timeout_seconds=0)[0] for _ in range(2))
    assert first["ReceiptHandle"] != second["ReceiptHandle"]
    assert [m["Attributes"]["ApproximateReceiveCount"] for m in (first, second)] == ["1", "2"]


def test_the_instant_of_the_first_receive_stays(queue, clock) -> None:
    queue.send("a")
    clock.move(1)
    queue.take(maximum_count=1)
    clock.move(30)
    (message,) = queue.take(maximum_count=1)
    assert message["Attributes"]["ApproximateFirstReceiveTimestamp"] == "1001000"
    assert message["Attributes"]["SentTimestamp"] == "1000000"


def test_a_deleted_message_is_gone(queue, clock) -> None:
    queue.send("a")
    (message,) = queue.take(maximum_count=1)
    assert queue.delete(message["ReceiptHandle"]) is None
    clock.move(60)
    assert queue.take(maximum_count=1) == []
    assert len(queue) == 0


def test_deleting_twice_succeeds(queue) -> None:
    message_id = queue.send("a")
    (message,) = queue.take(maximum_count=1)
    assert queue.delete(message["ReceiptHandle"]) is None
    assert queue.delete(message["ReceiptHandle"]) is None
    assert queue.history.of(message_id)[-2:] == (Happening.DELETED, Happening.DELETE_IGNORED)


def test_after_its_visibility_timeout_the_newest_receipt_still_deletes(queue, clock) -> None:
    queue.send("a")
    (message,) = queue.take(maximum_count=1)
    clock.move(31)
    assert queue.delete(message["ReceiptHandle"]) is None
    assert len(queue) == 0


def test_a_stale_receipt_deletes_nothing_and_says_so_to_nobody(queue, clock) -> None:
    message_id = queue.send("a")
    (stale,) = queue.take(maximum_count=1)
    clock.move(30)
    queue.take(maximum_count=1)
    assert queue.delete(stale["ReceiptHandle"]) is None
    assert message_id in queue
    assert queue.history.of(message_id)[-1] is Happening.DELETE_IGNORED


def test_what_is_no_receipt_is_refused(queue) -> None:
    for failure in (queue.delete("nonsense"), queue.change_visibility("nonsense", 5)):
        assert failure.code == "ReceiptHandleIsInvalid"
        assert failure.final


def test_visibility_zero_gives_a_message_back(queue) -> None:
    queue.send("a")
    (message,) = queue.take(maximum_count=1)
    assert queue.change_visibility(message["ReceiptHandle"], 0) is None
    assert bodies(queue.take(maximum_count=1)) == ["a"]


def test_visibility_counts_from_the_change_and_only_once(queue, clock) -> None:
    queue.send("a")
    (message,) = queue.take(maximum_count=1)
    clock.move(20)
    assert queue.change_visibility(message["ReceiptHandle"], 100) is None
    clock.move(99)
    assert queue.take(maximum_count=1) == []
    clock.move(1)
    queue.take(maximum_count=1)
    clock.move(30)
    assert queue.visible_count == 1


def test_visibility_of_a_message_that_is_not_in_flight_cannot_be_changed(queue, clock) -> None:
    queue.send("a")
    (message,) = queue.take(maximum_count=1)
    clock.move(30)
    failure = queue.change_visibility(message["ReceiptHandle"], 5)
    assert failure.code == "AWS.SimpleQueueService.MessageNotInflight"
    assert failure.final


def test_visibility_of_a_deleted_message_or_by_a_stale_receipt_cannot_be_changed(queue, clock) -> None:
    queue.send("a")
    (stale,) = queue.take(maximum_count=1, visibility_timeout_seconds=0)
    (newest,) = queue.take(maximum_count=1)
    assert "not available for visibility timeout change" in str(queue.change_visibility(stale["ReceiptHandle"], 5))
    queue.delete(newest["ReceiptHandle"])
    assert "Message does not exist" in str(queue.change_visibility(newest["ReceiptHandle"], 5))


def test_visibility_ends_twelve_hours_after_the_receive(queue, clock) -> None:
    queue.send("a")
    (message,) = queue.take(maximum_count=1)
    clock.move(10)
    assert "beyond the limit" in str(queue.change_visibility(message["ReceiptHandle"], 43_200))
    assert "between 0 and 43200" in str(queue.change_visibility(message["ReceiptHandle"], 43_201))
    assert queue.change_visibility(message["ReceiptHandle"], 43_190) is None


def test_a_delayed_message_comes_later(clock) -> None:
    queue = InMemoryQueue("orders", clock=clock, delay_seconds=5)
    queue.send("queue's delay")
    queue.send("its own", delay_seconds=2)
    assert (queue.delayed_count, queue.visible_count) == (2, 0)
    clock.move(2)
    assert bodies(queue.take(maximum_count=10)) == ["its own"]
    clock.move(3)
    assert bodies(queue.take(maximum_count=10)) == ["queue's delay"]


def test_a_message_expires_with_the_retention_period(clock) -> None:
    queue = InMemoryQueue("orders", clock=clock, retention_seconds=60)
    message_id = queue.send("a")
    clock.move(60)
    assert queue.take(maximum_count=1) == []
    assert queue.history.of(message_id) == (Happening.SENT, Happening.EXPIRED)
    assert queue.every_message_accounted().expired_count == 1


def test_redrive_happens_when_the_count_would_exceed_the_maximum(clock) -> None:
    dead_letters = InMemoryQueue("orders-dlq", clock=clock)
    queue = InMemoryQueue("orders", clock=clock, maximum_receive_count=2, dead_letter_queue=dead_letters)
    message_id = queue.send("a", attributes={"kind": "order"})
    queue.send("b")
    for _ in range(2):
        assert bodies(queue.take(maximum_count=1, visibility_timeout_seconds=0)) == ["a"]
    assert bodies(queue.take(maximum_count=1)) == ["b"]
    (dead,) = dead_letters.take(maximum_count=1)
    assert (dead["MessageId"], dead["MessageAttributes"]["kind"]["StringValue"]) == (message_id, "order")
    assert dead["Attributes"]["DeadLetterQueueSourceArn"] == queue.arn
    assert dead["Attributes"]["ApproximateReceiveCount"] == "3"
    assert queue.every_message_accounted().dead_lettered_count == 1
    assert dead_letters.every_message_accounted().arrived_count == 1


def test_a_dead_letter_keeps_its_age(clock) -> None:
    dead_letters = InMemoryQueue("orders-dlq", clock=clock, retention_seconds=100)
    queue = InMemoryQueue("orders", clock=clock, maximum_receive_count=1, dead_letter_queue=dead_letters)
    queue.send("a")
    queue.take(maximum_count=1)
    clock.move(90)
    queue.take(maximum_count=1)
    assert len(dead_letters) == 1
    clock.move(10)
    assert dead_letters.take(maximum_count=1) == []


def test_receives_in_the_first_queue_do_not_count_in_the_dead_letter_queue(clock) -> None:
    last = InMemoryQueue("last", clock=clock)
    dead_letters = InMemoryQueue("dlq", clock=clock, maximum_receive_count=1, dead_letter_queue=last)
    queue = InMemoryQueue("orders", clock=clock, maximum_receive_count=1, dead_letter_queue=dead_letters)
    queue.send("a")
    for _ in range(2):
        queue.take(maximum_count=1, visibility_timeout_seconds=0)
    assert bodies(dead_letters.take(maximum_count=1)) == ["a"]


def test_the_in_flight_limit_is_an_error_of_a_standard_queue(clock) -> None:
    queue = InMemoryQueue("orders", clock=clock, in_flight_limit=3)
    for number in range(5):
        queue.send(str(number))
    assert len(queue.take(maximum_count=2)) == 2
    assert len(queue.take(maximum_count=2)) == 1
    with pytest.raises(SourceError) as raised:
        queue.take(maximum_count=2)
    assert raised.value.code == "OverLimit"
    clock.move(30)
    assert len(queue.take(maximum_count=10)) == 3


def test_a_random_source_mixes_a_standard_queue_up_and_the_same_seed_in_the_same_way(clock) -> None:
    def order(seed: int) -> list[str]:
        queue = InMemoryQueue("orders", clock=clock, random=random.Random(seed))
        for number in range(10):
            queue.send(str(number))
        return bodies(queue.take(maximum_count=10))

    assert order(1) == order(1) != sorted(order(1))
    assert sorted(order(1)) == sorted(order(2))


def test_everything_is_the_same_in_every_run(clock) -> None:
    def history() -> list:
        queue = InMemoryQueue("orders", clock=HandClock())
        queue.send("a")
        queue.take(maximum_count=1)
        return list(queue.history)

    assert history() == history()


def test_it_tells_what_a_mapping_must_know(clock) -> None:
    dead_letters = InMemoryQueue("orders-dlq", clock=clock)
    queue = InMemoryQueue("orders", clock=clock, dead_letter_queue=dead_letters)
    assert queue.attributes == QueueAttributes(
        visibility_timeout_seconds=30,
        maximum_receive_count=10,
        dead_letter_target_arn="arn:aws:sqs:eu-west-1:123456789012:orders-dlq",
    )
    assert dead_letters.attributes.maximum_receive_count is None


def test_its_content_can_be_looked_at(queue) -> None:
    queue.send("a")
    queue.send("b")
    assert list(queue) == ["a", "b"]
    assert repr(queue) == "<InMemoryQueue orders: 2 messages>"


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "orders.fifo", "fifo": False},
        {"name": "orders", "fifo": True},
        {"name": "orders", "maximum_receive_count": 3},
        {"name": "orders", "dead_letter_queue": InMemoryQueue("dlq.fifo", fifo=True, clock=HandClock())},
    ],
)
def test_impossible_queues_are_refused(clock, settings) -> None:
    with pytest.raises(ValueError, match=settings["name"]):
        InMemoryQueue(clock=clock, **settings)


def test_a_message_that_aws_would_refuse_is_refused(queue) -> None:
    with pytest.raises(SourceError):
        queue.send("")
    assert len(queue) == 0


def test_an_attempt_id_belongs_to_fifo_queues(queue) -> None:
    with pytest.raises(SourceError, match="not valid for this queue type"):
        queue.take(maximum_count=1, attempt_id="x")


# ---- waiting

POLL = {"maximum_count": 10, "wait_seconds": 20}


@pytest.mark.anyio
async def test_a_long_poll_ends_when_a_message_is_sent(make_queue) -> None:
    queue = make_queue()

    async def send_later() -> None:
        await anyio.sleep(7)
        queue.send("a")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send_later)
        assert bodies(await queue.receive(**POLL)) == ["a"]
        assert anyio.current_time() == 7


@pytest.mark.anyio
async def test_a_long_poll_ends_when_a_message_becomes_visible(make_queue) -> None:
    queue = make_queue()
    queue.send("hidden")
    queue.send("delayed", delay_seconds=12)
    queue.take(maximum_count=1, visibility_timeout_seconds=5)
    assert bodies(await queue.receive(**POLL)) == ["hidden"]
    assert anyio.current_time() == 5
    assert bodies(await queue.receive(**POLL)) == ["delayed"]
    assert anyio.current_time() == 12


@pytest.mark.anyio
async def test_an_empty_long_poll_lasts_its_whole_time(make_queue) -> None:
    assert await make_queue().receive(**POLL) == []
    assert anyio.current_time() == 20


@pytest.mark.anyio
async def test_a_short_poll_returns_at_once(make_queue) -> None:
    assert await make_queue().receive(maximum_count=1, wait_seconds=0) == []
    assert anyio.current_time() == 0


@pytest.mark.anyio
async def test_of_many_who_wait_one_gets_the_message(make_queue) -> None:
    queue, got = make_queue(), []

    async def poll() -> None:
        got.append(bodies(await queue.receive(**POLL)))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(poll)
        await anyio.sleep(1)
        queue.send("a")
    assert sorted(got) == [[], [], ["a"]]
