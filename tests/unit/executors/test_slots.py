"""How many invocations run at once."""

from broker.executors.slots import ExecutorStatistics, Slot, Slots
from broker.model.invocation import Throttled


def test_a_slot_beyond_the_limit_is_refused_in_lambdas_words() -> None:
    slots = Slots(1)
    assert isinstance(slots.take_nowait(), Slot)
    refusal = slots.take_nowait()
    assert refusal == Throttled(
        message="Rate Exceeded. (ReservedFunctionConcurrentInvocationLimitExceeded: 1 of 1 in use)"
    )


def test_a_released_slot_can_be_taken_again() -> None:
    slots = Slots(1)
    slot = slots.take_nowait()
    assert isinstance(slot, Slot)
    slots.release(slot)
    assert isinstance(slots.take_nowait(), Slot)


def test_there_is_no_limit_unless_one_is_given() -> None:
    slots = Slots(None)
    assert all(isinstance(slots.take_nowait(), Slot) for _ in range(1000))
    assert slots.statistics(0.0).running == 1000


def test_a_slot_past_its_time_counts_as_stuck() -> None:
    slots = Slots(None)
    slots.take_nowait(overdue_at=10.0)
    slots.take_nowait(overdue_at=20.0)
    assert slots.statistics(9.9) == ExecutorStatistics(running=2)
    assert slots.statistics(10.0) == ExecutorStatistics(running=2, stuck=1)
