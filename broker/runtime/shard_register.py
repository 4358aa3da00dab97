"""Keeps the rows of one stream's mapping in step with the stream's shards.

A mapping begins with a row for each shard of a listing, all of them written before it is Enabled; an enabling that was
interrupted begins again. From then on listings are compared with the rows (`core.lineage` decides), and what is found
gets its rows. All writes are conditional, so that any number of brokers may do this at the same time.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from broker.core.lease_rows import (
    CHECKPOINT_PREFIX,
    checkpoint_key,
    checkpoint_of,
    checkpoint_value,
    lease_value,
    leases_of,
    pause_note,
    shard_key,
)
from broker.core.lineage import (
    Lineage,
    ShardRow,
    StartingPosition,
    StartRow,
    keys_of_other_generations,
    named_rows,
    start_rows,
    startable,
)
from broker.errors import BrokerError, EnabledElsewhere, RowConflict, StoreError
from broker.model.checkpoint import Checkpoint
from broker.model.lease import Lease, LeaseKey, Row
from broker.model.observation import Observation, RecordsLost
from broker.model.stream import AfterSequenceNumber, Shard, StreamDescription
from broker.ports import StateStore, StreamSource

MAPPING_KEY = "mapping"
"""The row of the mapping itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """Where a mapping begins to read."""

    starting_position: StartingPosition
    timestamp: float = 0.0
    """`StartingPositionTimestamp`, epoch seconds."""


