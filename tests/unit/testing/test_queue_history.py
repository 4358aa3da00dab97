"""The books of a queue balance, and say so when they do not."""

import pytest

from broker.testing import Account, Happening, InMemoryQueue, QueueHistory
from tests.unit.testing.clocks import HandClock


def a_history(*entries) -> QueueHistory:
    history = QueueHistory()
    for at, (what, message_id) in enumerate(entries):
        history.add(float(at), what, message_id)
    return history


def test_every_message_is_somewhere() -> None:
    queue = InMemoryQueue("orders", clock=HandClock())
    kept, deleted = queue.send("a"), queue.send("b")
    for message in queue.take(maximum_count=10):
        if message["MessageId"] == deleted:
            queue.delete(message["ReceiptHandle"])
    assert kept in queue
    assert queue.every_message_accounted(handled=[deleted]) == Account(
        arrived_count=2, deleted_count=1, dead_lettered_count=0, expired_count=0, remaining_count=1
    )


def test_a_message_that_was_deleted_without_having_been_handled_is_reported() -> None:
    history = a_history((Happening.SENT, "a"), (Happening.DELETED, "a"))
    with pytest.raises(AssertionError, match=r"deleted without having been handled: \['a'\]"):
        history.account([], handled=[])


def test_a_message_that_is_nowhere_is_reported() -> None:
    with pytest.raises(AssertionError, match=r"lost .*\{'a': -1\}"):
        a_history((Happening.SENT, "a")).account([], handled=None)


def test_a_message_that_is_in_two_places_is_reported() -> None:
    history = a_history((Happening.SENT, "a"), (Happening.DELETED, "a"))
    with pytest.raises(AssertionError, match=r"twice there .*\{'a': 1\}"):
        history.account(["a"], handled=None)


def test_it_can_be_asked_by_message_and_by_happening() -> None:
    history = a_history((Happening.SENT, "a"), (Happening.SENT, "b"), (Happening.RECEIVED, "a"))
    assert history.of("a") == (Happening.SENT, Happening.RECEIVED)
    assert history.identifiers(Happening.SENT) == ("a", "b")
    assert history.instants("a", Happening.RECEIVED) == (2.0,)
    assert len(history) == 3
    assert next(iter(history)).message_id == "a"
