"""The checkpoint row of one shard, written under one lease.

A lease's owner is the only one who writes the row under the lease's epoch: it begins by writing the row under the new
epoch (the fence), so that whatever a former owner still has on its way finds another version and fails. A write whose
answer was lost may stand: a conflict with a row of our own epoch is our own earlier write.
"""

from collections.abc import Callable
from uuid import UUID

from broker.core.lease_rows import checkpoint_of, checkpoint_value
from broker.errors import LeaseLost, RowConflict, StoreError
from broker.model.checkpoint import Checkpoint
from broker.model.lease import Row
from broker.ports import StateStore

_ATTEMPTS = 4
"""A former owner has one write on its way at most, and we have one. More conflicts come from an owner that does not
know yet that it is none: it finds out at its next write, and we try again later."""


class Positions:
    """Writes one shard's checkpoints."""

    def __init__(self, store: StateStore, *, partition: str, key: str, epoch: int, new_id: Callable[[], UUID]) -> None:
        self._store = store
        self._partition = partition
        self._key = key
        self.epoch = epoch
        """The lease's, and the fencing token of its invocations."""
        self._new_id = new_id
        self._version = 0

    async def fence(self, otherwise: Checkpoint) -> Checkpoint:
        """Makes the row ours; returns how far the shard is settled, `otherwise` where nothing was written yet.

        Raises:
            LeaseLost: a later owner was here first.
            StoreError: the store did not do it; whether it stands is unknown.
        """
        for _ in range(_ATTEMPTS):
            row = await self._store.get(self._partition, self._key)
            checkpoint = self._checked(row, otherwise)
            self._version = row.version if row else 0
            try:
                await self._write(checkpoint)
            except RowConflict:
                continue
            return checkpoint
        raise self._contended()

    async def save(self, checkpoint: Checkpoint) -> None:
        """Writes how far the shard is settled.

        Raises:
            LeaseLost: the row is a later owner's; nothing was written.
            StoreError: the store did not do it; whether it stands is unknown.
        """
        for _ in range(_ATTEMPTS):
            try:
                await self._write(checkpoint)
            except RowConflict:
                row = await self._store.get(self._partition, self._key)
                if row is None or checkpoint_of(row)[0] != self.epoch:
                    raise self._lost() from None
                self._version = row.version
            else:
                return
        raise self._contended()

    async def _write(self, checkpoint: Checkpoint) -> None:
        value = checkpoint_value(self.epoch, checkpoint)
        nonce = str(self._new_id())
        await self._store.write(self._partition, self._key, value, version=self._version, nonce=nonce)
        self._version += 1

    def _checked(self, row: Row | None, otherwise: Checkpoint) -> Checkpoint:
        if row is None:
            return otherwise
        epoch, checkpoint = checkpoint_of(row)
        if epoch > self.epoch:
            raise self._lost()
        return checkpoint

    def _lost(self) -> LeaseLost:
        return LeaseLost(f"{self._key} of mapping {self._partition}: another broker has the lease by now")

    def _contended(self) -> StoreError:
        return StoreError(f"{self._key} of mapping {self._partition}: somebody else keeps writing it; trying again")
