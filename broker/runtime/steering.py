"""What an operator does to a stream's mapping while brokers run it, or while none does.

Rule: an operator writes the same rows as the brokers do, by compare-and-set. A pause is a member of the mapping's row
or of a shard's lease: who owns the shard finishes, saves its checkpoint and gives the lease back, and nobody takes it.
A shard is moved while it is paused and nobody's: the lease's epoch grows first, then the checkpoint is written under
the new epoch (the fence), so that whatever a former owner still writes fails.

How it works: brokers look at leases when a worker comes or goes. So an operator is a worker while it works: a row that
serves nothing, and so is given nothing. It beats by itself only by being watched: should it stand longer than a lease
lasts, some broker removes it, which makes all of them look once more, and no harm is done. Whether an owner lives is
judged as brokers judge it: its row moves, or it is removed by whoever has watched it stand still.

Invariants: nothing is moved that a live worker owns · no checkpoint is written but under a new epoch.
"""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import anyio

from broker.core.lease_rows import (
    CHECKPOINT_PREFIX,
    SHARD_PREFIX,
    WORKERS,
    leases_of,
    owned_value,
    pause_note,
    paused_value,
    resumed_value,
    shard_key,
    worker_of,
    worker_value,
)
from broker.core.watching import LeaseTiming, Watch
from broker.errors import RowConflict, StoreError
from broker.model.checkpoint import Checkpoint
from broker.model.lease import Lease, Row, Worker
from broker.model.stream import TrimHorizon
from broker.ports import Clock, StateStore
from broker.runtime.positions import Positions
from broker.runtime.shard_register import MAPPING_KEY

CHANGE_ATTEMPTS = 10
"""Brokers change a lease's row when its owner changes; more often than this in a row they do not."""
LOOKS_UNTIL_SEEN = 2.5
"""For how many of the brokers' looks at the workers an operator's row stands, so that each of them has seen it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Who steers, and by what."""

    name: str
    """For people: `ana@desk`."""
    store: StateStore
    clock: Clock
    new_id: Callable[[], UUID]
    timing: LeaseTiming


