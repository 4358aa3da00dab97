"""`ReportBatchItemFailures` on a shard: what each response means for the batch."""

import pytest

from broker.core.stream_events import Discard, InvokeStream
from broker.core.stream_policy import StreamPolicy
from broker.model import observation as seen
from broker.model.batch import Reason
from broker.model.discard import ResponseContext
from broker.model.invocation import Succeeded
from broker.model.payload import Payload
from tests.unit.core.shard_talk import FAILED, Talk, entries, reported, succeeded

REPORTS = StreamPolicy(report_batch_item_failures=True)
ANSWERED = ResponseContext(function_error=None)


def three(policy: StreamPolicy = REPORTS) -> Talk:
    """A batch of three is running."""
    talk = Talk(policy)
    talk.page(*entries(4, 5, 6))
    return talk


@pytest.mark.parametrize("value", [[], None, {}, "", {"batchItemFailures": None}, {"batchItemFailures": []}])
def test_a_response_that_reports_nothing_settles_the_batch(value):
    talk = three()
    talk.finish(succeeded(value))

    assert talk.settled_through == 6
    assert talk.of(seen.BatchSettled)[0].reason is Reason.SUCCEEDED


@pytest.mark.parametrize(
    "entry",
    [
        {"itemIdentifier": ""},
        {"itemIdentifier": None},
        {"itemIdentifier": 5},
        {"itemIdentifier": "7"},
        {"itemIdentifier": "05"},
        {"foo": 123},
        {"foo": None},
        {},
        "5",
    ],
)
def test_a_response_that_cannot_be_understood_fails_the_whole_batch(entry):
    talk = three()
    talk.finish(succeeded({"batchItemFailures": [{"itemIdentifier": "5"}, entry]}))
    talk.retry()

    assert talk.batch == [4, 5, 6]
    assert talk.invocation.batch.number == 1
    assert talk.of(seen.BatchSettled)[0].reason is Reason.MALFORMED_RESPONSE
    assert talk.consumer.statistics().lanes[0].failures == 1


@pytest.mark.parametrize("data", [b"{", b"[1]", b'"oops"', b"5", b'{"batchItemFailures":"5"}'])
def test_a_response_of_another_shape_fails_the_whole_batch(data):
    talk = three()
    talk.finish(Succeeded(response=Payload.of_bytes(data)))

    assert talk.of(seen.BatchSettled)[0].reason is Reason.MALFORMED_RESPONSE


def test_an_exception_fails_the_whole_batch():
    talk = three()
    talk.finish(FAILED)
    talk.retry()

    assert talk.batch == [4, 5, 6]


def test_everything_from_the_lowest_number_on_is_tried_again_also_what_worked():
    talk = three()
    talk.finish(reported(6, 5))
    assert talk.settled_through == 4
    talk.retry()

    assert talk.batch == [5, 6]
    told = talk.of(seen.BatchSettled)[0]
    assert (told.reason, told.acked_count, told.retried_count) == (Reason.PARTIAL_FAILURE, 1, 2)


def test_the_lowest_number_is_the_lowest_integer_and_not_the_lowest_text():
    talk = Talk(REPORTS)
    talk.page(*entries(9, 10, 11))
    talk.finish(reported(10, 9))
    talk.retry()
    assert talk.batch == [9, 10, 11]
    talk.finish(reported(11, 10))
    talk.retry()

    assert talk.batch == [10, 11]
    assert talk.settled_through == 9


def test_a_suffix_is_a_new_batch_with_a_new_number_and_a_budget_of_its_own():
    talk = three(StreamPolicy(report_batch_item_failures=True, maximum_retry_attempts=1))
    talk.finish(FAILED)
    talk.retry()
    talk.finish(reported(6))
    talk.retry()
    assert (talk.batch, talk.invocation.batch.number, talk.invocation.batch.attempt) == ([6], 2, 1)
    talk.finish(FAILED)
    talk.retry()

    assert talk.batch == [6]


