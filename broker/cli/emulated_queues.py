"""The queues inside the emulator: made, filled and measured from outside the broker."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from aiobotocore.session import AioSession, get_session

from broker.cli.emulator import Emulator
from broker.model.arn import Arn

DEPTH_ATTRIBUTES = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
"""Together: every message that the queue still has."""


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
        """Makes a queue, and before it the dead-letter queue that it names."""
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

    async def depth(self, name: str) -> int:
        """Messages that the queue has: visible, in flight and delayed."""
        answer = await self._client.get_queue_attributes(
            QueueUrl=self._urls[name], AttributeNames=list(DEPTH_ATTRIBUTES)
        )
        return sum(int(answer["Attributes"][attribute]) for attribute in DEPTH_ATTRIBUTES)


@asynccontextmanager
async def emulated_queues(emulator: Emulator, *, session: AioSession | None = None) -> AsyncIterator[EmulatedQueues]:
    """Opens one client for the emulator's account and region."""
    async with (session or get_session()).create_client(
        "sqs",
        endpoint_url=emulator.url,
        region_name=emulator.region,
        aws_access_key_id=emulator.account_id,
        aws_secret_access_key="emulated",  # noqa: S106 - the emulator takes any
    ) as client:
        yield EmulatedQueues(client, emulator)
