"""Message groups: their order, one batch at a time, and what a failure means for the rest."""

from broker.core.events import (
    ChangeVisibility,
    Delete,
    Deleted,
    Invoke,
    Returned,
    Stopping,
    VisibilityChanged,
)
from broker.core.queue_policy import QueuePolicy
from broker.model import observation as seen
from broker.model.batch import event_bytes
from broker.model.invocation import HandlerFailed, Throttled, TimedOut
from broker.model.record import Failure, Record
from tests.unit.core.records import names
from tests.unit.core.talk import Talk, policy, succeeded

ODD = Failure(code="InternalError")
FAILED = HandlerFailed(error_type="ValueError", message="no")


async def until_returned() -> None:
    """Never called: the test says when the call returns."""


STUCK = TimedOut(message="Task timed out after 3.00 seconds", wait_returned=until_returned)


def fifo(**fields) -> QueuePolicy:
    return policy(**{"fifo": True, "slots": 3, **fields})


def page(talk: Talk, *parts: str) -> list[Record]:
    """`"g:abc"` is three messages of group g."""
    return [talk.record(letter, group=part[0]) for part in parts for letter in part[2:]]


def invoked(talk: Talk, actions=None) -> list[str]:
    return [names(invoke.batch.records) for invoke in talk.of(Invoke, actions)]


def settle(talk: Talk, **failures: Failure) -> list[object]:
    return talk.hear(Deleted(number=talk.take(Delete).number, failures=failures, chance=0.5))


def split() -> Talk:
    """A page of one group that is more than one event can hold: the first two start, the others wait."""
    talk = Talk(fifo(payload_limit_bytes=event_bytes(4, 2)))
    talk.receive(*page(talk, "g:abcde"))
    return talk


def test_a_batch_may_mix_groups_in_their_order():
    talk = Talk(fifo())
    talk.receive(*page(talk, "g:ab", "h:c"))

    assert invoked(talk) == ["abc"]


def test_one_batch_of_a_group_is_in_flight_and_other_groups_flow_on():
    talk = split()
    talk.receive(*page(talk, "h:xy"))

    assert invoked(talk) == ["ab", "xy"]


def test_the_next_batch_of_a_group_starts_when_its_deletes_are_settled():
    talk = split()
    after_success = talk.finish(succeeded())
    after_delete = settle(talk)

    assert invoked(talk, after_success) == []
    assert invoked(talk, after_delete) == ["cd"]


def test_a_group_stays_locked_while_one_of_its_deletes_is_repeated():
    talk = split()
    talk.finish(succeeded())
    after_failure = settle(talk, b=ODD)
    talk.after(1)

    assert invoked(talk, after_failure) == []
    assert invoked(talk, settle(talk)) == ["cd"]


def test_a_failed_batch_lets_go_what_waits_of_its_groups_and_nothing_else():
    talk = split()
    talk.receive(*page(talk, "h:xyz"))
    talk.finish(FAILED)

    assert talk.of(seen.RecordsLetGo) == [seen.RecordsLetGo(count=3, why="group failed")]
    talk.finish(succeeded())
    assert invoked(talk, settle(talk)) == ["z"]


def test_waiting_messages_of_locked_groups_take_no_room_from_other_groups():
    talk = split()

    assert talk.consumer.statistics().buffered_records == 3
    assert talk.consumer.statistics().outstanding_fetches == 2


def test_a_message_that_waited_behind_its_group_until_its_visibility_ended_is_let_go():
    talk = split()
    talk.after(30)
    talk.finish(succeeded())

    assert invoked(talk, settle(talk)) == []
    assert talk.of(seen.RecordsLetGo) == [seen.RecordsLetGo(count=3, why="visibility too short")]


def test_what_follows_a_lapsed_message_of_its_group_is_let_go_with_it():
    talk = split()
    lapsed = talk.record("c", group="g", receives=2)
    lapsed.visible_until = talk.now + 1
    talk.receive(lapsed)
    talk.after(2)
    talk.finish(succeeded())

    assert invoked(talk, settle(talk)) == []
    assert talk.of(seen.RecordsLetGo)[0].count == 3


