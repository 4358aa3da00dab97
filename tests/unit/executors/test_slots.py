"""How many invocations run at once."""

from broker.executors.slots import Slots
from broker.model.invocation import Throttled


def test_a_slot_beyond_the_limit_is_refused_in_lambdas_words() -> None:
    slots = Slots(1)
    assert slots.take_nowait() is None
    assert slots.take_nowait() == Throttled(
        message="Rate Exceeded. (ReservedFunctionConcurrentInvocationLimitExceeded: 1 of 1 in use)"
    )


def test_a_released_slot_can_be_taken_again() -> None:
    slots = Slots(1)
    assert slots.take_nowait() is None
    slots.release()
    assert slots.take_nowait() is None


def test_there_is_no_limit_unless_one_is_given() -> None:
    slots = Slots(None)
    assert all(slots.take_nowait() is None for _ in range(1000))
