"""What becomes of a batch that fails: the matrix of retries, age, bisecting, throttles and sizes."""

import pytest

from broker.core.events import Returned, Woke
from broker.core.stream_events import Discard, InvokeStream
from broker.core.stream_policy import StreamPolicy
from broker.model import observation as seen
from broker.model.batch import BatchTrigger, Reason
from broker.model.discard import Condition, ResponseContext
from broker.model.invocation import HandlerFailed, Throttled, TimedOut
from tests.unit.core.shard_talk import FAILED, START, THROTTLED, UNAVAILABLE, Talk, entries, succeeded

UNHANDLED = ResponseContext(function_error="Unhandled")


def tried(policy: StreamPolicy, *records, result=FAILED, most=40) -> list[tuple[list[int], int]]:
    """The batches that were handed over, all failing, until the last is given up; each with its number."""
    talk = Talk(policy)
    talk.page(*records, is_last=True)
    found = []
    while len(found) < most and not talk.consumer.finished:
        if talk.of(InvokeStream):
            found.append((talk.batch, talk.invocation.batch.number))
            talk.finish(result)
        else:
            talk.after(talk.consumer.deadline - talk.now)
    return found


async def returned() -> None:
    """The call has returned."""


# ---- success


def test_success_settles_a_batch_and_the_next_one_starts():
    talk = Talk(StreamPolicy(batch_size=2))
    talk.page(*entries(1, 2, 3))
    assert talk.batch == [1, 2]
    talk.finish(succeeded({"whatever": True}))

    assert talk.batch == [3]
    assert talk.settled_through == 2
    assert talk.consumer.statistics().succeeded_count == 2


def test_one_batch_of_a_lane_is_in_flight():
    talk = Talk(StreamPolicy(batch_size=1))
    talk.page(*entries(1, 2, 3))

    assert talk.running == [[1]]


# ---- retries


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (1, 2), (3, 4)])
def test_a_batch_is_attempted_once_more_than_it_may_be_retried(retries, attempts):
    assert [batch for batch, _ in tried(StreamPolicy(maximum_retry_attempts=retries), *entries(1, 2))] == [
        [1, 2]
    ] * attempts


def test_without_a_limit_a_batch_is_retried_for_as_long_as_it_takes():
    assert len(tried(StreamPolicy(maximum_retry_attempts=-1), *entries(1, 2))) == 40


def test_an_unchanged_batch_keeps_its_number():
    assert {number for _, number in tried(StreamPolicy(maximum_retry_attempts=3), *entries(1, 2))} == {1}


def test_a_failing_batch_holds_up_what_follows_it():
    talk = Talk(StreamPolicy(batch_size=1))
    talk.page(*entries(1, 2))
    for _ in range(5):
        talk.finish(FAILED)
        assert talk.running == []
        talk.retry()
        assert talk.batch == [1]


def test_retries_are_farther_and_farther_apart_and_success_begins_anew():
    talk = Talk(StreamPolicy(batch_size=1))
    talk.page(*entries(1, 2))
    delays = []
    for _ in range(7):
        began = talk.now
        talk.finish(FAILED)
        talk.retry()
        delays.append(talk.now - began)
    talk.finish(succeeded())
    began = talk.now
    talk.finish(FAILED)
    talk.retry()

    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
    assert talk.now - began == 0.5


@pytest.mark.parametrize(
    "result", [FAILED, TimedOut(message="Task timed out after 3.00 seconds")], ids=["failed", "timed out"]
)
def test_a_batch_that_is_given_up_says_how_often_it_was_tried_and_how_it_ended(result):
    talk = Talk(StreamPolicy(maximum_retry_attempts=1, has_destination=True))
    talk.page(*entries(1, at=START - 5), *entries(2, at=START - 2))
    talk.finish(result)
    talk.retry()
    talk.finish(result)

    discarded = talk.of(Discard)[0].discarded
    assert discarded.condition is Condition.RETRY_ATTEMPTS_EXHAUSTED
    assert (discarded.invoke_count, discarded.response) == (2, UNHANDLED)
    assert (discarded.count, discarded.first, discarded.last) == (2, "1", "2")
    assert (discarded.first_arrived_at, discarded.last_arrived_at) == (START - 5, START - 2)
    assert discarded.payload.value == {"Records": [record.event for record in entries(1, 2)]}
    assert discarded.batch == 1


