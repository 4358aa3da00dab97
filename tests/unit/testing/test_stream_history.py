"""What became of the records of a stream adds up, and handlers see the records of each key in order."""

import pytest

from broker.testing import DYNAMODB, EPOCH, HandlerLog, InMemoryStream, StreamAccount, StreamHappening, keyed_records
from tests.unit.testing.clocks import HandClock


@pytest.fixture
def stream() -> InMemoryStream:
    return InMemoryStream("orders", clock=HandClock(EPOCH))


def event_of(*numbers: str) -> dict:
    return {"Records": [{"kinesis": {"partitionKey": "key", "sequenceNumber": number}} for number in numbers]}


def put(stream: InMemoryStream, count: int) -> list[str]:
    return [stream.put("key", b"") for _ in range(count)]


def test_each_record_is_handled_filtered_discarded_or_trimmed(stream) -> None:
    a, b, c, d = put(stream, 4)
    stream.trim()
    account = stream.every_record_accounted(handled=[a, a, b], filtered=[c, b], discarded=[a], may_lose=True)
    assert account == StreamAccount(
        put_count=4, handled_count=2, filtered_count=1, discarded_count=0, trimmed_count=1, duplicate_count=1
    )
    with pytest.raises(AssertionError, match=f"nor discarded: {d} of shardId-000000000000"):
        stream.every_record_accounted(handled=[a, b], filtered=[c])
    assert stream.every_record_accounted(handled=[a, b], discarded=[c, d]).discarded_count == 2


def test_what_was_noted_is_taken_for_handled(stream) -> None:
    a, b = put(stream, 2)
    stream.note_handled(event_of(a, b))
    assert stream.history.handled() == (a, b)
    assert stream.history.of(b) == (StreamHappening.PUT, StreamHappening.HANDLED)
    assert stream.every_record_accounted().handled_count == 2


def test_what_was_never_put_is_strange(stream) -> None:
    with pytest.raises(AssertionError, match=r"never put: \[5\]"):
        stream.every_record_accounted(handled=["5"])


def test_the_history_is_in_order_and_knows_the_shards_of_records(stream) -> None:
    (number,) = put(stream, 1)
    stream.roll()
    assert [entry.what for entry in stream.history] == [StreamHappening.PUT, StreamHappening.CLOSED]
    assert len(stream.history) == 2
    assert stream.history.sequence_numbers("shardId-000000000000") == (number,)
    assert stream.history.sequence_numbers("shardId-000000000001") == ()
    assert stream.history.of("7") == ()


def test_the_keys_of_an_event_are_those_that_order_is_kept_by() -> None:
    assert keyed_records(event_of("7")) == [("key", "7")]
    table = InMemoryStream("orders", clock=HandClock(EPOCH), kind=DYNAMODB)
    keys = {"sort": {"N": "1"}, "id": {"S": "a"}}
    number = table.change(keys)
    event = {"Records": [{"dynamodb": {"Keys": keys, "SequenceNumber": number}}]}
    assert keyed_records(event) == [('{"id":{"S":"a"},"sort":{"N":"1"}}', number)]
    table.note_handled(event)
    assert table.every_record_accounted().handled_count == 1


# ---- order


def test_a_record_may_start_when_the_one_before_it_is_settled() -> None:
    log = HandlerLog()
    log.end(log.start([("a", "9"), ("b", "10"), ("a", "11")]))
    log.end(log.start([("a", "100")]))
    assert log.order_violations() == []


def test_a_record_that_starts_too_early_is_named() -> None:
    log = HandlerLog()
    first = log.start([("a", "9")])
    log.start([("a", "10")])
    log.end(first)
    assert log.order_violations() == ["10 of 'a' started before 9 was settled"]
    assert log.overlap_count == 1


def test_sequence_numbers_are_compared_as_integers() -> None:
    log = HandlerLog()
    log.end(log.start([("a", "10")]))
    log.end(log.start([("a", "9")]))
    assert log.order_violations() == ["10 of 'a' started before 9 was settled"]


def test_an_attempt_that_failed_settles_only_what_it_says() -> None:
    log = HandlerLog()
    log.end(log.start([("a", "1"), ("a", "2"), ("a", "3")]), settled=["1"])
    log.end(log.start([("a", "2"), ("a", "3")]), settled=[])
    assert log.order_violations() == []
    log.start([("a", "3")])
    assert log.order_violations() == ["3 of 'a' started before 2 was settled"]


def test_what_was_discarded_is_settled() -> None:
    log = HandlerLog()
    log.end(log.start([("a", "1")]), settled=[])
    log.settle(["1"])
    log.start([("a", "2")])
    assert log.order_violations() == []


def test_records_that_come_again_after_a_crash_are_in_order() -> None:
    log = HandlerLog()
    for batch in (["1", "2"], ["3"], ["2", "3"], ["4"]):
        log.end(log.start([("a", number) for number in batch]))
    assert (log.order_violations(), log.overlap_count) == ([], 0)


def test_records_of_one_invocation_in_the_wrong_order_are_named() -> None:
    log = HandlerLog()
    log.end(log.start([("a", "2"), ("a", "1")]))
    assert log.order_violations() == ["2 of 'a' started before 1 was settled"]


def test_keys_do_not_wait_for_one_another() -> None:
    log = HandlerLog()
    log.start([("a", "1")])
    log.start([("b", "2")])
    assert (log.order_violations(), log.overlap_count) == ([], 0)
