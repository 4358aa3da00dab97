"""A queue in memory as a consumer sees it: the `QueueSource` of the broker's ports."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from broker.model.record import Failure, QueueAttributes, Record
from broker.sources.sqs_record import queue_record
from broker.testing.faults import pause
from broker.testing.queue_faults import Operation
from broker.testing.queue_receipts import refusal
from broker.testing.queues import InMemoryQueue

MAXIMUM_ENTRIES = 10
LONGEST_POLL_SECONDS = 20


class Line(Protocol):
    """What lies between a source and its queue: calls pass it on their way there, answers on their way back."""

    async def passes(self, operation: Operation, *, answered: bool) -> None:
        """Raises `SourceError` where the call or its answer does not get through."""
        ...


class _OpenLine:
    async def passes(self, operation: Operation, *, answered: bool) -> None:
        """Everything gets through."""


class InMemoryQueueSource:
    """Receives from and settles with an `InMemoryQueue`. One queue may have many sources.

    Each call is one request: it may be refused or come late, takes effect at one instant, and its reply may be late or
    lost, as the queue's fault verbs say.
    """

    def __init__(self, queue: InMemoryQueue, *, line: Line | None = None) -> None:
        self._queue = queue
        self._line = line or _OpenLine()

    async def describe(self) -> QueueAttributes:
        """See `QueueSource`."""
        late = await self._request("describe")
        attributes = self._queue.attributes
        await self._reply("describe", late)
        return attributes

    async def receive(
        self, *, maximum_count: int, wait_seconds: int, visibility_timeout_seconds: int, attempt_id: str | None
    ) -> tuple[Record, ...]:
        """See `QueueSource`."""
        _require_range("MaxNumberOfMessages", maximum_count, 1, MAXIMUM_ENTRIES)
        _require_range("WaitTimeSeconds", wait_seconds, 0, LONGEST_POLL_SECONDS)
        _require_range("VisibilityTimeout", visibility_timeout_seconds, 0, 43_200)
        late = await self._request("receive")
        messages = await self._queue.receive(
            maximum_count=maximum_count,
            wait_seconds=wait_seconds,
            visibility_timeout_seconds=visibility_timeout_seconds,
            attempt_id=attempt_id,
        )
        now = self._queue.clock.now()
        await self._reply("receive", late, worth_losing=bool(messages))
        return tuple(
            queue_record(
                message,
                arn=self._queue.arn,
                region=self._queue.region,
                received_at=now,
                visible_until=now + visibility_timeout_seconds,
            )
            for message in messages
        )

    async def delete(self, records: Sequence[Record]) -> Mapping[str, Failure]:
        """See `QueueSource`."""
        _require_entries(records)
        late = await self._request("delete")
        failures = self._queue.next_failures("delete", [record.identifier for record in records])
        for record in records:
            if record.identifier not in failures and (failure := self._queue.delete(record.receipt)):
                failures[record.identifier] = failure
        await self._reply("delete", late)
        return failures

    async def change_visibility(
        self, records: Sequence[Record], *, visibility_timeout_seconds: int
    ) -> Mapping[str, Failure]:
        """See `QueueSource`."""
        _require_entries(records)
        late = await self._request("change_visibility")
        failures = self._queue.next_failures("change_visibility", [record.identifier for record in records])
        for record in records:
            if record.identifier not in failures and (
                failure := self._queue.change_visibility(record.receipt, visibility_timeout_seconds)
            ):
                failures[record.identifier] = failure
        await self._reply("change_visibility", late)
        return failures

    async def _request(self, operation: Operation) -> float:
        """Brings a call to its queue; returns how many seconds its reply will take."""
        await self._line.passes(operation, answered=False)
        early, late = self._queue.next_slowness(operation)
        await pause(early)
        self._queue.require_existence()
        self._queue.require_admission(operation)
        return late

    async def _reply(self, operation: Operation, late: float, *, worth_losing: bool = True) -> None:
        await self._line.passes(operation, answered=True)
        await pause(late)
        if worth_losing:
            self._queue.require_reply(operation)


def _require_range(name: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise refusal(
            f"Value {value} for parameter {name} is invalid. Reason: Must be between {lowest} and {highest}, if "
            "provided."
        )


def _require_entries(records: Sequence[Record]) -> None:
    if not records:
        raise refusal(
            "There should be at least one entry in the request.", code="AWS.SimpleQueueService.EmptyBatchRequest"
        )
    if len(records) > MAXIMUM_ENTRIES:
        raise refusal(
            f"Maximum number of entries per request are 10. You have sent {len(records)}.",
            code="AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
        )
