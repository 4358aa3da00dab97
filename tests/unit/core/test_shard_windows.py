"""Tumbling windows: what belongs together, the state that is passed on, and how a window ends."""

import json

import pytest

from broker.core.stream_events import Discard, InvokeStream
from broker.core.stream_policy import MAXIMUM_STATE_BYTES, StreamPolicy
from broker.model import observation as seen
from broker.model.batch import BatchTrigger, Reason
from broker.model.checkpoint import HeadBatch, OpenWindow
from broker.model.discard import Condition, TimeWindow
from broker.model.invocation import Succeeded
from broker.model.payload import Payload
from tests.unit.core.shard_talk import FAILED, THROTTLED, Talk, after, entries, numbers, succeeded

ARN = "arn:aws:kinesis:eu-west-1:123456789012:stream/s"
TEN = StreamPolicy(stream_arn=ARN, tumbling_window_seconds=10)
NOW = 1_000_000.0
"""A multiple of the window's length."""


def state(**value: object) -> Succeeded:
    """The handler returned this state."""
    return succeeded({"state": value})


def event(talk: Talk) -> dict:
    """The event that runs."""
    return json.loads(talk.invocation.payload.bytes)


def closing(talk: Talk) -> tuple[bool, bool, object]:
    """Whether what runs is final, ends early, and with which state."""
    found = event(talk)
    assert found["Records"] == []
    return found["isFinalInvokeForWindow"], found["isWindowTerminatedEarly"], found["state"]


def big(size: int = MAXIMUM_STATE_BYTES) -> dict[str, str]:
    """A state of one byte more than `size`."""
    return {"s": "x" * (size + 1 - len('{"s":""}'))}


def test_a_window_begins_at_a_multiple_of_its_length_by_the_time_of_arrival():
    talk = Talk(TEN)
    talk.page(*entries(1, at=NOW + 9.99))

    assert event(talk) == {
        "Records": [entries(1)[0].event],
        "window": {"start": "1970-01-12T13:46:40Z", "end": "1970-01-12T13:46:50Z"},
        "state": {},
        "shardId": "shard-0",
        "eventSourceARN": ARN,
        "isFinalInvokeForWindow": False,
        "isWindowTerminatedEarly": False,
    }
    assert list(event(talk)) == [
        "Records",
        "window",
        "state",
        "shardId",
        "eventSourceARN",
        "isFinalInvokeForWindow",
        "isWindowTerminatedEarly",
    ]


def test_the_state_of_a_batch_is_passed_to_the_next_of_its_window():
    talk = Talk(StreamPolicy(tumbling_window_seconds=10, batch_size=1))
    talk.page(*entries(1, 2, at=NOW))
    talk.finish(state(count=1))

    assert event(talk)["state"] == {"count": 1}


def test_a_batch_lies_within_one_window_and_the_final_invocation_comes_before_the_next_opens():
    talk = Talk(TEN)
    talk.page(*entries(1, 2, at=NOW + 9), *entries(3, at=NOW + 10))
    assert talk.batch == [1, 2]
    assert talk.invocation.batch.trigger is BatchTrigger.TUMBLING_WINDOW
    talk.finish(state(n=2))
    assert closing(talk) == (True, False, {"n": 2})
    talk.finish(state(ignored=True))

    assert talk.batch == [3]
    assert event(talk)["state"] == {}
    assert event(talk)["window"]["start"] == "1970-01-12T13:46:50Z"
    (closed,) = talk.of(seen.WindowClosed)
    assert (closed.start, closed.end, closed.is_terminated_early) == (1_000_000, 1_000_010, False)


def test_the_final_invocation_needs_no_state_in_its_response():
    talk = Talk(TEN)
    talk.page(*entries(1, at=NOW), is_last=True)
    talk.finish(state())
    talk.finish(succeeded(None))

    assert talk.consumer.is_shard_finished


@pytest.mark.parametrize(
    "response",
    [
        Payload.of_value(None),
        Payload.of_value({}),
        Payload.of_value({"state": None}),
        Payload.of_value({"state": [1]}),
        Payload.of_value("state"),
        Payload.of_bytes(b"{"),
    ],
)
def test_a_response_without_a_state_is_a_failure_and_the_state_stays_what_it_was(response):
    talk = Talk(StreamPolicy(tumbling_window_seconds=10, batch_size=1))
    talk.page(*entries(1, 2, at=NOW))
    talk.finish(state(n=1))
    talk.finish(Succeeded(response=response))
    assert talk.of(seen.BatchSettled)[-1].reason is Reason.MISSING_STATE
    talk.retry()

    assert (talk.batch, event(talk)["state"]) == ([2], {"n": 1})


