"""The fleet's state store: what every write must respect is looked at when it takes effect."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Self, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from broker.core.lease_rows import CHECKPOINT_PREFIX, SHARD_PREFIX, WORKERS, checkpoint_of, lease_of
from broker.errors import RowConflict, SourceError, StoreError
from broker.model.checkpoint import Checkpoint
from broker.model.lease import Lease, Row
from broker.model.stream import AfterSequenceNumber
from broker.ports import Clock
from broker.stores.memory import MemoryRows
from broker.testing import Process
from broker.testing.store_faults import StoreOperation
from broker.testing.store_traffic import READ_UNIT_BYTES, ROW_OVERHEAD_BYTES, WRITE_UNIT_BYTES
from broker.testing.stores import InMemoryStateStore, StateStoreView
from tests.simulation.fleet_ledger import Ledger, Owned, Written

THIEF = "thief"
_Result = TypeVar("_Result")


class WatchedRows(MemoryRows):
    """Rows that look at each change: who may make it, and whether anything goes back."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        super().__init__()
        self._ledger = ledger
        self._clock = clock
        self.senders: dict[str, tuple[str, float, int]] = {}
        """By nonce: who sent a write first, when, and at which tick."""
        self.calls: Counter[str] = Counter()
        """Calls by kind: `workers read`, `lease write`, …"""
        self.units: Counter[str] = Counter()
        """Request units of DynamoDB, likewise."""
        self.on_change: Callable[[], None] = lambda: None

    # ---- what is asked

    def read(self, partition: str) -> dict[str, Row]:
        self._count(_READ_OF_ALL[partition == WORKERS], self._size(partition, self.keys(partition)), READ_UNIT_BYTES)
        return super().read(partition)

    def get(self, partition: str, key: str) -> Row | None:
        self._count(_kind(partition, key) + " read", self._size(partition, [key]), READ_UNIT_BYTES)
        return super().get(partition, key)

    def delete(self, partition: str, key: str, *, version: int) -> None:
        self._count(_kind(partition, key) + " write", self._size(partition, [key]), WRITE_UNIT_BYTES)
        super().delete(partition, key, version=version)
        self.on_change()

    def write(self, partition: str, key: str, body: bytes, *, version: int, nonce: str) -> None:
        size = max(len(body) + ROW_OVERHEAD_BYTES, self._size(partition, [key]))
        self._count(_kind(partition, key) + " write", size, WRITE_UNIT_BYTES)
        before = super().get(partition, key)
        super().write(partition, key, body, version=version, nonce=nonce)
        after = super().get(partition, key)
        if after is not None and (before is None or after.version != before.version):
            self._changed(partition, key, before, after, nonce)
            self.on_change()

    def _size(self, partition: str, keys: Iterable[str]) -> int:
        return sum(self.size_of(partition, key) + ROW_OVERHEAD_BYTES for key in keys)

    def _count(self, kind: str, size: int, unit: int) -> None:
        self.calls[kind] += 1
        self.units[kind] += max(1, -(-size // unit))

    # ---- what has changed

    def _changed(self, partition: str, key: str, before: Row | None, after: Row, nonce: str) -> None:
        process, sent_at, tick = self.senders.get(nonce, (THIEF, self._clock.now(), self._ledger.ticks))
        if partition == WORKERS:
            self._ledger.beats[key].append(sent_at)
        elif key.startswith(SHARD_PREFIX):
            self._lease_changed(partition, key, before, after, process)
        elif key.startswith(CHECKPOINT_PREFIX):
            self._checkpoint_changed(key, before, after, tick)
            self._parents_are_over(partition, key, before, after)
        elif after.value.get("started"):
            self._ledger.enabled_at = after.value["enabled_at"]

    def _lease_changed(self, partition: str, key: str, before: Row | None, after: Row, process: str) -> None:
        new = lease_of(partition, key, after)
        old = lease_of(partition, key, before) if before else Lease(key=new.key, version=0, shard=new.shard)
        if new.shard is None or new.shard != old.shard:
            self._wrong(f"{key} is for another shard: {old} became {new}")
        if (new.owner, new.epoch) == (old.owner, old.epoch):
            return
        if new.epoch != old.epoch + 1:
            self._wrong(f"{key}: the epoch went from {old.epoch} to {new.epoch}")
        is_taken = bool(old.owner) and not old.owner.startswith(f"{process}-")
        if is_taken and process != THIEF and old.owner in self.keys(WORKERS):
            self._wrong(f"{key} was taken from {old.owner} by {process}, and its row stands")
        assert new.shard is not None
        owned = Owned(
            shard=new.shard.shard_id,
            epoch=new.epoch,
            owner=new.owner,
            is_taken=is_taken,
            is_stolen=process == THIEF,
            at=self._clock.now(),
            tick=self._ledger.tick(),
        )
        self._ledger.owned.append(owned)

    def _checkpoint_changed(self, key: str, before: Row | None, after: Row, sent_tick: int) -> None:
        new = self._written(key, after, sent_tick)
        if before is not None:
            old = self._written(key, before, sent_tick)
            if new.epoch < old.epoch:
                self._wrong(f"{key} was written under epoch {new.epoch} after {old.epoch}")
            if new.position < old.position or (old.is_finished and not new.is_finished):
                self._wrong(f"{key} went back from {old} to {new}")
            new = replace(new, is_fence=new.epoch > old.epoch)
        self._ledger.written.append(new)

    def _written(self, key: str, row: Row, sent_tick: int) -> Written:
        epoch, checkpoint = checkpoint_of(row)
        return Written(
            shard=key.rpartition(":")[2],
            epoch=epoch,
            is_fence=True,
            position=_position(checkpoint),
            marks=tuple((each.factor, tuple(int(mark or 0) for mark in each.marks)) for each in checkpoint.lanes),
            is_finished=checkpoint.finished,
            sent_tick=sent_tick,
            at=self._clock.now(),
            tick=self._ledger.tick(),
        )

    def _parents_are_over(self, partition: str, key: str, before: Row | None, after: Row) -> None:
        """A shard begins with the fence of its first epoch: by then nothing of its parents may be open."""
        if after.value["epoch"] == 0 or (before is not None and before.value["epoch"] == after.value["epoch"]):
            return
        generation_key = key.removeprefix(CHECKPOINT_PREFIX)
        prefix = generation_key.rpartition(":")[0]
        lease = super().get(partition, SHARD_PREFIX + generation_key)
        for parent in lease.value["shard"]["parents"] if lease else ():
            row = super().get(partition, f"{CHECKPOINT_PREFIX}{prefix}:{parent}")
            if row is not None and not checkpoint_of(row)[1].finished:
                self._wrong(f"{key} began before its parent {parent} was finished")

    def _wrong(self, what: str) -> None:
        self._ledger.violations.append(what)

    # ---- for those who look

    def leases(self, partition: str) -> list[tuple[Lease, Checkpoint | None]]:
        """All leases of shards with their checkpoints."""
        rows = super().read(partition)
        found = []
        for key, row in rows.items():
            if key.startswith(SHARD_PREFIX):
                checkpoint = rows.get(CHECKPOINT_PREFIX + key.removeprefix(SHARD_PREFIX))
                found.append((lease_of(partition, key, row), checkpoint_of(checkpoint)[1] if checkpoint else None))
        return found

    def workers(self) -> dict[str, Row]:
        """The workers' rows."""
        return super().read(WORKERS)


_READ_OF_ALL = ("lease read", "workers read")


def _kind(partition: str, key: str) -> str:
    if partition == WORKERS:
        return "workers"
    return "checkpoint" if key.startswith(CHECKPOINT_PREFIX) else "lease"


def _position(checkpoint: Checkpoint) -> int:
    return int(checkpoint.position.number) if isinstance(checkpoint.position, AfterSequenceNumber) else 0


class FleetProcess(Process):
    """A process that can be told to die at its next call of a kind. Costs nothing while nothing befalls it."""

    def __init__(self) -> None:
        super().__init__()
        self._doom: tuple[str, bool] | None = None

    def crash_at_next(self, operation: str, *, answered: bool) -> None:
        """Kills the process at its next call of a kind: before it takes effect, or before its reply."""
        self._doom = (operation, answered)

    async def passes(self, operation: str, *, answered: bool) -> None:
        """As a process does."""
        if self._doom == (operation, answered):
            self.crash()
        if self.crashed or self._paused_until > anyio.current_time():
            await super().passes(operation, answered=answered)

    async def holds(self, operation: str, *, answered: bool) -> None:
        """As `passes`, but a paused process does not hear either that it is cancelled."""
        if self._doom == (operation, answered) or self.crashed or self._paused_until > anyio.current_time():
            with anyio.CancelScope(shield=True):
                await self.passes(operation, answered=answered)


class FleetStore(InMemoryStateStore):
    """The store of one simulated fleet."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        super().__init__(is_shared=False)
        self._rows: WatchedRows = WatchedRows(ledger, clock)
        self.ledger = ledger
        self.clock = clock
        self._faulty_until = 0.0

    async def perform(
        self,
        caller: str,
        operation: StoreOperation,
        effect: Callable[[MemoryRows], _Result],
        partition: str,
        key: str | None,
    ) -> _Result:
        """One call; most of the time nothing befalls it."""
        if self._late or self._faulty_until > anyio.current_time():
            return await super().perform(caller, operation, effect, partition, key)
        await checkpoint()
        return effect(self._rows)

    def _counted(
        self, operation: StoreOperation, effect: Callable[[MemoryRows], _Result], partition: str, key: str | None
    ) -> _Result:
        """The rows count."""
        return effect(self._rows)

    def expect_faults(self, seconds: float) -> None:
        """A fault was made that may strike within this time, and not later."""
        self._faulty_until = max(self._faulty_until, anyio.current_time() + seconds)

    @property
    def rows(self) -> WatchedRows:
        """The rows themselves."""
        return self._rows


class LinedStore(StateStoreView):
    """The store as one process sees it: its calls stop when it is paused, and end when it has crashed."""

    def __init__(
        self, store: FleetStore, name: str, process: FleetProcess, *, seed: int, longest_seconds: float
    ) -> None:
        super().__init__(store, name)
        self._fleet_store = store
        self._name = name
        self._process = process
        self._random = random.Random(f"store {seed} {name}")
        self._longest_seconds = longest_seconds

    async def _pass(self, operation: str, *, answered: bool) -> None:
        """A paused process neither sends, nor hears, nor gives up."""
        try:
            await self._process.holds(operation, answered=answered)
        except SourceError as error:
            raise StoreError(str(error)) from error

    async def _answer(self, operation: str) -> None:
        if self._longest_seconds:
            await anyio.sleep(self._random.random() * self._longest_seconds)
        await self._pass(operation, answered=True)

    async def read(self, partition: str) -> Mapping[str, Row]:
        await self._pass("store.read", answered=False)
        rows = await super().read(partition)
        await self._answer("store.read")
        return rows

    async def get(self, partition: str, key: str) -> Row | None:
        await self._pass("store.read", answered=False)
        row = await super().get(partition, key)
        await self._answer("store.read")
        return row

    async def write(self, partition: str, key: str, value: Mapping[str, Any], *, version: int, nonce: str) -> None:
        ledger, rows = self._fleet_store.ledger, self._fleet_store.rows
        rows.senders.setdefault(nonce, (self._name, self._fleet_store.clock.now(), ledger.tick()))
        await self._pass("store.write", answered=False)
        try:
            await super().write(partition, key, value, version=version, nonce=nonce)
        except RowConflict:
            await self._answer("store.write")
            raise
        await self._answer("store.write")

    async def delete(self, partition: str, key: str, *, version: int) -> None:
        await self._pass("store.write", answered=False)
        await super().delete(partition, key, version=version)
        await self._answer("store.write")

    def reopened(self) -> Self:
        return self
