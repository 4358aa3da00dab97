"""How many invocations one executor runs at once."""

from broker.model.invocation import Throttled


class Slots:
    """Slots of one executor. Each is held until the handler's code has ended, whatever the result was and when."""

    def __init__(self, concurrency: int | None) -> None:
        """`concurrency` is 1 or more; None for as many as asked."""
        self.concurrency = concurrency
        self._taken_count = 0

    def take_nowait(self) -> Throttled | None:
        """Takes a slot, or answers as Lambda does where all are taken."""
        taken = self._taken_count
        if self.concurrency is not None and taken >= self.concurrency:
            reason = f"ReservedFunctionConcurrentInvocationLimitExceeded: {taken} of {self.concurrency} in use"
            return Throttled(message=f"Rate Exceeded. ({reason})")
        self._taken_count += 1
        return None

    def release(self) -> None:
        """The handler's code has ended."""
        self._taken_count -= 1
