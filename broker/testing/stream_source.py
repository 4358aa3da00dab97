"""A stream in memory as a consumer sees it: the `StreamSource` and `ShardReader` of the broker's ports."""

from collections import deque
from dataclasses import dataclass
from typing import Protocol

import anyio
import anyio.lowlevel

from broker.errors import ReadFault, ShardReadError, SourceError
from broker.model.stream import AtTimestamp, Page, Position, Shard, StreamDescription
from broker.ports import ShardReader
from broker.sources.kinesis_record import ShardOrigin
from broker.testing.faults import pause
from broker.testing.stream_answers import Answer
from broker.testing.stream_faults import StreamOperation
from broker.testing.stream_kinds import StreamKind
from broker.testing.stream_records import ROLE_ARN, delivered
from broker.testing.stream_subscriptions import Subscription
from broker.testing.streams import InMemoryStream

SLICE_COUNT = 1000
"""Records that a page has at most."""
LONGEST_WAIT_SECONDS = 5.0
"""After which a subscription on which nothing has come sends a page without records."""


class StreamLine(Protocol):
    """What lies between a source and its stream: calls pass it on their way there, answers on their way back."""

    async def passes(self, operation: StreamOperation, *, answered: bool) -> None:
        """Raises `SourceError` where the call or its answer does not get through."""
        ...


class _OpenLine:
    async def passes(self, operation: StreamOperation, *, answered: bool) -> None:
        """Everything gets through."""


class _Connection:
    """The calls of one source."""

    def __init__(self, stream: InMemoryStream, line: StreamLine) -> None:
        self._stream = stream
        self._line = line

    async def request(self, operation: StreamOperation) -> float:
        """Brings a call to its stream; returns how many seconds its reply will take. Raises `ShardReadError`."""
        await self._pass(operation, answered=False)
        early, late = self._stream.next_slowness(operation)
        await pause(early)
        self._stream.require_existence()
        self._stream.require_admission(operation)
        return late

    async def reply(self, operation: StreamOperation, late: float) -> None:
        """Brings an answer back. Raises `ShardReadError`."""
        await self._pass(operation, answered=True)
        await pause(late)
        self._stream.require_reply(operation)

    async def _pass(self, operation: StreamOperation, *, answered: bool) -> None:
        try:
            await self._line.passes(operation, answered=answered)
        except SourceError as error:
            raise ShardReadError(str(error), fault=ReadFault.OTHER, retryable=error.retryable) from error


class InMemoryStreamSource:
    """Reads an `InMemoryStream`. One stream may have many sources.

    Each call is one request: it may be refused or come late, takes effect at one instant, and its reply may be late or
    lost, as the stream's fault verbs say. To read from a position takes two calls: `open` and `read`.
    """

    def __init__(
        self,
        stream: InMemoryStream,
        *,
        line: StreamLine | None = None,
        consumer: str | None = None,
        role_arn: str = ROLE_ARN,
        page_size: int | None = None,
        name: str = "",
    ) -> None:
        """`consumer` names a registered consumer of enhanced fan-out, to which shards are pushed.

        `role_arn` is the `invokeIdentityArn` of Kinesis records, `page_size` the shards in a page of the listing
        (default: the kind's), `name` who reads, for the stream's history.
        """
        if consumer is not None and stream.kind.name != "kinesis":
            raise ValueError("only Kinesis has enhanced fan-out")
        self._stream = stream
        self._connection = _Connection(stream, line or _OpenLine())
        self._consumer = consumer
        self._role_arn = role_arn
        self._page_size = page_size or stream.kind.page_size
        self._name = name
        self.arn = stream.arn if consumer is None else f"{stream.arn}/consumer/{consumer}:1"
        """The event source's ARN: the consumer's where there is one."""

    async def describe(self) -> StreamDescription:
        """See `StreamSource`."""
        late = await self._connection.request("describe")
        description = self._stream.describe()
        await self._connection.reply("describe", late)
        return description

    async def list_shards(self) -> tuple[Shard, ...]:
        """See `StreamSource`. Each page is a call of its own."""
        hidden = self._stream.next_hidden()
        shards: list[Shard] = []
        after: str | None = None
        while True:
            late = await self._connection.request("list_shards")
            page, after = self._stream.list_page(after, count=self._page_size)
            await self._connection.reply("list_shards", late)
            shards += [shard for shard in page if shard.shard_id not in hidden]
            if after is None:
                return tuple(shards)

    def reader(self, shard_id: str) -> ShardReader:
        """See `StreamSource`."""
        origin = ShardOrigin(arn=self.arn, region=self._stream.region, role_arn=self._role_arn, shard_id=shard_id)
        pages = _Pages(self._stream, origin, reader=self._name)
        if self._consumer is None:
            return _PollingReader(self._stream, self._connection, pages)
        return _PushedReader(self._stream, self._connection, pages, consumer=self._consumer)


