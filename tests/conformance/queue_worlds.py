"""Where the conformance suite finds its queues: in memory, or in a server that speaks SQS."""

import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from broker.aws.clients import Clients
from broker.cli.emulator import Emulator
from broker.ports import Clock, QueueSource
from broker.sources.sqs import SqsQueueSource
from broker.testing import InMemoryQueue, InMemoryQueueSource, VirtualClock

Attributes = Mapping[str, Mapping[str, str | bytes]]
"""Message attributes in SQS's own form."""


class QueueWorld(Protocol):
    """A queue of its own for one test, and its sources."""

    source: QueueSource
    dead_letters: QueueSource
    missing: QueueSource
    """The source of a queue that does not exist."""
    arn: str
    dead_letter_arn: str

    async def send(
        self, body: str, *, attributes: Attributes | None = None, group: str | None = None, name: str | None = None
    ) -> str:
        """Sends a message, of `group` with the deduplication id `name` (default: another each time); returns its id."""
        ...


OpenWorld = Callable[..., AbstractAsyncContextManager[QueueWorld]]
"""Makes a world: `fifo`, `visibility_timeout_seconds`, `maximum_receive_count`."""


@dataclass(kw_only=True)
class InMemoryWorld:
    """The fake."""

    queue: InMemoryQueue
    source: QueueSource
    dead_letters: QueueSource
    missing: QueueSource
    arn: str
    dead_letter_arn: str

    async def send(
        self, body: str, *, attributes: Attributes | None = None, group: str | None = None, name: str | None = None
    ) -> str:
        return self.queue.send(
            body, attributes=attributes, group=group, deduplication_id=_deduplication_id(group, name)
        )


@asynccontextmanager
async def in_memory_world(
    *, fifo: bool = False, visibility_timeout_seconds: int = 30, maximum_receive_count: int = 10
) -> AsyncIterator[InMemoryWorld]:
    clock, suffix = VirtualClock(), ".fifo" if fifo else ""
    dead_letters = InMemoryQueue(f"dlq{suffix}", clock=clock, fifo=fifo)
    missing = InMemoryQueue("missing", clock=clock)
    missing.vanish()
    queue = InMemoryQueue(
        f"queue{suffix}",
        clock=clock,
        fifo=fifo,
        visibility_timeout_seconds=visibility_timeout_seconds,
        maximum_receive_count=maximum_receive_count,
        dead_letter_queue=dead_letters,
    )
    yield InMemoryWorld(
        queue=queue,
        source=InMemoryQueueSource(queue),
        dead_letters=InMemoryQueueSource(dead_letters),
        missing=InMemoryQueueSource(missing),
        arn=queue.arn,
        dead_letter_arn=dead_letters.arn,
    )


_INVALID = "answers ReceiptHandleIsInvalid where AWS answers success"
MINISTACK_DEVIATIONS = {
    "test_deleting_twice_is_no_failure": _INVALID,
    "test_a_stale_receipt_succeeds_and_deletes_nothing": _INVALID,
    "test_an_expired_receipt_of_a_fifo_queue_fails_and_deletes_nothing": "deletes with an expired receipt",
    "test_a_message_that_is_visible_again_cannot_be_hidden": "hides a message that is not in flight",
    "test_a_repeated_receive_brings_the_same_messages_and_receipts": "ignores ReceiveRequestAttemptId",
}
"""Where ministack 1.5.33 differs from AWS."""
FAUXQS_DEVIATIONS = {
    "test_entries_that_cannot_be_deleted_are_told_by_identifier": "answers success to what is no receipt",
    "test_an_expired_receipt_of_a_fifo_queue_fails_and_deletes_nothing": "deletes with an expired receipt",
    "test_a_message_that_is_visible_again_cannot_be_hidden": "says nothing where the message is not in flight",
    "test_a_receive_brings_several_messages_of_a_group_in_order": "brings one message of a group per receive",
    "test_a_repeated_receive_brings_the_same_messages_and_receipts": "ignores ReceiveRequestAttemptId",
    "test_a_body_arrives_byte_for_byte": "refuses characters beyond U+FFFF",
}
"""Where fauxqs 2.4.1 differs from AWS."""


@dataclass(kw_only=True)
class ServerWorld:
    """A queue behind HTTP."""

    client: Any
    url: str
    source: QueueSource
    dead_letters: QueueSource
    missing: QueueSource
    arn: str
    dead_letter_arn: str

    async def send(
        self, body: str, *, attributes: Attributes | None = None, group: str | None = None, name: str | None = None
    ) -> str:
        request: dict[str, Any] = {"QueueUrl": self.url, "MessageBody": body, "MessageAttributes": attributes or {}}
        if group is not None:
            request |= {"MessageGroupId": group, "MessageDeduplicationId": _deduplication_id(group, name)}
        answer = await self.client.send_message(**request)
        return str(answer["MessageId"])


@asynccontextmanager
async def server_world(
    emulator: Emulator,
    clock: Clock,
    *,
    fifo: bool = False,
    visibility_timeout_seconds: int = 30,
    maximum_receive_count: int = 10,
) -> AsyncIterator[ServerWorld]:
    """Expects the environment to point at the emulator."""
    name, suffix = f"queue-{uuid.uuid4().hex}", ".fifo" if fifo else ""
    owner = f"arn:aws:sqs:{emulator.region}:{emulator.account_id}"
    arn, dead_letter_arn = f"{owner}:{name}{suffix}", f"{owner}:{name}-dlq{suffix}"
    kind = {"FifoQueue": "true"} if fifo else {}
    async with Clients() as clients:
        client = await clients.client("sqs", emulator.region)
        await client.create_queue(QueueName=f"{name}-dlq{suffix}", Attributes=kind)
        redrive = {"deadLetterTargetArn": dead_letter_arn, "maxReceiveCount": maximum_receive_count}
        queue = await client.create_queue(
            QueueName=f"{name}{suffix}",
            Attributes={
                **kind,
                "VisibilityTimeout": str(visibility_timeout_seconds),
                "RedrivePolicy": orjson.dumps(redrive).decode(),
            },
        )

        def source(arn: str) -> SqsQueueSource:
            return SqsQueueSource(arn=arn, clients=clients, clock=clock)

        yield ServerWorld(
            client=client,
            url=queue["QueueUrl"],
            source=source(arn),
            dead_letters=source(dead_letter_arn),
            missing=source(f"{owner}:missing-{name}"),
            arn=arn,
            dead_letter_arn=dead_letter_arn,
        )


def _deduplication_id(group: str | None, name: str | None) -> str | None:
    return None if group is None else name or uuid.uuid4().hex
