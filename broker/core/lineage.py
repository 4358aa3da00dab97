"""Which shards a mapping reads, where each begins, and which rows of the store are over.

Rule: a shard is read when every shard that it was split or merged from is settled. When a mapping is enabled each shard
of the listing gets a row by the starting position; whatever is found later begins at its oldest record, because what
was written to it between its birth and its discovery is in nobody else's hands. A row stays until the shard has left
the stream and those that follow it have rows: time alone ends nothing.

How it works: rows are made parents first, and a row is made only when each parent has one, or is gone: missing from two
complete listings. So in the rows alone, which is all that most workers see, a parent without a row is one that is over,
and `startable` needs no listing. `Lineage` counts the listings in which a shard was missing. A shard whose iterator is
refused as unknown is finished by whoever reads it.

A shard whose row was read *before* the listing was asked for must be in it; hence the order that `survey` demands. An
instant of enabling must have been told by the service *after* the listing came: then whatever was closed in the listing
was closed before, and a shard that closes in between has its row and its children are found later.

Invariants:
* No shard is startable while a parent has an unfinished row.
* No shard that is found later begins anywhere but at its oldest record.
* Every listed shard has a row after as many surveys as it takes for its parents to have theirs or to be gone: three.
* A row is given up only with its name in `lost`, or finished and with no child whose row does not stand.
* One listing proves nothing, and an empty one never does.

Source: Amazon Kinesis Data Streams Developer Guide, "Resharding a stream" (read parents to their end before children);
Amazon DynamoDB Streams API Reference, Shard (read November 2026). That children begin at their oldest record although
the mapping says LATEST is observed. Two listings, and the fate of rows whose shard is gone, are inferred.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from broker.core.lease_rows import CHECKPOINT_PREFIX, SHARD_PREFIX, checkpoint_key, shard_key
from broker.model.checkpoint import Checkpoint
from broker.model.stream import AtTimestamp, Shard, TrimHorizon

StartingPosition = Literal["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"]

LISTINGS_UNTIL_GONE = 2
"""A listing is read page by page while the stream changes: one may miss a shard."""
_PER_SECOND = 1000
"""Kinesis dates records in whole milliseconds, rounded down."""

StartRow = tuple[Shard, Checkpoint]
"""A row to be made, and where the shard begins. What stands in the store already is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRow:
    """What the store has of one shard."""

    shard: Shard | None
    """What its lease was made for; None where there is no lease (yet)."""
    checkpoint: Checkpoint | None
    """How far it is settled; None where nothing was written (yet)."""
    is_read: bool = False
    """Whether a live worker reads it: where its shard is gone, that worker hears so and says what was lost."""

    @property
    def is_complete(self) -> bool:
        """Whether lease and checkpoint stand."""
        return self.shard is not None and self.checkpoint is not None

    @property
    def is_finished(self) -> bool:
        """Whether everything in the shard is settled."""
        return self.checkpoint is not None and self.checkpoint.finished


Rows = Mapping[str, ShardRow]
"""Of one generation of a stream, by shard id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a listing asks for."""

    create: tuple[StartRow, ...]
    """Rows to be made, in this order: a row stands before those of the shards that follow. What stands is kept."""
    forget: tuple[str, ...]
    """Shards whose rows are to be removed: finished, gone, and followed by others whose rows stand."""
    lost: tuple[str, ...]
    """Shards that are gone before everything in them was settled: to be told by name, and their rows removed."""
    waiting: tuple[str, ...]
    """Listed shards that get no row yet, because it is not certain that a parent is gone."""


# ---- enabling


def start_rows(
    listing: Sequence[Shard], starting_position: StartingPosition, at: float, *, is_recreated: bool = False
) -> list[StartRow]:
    """The rows that a mapping begins with, parents first; write those that are missing before it is Enabled.

    `at` is the `StartingPositionTimestamp`, or for LATEST the service's time, told after the listing came. A stream
    that was deleted and made again (`is_recreated`) is new to the mapping, and all of it is read.
    """
    return [
        (shard, _beginning(shard, "TRIM_HORIZON" if is_recreated else starting_position, at))
        for shard in _parents_first(listing)
    ]


def _beginning(shard: Shard, starting_position: StartingPosition, at: float) -> Checkpoint:
    if starting_position == "TRIM_HORIZON":
        return Checkpoint(position=TrimHorizon())
    if starting_position == "LATEST" and shard.is_closed:
        return Checkpoint(position=TrimHorizon(), finished=True)
    begins_at = math.floor(at * _PER_SECOND) / _PER_SECOND
    is_latest = starting_position == "LATEST"
    return Checkpoint(position=AtTimestamp(at=begins_at), settled_at=begins_at if is_latest else 0.0)


def keys_of_other_generations(keys: Iterable[str], generation: str) -> tuple[str, ...]:
    """The keys of a mapping's rows that belong to shards of a stream of this name that is no more."""
    own = (shard_key(generation, ""), checkpoint_key(generation, ""))
    return tuple(key for key in keys if key.startswith((SHARD_PREFIX, CHECKPOINT_PREFIX)) and not key.startswith(own))


