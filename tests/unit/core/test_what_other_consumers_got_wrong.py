"""Bugs that consumers of queues are known for, each kept out by a test that is named after it."""

import pytest

from broker.core.events import ChangeVisibility, Delete, Deleted, Fetch, Invoke, Stopping, VisibilityChanged
from broker.model import observation as seen
from broker.model.invocation import HandlerFailed
from broker.model.record import Failure
from tests.unit.core.talk import Talk, policy, succeeded

FAILED = HandlerFailed(error_type="ValueError", message="no")


def test_a_message_whose_visibility_expired_in_the_buffer_is_not_handed_over():
    talk = Talk(policy(batch_size=100, window_seconds=5, fresh_seconds=1.0))
    talk.receive(*[talk.record(f"early{number}") for number in range(10)])
    talk.receive(*[talk.record(f"late{number}") for number in range(10)])
    talk.after(5)
    assert len(talk.of(Invoke)) == 1
    talk.receive(talk.record("buffered"))
    talk.after(29)
    actions = talk.finish(succeeded())

    assert talk.of(Invoke, actions) == []
    assert talk.of(seen.RecordsLetGo, actions) == [seen.RecordsLetGo(count=1, why="visibility too short")]


def test_a_heartbeat_ends_when_its_batch_is_settled():
    talk = Talk(policy(heartbeat=True, function_timeout_seconds=20))
    talk.receive(talk.record("a"))
    extensions = talk.of(ChangeVisibility, talk.after(15))
    assert len(extensions) == 1
    talk.hear(VisibilityChanged(number=extensions[0].number, failures={}))
    talk.finish(succeeded())

    assert talk.of(ChangeVisibility, talk.after(120)) == []


@pytest.mark.parametrize("visibility", [30, 300])
def test_a_heartbeat_beats_at_a_fraction_of_the_queues_own_visibility_timeout(visibility):
    talk = Talk(policy(heartbeat=True, function_timeout_seconds=20), visibility=visibility)
    talk.receive(talk.record("a"))

    assert talk.of(ChangeVisibility, talk.after(visibility / 3 - 0.1)) == []
    (extension,) = talk.of(ChangeVisibility, talk.after(0.2))
    assert extension.visibility_timeout_seconds == visibility


def test_a_failed_message_is_not_made_visible_at_once():
    talk = Talk(policy())
    talk.receive(talk.record("a"))
    actions = talk.finish(FAILED)

    assert talk.of(ChangeVisibility, [*actions, *talk.after(120)]) == []


def test_no_more_is_received_than_can_start_while_handlers_hang():
    talk = Talk(policy(slots=3, batch_size=4))
    for page in range(20):
        if not talk.of(Fetch):
            break
        count = talk.of(Fetch)[0].maximum_count
        talk.receive(*[talk.record(f"{page}-{number}") for number in range(count)])

    assert talk.of(Fetch) == []
    assert talk.consumer.statistics().polled_count <= 3 * 4


def test_siblings_of_a_failed_fifo_message_that_wait_are_not_handed_over():
    talk = Talk(policy(fifo=True, slots=2, batch_size=2))
    talk.receive(talk.record("a1", group="a"), talk.record("a2", group="a"))
    talk.receive(talk.record("a3", group="a"), talk.record("b1", group="b"))
    assert [[r.identifier for r in each.batch.records] for each in talk.of(Invoke)] == [["a1", "a2"], ["b1"]]

    actions = talk.finish(FAILED)

    assert talk.of(Invoke, actions) == []
    assert talk.of(seen.RecordsLetGo, actions) == [seen.RecordsLetGo(count=1, why="group failed")]


def test_fifo_messages_are_released_from_the_last_to_the_first():
    talk = Talk(policy(fifo=True, batch_size=4))
    fetch = talk.take(Fetch)
    talk.hear(Stopping(deadline_at=talk.now))
    talk.said.append(fetch)
    talk.receive(*[talk.record(f"{group}{number}", group=group) for number in (1, 2) for group in "ab"])

    (later,) = talk.of(ChangeVisibility)
    assert [record.identifier for record in later.records] == ["b2", "a2"]
    (first,) = talk.of(ChangeVisibility, talk.hear(VisibilityChanged(number=later.number, failures={})))
    assert {record.identifier for record in first.records} == {"a1", "b1"}


