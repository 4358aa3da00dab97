"""A Kinesis that answers from a table, for tests of the source."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import anyio
import anyio.lowlevel

from broker.aws.event_stream import StreamEvent
from broker.aws.faults import Call, Refusal, service_fault
from broker.aws.signature import JsonApi
from broker.aws.signed_call import Answer
from broker.sources.kinesis_record import ShardOrigin

ARN = "arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream"
CONSUMER_ARN = f"{ARN}/consumer/shop:1545084650"
SHARD = "shardId-000000000006"
ROLE = "arn:aws:iam::123456789012:role/lambda-role"
ORIGIN = ShardOrigin(arn=ARN, region="us-east-2", role_arn=ROLE, shard_id=SHARD)
FIRST = 49590338271490256608559692538361571095921575989136588898

End = None
"""Ends a subscription."""


def wire_record(index: int = 0, *, data: bytes = b"hello", key: str = "1", **changes: Any) -> dict[str, Any]:
    """An element of `Records`."""
    return {
        "SequenceNumber": str(FIRST + index),
        "ApproximateArrivalTimestamp": 1545084650.987,
        "Data": b64encode(data).decode(),
        "PartitionKey": key,
        "EncryptionType": "NONE",
        **changes,
    }


class FakeEvents:
    """A subscription: events of a list, and then silence."""

    def __init__(self, events: list[Any], sent_at: float | None) -> None:
        self.sent_at = sent_at
        self.is_closed = False
        self._events = events

    async def next(self) -> StreamEvent | None:
        await anyio.lowlevel.checkpoint()
        if not self._events:
            await anyio.sleep_forever()
        event = self._events.pop(0)
        if isinstance(event, Refusal):
            raise service_fault(Call(operation="SubscribeToShard"), event)
        if event is End or isinstance(event, StreamEvent):
            return event
        return StreamEvent("SubscribeToShardEvent", event)

    def close(self) -> None:
        self.is_closed = True


class FakeEndpoint:
    """Answers each call with the next of its operation's answers, or the last of them again."""

    def __init__(self) -> None:
        self.api = JsonApi(
            service="kinesis", region="us-east-2", endpoint_url="http://here", target_prefix="Kinesis_20131202"
        )
        self.answers: dict[str, list[Any]] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.subscriptions: list[FakeEvents] = []
        self.sent_at: float | None = None

    def answer(self, operation: str, *answers: Any) -> None:
        self.answers[operation] = list(answers)

    async def call(self, operation: str, request: Mapping[str, Any], *, resource: str = "") -> Answer:
        answer = await self._next(operation, request, resource)
        return Answer(answer, self.sent_at)

    async def open_stream(
        self, operation: str, request: Mapping[str, Any], *, resource: str = "", silence_seconds: float
    ) -> FakeEvents:
        events = await self._next(operation, request, resource)
        self.subscriptions.append(FakeEvents(list(events), self.sent_at))
        return self.subscriptions[-1]

    async def _next(self, operation: str, request: Mapping[str, Any], resource: str) -> Any:
        self.asked.append((operation, dict(request)))
        await anyio.lowlevel.checkpoint()
        answers = self.answers[operation]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Refusal):
            raise service_fault(Call(operation=operation, resource=resource), answer)
        return answer

    def requests(self, operation: str) -> list[dict[str, Any]]:
        return [request for name, request in self.asked if name == operation]


class FakeClients:
    def __init__(self, endpoint: FakeEndpoint) -> None:
        self._endpoint = endpoint
        self.opened: list[tuple[str, str]] = []

    async def json_endpoint(self, service: str, region: str) -> FakeEndpoint:
        self.opened.append((service, region))
        return self._endpoint
