"""The rows of the state store as values: who works, who owns what, how far a shard is.

The partition `workers` holds a row for each worker, by its id. A mapping's partition is named by its UUID; in it stand
`shard:GENERATION:SHARD` and `slot:NUMBER` (leases), and `checkpoint:GENERATION:SHARD`. Members that have their default
are left out; members that are not known here are kept when a row is rewritten, because a newer broker may have
written them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from broker.errors import StoreError
from broker.model.checkpoint import Checkpoint
from broker.model.lease import Lease, LeaseKey, Row, Worker
from broker.model.stream import Shard

WORKERS = "workers"
"""The partition of the workers."""
SHARD_PREFIX = "shard:"
SLOT_PREFIX = "slot:"
CHECKPOINT_PREFIX = "checkpoint:"
_PAUSE_MEMBERS = frozenset({"paused", "paused_by", "paused_at"})
_MALFORMED = (AttributeError, KeyError, TypeError, ValueError)
"""What reading a document of another shape raises."""
_NOT_UNDERSTOOD = "holds what this broker does not understand, written by a newer one or by hand"


def shard_key(generation: str, shard_id: str) -> str:
    """The key of a shard's lease."""
    return f"{SHARD_PREFIX}{generation}:{shard_id}"


def checkpoint_key(generation: str, shard_id: str) -> str:
    """The key of a shard's checkpoint."""
    return f"{CHECKPOINT_PREFIX}{generation}:{shard_id}"


def slot_key(number: int) -> str:
    """The key of a share of a mapping's concurrency; keys sort as their numbers do."""
    return f"{SLOT_PREFIX}{number:03d}"


def worker_value(worker: Worker) -> dict[str, Any]:
    """What a worker's row says; its counter is the row's version."""
    return {"changes": worker.changes, "mappings": sorted(worker.mappings), "draining": worker.is_draining}


def worker_of(worker_id: str, row: Row) -> Worker:
    """The worker that a row shows."""
    return Worker(
        worker_id=worker_id,
        counter=row.version,
        changes=row.value.get("changes", 0),
        mappings=frozenset(row.value.get("mappings", ())),
        is_draining=row.value.get("draining", False),
    )


def is_lease(key: str) -> bool:
    """Whether a row of a mapping's partition is a lease."""
    return key.startswith((SHARD_PREFIX, SLOT_PREFIX))


def lease_value(lease: Lease) -> dict[str, Any]:
    """What a lease's row says when it is made."""
    value: dict[str, Any] = {"owner": lease.owner, "epoch": lease.epoch}
    if lease.asked_by:
        value["asked_by"] = lease.asked_by
    if lease.is_paused:
        value["paused"] = True
    if lease.shard is None:
        value["weight"] = lease.weight
    else:
        value["shard"] = _shard_value(lease.shard)
    return value


def _shard_value(shard: Shard) -> dict[str, Any]:
    return {"id": shard.shard_id, "parents": list(shard.parents), "closed": shard.is_closed}


def lease_of(mapping: str, key: str, row: Row) -> Lease:
    """The lease that a row shows. Raises `StoreError` where it is none."""
    try:
        return _lease_of(mapping, key, row)
    except _MALFORMED as error:
        raise StoreError(f"The row {key} of mapping {mapping} {_NOT_UNDERSTOOD} ({error!r}).") from error


def _lease_of(mapping: str, key: str, row: Row) -> Lease:
    value, shard = row.value, row.value.get("shard")
    return Lease(
        key=LeaseKey(mapping=mapping, key=key),
        version=row.version,
        owner=value.get("owner", ""),
        epoch=value.get("epoch", 0),
        asked_by=value.get("asked_by", ""),
        is_paused=value.get("paused", False),
        shard=None if shard is None else _shard_of(shard),
        weight=value.get("weight", 1),
    )


def _shard_of(value: Mapping[str, Any]) -> Shard:
    return Shard(shard_id=value["id"], parents=tuple(value.get("parents", ())), is_closed=value.get("closed", False))


def leases_of(mapping: str, rows: Mapping[str, Row]) -> Iterator[Lease]:
    """The leases among the rows of a mapping's partition."""
    return (lease_of(mapping, key, row) for key, row in rows.items() if is_lease(key))


def owned_value(value: Mapping[str, Any], *, owner: str, epoch: int) -> dict[str, Any]:
    """A lease's row under another owner: nobody asks for it, the rest stays."""
    rest = {name: member for name, member in value.items() if name != "asked_by"}
    return {**rest, "owner": owner, "epoch": epoch}


def asked_value(value: Mapping[str, Any], *, asked_by: str) -> dict[str, Any]:
    """A lease's row that a worker asks for; the rest stays."""
    return {**value, "asked_by": asked_by}


def paused_value(value: Mapping[str, Any], *, by: str, at: str) -> dict[str, Any]:
    """A lease's or a mapping's row that an operator has paused; the rest stays. `at` is ISO 8601, for people."""
    return {**value, "paused": True, "paused_by": by, "paused_at": at}


def resumed_value(value: Mapping[str, Any]) -> dict[str, Any]:
    """The same row, no longer paused."""
    return {name: member for name, member in value.items() if name not in _PAUSE_MEMBERS}


def pause_note(value: Mapping[str, Any]) -> str:
    """`paused by ana@desk at 2026-01-31T09:00:00Z`; empty while the row is not paused."""
    if not value.get("paused"):
        return ""
    by, at = value.get("paused_by"), value.get("paused_at")
    return f"paused by {by} at {at}" if by and at else "paused"


def checkpoint_value(epoch: int, checkpoint: Checkpoint) -> dict[str, Any]:
    """What a checkpoint's row says; `epoch` is that of the lease under which it was written."""
    return {"epoch": epoch, "checkpoint": checkpoint.to_json()}


def checkpoint_of(row: Row) -> tuple[int, Checkpoint]:
    """The epoch and the checkpoint of a row. Raises `StoreError` where it holds none."""
    try:
        return row.value["epoch"], Checkpoint.from_json(row.value["checkpoint"])
    except _MALFORMED as error:
        raise StoreError(f"The row of a checkpoint {_NOT_UNDERSTOOD} ({error!r}).") from error
