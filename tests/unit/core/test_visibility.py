from broker.core.events import ChangeVisibility, VisibilityChanged
from broker.core.visibility import VisibilityChanges
from broker.model.record import Failure
from tests.unit.core.records import names, record, records

ODD = Failure(code="InternalError")


def run(changes: VisibilityChanges, actions: list[ChangeVisibility], *, failing: str = "") -> list[str]:
    """Answers each call as it comes; what each call was about."""
    calls = []
    while actions:
        action = actions.pop(0)
        calls.append(names(action.records))
        failures = {each.identifier: ODD for each in action.records if each.identifier in failing}
        actions += changes.settled(VisibilityChanged(number=action.number, failures=failures))
    return calls


def test_messages_without_groups_are_changed_at_once_ten_in_a_call():
    changes = VisibilityChanges()
    actions = changes.change(records("abcdefghijkl"), 0, 1.0)

    assert [names(action.records) for action in actions] == ["abcdefghij", "kl"]
    assert {action.visibility_timeout_seconds for action in actions} == {0}
    assert len(changes) == 2


def test_a_group_is_released_from_its_last_message_to_its_first_and_the_first_alone():
    changes = VisibilityChanges()
    actions = changes.change(records("abcd", group="g"), 0, 1.0)

    assert len(actions) == 1
    assert run(changes, actions) == ["dcb", "a"]
    assert len(changes) == 0


def test_the_first_messages_of_all_groups_go_in_the_final_call():
    changes = VisibilityChanges()
    mixed = [record("a", group="g"), record("b", group="h"), record("c", group="g"), record("d", group="h")]

    assert run(changes, changes.change(mixed, 0, 1.0)) == ["dc", "ba"]


def test_where_a_later_message_cannot_be_released_the_earlier_of_its_group_stay_hidden():
    changes = VisibilityChanges()
    mixed = [record("a", group="g"), record("b", group="h"), record("c", group="g"), record("d", group="h")]

    assert run(changes, changes.change(mixed, 0, 1.0), failing="c") == ["dc", "b"]


def test_nothing_is_left_to_release_where_all_later_messages_failed():
    changes = VisibilityChanges()

    assert run(changes, changes.change(records("abc", group="g"), 0, 1.0), failing="c") == ["cb"]
    assert len(changes) == 0


def test_a_long_group_spoils_at_its_first_failure():
    changes = VisibilityChanges()
    group = records("abcdefghijklmno", group="g")

    assert run(changes, changes.change(group, 0, 1.0), failing="i") == ["onmlkjihgf"]


def test_messages_whose_visibility_has_ended_are_left_alone():
    changes = VisibilityChanges()
    mixed = [record("a", visible_until=1.0), record("b"), record("c", group="g", visible_until=0.5)]

    assert run(changes, changes.change(mixed, 0, 1.0)) == ["b"]
    assert changes.extend([record("a", visible_until=1.0)], 30, 1.0) == []


def test_to_keep_messages_hidden_needs_no_order():
    changes = VisibilityChanges()
    actions = changes.extend(records("abc", group="g"), 30, 1.0)

    assert run(changes, actions, failing="c") == ["abc"]


def test_a_message_is_hidden_from_when_the_change_was_sent():
    changes = VisibilityChanges()
    changed, failed = record("a"), record("b")
    run(changes, changes.extend([changed, failed], 50, 10.0), failing="b")

    assert (changed.visible_until, failed.visible_until) == (60.0, 30.0)
