"""One broker's share of a queue's `MaximumConcurrency`: a tenant of the fleet that owns slots instead of shards.

Rule: as many batches may be in flight here as the slots that this broker owns weigh, and none once their leases are no
longer certain. A slot that somebody else should have counts no more at once, and is given when what is in flight fits
into the others. The live broker with the lowest id cuts the slots, so that brokers whose settings differ for a while,
as in a rolling update, do not cut against each other.

How it works: leases change the sum, the sum becomes a `LimitChanged` for the queue's consumer, and a task of its own
cuts and gives. What the consumer has heard is said again every second: one that has begun anew needs it.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from anyio import Event, create_task_group, move_on_after, sleep

from broker.core.events import LimitChanged
from broker.core.lease_rows import leases_of
from broker.core.shares import new_cut
from broker.errors import RowConflict, StoreError
from broker.model.lease import Lease, Row
from broker.runtime.fleet import Fleet

TURN_SECONDS = 1.0
GIVING_SECONDS = 0.1
"""How often a slot is looked at that is to be given: little against the second in which it should have gone."""


class ShareTenant:
    """Owns slots of one queue's mapping."""

    def __init__(
        self,
        *,
        mapping: str,
        maximum_concurrency: int,
        hand_over_seconds: float,
        fleet: Fleet,
        in_flight: Callable[[], int],
        change_limit: Callable[[LimitChanged], None],
    ) -> None:
        """`in_flight` counts the batches in flight here; `change_limit` lets the queue's consumer hear."""
        self.mapping = mapping
        self.hand_over_seconds = hand_over_seconds
        self._maximum = maximum_concurrency
        self._fleet = fleet
        self._in_flight = in_flight
        self._change_limit = change_limit
        self._owned: dict[str, Lease] = {}
        self._leaving: dict[str, str] = {}
        self._rows: Mapping[str, Row] | None = None
        self._woken = Event()

    @asynccontextmanager
    async def sharing(self) -> AsyncIterator[None]:
        """Owns slots during the block; what is left at its end is given away."""
        async with self._fleet.serving(self), create_task_group() as tasks:
            tasks.start_soon(self._work)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()

    @property
    def limit(self) -> LimitChanged:
        """What the queue's consumer may do now."""
        limit = sum(lease.weight for key, lease in self._owned.items() if key not in self._leaving)
        return LimitChanged(limit=limit, until_at=self._fleet.trusted_until)

    def _tell(self) -> None:
        self._change_limit(self.limit)

    # ---- as a tenant

    def leases(self, rows: Mapping[str, Row]) -> Sequence[tuple[Lease, bool]]:
        """All slots; each may be used at any time."""
        self._rows = rows
        leases = tuple(leases_of(self.mapping, rows))
        for lease in leases:
            ours = self._owned.get(lease.key.key)
            if ours is not None and ours.epoch == lease.epoch:
                self._owned[lease.key.key] = lease
        self._tell()
        self._woken.set()
        return [(lease, True) for lease in leases]

    async def granted(self, lease: Lease, *, was_expired: bool) -> None:  # noqa: ARG002 - nothing of a slot goes on
        """A slot is ours."""
        self._owned[lease.key.key] = lease
        self._tell()

    def lost(self, lease: Lease) -> None:
        """A slot is somebody else's: what is in flight goes on, because it cannot be taken back."""
        self._forget(lease.key.key)
        self._tell()

    def hand_over(self, lease: Lease, to: str) -> None:
        """Somebody else should have a slot."""
        if lease.key.key in self._owned:
            self._leaving[lease.key.key] = to
        self._tell()
        self._woken.set()

    def trust_extended(self, until_at: float) -> None:  # noqa: ARG002 - it is read where it is needed
        """The slots are certain for longer."""
        self._tell()

    def _forget(self, key: str) -> None:
        self._owned.pop(key, None)
        self._leaving.pop(key, None)

    # ---- its own work

    async def _work(self) -> None:
        while True:
            self._woken = Event()
            self._tell()
            await self._cut()
            await self._give()
            with move_on_after(GIVING_SECONDS if self._leaving else TURN_SECONDS):
                await self._woken.wait()

    async def _cut(self) -> None:
        """Cuts the slots as the setting wants them, if that is for this broker to do."""
        if self._rows is None or not self._fleet.is_first(self.mapping):
            return
        changes = new_cut(self.mapping, self._rows, self._maximum)
        if not changes:
            return
        self._rows = None
        try:
            for change in changes:
                await self._fleet.table.change(self.mapping, change.key, change.value, version=change.version)
        except RowConflict:
            pass
        except StoreError:
            await sleep(TURN_SECONDS)
        self._fleet.changed()

    async def _give(self) -> None:
        """Gives each slot without which what is in flight still fits."""
        for key, to in tuple(self._leaving.items()):
            lease = self._owned.get(key)
            rest = sum(each.weight for other, each in self._owned.items() if other != key)
            if lease is not None and self._in_flight() <= rest:
                self._forget(key)
                await self._fleet.release(lease, to)
