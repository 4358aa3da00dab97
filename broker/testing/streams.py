"""A stream in memory for tests: a Kinesis data stream, or the stream of a DynamoDB table.

    >>> import anyio
    >>> from broker.model.stream import TrimHorizon
    >>> from broker.testing import InMemoryStream, InMemoryStreamSource, VirtualClock, run_in_virtual_time
    >>> async def main() -> tuple[list[str], list[str]]:
    ...     stream = InMemoryStream("orders", clock=VirtualClock(), shard_count=1)
    ...     (parent,) = stream.open_shard_ids
    ...     stream.put("customer-1", b"hello")
    ...     stream.split(parent)
    ...     reader = InMemoryStreamSource(stream).reader(parent)
    ...     page = await reader.read(TrimHorizon(), maximum_count=100)
    ...     return [record.event["kinesis"]["data"] for record in page.records], [c.shard_id for c in page.children]
    >>> run_in_virtual_time(main)
    (['aGVsbG8='], ['shardId-000000000001', 'shardId-000000000002'])

What it keeps: shards with ranges of hash keys that split, merge and roll; sequence numbers that grow in each shard, as
integers but not as text; arrival times by the service's own clock; retention, after which closed shards leave the
listing; iterators that expire; five reads and two megabytes a second of each shard (Kinesis); trims that are silent
(Kinesis) or refused (DynamoDB). `InMemoryStreamSource` is how a consumer sees it.

Source: Amazon Kinesis Data Streams and Amazon DynamoDB Streams API references (read November 2026). Inferred: one
counter numbers all shards of a stream; a closed shard leaves the listing when it was closed for the retention period
and its last record is trimmed; the end of a shard comes with its last records.
"""

import itertools
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from broker.model.stream import Position, Shard, StreamDescription
from broker.ports import Clock
from broker.sources.server_time import server_time
from broker.testing.stream_answers import Answer, answer, open_number
from broker.testing.stream_faults import StreamFaults, throttled
from broker.testing.stream_history import StreamAccount, StreamHappening, StreamHistory, StreamHistoryEntry
from broker.testing.stream_kinds import KINESIS, StreamKind
from broker.testing.stream_records import Image, dynamodb_wire, keyed_records, kinesis_wire, lane_key
from broker.testing.stream_shards import ShardTree, StoredRecord, StoredShard
from broker.testing.stream_subscriptions import Subscriptions
from broker.testing.virtual_time import EPOCH

_ROUNDING = 1e-6
"""Instants are sums of floats: 0.29 s are 290 ms, not 289."""
_SWEEP_SECONDS = 1.0
"""How late a trim or a roll may be noticed."""