@pytest.mark.parametrize("result", [FAILED, THROTTLED], ids=["failed", "throttled"])
def test_a_failed_invocation_leaves_the_state_as_it_was(result):
    talk = Talk(StreamPolicy(tumbling_window_seconds=10, batch_size=1))
    talk.page(*entries(1, 2, at=NOW))
    talk.finish(state(n=1))
    talk.finish(result)
    talk.retry()

    assert event(talk)["state"] == {"n": 1}


def test_a_partial_response_passes_its_state_to_the_rest():
    talk = Talk(StreamPolicy(tumbling_window_seconds=10, report_batch_item_failures=True))
    talk.page(*entries(1, 2, at=NOW))
    talk.finish(succeeded({"state": {"n": 1}, "batchItemFailures": [{"itemIdentifier": "2"}]}))
    talk.retry()

    assert (talk.batch, event(talk)["state"]) == ([2], {"n": 1})


def test_a_malformed_response_leaves_the_state_as_it_was():
    talk = Talk(StreamPolicy(tumbling_window_seconds=10, report_batch_item_failures=True))
    talk.page(*entries(1, 2, at=NOW))
    talk.finish(succeeded({"state": {"n": 1}, "batchItemFailures": [{"itemIdentifier": ""}]}))
    talk.retry()

    assert event(talk)["state"] == {}


def test_the_halves_of_a_batch_share_the_state_one_after_the_other():
    talk = Talk(StreamPolicy(tumbling_window_seconds=10, bisect=True))
    talk.page(*entries(1, 2, at=NOW))
    talk.finish(FAILED)
    talk.finish(state(left=True))

    assert (talk.batch, event(talk)["state"]) == ([2], {"left": True})


def test_an_idle_shards_window_is_closed_when_it_is_found_empty_some_time_after_the_end():
    talk = Talk(TEN)
    talk.page(*entries(1, at=NOW))
    talk.finish(state(n=1))
    while not talk.of(InvokeStream):
        talk.page()

    assert closing(talk) == (True, False, {"n": 1})
    assert talk.now - NOW == pytest.approx(20, abs=1)


def test_a_window_is_not_closed_by_the_local_clock():
    talk = Talk(TEN, server_ahead=-100.0)
    talk.page(*entries(1, at=NOW))
    talk.finish(state())
    while talk.now < NOW + 60:
        talk.page()

    assert talk.running == []


def test_a_window_is_not_closed_while_the_shard_is_behind_or_cannot_be_read():
    talk = Talk(TEN)
    talk.page(*entries(1, at=NOW))
    talk.finish(state())
    talk.page()
    while talk.now < NOW + 60:
        talk.page(behind_ms=5_000)
    talk.after(600)

    assert talk.running == []


def test_a_record_that_was_not_read_in_time_still_belongs_to_its_window():
    talk = Talk(TEN)
    talk.page(*entries(1, at=NOW))
    talk.finish(state(n=1))
    talk.page()
    talk.after(120)
    talk.page(*entries(2, at=NOW + 5))

    assert (talk.batch, event(talk)["state"]) == ([2], {"n": 1})


def test_a_late_record_belongs_to_the_window_that_is_open():
    talk = Talk(TEN)
    talk.page(*entries(1, at=NOW + 12), *entries(2, at=NOW + 3))

    assert talk.batch == [1, 2]


def test_the_end_of_the_shard_closes_its_window():
    talk = Talk(TEN)
    talk.page(*entries(1, at=NOW))
    talk.finish(state(n=1))
    talk.page(is_last=True)
    assert closing(talk) == (True, False, {"n": 1})
    assert not talk.consumer.finished
    talk.finish(succeeded())

    assert talk.saved[-1].finished
    assert talk.saved[-1].window is None


def test_a_shard_that_ends_without_records_has_no_window_to_close():
    talk = Talk(TEN)
    talk.page(is_last=True)

    assert talk.of(InvokeStream) == []
    assert talk.consumer.is_shard_finished


# ---- a state that is too large


def test_a_state_beyond_its_limit_ends_the_window_early_in_an_invocation_of_its_own():
    talk = Talk(StreamPolicy(tumbling_window_seconds=10, batch_size=1))
    talk.page(*entries(1, 2, at=NOW))
    talk.finish(state(**big()))
    assert closing(talk) == (True, True, big())
    talk.finish(state(ignored=True))

    assert (talk.batch, event(talk)["state"]) == ([2], {})
    assert event(talk)["window"]["start"] == "1970-01-12T13:46:40Z"
    assert talk.of(seen.WindowClosed)[0].is_terminated_early