def test_an_attempt_is_told_with_its_reason_its_error_and_where_it_was_raised():
    talk = Talk()
    talk.page(*entries(1))
    talk.finish(HandlerFailed(error_type="KeyError", message="'id'", stack_trace=('  File "app.py", line 3, in f',)))
    (told,) = talk.of(seen.BatchSettled)

    assert (told.reason, told.detail, told.location) == (Reason.HANDLER_FAILED, "KeyError: 'id'", "app.py:3")
    assert (told.acked_count, told.retried_count, told.attempt, told.shard) == (0, 1, 1, "shard-0")
    assert talk.consumer.statistics().last_result == "handler_failed: KeyError: 'id'"


# ---- age


def old(*given, age: float = 61.0):
    return entries(*given, at=START - age)


def test_a_record_that_is_too_old_when_it_is_read_leaves_with_count_one_and_without_an_invocation():
    talk = Talk(StreamPolicy(maximum_record_age_seconds=60, maximum_retry_attempts=0, has_destination=True))
    talk.page(*old(1))

    discarded = talk.of(Discard)[0].discarded
    assert discarded.condition is Condition.RECORD_AGE_EXCEEDED
    assert (discarded.invoke_count, discarded.response, discarded.count) == (1, None, 1)
    assert talk.of(InvokeStream) == []


def test_only_the_expired_records_leave_and_the_rest_is_handed_over_under_a_new_number():
    talk = Talk(StreamPolicy(maximum_record_age_seconds=60, has_destination=True))
    talk.page(*entries(1), *old(2), *entries(3), *old(4))
    discarded = talk.of(Discard)[0].discarded
    assert (discarded.first, discarded.last, discarded.count) == ("2", "4", 2)
    assert talk.running == []
    talk.sent()

    assert talk.batch == [1, 3]
    assert talk.invocation.batch.number != discarded.batch


def test_a_record_that_expires_while_it_is_retried_says_how_often_it_was_tried():
    talk = Talk(StreamPolicy(maximum_record_age_seconds=60, has_destination=True))
    talk.page(*entries(1))
    count = 0
    while not talk.of(Discard):
        if talk.of(InvokeStream):
            count += 1
            talk.finish(FAILED)
        else:
            talk.after(talk.consumer.deadline - talk.now)

    assert talk.of(Discard)[0].discarded.invoke_count == count > 3
    assert talk.now - START == pytest.approx(60, abs=16)


def test_age_is_judged_before_retries_are_counted():
    talk = Talk(StreamPolicy(maximum_record_age_seconds=60, maximum_retry_attempts=1, has_destination=True))
    talk.page(*entries(1))
    talk.finish(FAILED)
    talk.now += 70
    talk.hear(Woke())

    assert talk.of(Discard)[0].discarded.condition is Condition.RECORD_AGE_EXCEEDED


def test_age_is_judged_by_the_services_clock():
    ahead = Talk(StreamPolicy(maximum_record_age_seconds=60), server_ahead=61.0)
    ahead.page(*entries(1))
    behind = Talk(StreamPolicy(maximum_record_age_seconds=60), server_ahead=-61.0)
    behind.page(*entries(1, at=START - 100))

    assert ahead.of(seen.RecordsDiscarded)[0].condition is Condition.RECORD_AGE_EXCEEDED
    assert behind.batch == [1]


def test_time_that_has_elapsed_since_the_page_makes_records_older():
    talk = Talk(StreamPolicy(batch_size=1, maximum_record_age_seconds=60))
    talk.page(*entries(1, 2))
    talk.now += 61
    talk.finish(succeeded())

    assert talk.running == []
    assert talk.settled_through == 2


def test_a_record_expires_while_it_waits_for_its_batching_window():
    talk = Talk(StreamPolicy(window_seconds=300, batch_size=100, maximum_record_age_seconds=60, has_destination=True))
    talk.page(*old(1, 2, age=50), *entries(3))
    talk.after(9.9)
    assert talk.of(Discard) == []
    talk.after(0.2)
    assert talk.of(Discard)[0].discarded.last == "2"
    talk.sent()
    assert talk.running == []
    talk.after(49)
    assert talk.of(Discard) == []
    talk.after(1.1)

    assert talk.of(Discard)[0].discarded.first == "3"
    assert talk.of(InvokeStream) == []


def test_what_did_not_expire_keeps_waiting_for_the_end_of_its_own_window():
    talk = Talk(StreamPolicy(window_seconds=30, batch_size=100, maximum_record_age_seconds=60))
    talk.page(*old(1, age=50), *entries(2))
    talk.after(29.9)
    assert talk.running == []
    talk.after(0.2)

    assert talk.batch == [2]


def test_without_a_maximum_age_nothing_expires():
    talk = Talk()
    talk.page(*entries(1, at=0.0))

    assert talk.batch == [1]


