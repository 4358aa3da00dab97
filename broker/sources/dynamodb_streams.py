"""A DynamoDB stream as a `StreamSource`: signed AWS JSON calls, each of them one attempt.

A stream's ARN names the very stream (its label is the instant at which it was enabled), so a table that was deleted and
made again has another one. Iterators live for 15 minutes, records for 24 hours; a shard has one parent at most.

DynamoDB Streams do not tell how far behind a reader is, and their mappings know no AT_TIMESTAMP: such a position is
read from the oldest record on, without the records that are older. Times of creation are whole seconds, rounded down,
so the position is too; DynamoDB Local rounds to minutes, so a record that names a whole minute is skipped only where
that minute is over: rather a duplicate than a loss (inferred). What was skipped is told to nobody: whoever went on
behind it would no longer know what to skip. A reader goes on skipping where a call fails; the next one begins anew.

Source: Amazon DynamoDB Streams API Reference, DescribeStream, GetShardIterator and GetRecords (read November 2026).
"""

from collections.abc import Sequence
from typing import Any

from broker.aws.clients import Clients
from broker.aws.faults import Call, unreadable_fault
from broker.aws.signed_call import Answer, JsonEndpoint
from broker.errors import ReadFault, ShardReadError, SourceError
from broker.model.arn import Arn
from broker.model.stream import (
    AfterSequenceNumber,
    AtSequenceNumber,
    AtTimestamp,
    Page,
    Position,
    Shard,
    StreamDescription,
    TrimHorizon,
)
from broker.ports import Clock
from broker.sources.dynamodb_faults import iterator_missing, read_fault, reopened
from broker.sources.dynamodb_record import DynamoDbRecord, dynamodb_record
from broker.sources.server_time import server_time

RETENTION_SECONDS = 86_400.0
"""How long a stream keeps records, always."""
_SERVICE = "dynamodbstreams"
_LOCAL_REGION = "ddblocal"
"""DynamoDB Local writes this into every ARN, and keeps tables apart by the region that requests are signed for."""
_LARGEST_PAGE = 1_000
"""The most that `Limit` may be."""
_SHARDS_PER_PAGE = 100
_MINUTE_SECONDS = 60.0
_MALFORMED = (AttributeError, KeyError, TypeError, ValueError)
"""What reading a document of another shape raises."""


class StreamApi:
    """The calls of one stream, with their faults translated."""

    def __init__(self, *, arn: str, region: str, clients: Clients) -> None:
        self.arn = arn
        self.region = region
        self._clients = clients
        self._endpoint: JsonEndpoint | None = None

    async def ask(self, operation: str, request: dict[str, Any], shard_id: str = "") -> Answer:
        """Makes one call; where something is not there one more, to know what. Raises `ShardReadError`."""
        try:
            if self._endpoint is None:
                self._endpoint = await self._clients.json_endpoint(_SERVICE, self._signed_region())
            return await self._endpoint.call(operation, request, resource=self._resource(shard_id))
        except SourceError as error:
            fault = read_fault(error, self.call(operation, shard_id))
            if fault.fault is ReadFault.SHARD_GONE:
                fault = await self._fault_of_stream() or fault
            raise fault from error

    def call(self, operation: str, shard_id: str = "") -> Call:
        """What is asked of whom, for messages."""
        host = self._endpoint.api.host if self._endpoint else ""
        return Call(operation=operation, resource=self._resource(shard_id), endpoint=host)

    def unreadable(self, operation: str, shard_id: str = "") -> ShardReadError:
        """The answer was not what the operation returns."""
        call = self.call(operation, shard_id)
        return read_fault(unreadable_fault(call), call)

    def _signed_region(self) -> str:
        return (self._clients.region if self.region == _LOCAL_REGION else None) or self.region

    def _resource(self, shard_id: str) -> str:
        return f"{shard_id} of {self.arn}" if shard_id else self.arn

    async def _fault_of_stream(self) -> ShardReadError | None:
        try:
            await self.ask("DescribeStream", {"StreamArn": self.arn, "Limit": 1})
        except ShardReadError as fault:
            return fault
        return None


