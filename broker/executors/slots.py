"""How many invocations one executor runs at once, and which of them are overdue."""

import math
from dataclasses import dataclass

from broker.model.invocation import Throttled


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorStatistics:
    """What an executor does at one instant."""

    running: int = 0
    """Invocations that hold a slot, the stuck ones included."""
    stuck: int = 0
    """Of these, those whose handler runs on although its time is over."""


@dataclass(slots=True, kw_only=True, eq=False)
class Slot:
    """The right to run a handler once."""

    overdue_at: float
    """Instant at which the handler's time is over, epoch seconds."""


class Slots:
    """Slots of one executor. Each is held until the handler's code has ended, whatever the result was and when."""

    def __init__(self, concurrency: int | None) -> None:
        """`concurrency` is 1 or more; None for as many as asked."""
        self.concurrency = concurrency
        self._taken: set[Slot] = set()

    def take_nowait(self, *, overdue_at: float = math.inf) -> Slot | Throttled:
        """Takes a slot, or answers as Lambda does where all are taken."""
        taken = len(self._taken)
        if self.concurrency is not None and taken >= self.concurrency:
            reason = f"ReservedFunctionConcurrentInvocationLimitExceeded: {taken} of {self.concurrency} in use"
            return Throttled(message=f"Rate Exceeded. ({reason})")
        slot = Slot(overdue_at=overdue_at)
        self._taken.add(slot)
        return slot

    def release(self, slot: Slot) -> None:
        """The handler's code has ended."""
        self._taken.remove(slot)

    def statistics(self, now: float) -> ExecutorStatistics:
        """Counts at this instant."""
        stuck = sum(slot.overdue_at <= now for slot in self._taken)
        return ExecutorStatistics(running=len(self._taken), stuck=stuck)
