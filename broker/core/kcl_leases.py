"""Where a mapping goes on that takes over from an application of the Kinesis Client Library (KCL).

Rule, for each shard that the stream lists:
* A sequence number is that of the last record which was handled: reading goes on after it. Where only a part of that
  record was handled (a KPL aggregate), it is read again.
* `SHARD_END`: the shard is finished. `TRIM_HORIZON`: its oldest record.
* `LATEST` and `AT_TIMESTAMP` are where the application was to begin, and nothing was handled there yet. `LATEST`
  becomes the present; what `AT_TIMESTAMP` meant stands in the application, not in its table: the mapping's own
  `StartingPositionTimestamp`, or else the oldest record.
* A shard without a lease from which shards with a lease descend is finished: the KCL removes such leases.
* Any other shard without a lease begins at its oldest record, as it would as a child.

Invariant: no record is passed over that the application has not handled, but for `LATEST`, which says so.

Source: Amazon Kinesis Client Library, `SentinelCheckpoint`, `ExtendedSequenceNumber`, `LeaseCleanupManager` (KCL 2 and
3, read November 2026). What becomes of the sentinels is inferred.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from broker.model.checkpoint import Checkpoint
from broker.model.kcl import KclLease, KclStream
from broker.model.stream import AfterSequenceNumber, AtSequenceNumber, AtTimestamp, Position, Shard, TrimHorizon


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What becomes of one shard."""

    shard: Shard
    checkpoint: Checkpoint
    lease: KclLease | None
    """What the application had of it."""
    warning: str = ""
    """What may be handled again, or not at all; empty where neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """What becomes of a whole application's progress."""

    taken: tuple[Taken, ...]
    """Each shard that the stream lists, in its order."""
    gone: tuple[KclLease, ...]
    """Unfinished leases of shards that have left the stream."""


def take_over(listing: Sequence[Shard], leases: Iterable[KclLease], *, timestamp: float | None, now: float) -> Takeover:
    """Puts the application's leases of one stream and the stream's shards together.

    `timestamp` is the mapping's `StartingPositionTimestamp`, `now` the service's time; epoch seconds.
    """
    by_shard = {lease.shard_id: lease for lease in leases}
    passed = _ancestors(listing, by_shard.keys())
    listed = {shard.shard_id for shard in listing}
    return Takeover(
        taken=tuple(_taken(shard, by_shard.get(shard.shard_id), passed, timestamp, now) for shard in listing),
        gone=tuple(
            lease for lease in by_shard.values() if lease.shard_id not in listed and lease.checkpoint != "SHARD_END"
        ),
    )


def _ancestors(listing: Sequence[Shard], leased: Collection[str]) -> frozenset[str]:
    """The shards from which those with a lease descend."""
    parents = {shard.shard_id: shard.parents for shard in listing}
    found: set[str] = set()
    pending = list(leased)
    while pending:
        new = set(parents.get(pending.pop(), ())) - found
        found |= new
        pending += new
    return frozenset(found)


def _taken(shard: Shard, lease: KclLease | None, passed: Collection[str], timestamp: float | None, now: float) -> Taken:
    if lease is None:
        checkpoint = Checkpoint(position=TrimHorizon(), finished=shard.shard_id in passed)
        return Taken(shard=shard, checkpoint=checkpoint, lease=None)
    if lease.checkpoint == "SHARD_END":
        return Taken(shard=shard, checkpoint=Checkpoint(position=TrimHorizon(), finished=True), lease=lease)
    position, warning = _place(lease, timestamp, now)
    return Taken(shard=shard, checkpoint=Checkpoint(position=position), lease=lease, warning=warning)


def _place(lease: KclLease, timestamp: float | None, now: float) -> tuple[Position, str]:
    match lease.checkpoint:
        case "TRIM_HORIZON":
            return TrimHorizon(), ""
        case "LATEST":
            return AtTimestamp(at=now), "nothing was handled yet: begins with what arrives from now on"
        case "AT_TIMESTAMP" if timestamp is not None:
            return AtTimestamp(at=timestamp), "nothing was handled yet: begins at StartingPositionTimestamp"
        case "AT_TIMESTAMP":
            return TrimHorizon(), "the table does not say at which time: begins at the oldest record"
        case number if lease.sub_sequence_number > 0:
            warning = (
                f"only a part of the record (up to {lease.sub_sequence_number}) was handled: all of it comes again"
            )
            return AtSequenceNumber(number=number), warning
        case number:
            return AfterSequenceNumber(number=number), ""


def leases_of_stream(
    leases: Iterable[KclLease], *, account: str, name: str, created_at: int | None
) -> tuple[list[KclLease], list[str]]:
    """The leases that are of one stream, and which other streams there are, as `ACCOUNT:NAME:CREATED`.

    `created_at` (whole epoch seconds) tells the stream from one of its name that is no more; None where that is not
    known.
    """
    mine: list[KclLease] = []
    others: set[str] = set()
    for lease in leases:
        stream = lease.stream
        if stream is None or _is_of(stream, account, name, created_at):
            mine.append(lease)
        else:
            others.add(f"{stream.account}:{stream.name}:{stream.created_at}")
    return mine, sorted(others)


def _is_of(stream: KclStream, account: str, name: str, created_at: int | None) -> bool:
    return (stream.account, stream.name) == (account, name) and created_at in {None, stream.created_at}
