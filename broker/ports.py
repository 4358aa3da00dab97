"""What the broker asks of the world. Adapters implement these without inheriting; ports take no time-outs."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from broker.model.invocation import Invocation, InvocationResult
from broker.model.observation import Observation
from broker.model.record import Failure, QueueAttributes, Record


class Clock(Protocol):
    """Elapsed time from an epoch that was read once: it never goes back."""

    def now(self) -> float:
        """Epoch seconds, UTC."""
        ...


class QueueSource(Protocol):
    """A queue with SQS's contract. Each method is one attempt: nothing is repeated behind the caller's back."""

    async def describe(self) -> QueueAttributes:
        """Reads the queue's attributes. Raises `SourceError`."""
        ...

    async def receive(
        self, *, maximum_count: int, wait_seconds: int, visibility_timeout_seconds: int, attempt_id: str | None
    ) -> tuple[Record, ...]:
        """Long-polls for up to `maximum_count` (1-10) records; returns none after `wait_seconds` (0-20).

        `attempt_id` is the `ReceiveRequestAttemptId` of a FIFO receive, None for a standard queue. Each record's
        `visible_until` counts from the instant at which the queue handed it over. Raises `SourceError`.
        """
        ...

    async def delete(self, records: Sequence[Record]) -> Mapping[str, Failure]:
        """Deletes 1-10 records in one call; returns those that failed, by identifier. Raises `SourceError`."""
        ...

    async def change_visibility(
        self, records: Sequence[Record], *, visibility_timeout_seconds: int
    ) -> Mapping[str, Failure]:
        """Changes 1-10 records in one call; returns those that failed, by identifier. Raises `SourceError`."""
        ...


class Executor(Protocol):
    """Runs one function's handler."""

    @property
    def concurrency(self) -> int | None:
        """How many invocations it runs at once; None for as many as asked."""
        ...

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        """Calls the handler once. Raises `ExecutorError` only if the executor itself is broken."""
        ...


class Observer(Protocol):
    """Hears what happens to one broker. Must neither block nor raise."""

    def observe(self, mapping: str, observation: Observation) -> None:
        """`mapping` is the mapping's UUID."""
        ...
