"""Verbs for the leases of a fleet: what another broker might do, done by a test."""

import uuid
from collections.abc import Mapping

from broker.core.lease_rows import CHECKPOINT_PREFIX, SHARD_PREFIX, owned_value
from broker.model.lease import Row
from broker.ports import StateStore


async def steal_lease(store: StateStore, mapping: str, shard_id: str, *, owner: str = "thief") -> int:
    """Gives the lease of a shard to `owner`, as if the worker that has it had been taken for dead.

    Takes it as a broker does: the lease's row under the next epoch, then the checkpoint's row under that epoch, so that
    writes of the former owner conflict. `mapping` is the mapping's UUID. Returns the new epoch. Where no worker has the
    id `owner`, the brokers find the lease to be nobody's and take it back.

    Raises:
        LookupError: the shard has no lease.
        RowConflict: somebody wrote the row meanwhile.
        StoreError: the store did not work.
    """
    rows = await store.read(mapping)
    key, row = _row_of(rows, SHARD_PREFIX, shard_id)
    epoch = int(row.value["epoch"]) + 1
    stolen = owned_value(row.value, owner=owner, epoch=epoch)
    await store.write(mapping, key, stolen, version=row.version, nonce=uuid.uuid4().hex)
    checkpoint_key = CHECKPOINT_PREFIX + key.removeprefix(SHARD_PREFIX)
    checkpoint = await store.get(mapping, checkpoint_key)
    if checkpoint is not None:
        fenced = {**checkpoint.value, "epoch": epoch}
        await store.write(mapping, checkpoint_key, fenced, version=checkpoint.version, nonce=uuid.uuid4().hex)
    return epoch


def _row_of(rows: Mapping[str, Row], prefix: str, shard_id: str) -> tuple[str, Row]:
    for key, row in rows.items():
        if key.startswith(prefix) and key.endswith(f":{shard_id}"):
            return key, row
    raise LookupError(f"no lease for {shard_id}")
