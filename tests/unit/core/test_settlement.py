from broker.core.events import Delete, Deleted
from broker.core.group_locks import GroupLocks
from broker.core.queue_policy import BackoffPolicy, QueuePolicy
from broker.core.settlement import Deletions
from broker.model.record import Failure
from tests.unit.core.records import names, record, records

ODD = Failure(code="InternalError", message="try again")
FINAL = Failure(code="ReceiptHandleIsInvalid", final=True)


class Settling:
    """Deletions, their locks, and answers to them."""

    def __init__(self, **fields) -> None:
        backoff = BackoffPolicy(base_seconds=0.2, maximum_seconds=5.0)
        self.locks = GroupLocks()
        self.deletions = Deletions(QueuePolicy(delete_backoff=backoff, **fields), self.locks)

    def answer(self, delete: Delete, now: float = 1.0, **failures: Failure):
        return self.deletions.settled(Deleted(number=delete.number, failures=failures, chance=0.0), now)


def test_a_delete_has_at_most_ten_entries():
    deletes = Settling().deletions.delete(records("abcdefghijklmnopqrstuvw"))

    assert [len(delete.records) for delete in deletes] == [10, 10, 3]
    assert len({delete.number for delete in deletes}) == 3


def test_deleting_nothing_calls_nobody():
    assert Settling().deletions.delete([]) == []


def test_a_delete_that_worked_leaves_nothing_behind():
    settling = Settling()
    outcome, again = settling.answer(settling.deletions.delete(records("ab"))[0])

    assert (outcome.deleted_count, outcome.failed_count, outcome.detail) == (2, 0, "")
    assert again == []
    assert (len(settling.deletions), settling.deletions.calls) == (0, 0)
    assert settling.deletions.claim(record("a")) is None


def test_the_entries_that_failed_are_tried_again_after_a_delay():
    settling = Settling()
    outcome, again = settling.answer(settling.deletions.delete(records("abc"))[0], b=ODD)

    assert (outcome.deleted_count, outcome.failed_count, outcome.abandoned_count) == (2, 1, 0)
    assert outcome.detail == "InternalError: try again"
    assert again == []
    assert settling.deletions.deadline == 1.1
    assert settling.deletions.due(1.09) == []
    assert [names(delete.records) for delete in settling.deletions.due(1.1)] == ["b"]
    assert settling.deletions.deadline is None


def test_delays_grow_from_attempt_to_attempt():
    settling = Settling()
    deletes, now, delays = settling.deletions.delete(records("a")), 0.0, []
    for _ in range(4):
        settling.answer(deletes[0], now, a=ODD)
        delays.append(round(settling.deletions.deadline - now, 6))
        now = settling.deletions.deadline
        deletes = settling.deletions.due(now)

    assert delays == [0.1, 0.2, 0.4, 0.8]


def test_after_the_last_attempt_the_message_is_remembered():
    settling = Settling(delete_attempts=2)
    settling.answer(settling.deletions.delete(records("a"))[0], a=ODD)
    outcome, _ = settling.answer(settling.deletions.due(5.0)[0], 5.0, a=ODD)

    assert outcome.abandoned_count == 1
    assert len(settling.deletions) == 0
    assert settling.deletions.deadline is None
    assert not settling.deletions.has_none_of({"a", "z"})


def test_a_failure_that_is_final_is_not_tried_again():
    settling = Settling()
    outcome, _ = settling.answer(settling.deletions.delete(records("ab"))[0], a=FINAL, b=ODD)

    assert (outcome.failed_count, outcome.abandoned_count) == (2, 1)
    assert [names(delete.records) for delete in settling.deletions.due(9.0)] == ["b"]


def test_a_remembered_message_is_deleted_on_sight_with_its_new_receipt():
    settling = Settling()
    settling.answer(settling.deletions.delete(records("a"))[0], a=FINAL)
    deletes = settling.deletions.claim(record("a", receives=2, visible_until=60.0))

    assert [each.receipt for each in deletes[0].records] == ["a/2"]
    settling.answer(deletes[0], 31.0)
    assert settling.deletions.claim(record("a", receives=3)) is None


def test_a_message_whose_visibility_ended_as_its_delete_was_answered_is_remembered():
    settling = Settling()
    settling.answer(settling.deletions.delete([record("a", visible_until=30.0)])[0], 30.0)

    assert settling.deletions.claim(record("a", receives=2)) is not None


def test_a_message_that_was_deleted_in_time_is_not_remembered():
    settling = Settling()
    settling.answer(settling.deletions.delete([record("a", visible_until=30.0)])[0], 29.99)

    assert settling.deletions.has_none_of({"a"})


def test_a_delivery_during_the_delete_repeats_it_with_the_newer_receipt():
    settling = Settling()
    delete = settling.deletions.delete(records("ab"))[0]
    claimed = settling.deletions.claim(record("a", receives=2, visible_until=60.0))
    outcome, again = settling.answer(delete, 29.0)

    assert claimed == []
    assert (outcome.deleted_count, len(settling.deletions)) == (1, 1)
    assert [[each.receipt for each in delete.records] for delete in again] == [["a/2"]]


def test_an_older_delivery_that_arrives_late_changes_no_receipt():
    settling = Settling()
    delete = settling.deletions.delete([record("a", receives=2)])[0]
    settling.deletions.claim(record("a", receives=1))

    assert settling.answer(delete)[1] == []


def test_a_delete_that_waits_is_repeated_with_the_newest_receipt():
    settling = Settling()
    settling.answer(settling.deletions.delete(records("a"))[0], a=ODD)
    settling.deletions.claim(record("a", receives=2))

    assert [each.receipt for each in settling.deletions.due(9.0)[0].records] == ["a/2"]


def test_a_message_that_was_never_handled_is_not_claimed():
    assert Settling().deletions.claim(record("a")) is None


def test_only_so_many_are_remembered_and_the_oldest_are_forgotten_first():
    settling = Settling(remembered_count=2)
    for name in "abc":
        settling.answer(settling.deletions.delete(records(name))[0], **{name: FINAL})

    assert settling.deletions.claim(record("a")) is None
    assert settling.deletions.claim(record("b")) is not None
    assert settling.deletions.claim(record("c")) is not None


def test_a_group_stays_locked_until_each_of_its_deletes_is_settled():
    settling = Settling()
    first = settling.deletions.delete([record("a", group="g"), record("b", group="g")])[0]
    settling.answer(first, b=ODD)
    while_waiting = settling.locks.is_locked("g")
    second = settling.deletions.due(9.0)[0]
    while_out = settling.locks.is_locked("g")
    settling.answer(second, 9.0)

    assert (while_waiting, while_out, settling.locks.is_locked("g")) == (True, True, False)


def test_a_group_is_free_again_where_its_delete_is_given_up():
    settling = Settling()
    settling.answer(settling.deletions.delete(records("a", group="g"))[0], a=FINAL)

    assert not settling.locks.is_locked("g")
