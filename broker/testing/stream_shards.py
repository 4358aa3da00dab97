"""The shards of a stream in memory: where records go, what they are numbered, how shards follow one another."""

import hashlib
import itertools
import math
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

from broker.errors import ReadFault, ShardReadError
from broker.model.stream import Shard
from broker.testing.stream_kinds import StreamKind

HASH_END = 2**128
_STEP = 7_919
"""Between sequence numbers; a prime, so that no arithmetic on them works by accident."""
_NUMBERS_BEFORE_ANOTHER_DIGIT = 10


class StoredRecord:
    """One record of a shard."""

    __slots__ = ("arrived_at", "number", "size_bytes", "wire")

    def __init__(self, *, number: int, arrived_at: float, wire: dict[str, Any], size_bytes: int) -> None:
        self.number = number
        """The sequence number."""
        self.arrived_at = arrived_at
        """By the service's clock."""
        self.wire = wire
        """An element of `Records` in the answer of GetRecords."""
        self.size_bytes = size_bytes
        """What it counts against the shard's throughput."""


class ReadMeter:
    """What one shard has given in the last second."""

    __slots__ = ("_blocked_until", "_reads")

    def __init__(self) -> None:
        self._reads: list[tuple[float, int]] = []
        self._blocked_until = -math.inf

    def admits(self, now: float, kind: StreamKind) -> bool:
        """Whether the shard may be read now."""
        self._reads = [read for read in self._reads if read[0] > now - 1 + _TOLERANCE]
        return len(self._reads) < kind.calls_per_second and now >= self._blocked_until - _TOLERANCE

    def count(self, now: float, size_bytes: int, kind: StreamKind) -> None:
        """Notes a read; one of more than a second gives keeps the shard busy for as long as it is worth."""
        self._reads.append((now, size_bytes))
        total = sum(size for _, size in self._reads)
        if total > kind.bytes_per_second:
            self._blocked_until = self._reads[0][0] + total / kind.bytes_per_second


_TOLERANCE = 0.001
"""Instants are sums of floats."""


class StoredShard:
    """One shard and what it still holds."""

    __slots__ = (
        "_numbers", "_records", "children", "closed_at", "first_number", "meter", "opened_at", "parents", "range",
        "shard_id", "trimmed_through",
    )  # fmt: skip

    def __init__(
        self, *, shard_id: str, parents: tuple[str, ...], hashes: range, first_number: int, opened_at: float
    ) -> None:
        self.shard_id = shard_id
        self.parents = parents
        self.range = hashes
        """The hash keys that it takes."""
        self.first_number = first_number
        """`StartingSequenceNumber`: no record of it is below."""
        self.opened_at = opened_at
        self.closed_at = math.inf
        self.children: list[str] = []
        self.trimmed_through = 0
        """The last sequence number that was trimmed."""
        self.meter = ReadMeter()
        self._numbers: list[int] = []
        self._records: list[StoredRecord] = []

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[StoredRecord]:
        return iter(self._records)

    @property
    def is_closed(self) -> bool:
        """Whether it takes no more records."""
        return self.closed_at != math.inf

    def listed(self) -> Shard:
        """As a listing shows it."""
        return Shard(shard_id=self.shard_id, parents=self.parents, is_closed=self.is_closed)

    def append(self, record: StoredRecord) -> None:
        """Takes a record."""
        self._numbers.append(record.number)
        self._records.append(record)

    def trim(self, before: float) -> list[StoredRecord]:
        """Drops and returns the records that arrived earlier."""
        count = bisect_left(self._records, before, key=lambda record: record.arrived_at)
        dropped = self._records[:count]
        if dropped:
            del self._records[:count], self._numbers[:count]
            self.trimmed_through = dropped[-1].number
        return dropped

    def is_over(self, before: float) -> bool:
        """Whether the listing forgets it: it was closed earlier and has nothing left."""
        return not self._records and self.closed_at < before

    def number_at(self, at: float) -> int | None:
        """The sequence number of the first record that arrived then or later."""
        index = bisect_left(self._records, at, key=lambda record: record.arrived_at)
        return self._numbers[index] if index < len(self._numbers) else None

    def read(self, at_least: int, *, count: int, size_bytes: int) -> list[StoredRecord]:
        """The next records from this number on: at most `count`, and of `size_bytes` (but always one)."""
        start = bisect_left(self._numbers, at_least)
        chosen: list[StoredRecord] = []
        total = 0
        for record in self._records[start : start + count]:
            total += record.size_bytes
            if chosen and total > size_bytes:
                break
            chosen.append(record)
        return chosen

    def behind(self, at_least: int, service_now: float) -> int | None:
        """Milliseconds since the record of this number or the next one arrived; None where there is none."""
        index = bisect_left(self._numbers, at_least)
        if index == len(self._numbers):
            return None
        return max(0, round((service_now - self._records[index].arrived_at) * 1000))