class _Pages:
    """Makes pages of the answers about one shard."""

    def __init__(self, stream: InMemoryStream, origin: ShardOrigin, *, reader: str) -> None:
        self.shard_id = origin.shard_id
        self._stream = stream
        self._origin = origin
        self._reader = reader
        self._skipped_before = float("-inf")
        self._waiting: deque[Page] = deque()

    def open(self, position: Position) -> int:
        """Begins anew; returns the sequence number from which on reading begins."""
        self._waiting.clear()
        self._skipped_before = _oldest_arrival(position, self._stream.kind)
        return self._stream.open_at(self.shard_id, position)

    def add(self, answer: Answer, *, answered_at: float, is_pushed: bool) -> None:
        """An answer came: it becomes one page or more."""
        self._stream.note_read(self.shard_id, answer, self._reader)
        wanted = [record for record in answer.records if record.arrived_at >= self._skipped_before]
        records = delivered(wanted, self._origin, kind=self._stream.kind.name)
        starts = range(0, len(records), SLICE_COUNT) or range(1)
        for start in starts:
            is_end = start == starts[-1]
            self._waiting.append(
                Page(
                    records=records[start : start + SLICE_COUNT],
                    read_at=self._stream.clock.now(),
                    server_at=self._stream.server_at(answered_at),
                    size_bytes=answer.size_bytes if start == 0 else 0,
                    behind_ms=answer.behind_ms,
                    is_last=answer.is_last and is_end,
                    has_more=not is_end,
                    read_through=str(answer.passed) if is_end and is_pushed else None,
                    children=self._children(answer) if is_end else (),
                )
            )

    def _children(self, answer: Answer) -> tuple[Shard, ...]:
        if answer.is_last and self._stream.kind.names_children:
            return self._stream.children_of(self.shard_id)
        return ()

    @property
    def has_waiting(self) -> bool:
        """Whether there are pages already."""
        return bool(self._waiting)

    def next(self) -> Page:
        """The next page."""
        return self._waiting.popleft()


