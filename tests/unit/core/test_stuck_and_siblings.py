"""Calls that cannot be stopped, and messages behind those that failed."""

from broker.core.events import ChangeVisibility, Delete, Deleted, Fetch, Invoke, Returned, VisibilityChanged
from broker.core.queue_policy import BackoffPolicy
from broker.model import observation as seen
from broker.model.invocation import HandlerFailed, TimedOut
from broker.model.record import Failure
from tests.unit.core.talk import Talk, policy, succeeded

FAILED = HandlerFailed(error_type="ValueError", message="no")


async def wait_returned() -> None:
    """The handler ends at some time."""


STUCK = TimedOut(message="Task timed out after 3.00 seconds", wait_returned=wait_returned)


def test_what_follows_a_stuck_message_of_its_group_is_not_handed_over_when_the_call_returns():
    talk = Talk(policy(fifo=True, slots=2, batch_size=2))
    talk.receive(talk.record("a1", group="a"))
    talk.finish(STUCK)
    talk.after(31)
    talk.receive(talk.record("a1", group="a", receives=2), talk.record("a2", group="a"))

    actions = talk.hear(Returned(number=1))

    assert talk.of(Invoke, actions) == []
    assert talk.of(seen.RecordsLetGo, actions) == [seen.RecordsLetGo(count=1, why="group failed")]


def test_a_stuck_call_and_a_limit_that_failures_reduced_do_not_halt_the_mapping():
    talk = Talk(policy(slots=3, batch_size=1))
    talk.receive(*[talk.record(str(number)) for number in range(3)])
    talk.finish(STUCK)
    talk.finish(FAILED)
    talk.after(2)
    talk.finish(FAILED)
    talk.after(2)
    assert talk.consumer.statistics().concurrency_limit == 1

    assert talk.of(Fetch) != []


def test_stuck_calls_in_every_slot_of_the_function_stop_receives():
    talk = Talk(policy(slots=2, batch_size=1))
    talk.receive(talk.record("a"), talk.record("b"))
    talk.finish(STUCK)
    talk.finish(STUCK)

    assert talk.of(Fetch, talk.after(120)) == []


def test_siblings_of_a_failed_message_come_back_with_it_under_a_failure_backoff():
    talk = Talk(policy(fifo=True, slots=2, payload_limit_bytes=20, failure_backoff=BackoffPolicy()), visibility=300)
    talk.receive(*[talk.record(name, group="a") for name in ("a1", "a2", "a3")])
    assert len(talk.of(Invoke)[0].batch.records) < 3

    later = talk.of(ChangeVisibility, talk.finish(FAILED))
    first = talk.of(ChangeVisibility, talk.hear(VisibilityChanged(number=later[0].number, failures={})))

    assert [record.identifier for each in [*later, *first] for record in each.records] == ["a3", "a2", "a1"]


def test_the_next_window_opens_when_the_invocation_ends_though_messages_came_meanwhile():
    talk = Talk(policy(batch_size=100, window_seconds=10, function_timeout_seconds=60), visibility=300)
    talk.receive(talk.record("first"))
    talk.after(10)
    talk.receive(talk.record("meanwhile"))
    talk.after(10)
    talk.finish(succeeded())
    talk.hear(Deleted(number=talk.take(Delete).number, failures={}, chance=0.5))

    assert talk.of(Invoke, talk.after(9.9)) == []
    assert len(talk.of(Invoke, talk.after(0.2))) == 1


def test_a_visibility_that_could_not_be_changed_is_told():
    talk = Talk(policy(failure_backoff=BackoffPolicy()))
    talk.receive(talk.record("a"))
    talk.finish(FAILED)
    failures = {"a": Failure(code="InternalError")}
    actions = talk.hear(VisibilityChanged(number=talk.take(ChangeVisibility).number, failures=failures))

    assert talk.of(seen.VisibilityChangeFailed, actions) == [
        seen.VisibilityChangeFailed(count=1, detail="InternalError")
    ]