class ShardTree:
    """All shards of one generation of a stream, oldest first."""

    def __init__(self, kind: StreamKind, *, generation: int, shard_count: int, named_at: float) -> None:
        """`generation` counts from 1: the numbers of a later generation are lower, as those of emulators may be.

        `named_at` is a part of the names of the first shards of a table's stream, which `begin` opens.
        """
        self._kind = kind
        self.last_number: int = 10 ** (kind.digits + 1 - generation) - (_NUMBERS_BEFORE_ANOTHER_DIGIT + 1) * _STEP
        self._count = 0
        self.shards: dict[str, StoredShard] = {}
        for hashes in _divide(range(HASH_END), shard_count):
            self._open((), hashes, math.inf, named_at)

    def begin(self, now: float) -> None:
        """The stream was made at this instant."""
        for shard in self.shards.values():
            shard.opened_at = now

    def next_number(self) -> int:
        """A sequence number: above all that were given out, in any shard."""
        self.last_number += _STEP
        return self.last_number

    def find(self, shard_id: str) -> StoredShard:
        """Raises `ShardReadError` where there is no such shard, or no longer."""
        try:
            return self.shards[shard_id]
        except KeyError:
            raise ShardReadError(
                f"Shard {shard_id} does not exist.", fault=ReadFault.SHARD_GONE, code="ResourceNotFoundException"
            ) from None

    def require_open(self, shard_id: str) -> StoredShard:
        """Raises `ValueError` for a closed shard, which neither takes records nor is split."""
        shard = self.find(shard_id)
        if shard.is_closed:
            raise ValueError(f"{shard_id} is closed")
        return shard

    def open(self) -> list[StoredShard]:
        """The shards that take records, by the hash keys that they take."""
        return sorted((shard for shard in self.shards.values() if not shard.is_closed), key=lambda s: s.range.start)

    def shard_of(self, key: bytes) -> StoredShard:
        """Where records of this key go now."""
        position = int.from_bytes(hashlib.md5(key, usedforsecurity=False).digest())
        return next(shard for shard in self.shards.values() if not shard.is_closed and position in shard.range)

    def follow(self, parents: list[StoredShard], ranges: list[range], now: float) -> list[StoredShard]:
        """Closes the parents and opens a child for each range of hash keys."""
        for parent in parents:
            parent.closed_at = now
        children = [self._open(tuple(parent.shard_id for parent in parents), hashes, now, now) for hashes in ranges]
        for parent in parents:
            parent.children += [child.shard_id for child in children]
        return children

    def split(self, shard_id: str, now: float) -> list[StoredShard]:
        """Two shards follow one."""
        shard = self.require_open(shard_id)
        return self.follow([shard], _divide(shard.range, 2), now)

    def merge(self, first_id: str, second_id: str, now: float) -> StoredShard:
        """One shard follows two neighbours. Raises `ValueError` where they are none."""
        first, second = sorted(map(self.require_open, (first_id, second_id)), key=lambda shard: shard.range.start)
        if first.range.stop != second.range.start:
            raise ValueError(f"{first_id} and {second_id} are not adjacent")
        parents = [self.shards[first_id], self.shards[second_id]]
        return self.follow(parents, [range(first.range.start, second.range.stop)], now)[0]

    def roll(self, shard_id: str, now: float) -> StoredShard:
        """One shard follows one."""
        shard = self.require_open(shard_id)
        return self.follow([shard], [shard.range], now)[0]

    def _open(self, parents: tuple[str, ...], hashes: range, now: float, named_at: float) -> StoredShard:
        shard = StoredShard(
            shard_id=self._next_id(named_at),
            parents=parents,
            hashes=hashes,
            first_number=self.last_number + 1,
            opened_at=now,
        )
        self.shards[shard.shard_id] = shard
        return shard

    def _next_id(self, named_at: float) -> str:
        self._count += 1
        if self._kind.name == "kinesis":
            return f"shardId-{self._count - 1:012}"
        suffix = hashlib.md5(str(self._count).encode(), usedforsecurity=False).hexdigest()[:8]
        return f"shardId-{round(named_at * 1000):020}-{suffix}"


def _divide(hashes: range, count: int) -> list[range]:
    edges = [hashes.start + (hashes.stop - hashes.start) * part // count for part in range(count + 1)]
    return [range(start, stop) for start, stop in itertools.pairwise(edges)]