class ShardRegister:
    """The rows of one mapping."""

    def __init__(
        self,
        *,
        uuid: str,
        source: StreamSource,
        store: StateStore,
        beginning: Beginning,
        new_id: Callable[[], UUID],
        observe: Callable[[Observation], None],
    ) -> None:
        self._uuid = uuid
        self._source = source
        self._store = store
        self._beginning = beginning
        self._new_id = new_id
        self._observe = observe
        self._lineage = Lineage()
        self._seen_version = 0
        self.generation = ""
        """That of the stream that the rows are of; empty before the mapping is enabled."""
        self.lost_count = 0
        """Shards that left the stream before everything in them was settled, as this process has found."""
        self.retention_seconds = 0.0
        """How long the stream keeps records, as last described."""

    # ---- the beginning

    async def enable(self) -> None:
        """Makes sure that the mapping has begun, on the stream that is there now.

        Raises:
            BrokerError: the stream or the store does not let it, or another broker is at it; begin again later.
        """
        row = await self._store.get(self._uuid, MAPPING_KEY)
        listing, description = await self._listed()
        self.retention_seconds = description.retention_seconds
        self._refuse_other_position(row)
        if row is None or row.value["generation"] != description.generation:
            await self._begin(row, description, self._start_rows(row, listing, description))
        elif not row.value["started"]:
            self._wait_for_other(row)
            await self._begin(row, description, self._start_rows(row, listing, description))
        else:
            self._adopt(description.generation)

    async def _listed(self) -> tuple[tuple[Shard, ...], StreamDescription]:
        """All shards of one generation of the stream, and its description, told after the listing came."""
        before = await self._source.describe()
        listing = await self._source.list_shards()
        description = await self._source.describe()
        if description.generation != before.generation:
            raise BrokerError("the stream was deleted and made again while its shards were listed: listing them anew")
        return listing, description

    def _refuse_other_position(self, row: Row | None) -> None:
        began = row.value["starting_position"] if row else self._beginning.starting_position
        if began != self._beginning.starting_position:
            raise BrokerError(
                f"StartingPosition was {began} when this mapping began and cannot be changed to "
                f"{self._beginning.starting_position}: restore it, or give the mapping another UUID to begin anew"
            )

    def _wait_for_other(self, row: Row) -> None:
        """Lets a broker that is writing the rows finish; one that has died in between does not move the version."""
        if self._seen_version != row.version:
            self._seen_version = row.version
            raise EnabledElsewhere("another broker is enabling the mapping: waiting for it")

    async def take_over(self, rows: Iterable[StartRow], description: StreamDescription) -> None:
        """Begins with progress that was made elsewhere, in place of the starting position; what stands is kept.

        Raises:
            BrokerError: the store does not let it, or the mapping has begun with another starting position.
        """
        row = await self._store.get(self._uuid, MAPPING_KEY)
        self._refuse_other_position(row)
        await self._begin(row, description, rows)

    def _start_rows(
        self, row: Row | None, listing: Iterable[Shard], description: StreamDescription
    ) -> Iterable[StartRow]:
        position = self._beginning.starting_position
        at = description.server_at if position == "LATEST" else self._beginning.timestamp
        return start_rows(tuple(listing), position, at, is_recreated=_is_recreated(row, description))

    async def _begin(self, row: Row | None, description: StreamDescription, rows: Iterable[StartRow]) -> None:
        value: dict[str, Any] = {
            **(row.value if row else {}),
            "starting_position": self._beginning.starting_position,
            "enabled_at": description.server_at,
            "generation": description.generation,
            "recreated": _is_recreated(row, description),
            "started": False,
        }
        version = row.version if row else 0
        try:
            await self._write(MAPPING_KEY, value, version)
            await self._create(rows, description.generation)
            await self._write(MAPPING_KEY, {**value, "started": True}, version + 1)
        except RowConflict as conflict:
            raise EnabledElsewhere("another broker is enabling the mapping, too: looking again") from conflict
        self._adopt(description.generation)

    def _adopt(self, generation: str) -> None:
        if generation != self.generation:
            self.generation = generation
            self._lineage = Lineage()

    # ---- what the rows say

    def leases(self, rows: Mapping[str, Row]) -> list[tuple[Lease, bool]]:
        """The leases of the stream that is there now, each with whether its shard may be read.

        Raises `StoreError` where a row is not understood.
        """
        mapping = rows.get(MAPPING_KEY)
        if mapping is None or mapping.value["generation"] != self.generation or mapping.value.get("paused"):
            may_start: Collection[str] = ()
        else:
            may_start = startable(self._shard_rows(rows))
        return [
            (lease, lease.shard.shard_id in may_start and not lease.is_paused)
            for lease in self._leases(rows)
            if lease.shard is not None
        ]

    def is_replaced(self, rows: Mapping[str, Row]) -> bool:
        """Whether another broker has found that the stream was deleted and made again."""
        mapping = rows.get(MAPPING_KEY)
        return mapping is not None and mapping.value["generation"] != self.generation

    def pauses(self, rows: Mapping[str, Row]) -> dict[str, str]:
        """What an operator has paused, and who that was: by shard id, and by "" for the mapping as a whole."""
        of_shards = {
            lease.shard.shard_id: pause_note(rows[lease.key.key].value) for lease in self._leases(rows) if lease.shard
        }
        whole = {"": pause_note(rows[MAPPING_KEY].value)} if MAPPING_KEY in rows else {}
        return {shard: note for shard, note in {**whole, **of_shards}.items() if note}

    def _leases(self, rows: Mapping[str, Row]) -> Iterable[Lease]:
        prefix = shard_key(self.generation, "")
        for lease in leases_of(self._uuid, rows):
            if lease.key.key.startswith(prefix) and lease.shard is not None:
                checkpoint = self._checkpoint(rows, lease.shard.shard_id)
                yield replace(lease, lag_ms=checkpoint.behind_ms if checkpoint else 0)

    def _checkpoint(self, rows: Mapping[str, Row], shard_id: str) -> Checkpoint | None:
        row = rows.get(checkpoint_key(self.generation, shard_id))
        try:
            return None if row is None else checkpoint_of(row)[1]
        except StoreError as error:
            raise StoreError(f"{shard_id}: {error}") from error

    def _shard_rows(self, rows: Mapping[str, Row], live: Collection[str] = ()) -> dict[str, ShardRow]:
        """What the store has of each shard; `live` are the ids of the workers that live."""
        found = {
            lease.shard.shard_id: ShardRow(
                shard=lease.shard,
                checkpoint=self._checkpoint(rows, lease.shard.shard_id),
                is_read=lease.owner in live and not lease.is_paused,
            )
            for lease in self._leases(rows)
            if lease.shard is not None
        }
        prefix = checkpoint_key(self.generation, "")
        for key in rows:
            if key.startswith(prefix) and (shard_id := key.removeprefix(prefix)) not in found:
                found[shard_id] = ShardRow(shard=None, checkpoint=self._checkpoint(rows, shard_id))
        return found

    # ---- what the stream says

    async def survey(self, live: Collection[str]) -> bool:
        """Compares the rows with the stream, and writes what follows; whether anything did.

        Raises:
            BrokerError: the stream or the store does not answer, or another broker was first.
        """
        rows = await self._store.read(self._uuid)
        listing = await self._source.list_shards()
        description = await self._source.describe()
        if description.generation != self.generation:
            await self.enable()
            return True
        survey = self._lineage.survey(self._shard_rows(rows, live), listing, born_after=_enabled_at(rows))
        await self._create(survey.create, self.generation)
        for shard_id in survey.lost:
            self._tell_lost(shard_id, self._checkpoint(rows, shard_id))
        gone = [*survey.forget, *survey.lost]
        for shard_id in gone:
            await self._forget(rows, shard_key(self.generation, shard_id), checkpoint_key(self.generation, shard_id))
        await self._forget_other_generations(rows)
        return bool(survey.create or gone)

    async def _forget_other_generations(self, rows: Mapping[str, Row]) -> None:
        """Removes what a stream of this name that is no more has left, and tells of what was not settled in it."""
        keys = sorted(keys_of_other_generations(rows, self.generation), reverse=True)
        for key in keys:
            if key.startswith(CHECKPOINT_PREFIX) and not (left := checkpoint_of(rows[key])[1]).finished:
                detail = "the stream was deleted and made again before everything in the shard was settled"
                self._tell_lost(key.rpartition(":")[2], left, is_certain=False, detail=detail)
        await self._forget(rows, *keys)

    async def name_children(self, children: Iterable[Shard], generation: str) -> None:
        """The end of a shard has named the shards that follow: they get their rows at once. Raises `BrokerError`.

        `generation` is that of the shard: a stream that was made again has other shards with the same names.
        """
        rows = await self._store.read(self._uuid)
        if generation == self.generation:
            await self._create(named_rows(children, self._shard_rows(rows), born_after=_enabled_at(rows)), generation)

    def _tell_lost(
        self,
        shard_id: str,
        checkpoint: Checkpoint | None,
        *,
        is_certain: bool = True,
        detail: str = "the shard has left the stream before everything in it was settled",
    ) -> None:
        self.lost_count += 1
        position = checkpoint.position if checkpoint else None
        after = position.number if isinstance(position, AfterSequenceNumber) else "the beginning"
        self._observe(
            RecordsLost(
                shard=shard_id,
                after=after,
                before="",
                is_certain=is_certain,
                detail=detail,
            )
        )

    # ---- writing

    async def _create(self, rows: Iterable[StartRow], generation: str) -> None:
        """Makes rows that are not there yet; the checkpoint first, so that a lease is never without one."""
        for shard, checkpoint in rows:
            with suppress(RowConflict):
                await self._write(checkpoint_key(generation, shard.shard_id), checkpoint_value(0, checkpoint), 0)
            key = shard_key(generation, shard.shard_id)
            lease = Lease(key=LeaseKey(mapping=self._uuid, key=key), version=0, shard=shard)
            with suppress(RowConflict):
                await self._write(key, lease_value(lease), 0)

    async def _forget(self, rows: Mapping[str, Row], *keys: str) -> None:
        """Removes rows as they were read, in this order; one that was written meanwhile stays, and what follows it."""
        with suppress(RowConflict):
            for key in keys:
                if key in rows:
                    await self._store.delete(self._uuid, key, version=rows[key].version)

    async def _write(self, key: str, value: Mapping[str, Any], version: int) -> None:
        await self._store.write(self._uuid, key, value, version=version, nonce=str(self._new_id()))


def _is_recreated(row: Row | None, description: StreamDescription) -> bool:
    """Whether the stream is another one than the mapping began with: deleted, and made again under its name."""
    return row is not None and (row.value.get("recreated", False) or row.value["generation"] != description.generation)


def _enabled_at(rows: Mapping[str, Row]) -> float:
    """The service's time when the mapping was enabled; 0 where it is not known."""
    mapping = rows.get(MAPPING_KEY)
    return float(mapping.value.get("enabled_at", 0.0)) if mapping else 0.0
