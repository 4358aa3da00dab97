"""The table of a mapping's life is complete: every state and step has an answer, and it is AWS's."""

from itertools import product

import pytest

from broker.core.lifecycle import (
    CALLS_ON_A_MAPPING,
    IN_USE,
    NOT_FOUND,
    TRANSITION_REASONS,
    TRANSITIONS,
    MappingState,
    Refusal,
    Step,
    transition,
)
from broker.model.reference import EventSourceKind

SETTLED = {MappingState.ENABLED, MappingState.DISABLED}
TRANSITIONAL = set(MappingState) - SETTLED - {MappingState.GONE}
QUEUE, STREAM = EventSourceKind.QUEUE, EventSourceKind.STREAM


def outcome(state: MappingState, step: Step, kind: EventSourceKind) -> object:
    try:
        return transition(state, step, kind)
    except ValueError:
        return ValueError


@pytest.mark.parametrize(("state", "step", "kind"), list(product(MappingState, Step, EventSourceKind)))
def test_every_state_and_step_gives_a_state_or_a_refusal_or_is_a_bug(
    state: MappingState, step: Step, kind: EventSourceKind
) -> None:
    expected = TRANSITIONS[kind].get((state, step))
    if expected is None and step in CALLS_ON_A_MAPPING:
        expected = NOT_FOUND if state is MappingState.GONE else IN_USE
    assert outcome(state, step, kind) == (expected or ValueError)


@pytest.mark.parametrize("state", sorted(TRANSITIONAL))
@pytest.mark.parametrize("call", sorted(CALLS_ON_A_MAPPING))
@pytest.mark.parametrize("kind", list(EventSourceKind))
def test_a_mapping_in_transition_refuses_every_call_as_in_use(
    state: MappingState, call: Step, kind: EventSourceKind
) -> None:
    assert transition(state, call, kind) == Refusal(
        code="ResourceInUseException",
        status=400,
        message="Cannot update the event source mapping because it is in use.",
    )


@pytest.mark.parametrize("call", sorted(CALLS_ON_A_MAPPING))
def test_a_mapping_that_is_gone_is_not_found(call: Step) -> None:
    refusal = transition(MappingState.GONE, call, QUEUE)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.message) == (404, "The resource you requested does not exist.")


@pytest.mark.parametrize("kind", list(EventSourceKind))
def test_every_transitional_state_settles_within_one_step(kind: EventSourceKind) -> None:
    for state in TRANSITIONAL:
        settled = {transition(state, step, kind) for (at, step) in TRANSITIONS[kind] if at is state}
        assert settled
        assert settled <= SETTLED | {MappingState.GONE}


@pytest.mark.parametrize("kind", list(EventSourceKind))
def test_every_state_can_be_reached_and_left(kind: EventSourceKind) -> None:
    reached, frontier = {MappingState.GONE}, [MappingState.GONE]
    while frontier:
        here = frontier.pop()
        following = {after for (state, _), after in TRANSITIONS[kind].items() if state is here}
        assert following
        frontier += following - reached
        reached |= following
    assert reached == set(MappingState)


def test_a_queue_mapping_created_disabled_is_disabled_at_once() -> None:
    assert transition(MappingState.GONE, Step.CREATE_DISABLED, QUEUE) is MappingState.DISABLED


def test_a_stream_mapping_created_disabled_is_creating_first() -> None:
    assert transition(MappingState.GONE, Step.CREATE_DISABLED, STREAM) is MappingState.CREATING
    assert transition(MappingState.CREATING, Step.STOPPED, STREAM) is MappingState.DISABLED


def test_an_update_leaves_a_disabled_mapping_disabled() -> None:
    assert transition(MappingState.DISABLED, Step.UPDATE, QUEUE) is MappingState.DISABLED


def test_a_mapping_lives_from_creation_to_deletion() -> None:
    state: object = MappingState.GONE
    seen = []
    for step in (
        Step.CREATE_ENABLED,
        Step.STARTED,
        Step.DISABLE,
        Step.STOPPED,
        Step.ENABLE,
        Step.STARTED,
        Step.UPDATE,
        Step.STARTED,
        Step.DELETE,
        Step.STOPPED,
    ):
        assert isinstance(state, MappingState)
        state = transition(state, step, QUEUE)
        seen.append(str(state))
    assert seen == [
        "Creating", "Enabled", "Disabling", "Disabled", "Enabling", "Enabled", "Updating", "Enabled", "Deleting",
        "Gone",
    ]  # fmt: skip


def test_settling_what_is_settled_is_a_bug() -> None:
    with pytest.raises(ValueError, match="a mapping that is Enabled cannot be started"):
        transition(MappingState.ENABLED, Step.STARTED, QUEUE)


def test_the_reason_of_a_transition_is_worded_by_kind_of_source() -> None:
    assert TRANSITION_REASONS == {QUEUE: "USER_INITIATED", STREAM: "User action"}