def test_a_batch_whose_first_record_is_reported_made_no_progress_and_keeps_its_counter():
    talk = three(StreamPolicy(report_batch_item_failures=True, maximum_retry_attempts=1, has_destination=True))
    talk.finish(reported(4))
    talk.retry()
    assert talk.invocation.batch.number == 1
    talk.finish(reported(4, 5))

    discarded = talk.of(Discard)[0].discarded
    assert (discarded.first, discarded.last, discarded.invoke_count) == ("4", "6", 2)
    assert discarded.response == ANSWERED


def test_the_recorded_run_delivers_record_six_five_times():
    policy = StreamPolicy(batch_size=3, maximum_retry_attempts=3, report_batch_item_failures=True, has_destination=True)
    talk = Talk(policy)
    talk.page(*entries(1, 2, 3, 4, 5, 6))
    talk.finish(succeeded())
    count = 0
    while not talk.of(Discard):
        talk.retry()
        count += 6 in talk.batch
        talk.finish(reported(6))

    discarded = talk.of(Discard)[0].discarded
    assert count == 5
    assert (discarded.count, discarded.invoke_count, discarded.response) == (1, 4, ANSWERED)


def test_a_malformed_response_that_uses_up_the_retries_is_told_as_answered():
    talk = three(StreamPolicy(report_batch_item_failures=True, maximum_retry_attempts=0, has_destination=True))
    talk.finish(reported("nobody"))

    assert talk.of(Discard)[0].discarded.response == ANSWERED


def test_without_the_setting_a_report_means_nothing():
    talk = three(StreamPolicy())
    talk.finish(reported(4))

    assert talk.settled_through == 6


def test_a_retry_after_progress_waits_a_little_and_not_as_long_as_after_many_failures():
    talk = three()
    for _ in range(5):
        talk.finish(FAILED)
        talk.retry()
    began = talk.now
    talk.finish(reported(6))
    assert talk.of(InvokeStream) == []
    talk.retry()

    assert talk.now - began == 0.5


# ---- with bisecting

BOTH = StreamPolicy(report_batch_item_failures=True, bisect=True, maximum_retry_attempts=0)


def test_a_valid_report_splits_at_its_lowest_number_and_not_in_the_middle():
    talk = Talk(BOTH)
    talk.page(*entries(1, 2, 3, 4))
    talk.finish(reported(4))
    talk.retry()

    assert talk.batch == [4]


@pytest.mark.parametrize("result", [FAILED, reported("nobody")], ids=["exception", "malformed"])
def test_an_exception_or_a_malformed_report_splits_in_the_middle(result):
    talk = Talk(BOTH)
    talk.page(*entries(1, 2, 3, 4))
    talk.finish(result)

    assert talk.batch == [1, 2]


def test_a_report_that_makes_no_progress_is_counted_and_not_split():
    talk = Talk(BOTH)
    talk.page(*entries(1, 2, 3, 4))
    talk.finish(reported(1))

    assert talk.of(seen.RecordsDiscarded)[0].count == 4


# ---- parts of an aggregate


def test_parts_of_an_aggregate_that_share_a_number_are_tried_again_together():
    talk = Talk(REPORTS)
    talk.page(*entries(1, 2, 2, 3))
    talk.finish(reported(2))
    talk.retry()

    assert talk.batch == [2, 2, 3]
    assert talk.settled_through == 1


def test_a_batch_that_ends_within_an_aggregate_does_not_settle_its_number():
    talk = Talk(StreamPolicy(batch_size=2))
    talk.page(*entries(1, 2, 2, 3))
    talk.finish(succeeded())
    assert talk.batch == [2, 3]
    assert talk.settled_through == 1
    talk.finish(succeeded())

    assert talk.settled_through == 3


def test_an_aggregate_whose_parts_are_in_two_lanes_is_settled_with_the_last_of_them():
    talk = Talk(StreamPolicy(factor=2))
    talk.page(*entries(1, 2, key="a"), *entries(2, key="e"))
    talk.finish(succeeded(), lane=1)
    resumed = talk.again()
    resumed.page(*entries(1, 2, key="a"), *entries(2, key="e"))

    assert [(invoke.batch.lane, len(invoke.batch.records)) for invoke in resumed.of(InvokeStream)] == [(0, 1)]