def test_a_state_of_exactly_its_limit_goes_on():
    talk = Talk(StreamPolicy(tumbling_window_seconds=10, batch_size=1))
    talk.page(*entries(1, 2, at=NOW))
    talk.finish(state(**big(MAXIMUM_STATE_BYTES - 1)))

    assert talk.batch == [2]


def test_what_a_partial_response_left_waits_for_the_early_end():
    talk = Talk(StreamPolicy(tumbling_window_seconds=10, report_batch_item_failures=True))
    talk.page(*entries(1, 2, at=NOW))
    talk.finish(succeeded({"state": big(), "batchItemFailures": [{"itemIdentifier": "2"}]}))
    assert closing(talk)[1]
    talk.finish(succeeded())
    talk.retry()

    assert (talk.batch, event(talk)["state"]) == ([2], {})


def test_the_right_half_of_a_batch_waits_for_the_early_end():
    talk = Talk(StreamPolicy(tumbling_window_seconds=10, bisect=True))
    talk.page(*entries(1, 2, at=NOW))
    talk.finish(FAILED)
    talk.finish(state(**big()))
    assert closing(talk)[1]
    talk.finish(succeeded())

    assert (talk.batch, event(talk)["state"]) == ([2], {})


def test_an_early_end_that_was_due_at_a_crash_comes_after_the_restart():
    talk = Talk(StreamPolicy(tumbling_window_seconds=10, batch_size=1))
    talk.page(*entries(1, 2, at=NOW))
    talk.finish(state(**big()))
    resumed = talk.again()

    assert closing(resumed) == (True, True, big())


