"""The queues inside the emulator: made, filled and measured from outside the broker."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from aiobotocore.session import AioSession

from broker.cli.emulated_clients import emulated_client, making
from broker.cli.emulator import Emulator
from broker.model.arn import Arn

DEPTH_ATTRIBUTES = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
"""Together: every message that the queue still has."""

TAKEN_SECONDS = 3600
"""Longer than anybody looks at the account of a demonstration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePlan:
    """A queue to be made."""

    name: str
    """Ends in `.fifo` for a FIFO queue."""
    visibility_timeout_seconds: int
    dead_letter_name: str | None = None
    """The queue to which messages go that were received too often."""
    maximum_receive_count: int = 1
    """How often that is."""

    @property
    def fifo(self) -> bool:
        """Whether it is a FIFO queue."""
        return self.name.endswith(".fifo")


class EmulatedQueues:
    """Queues of one account and region of the emulator. The emulator counts exactly, at once."""

    def __init__(self, client: Any, emulator: Emulator) -> None:
        self._client = client
        self._emulator = emulator
        self._urls: dict[str, str] = {}

    def arn(self, name: str) -> str:
        """The ARN of a queue."""
        account, region = self._emulator.account_id, self._emulator.region
        return str(Arn(partition="aws", service="sqs", region=region, account=account, resource=name))

    async def create(self, plan: QueuePlan) -> None:
        """Makes a queue, and before it the dead-letter queue that it names. Raises `SourceError`."""
        attributes = {"VisibilityTimeout": str(plan.visibility_timeout_seconds)}
        if plan.fifo:
            attributes |= {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
        if plan.dead_letter_name:
            await self.create(QueuePlan(name=plan.dead_letter_name, visibility_timeout_seconds=30))
            attributes["RedrivePolicy"] = orjson.dumps(
                {
                    "deadLetterTargetArn": self.arn(plan.dead_letter_name),
                    "maxReceiveCount": str(plan.maximum_receive_count),
                }
            ).decode()
        with making("CreateQueue", plan.name):
            answer = await self._client.create_queue(QueueName=plan.name, Attributes=attributes)
        self._urls[plan.name] = answer["QueueUrl"]

    async def send(self, name: str, bodies: Sequence[str], *, groups: Sequence[str] = ()) -> int:
        """Sends up to ten messages and returns how many the queue took; `groups` for a FIFO queue, one a message."""
        entries: list[dict[str, str]] = [
            {"Id": str(position), "MessageBody": body} for position, body in enumerate(bodies)
        ]
        for entry, group in zip(entries, groups, strict=False):
            entry["MessageGroupId"] = group
        answer = await self._client.send_message_batch(QueueUrl=self._urls[name], Entries=entries)
        return len(answer.get("Successful", ()))

    async def take_all(self, name: str) -> list[str]:
        """Receives what the queue holds, and returns the bodies; nobody else gets these messages for a while."""
        bodies: list[str] = []
        while True:
            answer = await self._client.receive_message(
                QueueUrl=self._urls[name], MaxNumberOfMessages=10, VisibilityTimeout=TAKEN_SECONDS, WaitTimeSeconds=0
            )
            if not (messages := answer.get("Messages")):
                return bodies
            bodies += [message["Body"] for message in messages]

    async def depth(self, name: str) -> int:
        """Messages that the queue has: visible, in flight and delayed."""
        answer = await self._client.get_queue_attributes(
            QueueUrl=self._urls[name], AttributeNames=list(DEPTH_ATTRIBUTES)
        )
        return sum(int(answer["Attributes"][attribute]) for attribute in DEPTH_ATTRIBUTES)


@asynccontextmanager
async def emulated_queues(emulator: Emulator, *, session: AioSession | None = None) -> AsyncIterator[EmulatedQueues]:
    """Opens one client for the emulator's account and region."""
    async with emulated_client("sqs", emulator, session=session) as client:
        yield EmulatedQueues(client, emulator)
