"""What a consumer receives, starts and counts."""

import pytest

from broker.core.events import (
    ChangeVisibility,
    Delete,
    Deleted,
    Describe,
    Described,
    DescribeFailed,
    Fetch,
    FetchFailed,
    Invoke,
    Returned,
    Stopping,
    VisibilityChanged,
    Woke,
)
from broker.core.queue_consumer import QueueConsumer
from broker.core.queue_policy import BackoffPolicy, CircuitBreakerPolicy, QueuePolicy
from broker.model import observation as seen
from broker.model.batch import BatchTrigger
from broker.model.invocation import HandlerFailed, Throttled, TimedOut, Unavailable
from broker.model.record import Failure, QueueAttributes, Record
from tests.unit.core.records import names
from tests.unit.core.talk import START, Talk, policy, succeeded

ODD = Failure(code="InternalError")
FAILED = HandlerFailed(error_type="ValueError", message="no")
THROTTLED = Throttled(message="Rate exceeded")
UNAVAILABLE = Unavailable(message="nobody listens")


async def until_returned() -> None:
    """Never called: the test says when the call returns."""


STUCK = TimedOut(message="Task timed out after 3.00 seconds", wait_returned=until_returned)


def described(visibility: int = 30) -> Described:
    return Described(attributes=QueueAttributes(visibility_timeout_seconds=visibility))


def invoked(talk: Talk, actions=None) -> list[str]:
    return [names(invoke.batch.records) for invoke in talk.of(Invoke, actions)]


def page(talk: Talk, letters: str, group: str | None = None) -> list[Record]:
    return [talk.record(letter, group=group) for letter in letters]


# ---- the queue


def test_a_consumer_begins_by_describing_its_queue():
    consumer = QueueConsumer(QueuePolicy())

    assert consumer.handle(Woke(), START) == [Describe()]


def test_nothing_is_received_before_the_queue_is_known():
    consumer = QueueConsumer(QueuePolicy())
    consumer.handle(Woke(), START)
    consumer.handle(DescribeFailed(problem="no such queue", chance=0.5), START)

    assert consumer.statistics().problem == "no such queue"
    assert consumer.statistics().outstanding_fetches == 0
    assert consumer.deadline == START + 0.75
    assert consumer.handle(Woke(), START + 0.75) == [Describe()]


def test_a_queue_that_hides_too_briefly_is_shown_as_a_problem_and_not_received_from():
    talk = Talk(policy(function_timeout_seconds=60))

    assert talk.of(Fetch) == []
    assert "less than Function timeout" in talk.consumer.statistics().problem
    talk.after(60)
    talk.hear(described(60))
    assert len(talk.of(Fetch)) == 1
    assert talk.consumer.statistics().problem == ""


def test_a_warning_about_the_queue_ends_the_problem_of_reading_it():
    talk = Talk(policy(function_timeout_seconds=10))
    talk.hear(DescribeFailed(problem="away", chance=0.5))
    talk.hear(described(5))

    assert talk.of(seen.VisibilityTooShort)
    assert talk.consumer.statistics().problem == ""


def test_a_receive_that_works_does_not_hide_that_the_queue_cannot_be_described():
    talk = Talk(policy())
    talk.hear(DescribeFailed(problem="away", chance=0.5))
    talk.receive()

    assert talk.consumer.statistics().problem == "away"


def test_a_receive_that_failed_is_shown_until_one_works():
    talk = Talk(policy())
    talk.hear(FetchFailed(number=talk.take(Fetch).number, problem="away", chance=0.5))
    shown = talk.consumer.statistics().problem
    talk.after(1)
    talk.receive()

    assert (shown, talk.consumer.statistics().problem) == ("away", "")
    assert len(talk.of(seen.SourceRecovered)) == 1


# ---- in and out


