"""What the broker asks of the world. Adapters implement these without inheriting; ports take no time-outs."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from broker.model.discard import DiscardedBatch
from broker.model.invocation import Invocation, InvocationResult
from broker.model.lease import Row
from broker.model.observation import Observation
from broker.model.record import Failure, QueueAttributes, Record
from broker.model.stream import Page, Position, Shard, StreamDescription


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


class ShardReader(Protocol):
    """Reads one shard, from one place to the next. Each method is one attempt."""

    async def read(self, position: Position | None, *, maximum_count: int) -> Page:
        """The next page: from `position`, or where it is None from where the page before ended.

        Returns at most 1,000 records and may ask the service for up to `maximum_count` (1-10,000). The first call
        needs a position, and so does one after `ShardReadError`. A reader that is pushed to (enhanced fan-out) waits
        for what comes, and returns a page without records from time to time.

        Raises:
            ShardReadError: `fault` says what to do.
        """
        ...

    async def aclose(self) -> None:
        """Ends a subscription; nothing may be read afterwards."""
        ...


class StreamSource(Protocol):
    """A stream with the contract of Kinesis or DynamoDB Streams."""

    async def describe(self) -> StreamDescription:
        """What the stream is. Raises `ShardReadError`."""
        ...

    async def list_shards(self) -> tuple[Shard, ...]:
        """All shards that the stream still has, closed ones too: every page of the listing. Raises `ShardReadError`."""
        ...

    def reader(self, shard_id: str) -> ShardReader:
        """A reader of one shard; nothing is asked yet."""
        ...


class Destination(Protocol):
    """Takes the records of batches that were given up."""

    async def send(self, discarded: DiscardedBatch, *, shard_id: str, request_id: str, now: float) -> None:
        """Delivers one failure record, in one attempt.

        `now` is its time stamp: a repetition carries that of the first attempt, so that it is known for one. Raises
        `DestinationError`.
        """
        ...


class StateStore(Protocol):
    """Rows in partitions, each of them written by compare-and-set. Every read sees every write that has returned.

    One attempt each: nothing is repeated behind the caller's back.
    """

    async def read(self, partition: str) -> Mapping[str, Row]:
        """All rows of a partition, by key. Raises `StoreError`."""
        ...

    async def get(self, partition: str, key: str) -> Row | None:
        """One row; None where there is none. Raises `StoreError`."""
        ...

    async def write(self, partition: str, key: str, value: Mapping[str, Any], *, version: int, nonce: str) -> None:
        """Makes `value` the row's, whose version is still `version` (0: there is no row) and becomes one more.

        `nonce` is new for each change and the same where a change is repeated because its answer was lost: a repetition
        of what took effect succeeds.

        Raises:
            RowConflict: the row has another version; nothing was written.
            StoreError: it did not work, or no answer came.
        """
        ...

    async def delete(self, partition: str, key: str, *, version: int) -> None:
        """Removes a row whose version is still `version`; one that is gone already is fine.

        Raises:
            RowConflict: the row has another version.
            StoreError: it did not work, or no answer came.
        """
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
