"""The end of a drain is set once."""

from broker.core.events import ChangeVisibility, Fetch, Stopping
from tests.unit.core.talk import Talk, policy


def test_a_second_stop_never_moves_the_deadline_away():
    talk = Talk(policy(function_timeout_seconds=3))
    fetch = talk.take(Fetch)
    talk.hear(Stopping(deadline_at=talk.now + 2))
    talk.hear(Stopping(deadline_at=talk.now + 600))
    talk.said.append(fetch)
    talk.receive(talk.record("a"))

    assert [each.visibility_timeout_seconds for each in talk.of(ChangeVisibility)] == [0]


def test_a_second_stop_may_bring_the_deadline_nearer():
    talk = Talk(policy(function_timeout_seconds=3))
    fetch = talk.take(Fetch)
    talk.hear(Stopping(deadline_at=talk.now + 600))
    talk.hear(Stopping(deadline_at=talk.now + 2))
    talk.said.append(fetch)
    talk.receive(talk.record("a"))

    assert [each.visibility_timeout_seconds for each in talk.of(ChangeVisibility)] == [0]