class DynamoDbShardReader:
    """Reads one shard. For one task at a time."""

    def __init__(self, *, shard_id: str, api: StreamApi, clock: Clock) -> None:
        self._shard_id = shard_id
        self._api = api
        self._clock = clock
        self._iterator: str | None = None
        self._place: Position | None = None
        """What was opened last."""
        self._skipped_before: float | None = None
        """Records that were created before this instant are passed over, until the first that was not."""
        self._skipped_through: str | None = None
        """The last number that was passed over since the place was opened first."""
        self._is_at_horizon = False
        """Whether it was opened at the oldest record, and none has been handed on since."""

    async def read(self, position: Position | None, *, maximum_count: int) -> Page:
        """Asks for up to `maximum_count` records, 1,000 at most. Raises `ShardReadError`."""
        # Whatever goes wrong, cancellation included: the next read opens the place again.
        iterator, self._iterator = self._iterator, None
        try:
            if position is not None:
                iterator = await self._opened(position)
            if iterator is None:
                raise iterator_missing(self._api.call("GetRecords", self._shard_id))
            answer = await self._records_of(iterator, min(maximum_count, _LARGEST_PAGE))
        except ShardReadError as fault:
            if fault.fault is ReadFault.TRIMMED and self._is_at_horizon:
                # The horizon has moved on before its first record was handed on: nothing was passed that mattered.
                self._skipped_through = None
                raise reopened(fault) from fault
            raise
        try:
            return self._page(answer)
        except _MALFORMED as error:
            raise self._api.unreadable("GetRecords", self._shard_id) from error

    async def aclose(self) -> None:
        """Iterators end by themselves."""

    async def _opened(self, position: Position) -> str:
        if position != self._place:
            self._place, self._skipped_through = position, None
        self._skipped_before = float(int(position.at)) if isinstance(position, AtTimestamp) else None
        self._is_at_horizon = isinstance(position, TrimHorizon | AtTimestamp)
        where = AfterSequenceNumber(number=self._skipped_through) if self._skipped_through else position
        request = {"StreamArn": self._api.arn, "ShardId": self._shard_id, **_iterator_of(where)}
        answer = await self._api.ask("GetShardIterator", request, self._shard_id)
        iterator = answer.value.get("ShardIterator")
        if not isinstance(iterator, str):
            raise self._api.unreadable("GetShardIterator", self._shard_id)
        return iterator

    async def _records_of(self, iterator: str, count: int) -> Answer:
        return await self._api.ask("GetRecords", {"ShardIterator": iterator, "Limit": count}, self._shard_id)

    def _page(self, answer: Answer) -> Page:
        arn, region = self._api.arn, self._api.region
        found = [dynamodb_record(wire, arn=arn, region=region) for wire in answer.value.get("Records") or ()]
        records = self._without_older(found)
        iterator = answer.value.get("NextShardIterator")
        now = self._clock.now()
        page = Page(
            records=records,
            read_at=now,
            server_at=server_time(sent_at=answer.sent_at, now=now),
            is_last=not iterator,
        )
        self._iterator = iterator or None
        self._is_at_horizon = self._is_at_horizon and not records
        if found and self._skipped_before is not None:
            self._skipped_through = found[-1].identifier
        return page

    def _without_older(self, records: Sequence[DynamoDbRecord]) -> Sequence[DynamoDbRecord]:
        before = self._skipped_before
        if before is None or not records:
            return records
        first = next((index for index, record in enumerate(records) if record.arrived_at >= before), None)
        if first is not None:
            self._skipped_before = None
        older, newer = (records, ()) if first is None else (records[:first], records[first:])
        return [*[record for record in older if _may_be_newer(record.arrived_at, before)], *newer]


class DynamoDbStreamSource:
    """One stream of a table of this or another account."""

    def __init__(self, *, arn: str, clients: Clients, clock: Clock) -> None:
        """Raises `ValueError` where `arn` is not the ARN of a DynamoDB stream."""
        name = Arn.parse(arn)
        table, _, self._label = name.resource.partition("/stream/")
        if name.service != "dynamodb" or not name.region or not table.startswith("table/") or not self._label:
            raise ValueError(f"{arn!r} is not the ARN of a DynamoDB stream: it should end in table/NAME/stream/LABEL")
        self._arn = arn
        self._api = StreamApi(arn=arn, region=name.region, clients=clients)
        self._clock = clock

    async def describe(self) -> StreamDescription:
        """Asks whether the stream is there. Raises `ShardReadError`."""
        answer = await self._api.ask("DescribeStream", {"StreamArn": self._arn, "Limit": 1})
        return StreamDescription(
            generation=self._label,
            retention_seconds=RETENTION_SECONDS,
            server_at=server_time(sent_at=answer.sent_at, now=self._clock.now()),
        )

    async def list_shards(self) -> tuple[Shard, ...]:
        """All shards of the stream, those of each page of the listing. Raises `ShardReadError`."""
        shards: dict[str, Shard] = {}
        request: dict[str, Any] = {"StreamArn": self._arn, "Limit": _SHARDS_PER_PAGE}
        while True:
            answer = await self._api.ask("DescribeStream", request)
            try:
                description = answer.value["StreamDescription"]
                shards |= {shard["ShardId"]: _shard(shard) for shard in description.get("Shards") or ()}
                last = description.get("LastEvaluatedShardId")
            except _MALFORMED as error:
                raise self._api.unreadable("DescribeStream") from error
            if not last:
                return tuple(shards.values())
            if last == request.get("ExclusiveStartShardId"):
                raise self._api.unreadable("DescribeStream")  # the next page would be this one again
            request["ExclusiveStartShardId"] = last

    def reader(self, shard_id: str) -> DynamoDbShardReader:
        """A reader of one shard; nothing is asked yet."""
        return DynamoDbShardReader(shard_id=shard_id, api=self._api, clock=self._clock)


def _shard(listed: dict[str, Any]) -> Shard:
    parent = listed.get("ParentShardId")
    return Shard(
        shard_id=listed["ShardId"],
        parents=(parent,) if parent else (),
        is_closed=bool(listed.get("SequenceNumberRange", {}).get("EndingSequenceNumber")),
    )


def _iterator_of(position: Position) -> dict[str, str]:
    """The members of GetShardIterator that say where."""
    match position:
        case TrimHorizon() | AtTimestamp():
            return {"ShardIteratorType": "TRIM_HORIZON"}
        case AtSequenceNumber(number=number):
            return {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "SequenceNumber": number}
        case AfterSequenceNumber(number=number):
            return {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": number}


def _may_be_newer(created_at: float, before: float) -> bool:
    """Whether a whole minute, which may stand for any instant in it, is the one that `before` lies in."""
    return created_at % _MINUTE_SECONDS == 0 and created_at + _MINUTE_SECONDS > before