def test_a_message_is_invoked_and_deleted():
    talk = Talk(policy())
    talk.receive(*page(talk, "ab"))
    actions = talk.finish(succeeded())

    assert [names(delete.records) for delete in talk.of(Delete, actions)] == ["ab"]
    assert [settled.acked_count for settled in talk.of(seen.BatchSettled)] == [2]


def test_nothing_is_received_while_the_only_slot_is_taken():
    talk = Talk(policy())

    assert talk.of(Fetch, talk.receive(talk.record("a"))) == []
    assert len(talk.of(Fetch, talk.finish(succeeded()))) == 1


def test_what_the_filter_drops_is_deleted_and_never_invoked():
    talk = Talk(policy(accepts=lambda record: record.identifier != "b"))
    actions = talk.receive(*page(talk, "abc"))

    assert invoked(talk, actions) == ["ac"]
    assert [names(delete.records) for delete in talk.of(Delete, actions)] == ["b"]
    assert talk.consumer.statistics().filtered_count == 1


def test_a_message_that_comes_twice_in_one_page_is_handed_over_once():
    talk = Talk(policy())
    actions = talk.receive(talk.record("a"), talk.record("b"), talk.record("a", receives=2))

    assert invoked(talk, actions) == ["ab"]
    assert talk.of(Invoke)[0].batch.records[0].receipt == "a/2"
    assert talk.consumer.statistics().known_count == 1


def test_a_message_that_is_filtered_twice_in_one_page_is_deleted_once():
    talk = Talk(policy(accepts=lambda _: False))
    actions = talk.receive(talk.record("a"), talk.record("a", receives=2))

    assert [len(delete.records) for delete in talk.of(Delete, actions)] == [1]
    talk.hear(Deleted(number=talk.take(Delete).number, failures={}, chance=0.5))
    assert talk.consumer.statistics().deleted_count == 1


def test_a_message_delivered_again_while_its_handler_runs_is_deleted_with_the_newer_receipt():
    talk = Talk(policy(slots=2))
    talk.receive(talk.record("a"))
    actions = talk.receive(talk.record("a", receives=2))
    deletes = talk.of(Delete, talk.finish(succeeded()))

    assert invoked(talk, actions) == []
    assert [each.receipt for each in deletes[0].records] == ["a/2"]


def test_a_message_delivered_again_while_it_waits_is_handed_over_once():
    talk = Talk(policy(slots=2, batch_size=5, window_seconds=5))
    talk.receive(talk.record("a"))
    talk.receive(talk.record("a", receives=2))
    talk.after(10)

    assert [[each.receipt for each in invoke.batch.records] for invoke in talk.of(Invoke)] == [["a/2"]]


def test_a_message_delivered_again_while_it_is_deleted_is_not_handed_over():
    talk = Talk(policy(slots=2))
    talk.receive(talk.record("a"))
    talk.finish(succeeded())

    assert invoked(talk, talk.receive(talk.record("a", receives=2))) == []


def test_a_failed_message_is_left_to_the_queue():
    talk = Talk(policy())
    talk.receive(*page(talk, "ab"))
    actions = talk.finish(FAILED)

    assert talk.of(Delete, actions) == []
    assert talk.of(ChangeVisibility, actions) == []
    assert talk.consumer.statistics().last_result == "handler_failed: ValueError: no"


def test_a_partial_failure_leaves_what_was_reported_and_deletes_the_rest():
    talk = Talk(policy(report_batch_item_failures=True))
    talk.receive(*page(talk, "abc"))
    actions = talk.finish(succeeded({"batchItemFailures": [{"itemIdentifier": "b"}]}))

    assert [names(delete.records) for delete in talk.of(Delete, actions)] == ["ac"]
    assert talk.of(seen.BatchSettled)[0].reason == "partial_failure"


def test_a_report_means_nothing_where_the_mapping_does_not_ask_for_it():
    talk = Talk(policy())
    talk.receive(*page(talk, "abc"))
    actions = talk.finish(succeeded({"batchItemFailures": [{"itemIdentifier": "b"}]}))

    assert [names(delete.records) for delete in talk.of(Delete, actions)] == ["abc"]


