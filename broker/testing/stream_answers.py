"""What a stream in memory answers: where an iterator stands, and what a read from there brings."""

from dataclasses import dataclass

from broker.errors import ReadFault, ShardReadError
from broker.model.stream import AfterSequenceNumber, AtSequenceNumber, AtTimestamp, Position, TrimHorizon
from broker.testing.stream_kinds import StreamKind
from broker.testing.stream_shards import StoredRecord, StoredShard


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one call brought."""

    records: list[StoredRecord]
    next_number: int
    """Where the next call goes on: from the first record of this number or above."""
    size_bytes: int
    behind_ms: int | None
    is_last: bool
    passed: int
    """No record up to this number is left to be read."""


def open_number(shard: StoredShard, position: Position, kind: StreamKind, last_number: int) -> int:
    """The sequence number from which on reading begins. Raises `ShardReadError` as GetShardIterator refuses.

    `last_number` is the last one that the stream gave out. A stream without iterators for an instant opens at its
    oldest record.
    """
    oldest = max(shard.first_number, shard.trimmed_through + 1)
    match position:
        case AtTimestamp(at=at) if kind.has_timestamp_iterators:
            found = shard.number_at(at)
            return last_number + 1 if found is None else found
        case TrimHorizon() | AtTimestamp():
            return oldest
        case AfterSequenceNumber(number=number):
            return _known(int(number), shard, kind) + 1
        case AtSequenceNumber(number=number):
            return _known(int(number), shard, kind)


def _known(number: int, shard: StoredShard, kind: StreamKind) -> int:
    if number <= shard.trimmed_through and kind.reports_trims:
        raise trimmed(shard.shard_id)
    if number < shard.first_number - 1:
        raise ShardReadError(
            f"StartingSequenceNumber {number} used in GetShardIterator on shard {shard.shard_id} is invalid.",
            fault=ReadFault.OTHER,
            code="InvalidArgumentException",
            retryable=False,
        )
    return number


def trimmed(shard_id: str) -> ShardReadError:
    """The refusal to read what the stream no longer has."""
    return ShardReadError(
        f"The operation attempted to read past the oldest stream record in shard {shard_id}.",
        fault=ReadFault.TRIMMED,
        code="TrimmedDataAccessException",
    )


def answer(shard: StoredShard, at_least: int, kind: StreamKind, *, count: int, now: float, last_number: int) -> Answer:
    """Reads from this number on, at most `count` records. Raises `ShardReadError` as GetRecords refuses."""
    if kind.reports_trims and at_least <= shard.trimmed_through:
        raise trimmed(shard.shard_id)
    records = shard.read(at_least, count=min(count, kind.records_per_call), size_bytes=kind.bytes_per_call)
    next_number = records[-1].number + 1 if records else at_least
    behind = shard.behind(next_number, now)
    return Answer(
        records=records,
        next_number=next_number,
        size_bytes=sum(record.size_bytes for record in records),
        behind_ms=(behind or 0) if kind.has_timestamp_iterators else None,
        is_last=shard.is_closed and behind is None,
        passed=max(last_number, at_least - 1) if behind is None else next_number - 1,
    )