# ---- reading


def startable(rows: Rows) -> frozenset[str]:
    """The shards that may be read: not finished, and every parent finished or over."""
    return frozenset(
        shard_id
        for shard_id, row in rows.items()
        if row.shard is not None and row.is_complete and not row.is_finished and _is_free(row.shard, rows)
    )


def _is_free(shard: Shard, rows: Rows) -> bool:
    return all(parent not in rows or rows[parent].is_finished for parent in shard.parents)


def named_rows(children: Iterable[Shard], rows: Rows, *, born_after: float = 0.0) -> list[StartRow]:
    """The rows of shards that the end of a shard names, to be written at once; `born_after` is when it was enabled.

    A child one of whose parents has no row is left to the next listing.
    """
    return [
        _later(shard, rows, born_after)
        for shard in children
        if _is_missing(shard, rows) and set(shard.parents) <= rows.keys()
    ]


def _is_missing(shard: Shard, rows: Rows) -> bool:
    return shard.shard_id not in rows or not rows[shard.shard_id].is_complete


def _later(shard: Shard, rows: Rows, born_after: float) -> StartRow:
    """A shard that was found after the mapping was enabled; a checkpoint wins.

    Nothing came to it before what its parents have settled, nor before the mapping was enabled: if it is not read for
    too long after that, what it had may have expired.
    """
    known = rows[shard.shard_id].checkpoint if shard.shard_id in rows else None
    if known is not None:
        return shard, known
    parents = [rows[parent].checkpoint if parent in rows else None for parent in shard.parents]
    settled_at = min((parent.settled_at if parent else 0.0 for parent in parents), default=0.0)
    return shard, Checkpoint(position=TrimHorizon(), settled_at=max(settled_at, born_after))


# ---- listing


class Lineage:
    """Compares the rows of one generation with one complete listing after the other."""

    def __init__(self) -> None:
        self._absences: dict[str, int] = {}

    def survey(self, rows: Rows, listing: Sequence[Shard], *, born_after: float = 0.0) -> Survey:
        """What is to be done now. `rows` must have been read before the listing was asked for.

        `born_after` is the service's time at which the mapping was enabled: shards that had no row then came later.
        """
        self._count(rows, listing)
        gone = self._gone()
        create, waiting = _to_create(rows, listing, gone, born_after)
        lost = tuple(
            shard_id for shard_id, row in rows.items() if shard_id in gone and not row.is_finished and not row.is_read
        )
        awaited = _awaited(rows, listing)
        forget = tuple(
            shard_id
            for shard_id, row in rows.items()
            if shard_id in gone and row.is_finished and shard_id not in awaited
        )
        return Survey(create=tuple(create), forget=forget, lost=lost, waiting=tuple(waiting))

    def _count(self, rows: Rows, listing: Sequence[Shard]) -> None:
        """Counts in how many listings in a row each shard that must once have been there was missing."""
        if not listing:
            return
        listed = {shard.shard_id for shard in listing}
        known = set(rows).union(*(shard.parents for shard in listing))
        self._absences = {missing: self._absences.get(missing, 0) + 1 for missing in known - listed}

    def _gone(self) -> frozenset[str]:
        return frozenset(shard_id for shard_id, count in self._absences.items() if count >= LISTINGS_UNTIL_GONE)


def _to_create(
    rows: Rows, listing: Sequence[Shard], gone: frozenset[str], born_after: float
) -> tuple[list[StartRow], list[str]]:
    """The rows to be made, and the shards that have to wait for theirs."""
    create: list[StartRow] = []
    waiting: list[str] = []
    over = set(gone).union(rows)
    for shard in _parents_first(listing):
        if shard.shard_id in gone or not _is_missing(shard, rows):
            continue
        if over.issuperset(shard.parents):
            create.append(_later(shard, rows, born_after))
            over.add(shard.shard_id)
        else:
            waiting.append(shard.shard_id)
    return create, waiting


def _awaited(rows: Rows, listing: Sequence[Shard]) -> frozenset[str]:
    """The parents of shards whose rows do not stand yet."""
    known = [*listing, *(row.shard for row in rows.values() if row.shard is not None)]
    return frozenset(parent for shard in known if _is_missing(shard, rows) for parent in shard.parents)


def _parents_first(listing: Sequence[Shard]) -> list[Shard]:
    """In the listing's order, but each shard behind those that it was split or merged from."""
    by_id = {shard.shard_id: shard for shard in listing}
    ordered: dict[str, Shard] = {}
    for shard in listing:
        path = [shard]
        while path:
            parents = [by_id[p] for p in path[-1].parents if p in by_id and p not in ordered]
            if parents:
                path.append(parents[0])
            else:
                last = path.pop()
                ordered[last.shard_id] = last
    return list(ordered.values())
