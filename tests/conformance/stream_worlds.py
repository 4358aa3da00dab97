"""Where the conformance suite finds its streams in memory, and what a world of servers has to offer it."""

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from broker.model.stream import StreamRecord
from broker.ports import StreamSource
from broker.testing import DYNAMODB, KINESIS, InMemoryStream, InMemoryStreamSource, StreamKind, VirtualClock

PAGE_SIZE = 2
"""Shards in a page of a listing in memory."""
RESUBSCRIBE_SECONDS = 5.0
"""Between two subscriptions of one consumer to one shard."""


class StreamWorld(Protocol):
    """A stream of its own for one test. A verb that a world does not have calls `pytest.skip` with the reason."""

    source: StreamSource
    missing: StreamSource
    """The source of a stream that does not exist."""
    shard_count: int
    """Shards that the stream was made with."""
    unknown_shard_id: str
    """The id of a shard that the stream never had."""
    tells_lag: bool
    """Whether pages say how far behind they are (Kinesis)."""
    names_children: bool
    """Whether the end of a shard names those that follow."""
    reopen_seconds: float
    """What has to pass between two openings of one shard (enhanced fan-out); 0 where nothing has to."""

    async def put(self, key: str, text: str) -> None:
        """Puts a record: `text` in UTF-8 under the partition key `key`; or an item `{"id": key, "text": text}`."""
        ...

    async def split(self, shard_id: str) -> None:
        """Splits a shard in the middle, and returns when the stream is active again."""
        ...

    async def merge(self, first_id: str, second_id: str) -> None:
        """Merges two neighbours, and returns when the stream is active again."""
        ...

    async def roll(self, shard_id: str) -> None:
        """Closes a shard that one other follows."""
        ...

    async def expire_iterators(self) -> None:
        """No iterator that was given out is good any more."""
        ...

    def require_polling(self) -> None:
        """Skips the test where pages are pushed: they bring as much as the service likes."""
        ...

    def event_of(self, record: StreamRecord, shard_id: str, key: str, text: str) -> dict[str, Any]:
        """The event of a record that was put; what only the service knows is taken from `record`."""
        ...


OpenStreamWorld = Callable[..., AbstractAsyncContextManager[StreamWorld]]
"""Makes a world: `shard_count` (1); or `pages`, so many shards that a listing has so many pages, else skips."""

ROLE_ARN = "arn:aws:iam::123456789012:role/lambda-role"


def kinesis_event(
    record: StreamRecord, shard_id: str, key: str, text: str, *, arn: str, role_arn: str
) -> dict[str, Any]:
    """A Kinesis record as Lambda delivers it."""
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": key,
            "sequenceNumber": record.identifier,
            "data": base64.b64encode(text.encode()).decode(),
            "approximateArrivalTimestamp": record.arrived_at,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"{shard_id}:{record.identifier}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": role_arn,
        "awsRegion": arn.split(":")[3],
        "eventSourceARN": arn,
    }


def dynamodb_event(record: StreamRecord, key: str, text: str, *, arn: str) -> dict[str, Any]:
    """The insertion of an item into a table with NEW_AND_OLD_IMAGES as Lambda delivers it."""
    change = record.event["dynamodb"]
    return {
        "eventID": record.event["eventID"],
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": record.event["awsRegion"],
        "dynamodb": {
            "ApproximateCreationDateTime": record.arrived_at,
            "Keys": {"id": {"S": key}},
            "NewImage": {"id": {"S": key}, "text": {"S": text}},
            "SequenceNumber": record.identifier,
            "SizeBytes": change["SizeBytes"],
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": arn,
    }


@dataclass(kw_only=True)
class InMemoryStreamWorld:
    """The fake: Kinesis by polling or by enhanced fan-out, or DynamoDB."""

    stream: InMemoryStream
    source: InMemoryStreamSource
    missing: StreamSource
    shard_count: int
    reopen_seconds: float
    unknown_shard_id: str = "shardId-999999999999"

    @property
    def tells_lag(self) -> bool:
        return self.stream.kind is KINESIS

    @property
    def names_children(self) -> bool:
        return self.stream.kind.names_children

    async def put(self, key: str, text: str) -> None:
        if self.stream.kind is KINESIS:
            self.stream.put(key, text)
        else:
            keys = {"id": {"S": key}}
            self.stream.change(keys, new_image={**keys, "text": {"S": text}})

    async def split(self, shard_id: str) -> None:
        self.stream.split(shard_id)

    async def merge(self, first_id: str, second_id: str) -> None:
        if not self.stream.kind.can_merge:
            pytest.skip("the shards of a table's stream do not merge")
        self.stream.merge(first_id, second_id)

    async def roll(self, shard_id: str) -> None:
        self.stream.roll(shard_id)

    async def expire_iterators(self) -> None:
        self.stream.expire_iterators()

    def require_polling(self) -> None:
        if self.reopen_seconds:
            pytest.skip("pushed pages bring as much as the service likes")

    def event_of(self, record: StreamRecord, shard_id: str, key: str, text: str) -> dict[str, Any]:
        if self.stream.kind is KINESIS:
            return kinesis_event(record, shard_id, key, text, arn=self.source.arn, role_arn=ROLE_ARN)
        return dynamodb_event(record, key, text, arn=self.source.arn)


@asynccontextmanager
async def in_memory_stream_world(
    *, kind: StreamKind = KINESIS, consumer: str | None = None, shard_count: int = 1, pages: int = 1
) -> AsyncIterator[InMemoryStreamWorld]:
    clock = VirtualClock()
    shard_count = max(shard_count, (pages - 1) * PAGE_SIZE + 1)
    stream = InMemoryStream("orders", clock=clock, kind=kind, shard_count=shard_count)
    missing = InMemoryStream("missing", clock=clock, kind=kind)
    missing.vanish()
    yield InMemoryStreamWorld(
        stream=stream,
        source=InMemoryStreamSource(stream, consumer=consumer, role_arn=ROLE_ARN, page_size=PAGE_SIZE),
        missing=InMemoryStreamSource(missing, consumer=consumer),
        shard_count=shard_count,
        reopen_seconds=0.0 if consumer is None else RESUBSCRIBE_SECONDS,
    )


def in_memory_table_world(**options: Any) -> AbstractAsyncContextManager[InMemoryStreamWorld]:
    """The stream of a table."""
    return in_memory_stream_world(kind=DYNAMODB, **options)


def in_memory_fan_out_world(**options: Any) -> AbstractAsyncContextManager[InMemoryStreamWorld]:
    """Kinesis by enhanced fan-out."""
    return in_memory_stream_world(consumer="consumer", **options)