def test_a_batch_that_a_grown_state_has_outgrown_is_cut_again():
    size, keys = 1_000, 400
    talk = Talk(StreamPolicy(tumbling_window_seconds=10, bisect=True, payload_limit_bytes=4 * size + keys))
    talk.page(*entries(1, 2, 3, 4, at=NOW, size=size))
    assert talk.batch == [1, 2, 3, 4]
    talk.finish(FAILED)
    assert talk.batch == [1, 2]
    talk.finish(state(s="x" * (5 * size // 2)))
    assert talk.batch == [3]
    talk.finish(state(s="x" * (5 * size // 2)))

    assert talk.batch == [4]


def test_the_limit_counts_the_keys_of_the_window_and_its_state_to_the_byte():
    talk = Talk(TEN)
    talk.page(*entries(1, 2, at=NOW, size=500))
    exact = len(talk.invocation.payload.bytes)
    assert talk.invocation.batch.size_bytes == exact
    fits, too_small = (
        Talk(StreamPolicy(stream_arn=ARN, tumbling_window_seconds=10, payload_limit_bytes=limit))
        for limit in (exact, exact - 1)
    )
    for each in (fits, too_small):
        each.page(*entries(1, 2, at=NOW, size=500))

    assert fits.batch == [1, 2]
    assert too_small.batch == [1]


def test_a_record_that_its_window_makes_too_large_is_given_up_without_a_response():
    talk = Talk(
        StreamPolicy(
            tumbling_window_seconds=10, payload_limit_bytes=600, maximum_retry_attempts=0, has_destination=True
        )
    )
    talk.page(*entries(1, at=NOW, size=500))

    assert talk.of(InvokeStream) == []
    assert talk.of(Discard)[0].discarded.response is None


# ---- a closing invocation that fails


def test_a_failing_final_invocation_blocks_until_it_succeeds():
    talk = Talk(TEN)
    talk.page(*entries(1, at=NOW), *entries(2, at=NOW + 10))
    talk.finish(state(n=1))
    for _ in range(4):
        talk.finish(FAILED)
        talk.retry()
        assert closing(talk) == (True, False, {"n": 1})
    talk.finish(succeeded())

    assert talk.batch == [2]


def test_an_exhausted_final_invocation_is_given_up_with_its_window():
    talk = Talk(StreamPolicy(tumbling_window_seconds=10, maximum_retry_attempts=1, bisect=True, has_destination=True))
    talk.page(*entries(1, at=NOW), *entries(2, at=NOW + 10))
    talk.finish(state(n=1))
    talk.finish(FAILED)
    talk.retry()
    talk.finish(FAILED)

    discarded = talk.of(Discard)[0].discarded
    assert discarded.condition is Condition.RETRY_ATTEMPTS_EXHAUSTED
    assert discarded.window == TimeWindow(
        start=1_000_000, end=1_000_010, is_final_invoke=True, is_terminated_early=False
    )
    assert (discarded.count, discarded.first, discarded.invoke_count) == (0, "", 2)
    payload = json.loads(discarded.payload.bytes)
    assert (payload["Records"], payload["isFinalInvokeForWindow"], payload["state"]) == ([], True, {"n": 1})
    talk.sent()
    assert (talk.batch, event(talk)["state"]) == ([2], {})


def test_a_batch_that_is_given_up_within_a_window_carries_its_window_in_the_payload_only():
    talk = Talk(StreamPolicy(tumbling_window_seconds=10, maximum_retry_attempts=0, has_destination=True))
    talk.page(*entries(1, at=NOW))
    talk.finish(FAILED)
    discarded = talk.of(Discard)[0].discarded

    assert discarded.window is None
    assert discarded.payload.value["window"]["start"] == "1970-01-12T13:46:40Z"


def test_a_failing_final_invocation_keeps_its_budget_over_a_restart():
    policy = StreamPolicy(tumbling_window_seconds=10, maximum_retry_attempts=1, has_destination=True)
    talk = Talk(policy)
    talk.page(*entries(1, at=NOW), *entries(2, at=NOW + 10))
    talk.finish(state(n=1))
    talk.finish(FAILED)
    resumed = talk.again()
    resumed.page(*entries(2, at=NOW + 10))
    assert closing(resumed) == (True, False, {"n": 1})
    resumed.finish(FAILED)

    assert resumed.of(Discard)[0].discarded.invoke_count == 2
    twice = resumed.again()
    twice.page(*entries(2, at=NOW + 10))
    assert twice.of(Discard)[0].discarded.window is not None


# ---- over restarts


def test_a_restart_in_the_middle_of_a_window_goes_on_with_its_state():
    talk = Talk(StreamPolicy(tumbling_window_seconds=10, batch_size=1))
    talk.page(*entries(1, 2, 3, at=NOW))
    talk.finish(state(n=1))
    talk.finish(state(n=2))
    resumed = talk.again()
    resumed.page(*entries(3, at=NOW))

    assert (resumed.batch, event(resumed)["state"]) == ([3], {"n": 2})


def test_the_state_and_the_position_are_written_together():
    talk = Talk(StreamPolicy(tumbling_window_seconds=10, batch_size=1))
    talk.page(*entries(1, 2, 3, at=NOW))
    for number in (1, 2, 3):
        talk.finish(state(n=number))

    told = [(c.window.state, getattr(c.position, "number", "")) for c in talk.saved if c.window]
    assert told == [(b"{}", ""), *[(b'{"n":%d}' % n, str(n)) for n in (1, 2, 3)]]


def test_a_window_of_another_length_is_not_gone_on_with():
    start = after(5, window=OpenWindow(start=1_000_010, state=b'{"n":1}'))
    kept = Talk(TEN, start=start)
    kept.page(*entries(6, at=NOW + 10))
    changed = Talk(StreamPolicy(tumbling_window_seconds=60), start=start)
    changed.page(*entries(6, at=NOW + 10))

    assert event(kept)["state"] == {"n": 1}
    assert event(changed)["state"] == {}


def test_a_batch_from_before_the_windows_is_cut_by_them():
    head = HeadBatch(factor=1, lane=0, first="1", last="3", failures=2, invocations=2)
    talk = Talk(TEN, start=after(0, heads=(head,)))
    talk.page(*entries(1, 2, at=NOW), *entries(3, at=NOW + 10))

    assert talk.batch == [1, 2]
    assert event(talk)["window"]["start"] == "1970-01-12T13:46:40Z"
    assert talk.consumer.statistics().lanes[0].failures == 2


def test_a_batch_that_lies_behind_the_open_window_waits_for_its_end_and_keeps_its_failures():
    head = HeadBatch(factor=1, lane=0, first="1", last="1", failures=2, invocations=2)
    talk = Talk(TEN, start=after(0, heads=(head,), window=OpenWindow(start=999_990, state=b"{}")))
    talk.page(*entries(1, at=NOW))
    assert closing(talk)[0]
    talk.finish(succeeded())

    assert talk.batch == [1]
    assert talk.consumer.statistics().lanes[0].failures == 2


def test_a_final_invocation_is_forgotten_where_there_are_no_windows_any_more():
    head = HeadBatch(factor=1, lane=0, first="", last="", failures=2, invocations=2)
    talk = Talk(start=after(5, heads=(head,)))
    talk.page(*entries(6))

    assert numbers(talk.invocation.batch.records) == [6]
    assert talk.consumer.statistics().lanes[0].failures == 0