def test_earlier_fifo_messages_stay_hidden_where_a_later_one_cannot_be_released():
    talk = Talk(policy(fifo=True, batch_size=4))
    fetch = talk.take(Fetch)
    talk.hear(Stopping(deadline_at=talk.now))
    talk.said.append(fetch)
    talk.receive(*[talk.record(f"{group}{number}", group=group) for number in (1, 2) for group in "ab"])
    later = talk.take(ChangeVisibility)

    actions = talk.hear(VisibilityChanged(number=later.number, failures={"a2": Failure(code="InternalError")}))

    assert [[r.identifier for r in each.records] for each in talk.of(ChangeVisibility, actions)] == [["b1"]]


def test_a_soft_stop_asked_for_twice_ends_and_counts_never_fall_below_nothing():
    talk = Talk(policy(slots=2))
    talk.receive(talk.record("a"))
    talk.hear(Stopping(deadline_at=talk.now + 60))
    talk.hear(Stopping(deadline_at=talk.now + 90))
    for fetch in talk.of(Fetch):
        talk.receive()
        assert fetch
    talk.finish(succeeded())
    talk.hear(Deleted(number=talk.take(Delete).number, failures={}, chance=0.5))

    statistics = talk.consumer.statistics()
    assert talk.consumer.finished
    assert statistics.in_flight_batches == statistics.in_flight_records == statistics.outstanding_fetches == 0


def test_the_failed_entries_of_a_delete_are_deleted_again():
    talk = Talk(policy())
    talk.receive(talk.record("a"), talk.record("b"))
    talk.finish(succeeded())
    first = talk.take(Delete)

    talk.hear(Deleted(number=first.number, failures={"b": Failure(code="InternalError")}, chance=0.5))
    (again,) = talk.of(Delete, talk.after(1))

    assert [record.identifier for record in again.records] == ["b"]


def test_a_message_whose_delete_failed_for_good_is_deleted_on_sight():
    talk = Talk(policy())
    talk.receive(talk.record("a"))
    talk.finish(succeeded())
    failure = Failure(code="ReceiptHandleIsInvalid", final=True)
    talk.hear(Deleted(number=talk.take(Delete).number, failures={"a": failure}, chance=0.5))

    talk.after(40)
    actions = talk.receive(talk.record("a", receives=2))

    assert talk.of(Invoke, actions) == []
    assert [record.receipt for record in talk.of(Delete, actions)[0].records] == ["a/2"]


def test_an_older_delivery_whose_reply_was_slow_does_not_replace_the_newer_receipt():
    talk = Talk(policy(slots=2))
    older = talk.record("a")
    talk.after(35)
    talk.receive(talk.record("a", receives=2))
    talk.receive(older)
    talk.finish(succeeded())

    assert [record.receipt for record in talk.take(Delete).records] == ["a/2"]


def test_a_trickle_into_a_window_wakes_nobody_in_vain():
    talk = Talk(policy(batch_size=100, window_seconds=60))
    wakes = 0
    for number in range(20):
        if talk.of(Fetch):
            talk.receive(talk.record(str(number)))
        end = talk.now + 2
        while (deadline := talk.consumer.deadline) is not None and deadline <= end:
            wakes += 1
            talk.now = deadline
            talk.after(0)
        talk.now = end

    assert wakes <= 4


@pytest.mark.parametrize("value", [None, "", [], {}, {"batchItemFailures": None}, {"batchItemFailures": []}])
def test_an_empty_response_acknowledges_the_batch(value):
    talk = Talk(policy(report_batch_item_failures=True))
    talk.receive(talk.record("a"))
    talk.finish(succeeded(value))

    assert len(talk.of(Delete)) == 1


@pytest.mark.parametrize(
    "entries",
    [
        [{"itemIdentifier": "unknown"}],
        [{"itemIdentifier": ""}],
        [{"itemIdentifier": None}],
        [{"itemIdentifier": 7}],
        [{"foo": "a"}],
        [{}],
        ["a"],
        "a",
        {"itemIdentifier": "a"},
        [{"itemIdentifier": "a"}, {"itemIdentifier": "unknown"}],
    ],
)
def test_a_response_that_names_no_message_of_the_batch_fails_it_whole(entries):
    talk = Talk(policy(report_batch_item_failures=True))
    talk.receive(talk.record("a"), talk.record("b"))
    talk.finish(succeeded({"batchItemFailures": entries}))

    assert talk.of(Delete) == []
    assert talk.of(seen.BatchSettled)[0].retried_count == 2


def test_identifiers_that_are_reported_twice_fail_once():
    talk = Talk(policy(report_batch_item_failures=True))
    talk.receive(talk.record("a"), talk.record("b"))
    talk.finish(succeeded({"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "a"}]}))

    assert [record.identifier for record in talk.take(Delete).records] == ["b"]
