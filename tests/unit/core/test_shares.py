"""How a limit that a fleet shares is cut into slots."""

from hypothesis import given
from hypothesis import strategies as st

from broker.core.shares import MOST_SLOTS, new_cut, weights
from broker.model.lease import Row

MAPPING = "m"
LIMITS = st.integers(0, 1000)


def cut_to(rows: dict[str, Row], maximum: int) -> list[dict[str, Row]]:
    """The rows after each write."""
    steps = [rows]
    for change in new_cut(MAPPING, rows, maximum):
        now = dict(steps[-1])
        assert (now[change.key].version if change.key in now else 0) == change.version
        if change.value is None:
            del now[change.key]
        else:
            now[change.key] = Row(version=change.version + 1, value=change.value)
        steps.append(now)
    return steps


def total(rows: dict[str, Row]) -> int:
    return sum(row.value["weight"] for row in rows.values())


@given(LIMITS)
def test_the_weights_of_the_slots_add_up_to_the_limit_and_differ_by_at_most_one(maximum):
    found = weights(maximum)

    assert sum(found) == maximum
    assert len(found) <= MOST_SLOTS
    assert max(found, default=0) - min(found, default=0) <= 1


@given(LIMITS, LIMITS, LIMITS, st.integers(0, 40))
def test_a_new_cut_never_exceeds_the_greater_limit_and_ends_at_the_new_one(first, second, after, done):
    """Also where the cut before it was interrupted after some writes."""
    interrupted = cut_to(cut_to({}, first)[-1], second)
    rows = interrupted[min(done, len(interrupted) - 1)]
    steps = cut_to(rows, after)

    assert all(total(step) <= max(total(rows), after) for step in steps)
    assert total(steps[-1]) == after
    assert new_cut(MAPPING, steps[-1], after) == ()


def test_a_slot_keeps_its_owner_and_whatever_else_its_row_says_when_it_is_cut_anew():
    rows = {"slot:000": Row(version=4, value={"weight": 1, "owner": "a", "epoch": 3, "newer": "kept"})}

    (change,) = new_cut(MAPPING, rows | {"mapping": Row(version=1, value={})}, 1) or (None,)
    assert change is None
    steps = cut_to(rows, 64)
    assert steps[-1]["slot:000"].value == {"weight": 2, "owner": "a", "epoch": 3, "newer": "kept"}


def test_a_slot_whose_row_says_no_weight_weighs_one():
    assert new_cut(MAPPING, {"slot:000": Row(version=1, value={"owner": "a", "epoch": 1})}, 1) == ()
