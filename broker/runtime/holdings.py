"""The leases that one worker owns: how they come, how they go, and how they are lost.

Rule: a lease is held from the write that made this worker its owner until the row says otherwise, the worker is
evicted, or its tenant has let go and the row could be rewritten. A row that names this worker as the owner of a lease
that it does not hold is a lease that was given to it (or taken, and the answer was lost). A tenant that is asked for a
lease has a limited time to finish; then the lease is given whether it has finished or not.

How it works: what a tenant gives while rows are being read makes the reading old as far as that lease goes
(`begin_reading`, `is_old`). A release is conditional on a fresh reading that still shows our own epoch; one that could
not be written is written by a later turn.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Protocol

from anyio import CancelScope, fail_after

from broker.core.lease_rows import lease_of
from broker.errors import RowConflict, StoreError
from broker.model.lease import Lease, LeaseKey, Row
from broker.model.observation import LeaseReleased, LeaseTaken, LeaseWasLost, Observation
from broker.ports import Clock
from broker.runtime.lease_table import LeaseTable

HAND_OVER_GRACE_SECONDS = 30.0
"""What a tenant may take beyond its function's time limit to hand a lease over: settling, and the last checkpoint."""
RELEASE_ATTEMPTS = 3
"""Asks and pauses may be written between our reading and our write; not often."""


class Tenant(Protocol):
    """What works under the leases of one mapping. Its plain methods return at once."""

    @property
    def mapping(self) -> str:
        """The mapping's UUID: the partition of its rows."""
        ...

    @property
    def hand_over_seconds(self) -> float:
        """How long it may take to finish what runs under a lease that it was asked for."""
        ...

    def leases(self, rows: Mapping[str, Row]) -> Sequence[tuple[Lease, bool]]:
        """The leases among the rows of the mapping's partition, each with whether it may be worked on now."""
        ...

    async def granted(self, lease: Lease, *, was_expired: bool) -> None:
        """The lease is ours: writes the fence and begins. Brief: a few calls of the store.

        `was_expired` where its last owner was evicted, so that something of it may still run. Where this raises
        `StoreError` or takes too long, `lost` follows, and later another grant.
        """
        ...

    def lost(self, lease: Lease) -> None:
        """The lease is no longer ours: cancels what runs under it, and writes no checkpoint. May come twice."""
        ...

    def hand_over(self, lease: Lease, to: str) -> None:
        """Somebody else should have it: begins to finish, and then awaits `Fleet.release`."""
        ...

    def trust_extended(self, until_at: float) -> None:
        """All leases are certain until this instant."""
        ...


@dataclass(slots=True, kw_only=True)
class _Holding:
    """One lease that this worker owns."""

    lease: Lease
    tenant: Tenant
    give_by: float = inf
    """When it is given though its tenant has not finished; it was asked for then."""
    is_given: bool = False
    """Whether its tenant has let go: only the row is to be rewritten."""
    to: str = ""
    is_busy: bool = False
    """Whether the row is being rewritten."""