def test_a_malformed_report_fails_the_batch():
    talk = Talk(policy(report_batch_item_failures=True))
    talk.receive(*page(talk, "abc"))

    assert talk.of(Delete, talk.finish(succeeded("odd"))) == []
    assert talk.of(seen.BatchSettled)[0].reason == "malformed_response"


def test_receives_stop_while_the_queue_takes_no_deletes():
    talk = Talk(policy(delete_attempts=10_000, delete_backoff=BackoffPolicy(base_seconds=900, maximum_seconds=900)))
    for number in range(40):
        if not talk.of(Fetch):
            break
        talk.receive(talk.record(f"m{number}"))
        talk.finish(succeeded())
        talk.hear(Deleted(number=talk.take(Delete).number, failures={f"m{number}": ODD}, chance=0.5))

    assert talk.of(Fetch) == []
    assert number == 12


def test_a_failed_change_of_visibility_is_told():
    talk = Talk(policy(failure_backoff=BackoffPolicy()))
    talk.receive(talk.record("a"))
    change = talk.of(ChangeVisibility, talk.finish(FAILED))[0]
    talk.hear(VisibilityChanged(number=change.number, failures={"a": ODD}))

    assert talk.of(seen.VisibilityChangeFailed) == [seen.VisibilityChangeFailed(count=1, detail="InternalError")]


def test_an_instant_that_goes_back_is_taken_as_now():
    talk = Talk(policy(batch_size=5, window_seconds=5))
    talk.receive(talk.record("a"))
    talk.consumer.handle(Woke(), START - 100)

    assert talk.consumer.deadline == START + 5


# ---- visibility


@pytest.mark.parametrize(("waited", "expected"), [(27.0, ["b"]), (27.1, [])])
def test_a_message_starts_only_while_its_visibility_covers_the_timeout(waited, expected):
    talk = Talk(policy(batch_size=1))
    late = talk.record("b")
    talk.now += waited
    actions = talk.receive(late)

    assert invoked(talk, actions) == expected


def test_a_fresh_message_starts_where_queue_and_function_have_equal_timeouts():
    talk = Talk(policy(function_timeout_seconds=30))
    fresh = talk.record("a")
    talk.now += 0.9

    assert invoked(talk, talk.receive(fresh)) == ["a"]


def test_a_message_that_is_no_longer_fresh_does_not_start_there():
    talk = Talk(policy(function_timeout_seconds=30))
    stale = talk.record("a")
    talk.now += 1.0

    assert invoked(talk, talk.receive(stale)) == []
    assert talk.of(seen.RecordsLetGo) == [seen.RecordsLetGo(count=1, why="visibility too short")]


def test_the_first_message_of_a_window_as_long_as_the_visibility_is_handed_over():
    talk = Talk(policy(function_timeout_seconds=10, batch_size=5, window_seconds=20))
    first = talk.record("a")
    talk.now += 0.2
    talk.receive(first)
    talk.after(25)

    assert invoked(talk) == ["a"]
    assert talk.consumer.statistics().let_go_count == 0


# ---- windows


def test_a_window_gathers_several_receives_into_one_batch():
    talk = Talk(policy(slots=2, batch_size=30, window_seconds=5))
    talk.receive(*page(talk, "abc"))
    talk.receive(*page(talk, "de"))
    talk.after(5)

    assert invoked(talk) == ["abcde"]
    assert talk.of(Invoke)[0].batch.trigger is BatchTrigger.WINDOW


def test_the_long_poll_is_cut_to_what_is_left_of_the_window():
    talk = Talk(policy(batch_size=30, window_seconds=5))
    talk.receive(talk.record("a"))
    talk.after(2.5)
    talk.receive(talk.record("b"))

    assert [fetch.wait_seconds for fetch in talk.of(Fetch)] == [3]


# ---- throttles


