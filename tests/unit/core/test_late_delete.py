"""A delete may take effect after the queue has given its message to somebody again."""

from broker.core.events import Delete, Deleted, Invoke
from tests.unit.core.talk import Talk, policy, succeeded


def test_a_message_whose_delete_was_answered_after_its_visibility_is_deleted_on_sight():
    talk = Talk(policy())
    talk.receive(talk.record("a"))
    talk.finish(succeeded())
    talk.after(31)
    talk.hear(Deleted(number=talk.take(Delete).number, failures={}, chance=0.5))

    actions = talk.receive(talk.record("a", receives=2))

    assert talk.of(Invoke, actions) == []
    assert [record.receipt for record in talk.of(Delete, actions)[0].records] == ["a/2"]
