"""Failure records, however they come, and the records that they name."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from broker.cli.failed_records import failed_records
from broker.cli.failure_records import FailedRange, FailureRecord, read_failure_record
from broker.cli.patience import ATTEMPTS, read_patiently
from broker.core.lanes import lane_of
from broker.errors import CommandError, ConfigurationError, ReadFault, ShardReadError
from broker.model.reference import FunctionReference
from broker.model.stream import Page, Position, TrimHorizon
from broker.testing import InMemoryStream, InMemoryStreamSource

STREAM = "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks"
SHARD = "shardId-000000000000"
FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:orders:live"
INFO = {"shardId": SHARD, "startSequenceNumber": "3", "endSequenceNumber": "7", "batchSize": 4, "streamArn": STREAM}
CONTEXT = {"functionArn": FUNCTION, "condition": "RetryAttemptsExhausted"}
RECORD = json.dumps({"requestContext": CONTEXT, "version": "1.0", "KinesisBatchInfo": INFO})


@pytest.fixture
def anyio_backend(virtual_backend: tuple[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    return virtual_backend


def read(text: str) -> FailureRecord:
    return read_failure_record(text.encode(), name="failed.json")


@pytest.mark.parametrize(
    "text",
    [
        RECORD,
        json.dumps({"Body": RECORD}),
        json.dumps({"Messages": [{"MessageId": "m", "Body": RECORD}]}),
        json.dumps({"Records": [{"messageId": "m", "body": RECORD}]}),
        json.dumps({"Type": "Notification", "Message": RECORD}),
        json.dumps({"Body": json.dumps({"Type": "Notification", "Message": RECORD})}),
    ],
    ids=["as such", "message", "answer of receive-message", "event", "notification", "notification in a queue"],
)
def test_a_record_is_found_in_whatever_carried_it(text: str) -> None:
    assert read(text) == FailureRecord(
        stream_arn=STREAM,
        function=FunctionReference.parse(FUNCTION),
        condition="RetryAttemptsExhausted",
        range=FailedRange(shard_id=SHARD, first="3", last="7", count=4),
        payload=None,
    )


def test_an_object_of_s3_has_the_event() -> None:
    assert read(json.dumps(json.loads(RECORD) | {"payload": '{"Records":[]}'})).payload == b'{"Records":[]}'


def test_the_record_of_a_windows_last_invocation_names_no_records() -> None:
    info = {"shardId": SHARD, "streamArn": STREAM}
    found = read(json.dumps({"requestContext": CONTEXT, "DDBStreamBatchInfo": info}))
    assert found.range == FailedRange(shard_id=SHARD, first="", last="", count=0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nonsense", "failed.json: this is not JSON"),
        ('{"Body": "nonsense"}', "failed.json: this is not JSON"),
        ("[]", "failed.json: this is no on-failure record"),
        ("3", "failed.json: this is no on-failure record"),
        (json.dumps({"Messages": [{}, {}]}), "this is no on-failure record"),
        (json.dumps({"requestContext": CONTEXT}), "this is no on-failure record"),
        (json.dumps({"KinesisBatchInfo": INFO}), "this is no on-failure record"),
        (json.dumps({"requestContext": {"functionArn": "?"}, "KinesisBatchInfo": INFO}), "no on-failure record"),
    ],
)
def test_what_is_none_is_refused_with_its_place(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        read(text)


# ---- reading them again


@pytest.fixture
def stream(make_stream: Callable[..., InMemoryStream]) -> InMemoryStream:
    return make_stream("clicks", shard_count=1)


def failed(numbers: list[str], count: int | None = None) -> FailedRange:
    return FailedRange(shard_id=SHARD, first=numbers[0], last=numbers[-1], count=count or len(numbers))


@pytest.mark.anyio
async def test_the_records_of_a_range_are_those_between_its_ends(stream: InMemoryStream) -> None:
    numbers = [stream.put("k", str(each)) for each in range(5)]
    found = await failed_records(InMemoryStreamSource(stream), failed(numbers[1:4]), accepts=None, factor=1)
    assert [record.identifier for record in found] == numbers[1:4]


@pytest.mark.anyio
async def test_records_that_the_filters_dropped_were_not_in_the_batch(stream: InMemoryStream) -> None:
    numbers = [stream.put("k", str(each)) for each in range(4)]
    found = await failed_records(
        InMemoryStreamSource(stream), failed(numbers), accepts=lambda record: record.identifier != numbers[1], factor=1
    )
    assert [record.identifier for record in found] == [numbers[0], *numbers[2:]]


@pytest.mark.anyio
async def test_records_of_other_lanes_were_not_in_the_batch(stream: InMemoryStream) -> None:
    keys = [f"k{each}" for each in range(20)]
    numbers = [stream.put(key, b"x") for key in keys]
    found = await failed_records(InMemoryStreamSource(stream), failed(numbers), accepts=None, factor=4)
    mine = [number for key, number in zip(keys, numbers, strict=True) if lane_of(key.encode(), 4) == lane_of(b"k0", 4)]
    assert [record.identifier for record in found] == mine
    assert len(mine) < len(numbers)


@pytest.mark.anyio
async def test_a_trimmed_range_is_told(stream: InMemoryStream) -> None:
    numbers = [stream.put("k", str(each)) for each in range(5)]
    stream.trim(SHARD)
    with pytest.raises(CommandError, match="have left the stream: only a failure record with its payload"):
        await failed_records(InMemoryStreamSource(stream), failed(numbers), accepts=None, factor=1)


@pytest.mark.anyio
async def test_a_range_that_ends_beyond_the_shards_tip_is_read_as_far_as_it_goes(stream: InMemoryStream) -> None:
    number = stream.put("k", b"x")
    beyond = FailedRange(shard_id=SHARD, first=number, last=str(int(number) + 10**6), count=2)
    found = await failed_records(InMemoryStreamSource(stream), beyond, accepts=None, factor=1)
    assert [record.identifier for record in found] == [number]


class Failing:
    """A source and its reader, which fails."""

    def __init__(self, fault: ReadFault) -> None:
        self.fault = fault

    def reader(self, shard_id: str) -> "Failing":
        return self

    async def read(self, position: Position | None, *, maximum_count: int) -> Page:
        raise ShardReadError("no answer", fault=self.fault)

    async def aclose(self) -> None:
        pass


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("fault", "says"),
    [(ReadFault.SHARD_GONE, "have left the stream"), (ReadFault.OTHER, "cannot be read again: no answer")],
)
async def test_a_stream_that_does_not_answer_is_told(fault: ReadFault, says: str) -> None:
    with pytest.raises(CommandError, match=says):
        await failed_records(Failing(fault), failed(["1", "2"]), accepts=None, factor=1)  # type: ignore[arg-type]


class Throttled:
    """A shard that others read so often that the first reads are refused."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.positions: list[Position | None] = []

    async def read(self, position: Position | None, *, maximum_count: int) -> Page:
        self.positions.append(position)
        if len(self.positions) <= self.refusals:
            raise ShardReadError("too often", fault=ReadFault.THROTTLED)
        return Page(records=(), read_at=0.0, server_at=0.0)


@pytest.mark.anyio
async def test_a_shard_that_others_read_is_read_patiently_from_the_same_place() -> None:
    reader, place = Throttled(2), TrimHorizon()
    await read_patiently(reader, None, otherwise=place, maximum_count=1)  # type: ignore[arg-type]
    assert reader.positions == [None, place, place]
    with pytest.raises(ShardReadError, match="too often"):
        await read_patiently(Throttled(ATTEMPTS), None, otherwise=place, maximum_count=1)  # type: ignore[arg-type]