@pytest.mark.parametrize("result", [THROTTLED, UNAVAILABLE])
def test_a_batch_that_was_not_reached_is_tried_again_with_its_number(result):
    talk = Talk(policy())
    talk.receive(*page(talk, "ab"))
    talk.finish(result)
    actions = talk.after(0.75)
    batch = talk.of(Invoke, actions)[0].batch

    assert (names(batch.records), batch.number, batch.attempt) == ("ab", 1, 2)


def test_the_wish_of_the_target_is_respected():
    talk = Talk(policy())
    talk.receive(talk.record("a"))
    talk.finish(Throttled(message="later", retry_after_seconds=7.0))

    assert invoked(talk, talk.after(6.9)) == []
    assert invoked(talk, talk.after(0.2)) == ["a"]


def test_a_throttled_batch_is_let_go_when_its_visibility_lapses():
    talk = Talk(policy())
    talk.receive(talk.record("a"))
    talk.finish(Throttled(message="later", retry_after_seconds=3600.0))
    told = talk.of(seen.InvocationDeferred)[0].delay_seconds
    actions = talk.after(30)

    assert told == 30
    assert invoked(talk, actions) == []
    assert talk.consumer.statistics().in_flight_batches == 0
    assert talk.consumer.statistics().let_go_count == 1


def test_a_batch_whose_visibility_had_lapsed_before_it_was_throttled_is_let_go_at_once():
    talk = Talk(policy())
    talk.receive(talk.record("a"))
    talk.now += 31
    talk.finish(THROTTLED)

    assert talk.consumer.statistics().in_flight_batches == 0


def test_what_may_still_start_of_a_throttled_batch_becomes_a_batch_of_its_own():
    talk = Talk(policy(slots=2))
    talk.receive(*page(talk, "ab"))
    talk.now += 29
    talk.receive(talk.record("b", receives=2))
    talk.finish(THROTTLED)
    batch = talk.of(Invoke, talk.after(1))[0].batch

    assert (names(batch.records), batch.number, batch.attempt) == ("b", 2, 1)


# ---- circuit breaker


def broken() -> Talk:
    talk = Talk(policy(slots=3, circuit_breaker=CircuitBreakerPolicy(consecutive_failures=2, pause_seconds=60)))
    for letter in "abc":
        talk.receive(talk.record(letter))
    for _ in "ab":
        talk.finish(UNAVAILABLE)
    return talk


def test_an_open_circuit_lets_go_what_was_to_be_tried_again():
    talk = broken()

    assert talk.consumer.statistics().in_flight_batches == 1
    assert talk.of(seen.RecordsLetGo) == [seen.RecordsLetGo(count=2, why="circuit open")]
    assert talk.consumer.statistics().problem == "The circuit is open: nobody listens"


def test_a_batch_that_fails_while_the_circuit_is_open_is_let_go_too():
    talk = broken()
    talk.finish(UNAVAILABLE)

    assert talk.consumer.statistics().in_flight_batches == 0
    assert len(talk.of(seen.CircuitOpened)) == 1


def test_an_open_circuit_neither_receives_nor_hands_over():
    talk = broken()
    talk.finish(UNAVAILABLE)
    late = talk.receive(talk.record("d")) if talk.of(Fetch) else []

    assert invoked(talk, late) == []
    assert invoked(talk, talk.after(59.9)) == []
    assert talk.of(Fetch) == []


def test_after_the_pause_one_batch_tries_and_its_success_closes_the_circuit():
    talk = broken()
    talk.finish(UNAVAILABLE)
    talk.after(60)
    fetches = len(talk.of(Fetch))
    talk.receive(talk.record("d"))
    talk.finish(succeeded())

    assert fetches == 1
    assert talk.consumer.statistics().problem == ""
    assert len(talk.of(seen.CircuitClosed)) == 1


# ---- stuck handlers


def test_a_stuck_handler_is_told_of_and_counted():
    talk = Talk(policy(slots=2))
    talk.receive(talk.record("a"))
    talk.finish(STUCK)

    assert talk.consumer.statistics().stuck_batches == 1
    assert talk.of(seen.InvocationStuck) == [seen.InvocationStuck(batch=1, groups=())]


