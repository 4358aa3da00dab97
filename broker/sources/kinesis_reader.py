"""Reads a Kinesis shard by polling: GetShardIterator, then GetRecords from iterator to iterator.

An iterator that has not been used for five minutes has expired; the fault says so. An answer may be empty although
there is more: only an answer without `NextShardIterator` is the end (emulators leave it out, or send an empty text).

Source: Amazon Kinesis Data Streams API Reference, GetShardIterator and GetRecords (read November 2026).
"""

from operator import itemgetter
from typing import Any

from broker.aws.signed_call import Answer
from broker.model.stream import Page, Position
from broker.ports import Clock
from broker.sources.kinesis_api import KinesisApi, iterator_request
from broker.sources.kinesis_faults import iterator_missing
from broker.sources.kinesis_pages import Slices, children_of
from broker.sources.kinesis_record import ShardOrigin
from broker.sources.server_time import server_time

_LARGEST_PAGE = 10_000
"""The most that `Limit` may be."""
_data_of = itemgetter("Data")
_key_of = itemgetter("PartitionKey")


class PollingReader:
    """Reads one shard. For one task at a time."""

    def __init__(self, *, origin: ShardOrigin, api: KinesisApi, clock: Clock) -> None:
        self._origin = origin
        self._api = api
        self._clock = clock
        self._iterator: str | None = None
        self._rest: Slices | None = None
        """What is left of the last answer."""

    async def read(self, position: Position | None, *, maximum_count: int) -> Page:
        """The next part of the last answer, or up to `maximum_count` records more. Raises `ShardReadError`."""
        if position is not None:
            self._rest = None
            self._iterator = await self._opened(position)
        rest = self._rest or await self._asked(min(maximum_count, _LARGEST_PAGE))
        with self._api.reading("GetRecords", self._origin.shard_id):
            page = rest.next()
        self._rest = None if rest.is_used_up else rest
        return page

    async def aclose(self) -> None:
        """Iterators end by themselves."""

    async def _opened(self, position: Position) -> str:
        operation, shard_id = "GetShardIterator", self._origin.shard_id
        request = {**self._api.named, "ShardId": shard_id, **iterator_request(position)}
        answer = await self._api.ask(operation, request, shard_id=shard_id)
        with self._api.reading(operation, shard_id):
            iterator: str = answer.value["ShardIterator"]
            return iterator

    async def _asked(self, count: int) -> Slices:
        operation, shard_id = "GetRecords", self._origin.shard_id
        if self._iterator is None:
            raise iterator_missing(self._api.call(operation, shard_id))
        request = {"ShardIterator": self._iterator, "Limit": count, "StreamARN": self._api.name.stream_arn}
        answer = await self._api.ask(operation, request, shard_id=shard_id)
        with self._api.reading(operation, shard_id):
            return self._slices(answer)

    def _slices(self, answer: Answer) -> Slices:
        value = answer.value
        wire = value["Records"]
        iterator = value.get("NextShardIterator") or None
        now = self._clock.now()
        slices = Slices(
            wire,
            self._origin,
            Page(
                records=(),
                read_at=now,
                server_at=server_time(sent_at=answer.sent_at, now=now),
                size_bytes=_size_bytes(wire),
                behind_ms=value.get("MillisBehindLatest"),
                is_last=iterator is None,
                children=children_of(value),
            ),
        )
        self._iterator = iterator
        return slices


def _size_bytes(wire: list[dict[str, Any]]) -> int:
    """Bytes that count against the shard's throughput, to within two for each record: data and partition keys."""
    return sum(map(len, map(_data_of, wire))) * 3 // 4 + sum(map(len, map(_key_of, wire)))