class Holdings:
    """All leases of one worker id."""

    def __init__(
        self,
        worker_id: str,
        *,
        table: LeaseTable,
        clock: Clock,
        observe: Callable[[str, Observation], None],
        receivers: Callable[[str], Collection[str]],
        grant_seconds: float,
        announce: Callable[[], None],
    ) -> None:
        """`receivers` says which workers may be given a mapping's leases; a grant may take `grant_seconds`.

        `announce` lets the others look at the leases.
        """
        self._worker_id = worker_id
        self._table = table
        self._clock = clock
        self._observe = observe
        self._receivers = receivers
        self._grant_seconds = grant_seconds
        self._announce = announce
        self._held: dict[LeaseKey, _Holding] = {}
        self._changed: set[LeaseKey] = set()
        self._expired: dict[LeaseKey, int] = {}
        self._asked: dict[LeaseKey, str] = {}

    def owned(self, mapping: str) -> tuple[Lease, ...]:
        """The leases that a mapping's tenant works under."""
        return tuple(each.lease for each in self._of(mapping) if not each.is_given)

    def _of(self, mapping: str) -> tuple[_Holding, ...]:
        return tuple(holding for key, holding in self._held.items() if key.mapping == mapping)

    # ---- what is read

    def begin_reading(self) -> None:
        """Rows are going to be read."""
        self._changed.clear()

    def is_old(self, key: LeaseKey) -> bool:
        """Whether what was read of a lease may be older than what is known."""
        holding = self._held.get(key)
        return key in self._changed or (holding is not None and holding.is_busy)

    def is_new(self, lease: Lease) -> bool:
        """Whether a lease is ours by its row and not held yet."""
        return lease.owner == self._worker_id and lease.key not in self._held

    def compare(self, mapping: str, rows: Mapping[str, Row]) -> None:
        """Looks whether the rows of a mapping still say what is held, and who asks."""
        for holding in self._of(mapping):
            key = holding.lease.key
            if not self.is_old(key):
                self._compare(holding, lease_of(mapping, key.key, rows[key.key]) if key.key in rows else None)

    def _compare(self, holding: _Holding, found: Lease | None) -> None:
        if found is None or not _is_same(found, holding.lease):
            self._lose(holding, "its row is gone" if found is None else f"its owner is {found.owner or 'nobody'}")
            return
        holding.lease = replace(holding.lease, version=found.version, asked_by=found.asked_by)
        if self._receiver(found.key.mapping, found.asked_by) and holding.give_by == inf:
            holding.give_by = self._clock.now() + holding.tenant.hand_over_seconds
            holding.tenant.hand_over(holding.lease, found.asked_by)

    # ---- how they come

    async def ask(self, lease: Lease, row: Row) -> None:
        """Asks the owner to hand a lease over. Raises `RowConflict` and `StoreError`."""
        self._asked[lease.key] = lease.owner
        await self._table.ask(lease, row, self._worker_id)

    async def take(self, tenant: Tenant, lease: Lease, row: Row) -> None:
        """Takes a lease that is nobody's, and begins. Raises `RowConflict` and `StoreError`."""
        self._asked[lease.key] = lease.owner
        if lease.owner:
            self._expired[lease.key] = lease.epoch + 1
        await self.grant(tenant, await self._table.own(lease, row, self._worker_id))

    async def grant(self, tenant: Tenant, lease: Lease) -> None:
        """Begins under a lease that is ours by its row. Raises `StoreError`; then it is not held."""
        holding = self._held[lease.key] = _Holding(lease=lease, tenant=tenant)
        was_expired = self._expired.get(lease.key) == lease.epoch
        try:
            with fail_after(self._grant_seconds):
                await tenant.granted(lease, was_expired=was_expired)
        except (StoreError, TimeoutError) as error:
            self._lose(holding, f"it could not be begun: {error}")
            raise StoreError(f"{lease.key.key} of {tenant.mapping} could not be begun: {error}") from error
        self._expired.pop(lease.key, None)
        from_worker = self._asked.pop(lease.key, "")
        self._observe(tenant.mapping, LeaseTaken(key=lease.key.key, epoch=lease.epoch, from_worker=from_worker))

    # ---- how they go

    async def release(self, lease: Lease, to: str) -> None:
        """Its tenant has let go. Nothing happens where the lease was lost before."""
        holding = self._held.get(lease.key)
        if holding is not None and holding.lease.epoch == lease.epoch and not holding.is_given:
            holding.is_given, holding.to = True, to
            await self._give(holding)

    async def give_overdue(self) -> None:
        """Gives what its tenant did not finish in time, and what could not be written before."""
        for holding in tuple(self._held.values()):
            if holding.is_given:
                await self._give(holding)
            elif holding.give_by <= self._clock.now():
                holding.tenant.lost(holding.lease)
                await self.release(holding.lease, holding.lease.asked_by)

    async def _give(self, holding: _Holding) -> None:
        if holding.is_busy:
            return
        holding.is_busy = True
        try:
            with CancelScope(shield=True):  # bounded: a few calls of the table, each with its limit
                await self._rewrite(holding)
        except StoreError:
            holding.is_busy = False
        finally:
            self._announce()

    async def _rewrite(self, holding: _Holding) -> None:
        """Gives the lease to whoever asks, if it is still ours. Raises `StoreError`."""
        key = holding.lease.key
        for attempt in range(1, RELEASE_ATTEMPTS + 1):
            row = await self._table.row(key)
            found = None if row is None else lease_of(key.mapping, key.key, row)
            if row is None or found is None or not _is_same(found, holding.lease):
                break
            to = self._receiver(key.mapping, found.asked_by, holding.to)
            try:
                await self._table.own(found, row, to)
            except RowConflict:
                if attempt == RELEASE_ATTEMPTS:
                    raise
            else:
                self._observe(key.mapping, LeaseReleased(key=key.key, to_worker=to))
                break
        self._forget(holding)

    def _receiver(self, mapping: str, *candidates: str) -> str:
        """The first that may be given a lease; nobody where they have gone."""
        receivers = self._receivers(mapping)
        return next((each for each in candidates if each in receivers and each != self._worker_id), "")

    # ---- how they are lost

    def _lose(self, holding: _Holding, detail: str) -> None:
        self._forget(holding)
        if not holding.is_given:
            key = holding.lease.key
            self._observe(key.mapping, LeaseWasLost(key=key.key, detail=detail))
            holding.tenant.lost(holding.lease)

    def _forget(self, holding: _Holding) -> None:
        key = holding.lease.key
        if self._held.get(key) is holding:
            del self._held[key]
            self._changed.add(key)

    def lose_all(self, detail: str) -> None:
        """The worker was evicted, or ends."""
        for holding in tuple(self._held.values()):
            self._lose(holding, detail)

    def end(self, mapping: str) -> None:
        """Its tenant has ended: whatever it still had is cut short, and given away by the next turn."""
        for holding in self._of(mapping):
            if not holding.is_given:
                holding.tenant.lost(holding.lease)
                holding.is_given = True


def _is_same(found: Lease, held: Lease) -> bool:
    """Whether a row still shows the same ownership."""
    return (found.owner, found.epoch) == (held.owner, held.epoch)