class Steering:
    """One mapping in an operator's hands. Every method raises `StoreError` where the store does not answer."""

    def __init__(self, uuid: str, operator: Operator) -> None:
        self._uuid = uuid
        self._operator = operator
        self._store = operator.store
        self._watch = Watch(operator.timing)

    # ---- looking

    async def rows(self) -> Mapping[str, Row]:
        """All rows of the mapping."""
        return await self._store.read(self._uuid)

    async def owners(self, shard_ids: Collection[str]) -> dict[str, str]:
        """The live workers that own any of these shards, by shard id; who stands still for long enough is removed."""
        rows = await self.rows()
        workers = await self._live_workers()
        return {
            lease.shard.shard_id: lease.owner
            for lease in leases_of(self._uuid, rows)
            if lease.shard is not None and lease.shard.shard_id in shard_ids and lease.owner in workers
        }

    async def _live_workers(self) -> frozenset[str]:
        asked_at = self._operator.clock.now()
        rows = await self._store.read(WORKERS)
        workers = {worker_id: worker_of(worker_id, row).counter for worker_id, row in rows.items()}
        self._watch.saw(workers, asked_at=asked_at, answered_at=self._operator.clock.now())
        for worker_id, version in self._watch.expired():
            with suppress(RowConflict):
                await self._store.delete(WORKERS, worker_id, version=version)
                del workers[worker_id]
        return frozenset(workers)

    async def wait_until_free(self, shard_ids: Collection[str], *, seconds: float) -> dict[str, str]:
        """Waits until no live worker owns any of these shards; returns those that some still own after `seconds`."""
        ends_at = self._operator.clock.now() + seconds
        while True:
            owners = await self.owners(shard_ids)
            if not owners or self._operator.clock.now() >= ends_at:
                return owners
            await anyio.sleep(self._operator.timing.poll_seconds(1))

    # ---- being seen

    @asynccontextmanager
    async def announced(self) -> AsyncIterator[None]:
        """Makes all brokers look at the leases soon after the block has begun, and soon after it has ended.

        Changes made inside are seen when the operator's row goes; those that brokers should see meanwhile are made
        before.
        """
        worker_id = f"operator-{self._operator.name}-{self._operator.new_id()}"
        value = worker_value(Worker(worker_id=worker_id, counter=0, is_draining=True))
        began_at = self._operator.clock.now()
        await self._write(WORKERS, worker_id, value, 0)
        try:
            yield
            await self._let_see(began_at)
        finally:
            with anyio.move_on_after(self._operator.timing.beat_seconds, shield=True), suppress(StoreError):
                await self._store.delete(WORKERS, worker_id, version=1)

    async def _let_see(self, began_at: float) -> None:
        count = len(await self._store.read(WORKERS))
        seen_at = began_at + LOOKS_UNTIL_SEEN * self._operator.timing.poll_seconds(count)
        await anyio.sleep(max(seen_at - self._operator.clock.now(), 0.0))

    # ---- pausing

    async def pause(self, shard: str | None = None) -> str:
        """Pauses a shard, or the mapping as a whole; returns what its row says of that, before if it was paused.

        `shard` is its lease's key.
        """
        at = datetime.fromtimestamp(self._operator.clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

        def paused(value: Mapping[str, Any]) -> dict[str, Any]:
            return dict(value) if value.get("paused") else paused_value(value, by=self._operator.name, at=at)

        return pause_note(await self._change(shard or MAPPING_KEY, paused))

    async def resume(self, shard: str | None = None) -> bool:
        """Lets a shard, or the mapping as a whole, be read again; False where it was not paused."""
        key = shard or MAPPING_KEY
        row = await self._row(key)
        if not row.value.get("paused"):
            return False
        await self._change(key, resumed_value)
        return True

    async def _change(self, key: str, change: Callable[[Mapping[str, Any]], dict[str, Any]]) -> dict[str, Any]:
        for _ in range(CHANGE_ATTEMPTS):
            row = await self._row(key)
            value = change(row.value)
            if value == row.value:
                return value
            with suppress(RowConflict):
                await self._write(self._uuid, key, value, row.version)
                return value
        raise StoreError(f"{key} of mapping {self._uuid} is changed by others again and again: try it again")

    async def _row(self, key: str) -> Row:
        row = await self._store.get(self._uuid, key)
        if row is None:
            raise StoreError(f"{key} of mapping {self._uuid} is gone: nothing was changed")
        return row

    # ---- moving

    async def move(self, lease: Lease, change: Callable[[Checkpoint], Checkpoint]) -> None:
        """Writes another checkpoint for a shard, whose lease is still as it was read, owned by nobody who lives.

        Raises:
            LeaseLost: a broker has taken the shard meanwhile; its position stays.
            RowConflict: the lease was written meanwhile; its position stays.
        """
        key = lease.key.key
        row = await self._row(key)
        epoch = lease.epoch + 1
        await self._write(self._uuid, key, owned_value(row.value, owner="", epoch=epoch), lease.version)
        positions = Positions(
            self._store,
            partition=self._uuid,
            key=f"{CHECKPOINT_PREFIX}{key.removeprefix(SHARD_PREFIX)}",
            epoch=epoch,
            new_id=self._operator.new_id,
        )
        await positions.save(change(await positions.fence(Checkpoint(position=TrimHorizon()))))

    async def _write(self, partition: str, key: str, value: Mapping[str, Any], version: int) -> None:
        await self._store.write(partition, key, value, version=version, nonce=str(self._operator.new_id()))


def shard_leases(uuid: str, rows: Mapping[str, Row]) -> dict[str, Lease]:
    """The leases of the stream that the mapping reads now, by shard id; none before it has begun."""
    mapping = rows.get(MAPPING_KEY)
    if mapping is None:
        return {}
    prefix = shard_key(mapping.value["generation"], "")
    found: Iterable[Lease] = leases_of(uuid, rows)
    return {lease.shard.shard_id: lease for lease in found if lease.shard and lease.key.key.startswith(prefix)}
