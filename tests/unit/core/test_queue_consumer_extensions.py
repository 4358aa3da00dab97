"""What is not AWS's: the heartbeat, back-off of failures, the rate limit."""

from broker.core.events import ChangeVisibility, Described, Fetch, VisibilityChanged
from broker.core.queue_policy import BackoffPolicy
from broker.model.invocation import HandlerFailed, Throttled, TimedOut
from broker.model.record import Failure, QueueAttributes
from tests.unit.core.records import names
from tests.unit.core.talk import START, Talk, policy, succeeded

ODD = Failure(code="InternalError")
FAILED = HandlerFailed(error_type="ValueError", message="no")


async def until_returned() -> None:
    """Never called."""


def beating(**fields) -> Talk:
    return Talk(policy(slots=2, heartbeat=True, function_timeout_seconds=600, **fields))


def extensions(talk: Talk, actions=None) -> list[int]:
    return [change.visibility_timeout_seconds for change in talk.of(ChangeVisibility, actions)]


# ---- heartbeat


def test_a_heartbeat_lets_a_handler_outlast_the_visibility_timeout():
    talk = beating()
    talk.receive(talk.record("a"))
    beats = []
    for _ in range(30):
        for change in talk.of(ChangeVisibility, talk.after(10)):
            beats.append(talk.now - START)
            talk.hear(VisibilityChanged(number=change.number, failures={}))

    assert beats == [10.0 * n for n in range(1, 31)]


def test_one_failed_extension_loses_nothing():
    talk = beating()
    message = talk.record("a")
    talk.receive(message)
    failed = talk.of(ChangeVisibility, talk.after(10))[0]
    talk.hear(VisibilityChanged(number=failed.number, failures={"a": ODD}))
    again = talk.of(ChangeVisibility, talk.after(10))

    assert talk.now < message.visible_until
    assert len(again) == 1


def test_a_message_that_waited_is_extended_while_there_is_time():
    talk = beating()
    message = talk.record("a")
    talk.now += 27
    talk.receive(message)

    assert talk.consumer.deadline == START + 28
    assert extensions(talk, talk.after(1)) == [30]


def test_all_messages_of_a_group_are_extended_at_once():
    talk = beating(fifo=True)
    talk.receive(*[talk.record(letter, group="g") for letter in "abc"])
    changes = talk.of(ChangeVisibility, talk.after(10))

    assert [names(change.records) for change in changes] == ["abc"]


def test_a_heartbeat_follows_the_queues_visibility_timeout_but_never_hides_for_less():
    talk = beating()
    talk.receive(talk.record("a"))
    talk.hear(Described(attributes=QueueAttributes(visibility_timeout_seconds=6)))
    first = extensions(talk, talk.after(10))
    soon = extensions(talk, talk.after(15))

    assert first == [20]
    assert soon[-1] < 20


def test_the_newest_receipt_is_extended():
    talk = beating()
    talk.receive(talk.record("a"))
    talk.receive(talk.record("a", receives=2))
    change = talk.of(ChangeVisibility, talk.after(10))[0]

    assert change.records[0].receipt == "a/2"


def test_a_throttled_batch_is_not_extended():
    talk = beating()
    talk.receive(talk.record("a"))
    talk.finish(Throttled(message="later", retry_after_seconds=900))

    assert extensions(talk, talk.after(40)) == []
    assert talk.consumer.statistics().let_go_count == 1


def test_a_stuck_batch_is_not_extended():
    talk = beating()
    talk.receive(talk.record("a"))
    talk.finish(TimedOut(message="Task timed out", wait_returned=until_returned))

    assert extensions(talk, talk.after(40)) == []


# ---- back-off of failures


def backing_off() -> Talk:
    return Talk(policy(slots=2, failure_backoff=BackoffPolicy(base_seconds=4.0, maximum_seconds=900.0)))


def test_the_delay_of_a_failed_message_grows_with_its_receive_count():
    talk = backing_off()
    delays = []
    for receives in (1, 2, 3):
        talk.receive(talk.record(f"m{receives}", receives=receives))
        delays += extensions(talk, talk.finish(FAILED, chance=0.0))

    assert delays == [2, 4, 8]


def test_a_failed_message_is_never_visible_at_once():
    talk = Talk(policy(failure_backoff=BackoffPolicy(base_seconds=0.001, maximum_seconds=0.001)))
    talk.receive(talk.record("a"))

    assert extensions(talk, talk.finish(FAILED, chance=0.0)) == [1]


def test_only_the_reported_messages_are_delayed():
    talk = Talk(policy(report_batch_item_failures=True, failure_backoff=BackoffPolicy()))
    talk.receive(*[talk.record(letter) for letter in "abc"])
    actions = talk.finish(succeeded({"batchItemFailures": [{"itemIdentifier": "b"}]}))

    assert [names(change.records) for change in talk.of(ChangeVisibility, actions)] == ["b"]


def test_a_success_changes_no_visibility():
    talk = backing_off()
    talk.receive(talk.record("a"))

    assert extensions(talk, talk.finish(succeeded())) == []


def test_siblings_that_wait_come_back_with_the_failed_message():
    talk = Talk(policy(fifo=True, batch_size=2, payload_limit_bytes=20, failure_backoff=BackoffPolicy()))
    talk.receive(talk.record("a", group="g"), talk.record("b", group="g"))
    actions = talk.finish(FAILED)

    assert [names(change.records) for change in talk.of(ChangeVisibility, actions)] == ["b"]


# ---- rate limit


def test_a_rate_limit_paces_what_is_handed_over():
    talk = Talk(policy(batch_size=2, records_per_second=2.0))
    first = talk.of(Fetch)[0].maximum_count
    talk.receive(talk.record("a"), talk.record("b"))
    actions = talk.finish(succeeded())
    at_once = talk.of(Fetch, actions)
    later = talk.of(Fetch, talk.after(0.5))

    assert (first, at_once) == (2, [])
    assert [fetch.maximum_count for fetch in later] == [1]