def test_a_group_whose_first_message_is_too_late_waits_as_a_whole():
    talk = Talk(fifo())
    late = talk.record("a", group="g")
    talk.now += 28
    actions = talk.receive(late, *page(talk, "g:b", "h:c"))

    assert invoked(talk, actions) == ["c"]
    assert talk.of(seen.RecordsLetGo)[0].count == 2


# ---- partial failures


def report(*identifiers: str) -> dict[str, object]:
    return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in identifiers]}


def test_unlisted_messages_after_a_failed_one_are_deleted_as_on_aws_with_a_warning():
    talk = Talk(fifo(report_batch_item_failures=True))
    talk.receive(*page(talk, "g:abc", "h:x"))
    actions = talk.finish(succeeded(report("a")))

    assert [names(delete.records) for delete in talk.of(Delete, actions)] == ["bcx"]
    assert talk.of(seen.GroupOrderBroken) == [seen.GroupOrderBroken(groups=("g",))]


def test_a_handler_that_lists_all_that_follow_breaks_nothing():
    talk = Talk(fifo(report_batch_item_failures=True))
    talk.receive(*page(talk, "g:abc"))
    actions = talk.finish(succeeded(report("b", "c")))

    assert [names(delete.records) for delete in talk.of(Delete, actions)] == ["a"]
    assert talk.of(seen.GroupOrderBroken) == []


def test_hold_group_keeps_the_later_messages_of_a_failed_group():
    talk = Talk(fifo(report_batch_item_failures=True, hold_group=True))
    talk.receive(*page(talk, "g:abc", "h:x"))
    actions = talk.finish(succeeded(report("b")))

    assert [names(delete.records) for delete in talk.of(Delete, actions)] == ["ax"]
    assert talk.of(seen.GroupOrderBroken) == []
    assert talk.of(seen.BatchSettled)[0].retried_count == 2


# ---- throttles


def test_a_throttled_batch_keeps_its_groups():
    talk = split()
    talk.finish(Throttled(message="later"))
    actions = talk.receive(*page(talk, "h:x"))

    assert invoked(talk, actions) == ["x"]
    assert invoked(talk, talk.after(1)) == ["ab"]


def test_a_throttled_batch_that_lapses_lets_go_what_waits_of_its_groups():
    talk = split()
    talk.finish(Throttled(message="later", retry_after_seconds=900))
    talk.after(30)

    assert talk.consumer.statistics().buffered_records == 0
    assert talk.consumer.statistics().let_go_count == 5


# ---- stuck handlers


def test_a_stuck_handler_holds_its_groups_until_it_returns():
    talk = Talk(fifo())
    talk.receive(*page(talk, "g:a"))
    talk.finish(STUCK)
    talk.after(31)
    while_stuck = talk.receive(talk.record("a", group="g", receives=2), talk.record("b", group="g"))
    talk.hear(Returned(number=1))

    assert talk.of(seen.InvocationStuck) == [seen.InvocationStuck(batch=1, groups=("g",))]
    assert invoked(talk, while_stuck) == []
    assert invoked(talk) == []
    assert talk.consumer.statistics().buffered_records == 0


# ---- draining


def test_a_drain_releases_a_group_in_one_order_whoever_holds_its_parts():
    talk = split()
    talk.hear(Stopping(deadline_at=talk.now + 3.5))
    talk.finish(Throttled(message="later", retry_after_seconds=900))
    actions = talk.after(1)
    calls = []
    while changes := talk.of(ChangeVisibility, actions):
        calls.append(names(changes[0].records))
        actions = talk.hear(VisibilityChanged(number=changes[0].number, failures={}))

    assert calls == ["edcb", "a"]


def test_messages_behind_a_running_batch_are_released_while_it_ends():
    talk = split()
    talk.hear(Stopping(deadline_at=talk.now + 3))

    assert [names(change.records) for change in talk.of(ChangeVisibility)] == ["ed"]


def test_a_drain_does_not_touch_messages_whose_visibility_has_ended():
    talk = Talk(fifo(), visibility=3)
    late = talk.record("a", group="g")
    talk.now += 4
    talk.hear(Stopping(deadline_at=talk.now + 1))
    actions = talk.receive(late)

    assert talk.of(ChangeVisibility, actions) == []
    assert talk.consumer.statistics().let_go_count == 1