# ---- bisecting


def test_a_failing_batch_is_split_in_two_left_half_first_without_waiting():
    talk = Talk(StreamPolicy(bisect=True))
    talk.page(*entries(1, 2, 3, 4, 5))
    talk.finish(FAILED)
    assert talk.batch == [1, 2]
    talk.finish(succeeded())

    assert talk.batch == [3, 4, 5]
    (first, _) = talk.of(seen.BatchSettled)
    assert first.bisected_into == (2, 3)


def test_a_half_waits_until_everything_left_of_it_is_settled():
    talk = Talk(StreamPolicy(bisect=True))
    talk.page(*entries(1, 2, 3, 4))
    order = []
    for _ in range(3):
        order.append(talk.batch)
        talk.finish(FAILED)
    talk.retry()
    order.append(talk.batch)
    talk.finish(succeeded())
    order.append(talk.batch)

    assert order == [[1, 2, 3, 4], [1, 2], [1], [1], [2]]


def test_splitting_costs_no_retry_and_each_part_has_a_budget_of_its_own():
    found = [batch for batch, _ in tried(StreamPolicy(bisect=True, maximum_retry_attempts=1), *entries(1, 2, 3, 4))]

    assert found == [[1, 2, 3, 4], [1, 2], [1], [1], [2], [2], [3, 4], [3], [3], [4], [4]]


def test_without_retries_a_batch_is_split_down_to_single_records_which_have_an_attempt_each():
    found = tried(StreamPolicy(bisect=True, maximum_retry_attempts=0), *entries(1, 2, 3))

    assert [batch for batch, _ in found] == [[1, 2, 3], [1], [2, 3], [2], [3]]
    assert len({number for _, number in found}) == 5


def test_a_half_that_is_given_up_counts_its_own_attempts():
    talk = Talk(StreamPolicy(bisect=True, maximum_retry_attempts=0, has_destination=True))
    talk.page(*entries(1, 2))
    talk.finish(FAILED)
    talk.finish(FAILED)

    discarded = talk.of(Discard)[0].discarded
    assert (discarded.first, discarded.count, discarded.invoke_count) == ("1", 1, 1)


def test_a_batch_that_timed_out_is_split():
    found = [
        batch for batch, _ in tried(StreamPolicy(bisect=True), *entries(1, 2), result=TimedOut(message="m"), most=2)
    ]

    assert found == [[1, 2], [1]]


# ---- throttled, unavailable


@pytest.mark.parametrize("result", [THROTTLED, UNAVAILABLE], ids=["throttled", "unavailable"])
def test_a_batch_that_could_not_be_handed_over_is_neither_counted_nor_split_nor_renumbered(result):
    found = tried(StreamPolicy(bisect=True, maximum_retry_attempts=0), *entries(1, 2), result=result)

    assert found == [([1, 2], 1)] * 40


def test_throttled_attempts_are_not_among_the_failures_of_a_batch_that_is_given_up():
    talk = Talk(StreamPolicy(maximum_retry_attempts=1, has_destination=True))
    talk.page(*entries(1))
    for result in (THROTTLED, FAILED, UNAVAILABLE, THROTTLED):
        talk.finish(result)
        talk.retry()
    talk.finish(FAILED)

    assert talk.of(Discard)[0].discarded.invoke_count == 2


def test_a_throttled_batch_waits_longer_each_time_up_to_a_minute():
    talk = Talk()
    talk.page(*entries(1))
    delays = []
    for _ in range(8):
        began = talk.now
        talk.finish(THROTTLED)
        talk.retry()
        delays.append(talk.now - began)

    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    deferred = talk.of(seen.InvocationDeferred)[0]
    assert (deferred.reason, deferred.delay_seconds, deferred.attempt) == (Reason.THROTTLED, 0.5, 1)
    assert talk.consumer.statistics().failed_count == 8


def test_a_target_that_says_when_to_come_back_is_listened_to():
    talk = Talk()
    talk.page(*entries(1))
    talk.finish(Throttled(message="Rate exceeded", retry_after_seconds=40.0))
    talk.after(39)
    assert talk.running == []
    talk.after(1)

    assert talk.batch == [1]


def test_a_batch_that_is_always_throttled_leaves_when_it_is_too_old():
    talk = Talk(StreamPolicy(maximum_record_age_seconds=60, maximum_retry_attempts=0))
    talk.page(*entries(1))
    while talk.consumer.statistics().dropped_count == 0:
        if talk.of(InvokeStream):
            talk.finish(THROTTLED)
        else:
            talk.after(talk.consumer.deadline - talk.now)

    assert talk.of(seen.RecordsDiscarded)[0].condition is Condition.RECORD_AGE_EXCEEDED