def test_a_message_of_a_stuck_handler_that_comes_again_is_not_handed_over_beside_it():
    talk = Talk(policy(slots=2))
    talk.receive(talk.record("a"))
    talk.finish(STUCK)
    talk.after(31)

    assert invoked(talk, talk.receive(talk.record("a", receives=2))) == []


def test_a_stuck_handler_that_returns_frees_its_messages():
    talk = Talk(policy(slots=2))
    talk.receive(talk.record("a"))
    talk.finish(STUCK)
    talk.after(31)
    talk.hear(Returned(number=1))

    assert talk.of(seen.InvocationReturned) == [seen.InvocationReturned(batch=1, overdue_seconds=31.0)]
    assert invoked(talk, talk.receive(talk.record("a", receives=2))) == ["a"]


def test_a_handler_that_ended_with_its_time_limit_is_not_stuck():
    talk = Talk(policy())
    talk.receive(talk.record("a"))
    talk.finish(TimedOut(message="Task timed out after 3.00 seconds"))

    assert talk.consumer.statistics().in_flight_batches == 0
    assert talk.of(seen.BatchSettled)[0].reason == "timed_out"


# ---- draining


def test_nothing_is_received_after_the_stop():
    talk = Talk(policy())
    talk.hear(Stopping(deadline_at=talk.now + 60))
    talk.receive(talk.record("a"))
    talk.finish(succeeded())
    talk.after(61)

    assert talk.of(Fetch) == []
    assert talk.of(Describe) == [Describe()]


def test_what_the_last_long_poll_brings_is_handled_where_there_is_time():
    talk = Talk(policy(batch_size=5, window_seconds=5))
    talk.hear(Stopping(deadline_at=talk.now + 60))
    actions = talk.receive(talk.record("a"))

    assert invoked(talk, actions) == ["a"]
    assert talk.of(Invoke)[0].batch.trigger is BatchTrigger.DRAIN


def test_what_the_last_long_poll_brings_too_late_is_released():
    talk = Talk(policy())
    talk.hear(Stopping(deadline_at=talk.now + 2))
    actions = talk.receive(*page(talk, "ab"))
    change = talk.of(ChangeVisibility, actions)[0]

    assert (names(change.records), change.visibility_timeout_seconds) == ("ab", 0)
    assert not talk.consumer.finished
    talk.hear(VisibilityChanged(number=change.number, failures={}))
    assert talk.consumer.finished


def test_a_throttled_batch_is_released_when_the_drain_has_no_time_left_for_it():
    talk = Talk(policy())
    talk.receive(talk.record("a"))
    talk.hear(Stopping(deadline_at=talk.now + 10))
    talk.finish(Throttled(message="later", retry_after_seconds=20))
    actions = talk.after(7)

    assert [names(change.records) for change in talk.of(ChangeVisibility, actions)] == ["a"]


def test_a_drain_ends_when_the_last_delete_is_answered():
    talk = Talk(policy())
    talk.receive(talk.record("a"))
    talk.hear(Stopping(deadline_at=talk.now + 10))
    talk.finish(succeeded())
    before = talk.consumer.finished
    talk.hear(Deleted(number=talk.take(Delete).number, failures={}, chance=0.5))

    assert (before, talk.consumer.finished) == (False, True)


def test_a_stop_before_the_beginning_ends_at_once():
    consumer = QueueConsumer(QueuePolicy())

    assert consumer.handle(Stopping(deadline_at=START), START) == []
    assert consumer.finished
    assert consumer.deadline is None


def test_a_stop_at_the_epoch_is_a_stop():
    consumer = QueueConsumer(QueuePolicy())
    consumer.handle(Stopping(deadline_at=0.0), -1.0)
    consumer.handle(Stopping(deadline_at=5.0), -1.0)

    assert consumer.finished
