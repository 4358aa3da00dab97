from broker.core.group_locks import GroupLocks, groups_of
from tests.unit.core.records import record, records


def test_a_group_is_locked_until_its_last_holder_lets_go():
    locks = GroupLocks()
    first, second = records("ab", group="g")
    locks.acquire([first])
    locks.acquire([second])
    locks.release([first])
    still = locks.is_locked("g")
    locks.release([second])

    assert still
    assert not locks.is_locked("g")


def test_groups_are_locked_one_by_one():
    locks = GroupLocks()
    locks.acquire(records("a", group="g"))

    assert not locks.is_locked("h")


def test_a_group_that_nobody_holds_takes_no_memory():
    locks = GroupLocks()
    locks.acquire(records("ab", group="g"))
    locks.release(records("ab", group="g"))

    assert locks._holders == {}


def test_records_without_a_group_lock_nothing():
    locks = GroupLocks()
    locks.acquire(records("ab"))
    locks.release(records("ab"))

    assert locks._holders == {}


def test_the_groups_of_records_are_named_once_and_sorted():
    mixed = [record("a", group="h"), record("b"), record("c", group="g"), record("d", group="h")]

    assert groups_of(mixed) == ("g", "h")