# ---- sizes


def test_a_batch_is_cut_before_its_event_exceeds_the_limit():
    talk = Talk(StreamPolicy(payload_limit_bytes=14 + 201))
    talk.page(*entries(1, 2, 3, size=100))

    assert talk.batch == [1, 2]
    assert talk.invocation.batch.trigger is BatchTrigger.BYTES
    assert talk.invocation.batch.size_bytes == len(talk.invocation.payload.bytes) == 215


def test_a_single_record_that_is_too_large_uses_up_its_retries_and_never_reaches_the_handler():
    talk = Talk(StreamPolicy(payload_limit_bytes=150, maximum_retry_attempts=2, has_destination=True))
    talk.page(*entries(1, size=200), *entries(2))
    assert talk.running == []
    talk.after(60)

    discarded = talk.of(Discard)[0].discarded
    assert discarded.condition is Condition.RETRY_ATTEMPTS_EXHAUSTED
    assert (discarded.invoke_count, discarded.response, discarded.count) == (3, None, 1)
    assert [told.reason for told in talk.of(seen.BatchSettled)] == [Reason.TOO_LARGE] * 3
    talk.sent()
    assert talk.batch == [2]


def test_a_record_that_fits_exactly_is_handed_over():
    talk = Talk(StreamPolicy(payload_limit_bytes=114))
    talk.page(*entries(1, size=100))

    assert talk.batch == [1]


# ---- a handler that cannot be stopped


def test_a_handler_that_runs_on_holds_its_lane_up_until_it_returns():
    talk = Talk(StreamPolicy(batch_size=1))
    talk.page(*entries(1, 2))
    number = talk.invocation.batch.number
    talk.finish(TimedOut(message="Task timed out", wait_returned=returned))
    talk.after(100)
    assert talk.running == []
    assert talk.consumer.statistics().lanes[0].state == "stuck"
    assert talk.of(seen.InvocationStuck)[0].batch == number
    talk.hear(Returned(number=number))

    assert talk.of(seen.InvocationReturned)[0].overdue_seconds == 100
    assert talk.batch == [1]


def test_what_a_stuck_handler_had_may_be_given_up_or_split_but_nothing_starts_beside_it():
    for policy in (StreamPolicy(maximum_retry_attempts=0), StreamPolicy(bisect=True)):
        talk = Talk(policy)
        talk.page(*entries(1, 2))
        talk.finish(TimedOut(message="Task timed out", wait_returned=returned))
        talk.page(*entries(3))
        talk.after(100)
        assert talk.running == []
        talk.hear(Returned(number=1))
        assert talk.batch == ([1] if policy.bisect else [3])


# ---- the numbers of one lane


@pytest.mark.parametrize(("result", "state"), [(None, "running"), (FAILED, "backing off"), (succeeded(), "idle")])
def test_a_lane_says_what_it_is_doing(result, state):
    talk = Talk()
    assert talk.consumer.statistics().lanes[0].state == "idle"
    talk.page(*entries(1))
    if result:
        talk.finish(result)

    lane = talk.consumer.statistics().lanes[0]
    assert lane.state == state
    assert lane.failures == (result is FAILED)


def test_a_lane_tells_the_batch_that_is_tried_from_those_that_it_was_split_into():
    talk = Talk(StreamPolicy(bisect=True))
    assert talk.consumer.statistics().lanes[0].batch_records == 0
    talk.page(*entries(1, 2, 3, 4, 5))
    talk.finish(FAILED)

    lane = talk.consumer.statistics().lanes[0]
    assert (lane.in_flight_records, lane.batch_records) == (5, 2)


def test_a_lane_that_waits_for_a_full_batch_or_its_destination_says_so():
    waiting = Talk(StreamPolicy(window_seconds=5))
    waiting.page(*entries(1))
    discarding = Talk(StreamPolicy(maximum_retry_attempts=0, has_destination=True))
    discarding.page(*entries(1))
    discarding.finish(FAILED)

    assert waiting.consumer.statistics().lanes[0].state == "waiting"
    assert discarding.consumer.statistics().lanes[0].state == "discarding"


def test_the_age_of_the_oldest_record_is_counted_by_the_services_clock():
    talk = Talk(server_ahead=5.0)
    assert talk.consumer.statistics().oldest_age_seconds == 0.0
    talk.page(*entries(1, at=START - 10))

    assert talk.consumer.statistics().oldest_age_seconds == 15.0