class InMemoryStream(StreamFaults):
    """One stream. Its methods take effect at once; `InMemoryStreamSource` is how a consumer sees it.

    Verbs that name a shard raise `ShardReadError` where there is none and `ValueError` where it is closed.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: Clock,
        kind: StreamKind = KINESIS,
        shard_count: int = 1,
        retention_seconds: float | None = None,
        view_type: str = "NEW_AND_OLD_IMAGES",
        clock_offset_seconds: float = 0.0,
        region: str = "eu-west-1",
        account_id: str = "123456789012",
    ) -> None:
        """`view_type` is a table's `StreamViewType`; `retention_seconds` is the kind's unless given."""
        super().__init__()
        self.name = name
        self.kind = kind
        self.region = region
        self.clock = clock
        self.clock_offset_seconds = clock_offset_seconds
        """How far the service's clock is ahead of the broker's; may be changed at any time."""
        self.retention_seconds = kind.retention_seconds if retention_seconds is None else retention_seconds
        """May be changed at any time."""
        self.history = StreamHistory()
        self.subscriptions = Subscriptions()
        """Of enhanced fan-out."""
        self._view_type = view_type
        self._generation = 1
        self._created_at = math.inf
        self._swept_at = math.inf
        self._tree = ShardTree(kind, generation=1, shard_count=shard_count, named_at=EPOCH)
        self.arn = _arn(kind, region, account_id, name)

    def __repr__(self) -> str:
        shards = self._tree.shards.values()
        return f"<InMemoryStream {self.name}: {sum(map(len, shards))} records in {len(shards)} shards>"

    # ---- what is in it

    def __len__(self) -> int:
        """Records that the stream holds."""
        return sum(len(shard) for shard in self._shards())

    @property
    def service_now(self) -> float:
        """The time by the service's clock, epoch seconds."""
        return self.clock.now() + self.clock_offset_seconds

    @property
    def shards(self) -> tuple[Shard, ...]:
        """All shards that the stream has, closed ones too, oldest first."""
        return tuple(shard.listed() for shard in self._shards())

    @property
    def open_shard_ids(self) -> tuple[str, ...]:
        """The shards that take records, by the hash keys that they take."""
        self._elapse()
        return tuple(shard.shard_id for shard in self._tree.open())

    def sequence_numbers(self, shard_id: str) -> tuple[str, ...]:
        """The records that a shard holds."""
        self._elapse()
        return tuple(str(record.number) for record in self._tree.find(shard_id))

    def _shards(self) -> Iterable[StoredShard]:
        self._elapse()
        return self._tree.shards.values()

    def every_record_accounted(
        self,
        *,
        handled: Iterable[str] | None = None,
        filtered: Iterable[str] = (),
        discarded: Iterable[str] = (),
        may_lose: bool = False,
    ) -> StreamAccount:
        """Each record that was ever put was handled, filtered or discarded; all are sequence numbers.

        `handled` is what `note_handled` heard of unless given. With `may_lose` a record may also have been trimmed
        before anything became of it. Raises `AssertionError`.
        """
        return self.history.account(handled=handled, filtered=filtered, discarded=discarded, may_lose=may_lose)

    def note_handled(self, event: Mapping[str, Any]) -> None:
        """A handler succeeded with the records of this Lambda event."""
        for _, sequence_number in keyed_records(event):
            number = int(sequence_number)
            self._note(StreamHappening.HANDLED, "", number, number, 1)

    def _note(self, what: StreamHappening, shard_id: str, first: int = 0, last: int = 0, count: int = 0) -> None:
        self.history.add(
            StreamHistoryEntry(at=self.clock.now(), what=what, shard_id=shard_id, first=first, last=last, count=count)
        )

    # ---- writing

    def put(self, partition_key: str, data: bytes | str, *, shard_id: str | None = None) -> str:
        """Puts a record into a Kinesis stream and returns its sequence number.

        It goes where the hash of its key belongs, or into `shard_id`. Raises `ValueError` on the stream of a table.
        """
        self._require_kind("kinesis")
        content = data.encode() if isinstance(data, str) else data
        shard = self._shard_for(partition_key.encode(), shard_id)
        number, arrived_at = self._tree.next_number(), self._arrival()
        wire = kinesis_wire(number=number, arrived_at=arrived_at, partition_key=partition_key, data=content)
        size = len(content) + len(partition_key.encode())
        return self._append(shard, StoredRecord(number=number, arrived_at=arrived_at, wire=wire, size_bytes=size))

    def change(
        self,
        keys: Image,
        *,
        new_image: Image | None = None,
        old_image: Image | None = None,
        user_identity: Mapping[str, str] | None = None,
        shard_id: str | None = None,
    ) -> str:
        """Puts the change of an item into the stream of a table and returns its sequence number.

        Without `new_image` the item was removed, without `old_image` it was inserted; the record shows them as
        `StreamViewType` says. `user_identity` is `{"Type": …, "PrincipalId": …}`. Raises `ValueError` on Kinesis.
        """
        self._require_kind("dynamodb")
        number, created_at = self._tree.next_number(), self._arrival()
        wire = dynamodb_wire(
            number=number,
            created_at=created_at,
            region=self.region,
            view_type=self._view_type,
            keys=keys,
            new_image=new_image,
            old_image=old_image,
            user_identity=user_identity,
        )
        size = int(wire["dynamodb"]["SizeBytes"])
        shard = self._shard_for(lane_key(wire), shard_id)
        return self._append(shard, StoredRecord(number=number, arrived_at=created_at, wire=wire, size_bytes=size))

    def _require_kind(self, name: str) -> None:
        if self.kind.name != name:
            raise ValueError(f"{self.name} is a {self.kind.name} stream: `put` is for Kinesis, `change` for DynamoDB")

    def _shard_for(self, key: bytes, shard_id: str | None) -> StoredShard:
        self._elapse()
        return self._tree.shard_of(key) if shard_id is None else self._tree.require_open(shard_id)

    def _arrival(self) -> float:
        per_second = round(1 / self.kind.arrival_seconds)
        return math.floor(self.service_now * per_second + _ROUNDING) / per_second

    def _append(self, shard: StoredShard, record: StoredRecord) -> str:
        shard.append(record)
        self._note(StreamHappening.PUT, shard.shard_id, record.number, record.number, 1)
        self._changed.notify()
        return str(record.number)

    # ---- shards

    def split(self, shard_id: str) -> tuple[str, str]:
        """Closes a shard; two shards follow it, each with half of its hash keys."""
        self._elapse()
        first, second = self._tree.split(shard_id, self.service_now)
        self._close(shard_id)
        return first.shard_id, second.shard_id

    def merge(self, first_id: str, second_id: str) -> str:
        """Closes two neighbours; one shard follows both. Raises `ValueError` where they are none, and on DynamoDB."""
        self._require_kind("kinesis")
        self._elapse()
        child = self._tree.merge(first_id, second_id, self.service_now)
        self._close(first_id, second_id)
        return child.shard_id

    def roll(self, *shard_ids: str) -> tuple[str, ...]:
        """Closes shards (all open ones, where none is named); one shard follows each, as DynamoDB does by itself."""
        chosen = shard_ids or self.open_shard_ids
        children = [self._tree.roll(shard_id, self.service_now).shard_id for shard_id in chosen]
        self._close(*chosen)
        return tuple(children)

    def reshard(self, shard_count: int) -> tuple[str, ...]:
        """Splits the widest shards or merges the narrowest neighbours until so many are open; returns these."""
        while len(self.open_shard_ids) < shard_count:
            self.split(max(self._tree.open(), key=lambda shard: _width(shard.range)).shard_id)
        while len(self.open_shard_ids) > shard_count:
            shards = self._tree.open()
            first, second = min(
                itertools.pairwise(shards), key=lambda pair: _width(pair[0].range) + _width(pair[1].range)
            )
            self.merge(first.shard_id, second.shard_id)
        return self.open_shard_ids

    def _close(self, *shard_ids: str) -> None:
        for shard_id in shard_ids:
            self._note(StreamHappening.CLOSED, shard_id)
        self._changed.notify()

    def trim(self, *shard_ids: str, before: float = math.inf, older_than_seconds: float | None = None) -> int:
        """Forgets records (of these shards, or of all) that arrived before an instant, and what closed shard that ends.

        `before` is by the service's clock; `older_than_seconds` counts back from now; neither means all records.
        Returns how many records were forgotten.
        """
        self._elapse()
        horizon = before if older_than_seconds is None else self.service_now - older_than_seconds
        return sum(self._trim(self._tree.find(each), horizon) for each in shard_ids or tuple(self._tree.shards))

    def _trim(self, shard: StoredShard, before: float) -> int:
        dropped = shard.trim(before)
        if dropped:
            first, last = dropped[0].number, dropped[-1].number
            self._note(StreamHappening.TRIMMED, shard.shard_id, first, last, len(dropped))
        if shard.is_over(before):
            del self._tree.shards[shard.shard_id]
            self._note(StreamHappening.FORGOTTEN, shard.shard_id)
        return len(dropped)

    def recreate(self, *, shard_count: int | None = None) -> None:
        """Deletes the stream and makes it again under its name: the same shard ids, none of the records.

        Sequence numbers begin below all that were given out before, as they may on an emulator: a checkpoint of the
        deleted stream lies beyond every record of the new one.
        """
        self.trim()
        self._generation += 1
        self._created_at = max(self.service_now, self._created_at + 1)
        count = len(self._tree.open()) if shard_count is None else shard_count
        self._tree = ShardTree(self.kind, generation=self._generation, shard_count=count, named_at=EPOCH)
        self._tree.begin(self.service_now)
        self.expire_iterators()

    def _elapse(self) -> None:
        """What time has brought about: shards that roll, records that are trimmed."""
        now = self.service_now
        if self._created_at == math.inf:  # made outside of an event loop, it begins when somebody looks
            self._created_at = now
            self._tree.begin(now)
        if 0 <= now - self._swept_at < _SWEEP_SECONDS:
            return
        self._swept_at = now
        for shard in tuple(self._tree.shards.values()):
            if not shard.is_closed and now - shard.opened_at >= self.kind.roll_seconds:
                self._tree.roll(shard.shard_id, now)
                self._close(shard.shard_id)
            self._trim(shard, now - self.retention_seconds)

    # ---- what a source asks

    def describe(self) -> StreamDescription:
        """What the stream is."""
        self._elapse()
        return StreamDescription(
            generation=_instant(self._created_at),
            retention_seconds=self.retention_seconds,
            server_at=self.server_at(self.service_now),
        )

    def server_at(self, answered_at: float) -> float:
        """The service's time, as far as an answer of that instant (by its clock) tells it: `Date` has whole seconds."""
        return server_time(sent_at=math.floor(answered_at), now=self.clock.now())

    def list_page(self, after: str | None, *, count: int) -> tuple[tuple[Shard, ...], str | None]:
        """The shards after this one, at most `count`; and after which the next page begins, None where there is none.

        Raises `ShardReadError` where `after` has left the stream meanwhile.
        """
        shards = self.shards
        start = 0 if after is None else 1 + list(self._tree.shards).index(self._tree.find(after).shard_id)
        page = shards[start : start + count]
        return page, page[-1].shard_id if start + count < len(shards) else None

    def open_at(self, shard_id: str, position: Position) -> int:
        """The sequence number from which on reading begins. Raises `ShardReadError`."""
        self._elapse()
        return open_number(self._tree.find(shard_id), position, self.kind, self._tree.last_number)

    def take(self, shard_id: str, at_least: int, *, count: int, pushed: bool = False) -> Answer:
        """The records from this number on, at most `count`; pushed ones do not count against the shard's throughput.

        Raises `ShardReadError`.
        """
        self._elapse()
        shard, now = self._tree.find(shard_id), self.service_now
        if not pushed and not shard.meter.admits(now, self.kind):
            raise throttled()
        found = answer(shard, at_least, self.kind, count=count, now=now, last_number=self._tree.last_number)
        if not pushed:
            shard.meter.count(now, found.size_bytes, self.kind)
        return found

    def children_of(self, shard_id: str) -> tuple[Shard, ...]:
        """The shards that follow, as far as they are still there."""
        children = (self._tree.shards.get(child) for child in self._tree.find(shard_id).children)
        return tuple(Shard(shard_id=child.shard_id, parents=child.parents) for child in children if child is not None)

    def note_read(self, shard_id: str, found: Answer, reader: str) -> None:
        """Records came to a reader."""
        if found.records:
            first, last = found.records[0].number, found.records[-1].number
            entry = StreamHistoryEntry(
                at=self.clock.now(),
                what=StreamHappening.READ,
                shard_id=shard_id,
                first=first,
                last=last,
                count=len(found.records),
                reader=reader,
            )
            self.history.add(entry)

    async def wait_for_change(self, seconds: float) -> None:
        """Returns when something has changed, or after `seconds`."""
        await self._changed.wait(seconds)


def _width(hashes: range) -> int:
    return hashes.stop - hashes.start


def _instant(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]


def _arn(kind: StreamKind, region: str, account_id: str, name: str) -> str:
    resource = f"stream/{name}" if kind.name == "kinesis" else f"table/{name}/stream/{_instant(EPOCH)}"
    return f"arn:aws:{kind.name}:{region}:{account_id}:{resource}"