def _oldest_arrival(position: Position, kind: StreamKind) -> float:
    """Where a stream has no iterator for an instant, older records are skipped; its seconds are whole."""
    if isinstance(position, AtTimestamp) and not kind.has_timestamp_iterators:
        return float(position.at // 1)
    return float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Iterator:
    number: int
    issued_at: float
    expiry_count: int


class _PollingReader:
    """Reads by calls."""

    def __init__(self, stream: InMemoryStream, connection: _Connection, pages: _Pages) -> None:
        self._stream = stream
        self._connection = connection
        self._pages = pages
        self._iterator: _Iterator | None = None
        self._closed = False

    async def read(self, position: Position | None, *, maximum_count: int) -> Page:
        """See `ShardReader`."""
        _require(maximum_count, closed=self._closed)
        try:
            if position is not None:
                await self._open(position)
            elif self._pages.has_waiting:
                await anyio.lowlevel.checkpoint()
                return self._pages.next()
            return await self._read(maximum_count)
        except ShardReadError:
            self._iterator = None
            raise

    async def _open(self, position: Position) -> None:
        late = await self._connection.request("open")
        self._iterator = self._issue(self._pages.open(position))
        await self._connection.reply("open", late)

    def _issue(self, number: int) -> _Iterator:
        return _Iterator(number=number, issued_at=self._stream.clock.now(), expiry_count=self._stream.expiry_count)

    async def _read(self, maximum_count: int) -> Page:
        late = await self._connection.request("read")
        answered_at = self._stream.service_now
        answer = self._stream.take(self._pages.shard_id, self._number(), count=maximum_count)
        iterator = self._issue(answer.next_number)
        await self._connection.reply("read", late)
        self._iterator = iterator
        self._pages.add(answer, answered_at=answered_at, is_pushed=False)
        return self._pages.next()

    def _number(self) -> int:
        if self._iterator is None:
            raise ValueError("the first read, and the one after a failure, needs a position")
        age = self._stream.clock.now() - self._iterator.issued_at
        if age > self._stream.kind.iterator_seconds or self._iterator.expiry_count != self._stream.expiry_count:
            raise _expired("The iterator has expired.")
        return self._iterator.number

    async def aclose(self) -> None:
        """See `ShardReader`."""
        self._closed = True
        await anyio.lowlevel.checkpoint()


class _PushedReader:
    """Reads a subscription of enhanced fan-out. Where it ends, reading fails with `EXPIRED_ITERATOR`."""

    def __init__(self, stream: InMemoryStream, connection: _Connection, pages: _Pages, *, consumer: str) -> None:
        self._stream = stream
        self._connection = connection
        self._pages = pages
        self._consumer = consumer
        self._subscription: Subscription | None = None
        self._number = 0
        self._closed = False

    async def read(self, position: Position | None, *, maximum_count: int) -> Page:
        """See `ShardReader`; `maximum_count` is for the service to know, which pushes what it likes."""
        _require(maximum_count, closed=self._closed)
        try:
            if position is not None:
                await self._subscribe(position)
            elif self._pages.has_waiting:
                await anyio.lowlevel.checkpoint()
                return self._pages.next()
            return await self._receive()
        except ShardReadError:
            self._subscription = None
            raise

    async def _subscribe(self, position: Position) -> None:
        late = await self._connection.request("open")
        self._subscription = self._stream.subscriptions.begin(
            self._consumer,
            self._pages.shard_id,
            now=self._stream.clock.now(),
            expiry_count=self._stream.expiry_count,
        )
        self._number = self._pages.open(position)
        await self._connection.reply("open", late)

    async def _receive(self) -> Page:
        late = await self._connection.request("read")
        answer = await self._pushed()
        answered_at = self._stream.service_now
        await self._connection.reply("read", late)
        self._number = answer.next_number
        self._pages.add(answer, answered_at=answered_at, is_pushed=True)
        return self._pages.next()

    async def _pushed(self) -> Answer:
        """Waits until there is something, or five seconds have passed."""
        until = self._stream.clock.now() + LONGEST_WAIT_SECONDS
        while True:
            self._stream.require_existence()
            ends_at, now = self._ends_at(), self._stream.clock.now()
            if now >= ends_at:
                raise _expired("The subscription has ended.")
            answer = self._stream.take(self._pages.shard_id, self._number, count=SLICE_COUNT * 10, pushed=True)
            if answer.records or answer.is_last or now >= until:
                return answer
            await self._stream.wait_for_change(min(until, ends_at) - now)

    def _ends_at(self) -> float:
        if self._subscription is None:
            raise ValueError("the first read, and the one after a failure, needs a position")
        return self._stream.subscriptions.ends_at(
            self._consumer, self._pages.shard_id, self._subscription, expiry_count=self._stream.expiry_count
        )

    async def aclose(self) -> None:
        """See `ShardReader`."""
        self._closed = True
        self._subscription = None
        await anyio.lowlevel.checkpoint()


def _require(maximum_count: int, *, closed: bool) -> None:
    if closed:
        raise anyio.ClosedResourceError
    if not 1 <= maximum_count <= SLICE_COUNT * 10:
        raise ValueError(f"a read may ask for 1 to {SLICE_COUNT * 10} records, not {maximum_count}")


def _expired(message: str) -> ShardReadError:
    return ShardReadError(message, fault=ReadFault.EXPIRED_ITERATOR, code="ExpiredIteratorException")
