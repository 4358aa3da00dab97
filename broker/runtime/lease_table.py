"""The rows of workers and leases, as a worker of the fleet reads and changes them.

Each change is one attempt, conditional on the version that was read, with a nonce of its own, and each call has a time
limit. Nothing is repeated here: whoever does not know what became of a change reads the row again.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from anyio import fail_after

from broker.core.lease_rows import WORKERS, asked_value, owned_value, worker_of
from broker.errors import StoreError
from broker.model.lease import Lease, LeaseKey, Row, Worker
from broker.ports import StateStore

_Result = TypeVar("_Result")


class LeaseTable:
    """The state store in the fleet's words. Every method raises `StoreError`, also where no answer came in time."""

    def __init__(self, store: StateStore, *, limit_seconds: float, new_id: Callable[[], str]) -> None:
        """`limit_seconds` is what one call may take; `new_id` makes nonces."""
        self._store = store
        self._limit_seconds = limit_seconds
        self._new_id = new_id

    async def workers(self) -> dict[str, Worker]:
        """All workers whose row stands, by id."""
        rows = await self.rows(WORKERS)
        return {worker_id: worker_of(worker_id, row) for worker_id, row in rows.items()}

    async def rows(self, partition: str) -> Mapping[str, Row]:
        """All rows of a partition, by key."""
        return await self._within(partition, self._store.read(partition))

    async def row(self, key: LeaseKey) -> Row | None:
        """The row of a lease; None where there is none."""
        return await self._within(key.mapping, self._store.get(key.mapping, key.key))

    async def own_row(self, worker_id: str) -> Row | None:
        """The row of a worker; None where there is none."""
        return await self._within(WORKERS, self._store.get(WORKERS, worker_id))

    async def remove_worker(self, worker_id: str, *, version: int) -> None:
        """Removes a worker that has not beaten since. Raises `RowConflict` where it has."""
        await self._within(WORKERS, self._store.delete(WORKERS, worker_id, version=version))

    async def own(self, lease: Lease, row: Row, owner: str) -> Lease:
        """Changes the owner, if the row is still `row`; the epoch counts it. Raises `RowConflict`."""
        epoch = lease.epoch + 1
        value = owned_value(row.value, owner=owner, epoch=epoch)
        await self.change(lease.key.mapping, lease.key.key, value, version=row.version)
        return replace(lease, version=row.version + 1, owner=owner, epoch=epoch, asked_by="")

    async def ask(self, lease: Lease, row: Row, asked_by: str) -> None:
        """Asks the owner to hand over, if the row is still `row`. Raises `RowConflict`."""
        value = asked_value(row.value, asked_by=asked_by)
        await self.change(lease.key.mapping, lease.key.key, value, version=row.version)

    async def change(self, mapping: str, key: str, value: Mapping[str, Any] | None, *, version: int) -> None:
        """Writes a row of a mapping's partition that has this version, or removes it. Raises `RowConflict`."""
        if value is None:
            await self._within(mapping, self._store.delete(mapping, key, version=version))
        else:
            writing = self._store.write(mapping, key, value, version=version, nonce=self._new_id())
            await self._within(mapping, writing)

    async def _within(self, partition: str, call: Awaitable[_Result]) -> _Result:
        try:
            with fail_after(self._limit_seconds):
                return await call
        except TimeoutError as error:
            message = f"The state store did not answer for {partition} within {self._limit_seconds:g} s."
            raise StoreError(message) from error
