"""What the state store says of leases and positions, as JSON objects."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from broker.cli.operating import source_name
from broker.config import identity_of
from broker.core.lease_rows import (
    checkpoint_key,
    checkpoint_of,
    leases_of,
    pause_note,
    shard_key,
    worker_of,
)
from broker.model.checkpoint import Checkpoint
from broker.model.lease import Lease, Row
from broker.model.mapping import EventSourceMapping
from broker.runtime.shard_register import MAPPING_KEY

OPERATOR_PREFIX = "operator-"
Report = dict[str, Any]


def worker_reports(before: Mapping[str, Row], now: Mapping[str, Row], *, looked_twice: bool) -> list[Report]:
    """The workers that stand, and whether they live: whether their rows have moved between two looks."""
    return [
        {
            "worker": worker_id,
            "live": row.version != before[worker_id].version if looked_twice and worker_id in before else None,
            "mappings": sorted(worker_of(worker_id, row).mappings),
            "draining": worker_of(worker_id, row).is_draining,
        }
        for worker_id, row in sorted(now.items())
        if not worker_id.startswith(OPERATOR_PREFIX)
    ]


def mapping_report(
    mapping: EventSourceMapping, rows: Mapping[str, Row], workers: Iterable[Report], *, now: float
) -> Report:
    """One mapping: its shards, or the shares of its concurrency. `now` is what ages are counted to."""
    uuid = identity_of(mapping)
    row = rows.get(MAPPING_KEY)
    value: Mapping[str, Any] = row.value if row else {}
    generation = value.get("generation", "")
    live = {worker["worker"]: worker["live"] for worker in workers}
    leases = sorted(leases_of(uuid, rows), key=lambda lease: lease.key.key)
    finished = {
        lease.shard.shard_id
        for lease in leases
        if lease.shard and (found := _checkpoint(rows, generation, lease)) and found.finished
    }
    own = shard_key(generation, "")
    return {
        "uuid": uuid,
        "function": mapping.function.qualified_name,
        "source": source_name(mapping),
        "event_source_arn": mapping.event_source_arn,
        "started": value.get("started", False),
        "generation": generation,
        "starting_position": value.get("starting_position"),
        "paused": pause_note(value),
        "shards": [
            _shard_report(lease, rows, live, finished, generation=generation, now=now)
            for lease in leases
            if lease.shard is not None and lease.key.key.startswith(own)
        ],
        "slots": [_lease_report(lease, live) | {"weight": lease.weight} for lease in leases if lease.shard is None],
    }


def _shard_report(
    lease: Lease,
    rows: Mapping[str, Row],
    live: Mapping[str, bool | None],
    finished: Collection[str],
    *,
    generation: str,
    now: float,
) -> Report:
    shard = lease.shard
    parents = shard.parents if shard else ()
    return {
        "shard": shard.shard_id if shard else "",
        **_lease_report(lease, live),
        "paused": pause_note(rows[lease.key.key].value),
        "closed": shard.is_closed if shard else False,
        "parents": list(parents),
        "waits_for": [parent for parent in parents if shard_key(generation, parent) in rows and parent not in finished],
        **_position_report(_checkpoint(rows, generation, lease), now),
    }


def _lease_report(lease: Lease, live: Mapping[str, bool | None]) -> Report:
    """`owner_stands` says whether the owner is among the workers, `owner_live` whether it was seen to move."""
    return {
        "key": lease.key.key,
        "owner": lease.owner,
        "owner_stands": lease.owner in live,
        "owner_live": live.get(lease.owner),
        "epoch": lease.epoch,
        "asked_by": lease.asked_by,
    }


def _position_report(checkpoint: Checkpoint | None, now: float) -> Report:
    if checkpoint is None:
        return {"position": None, "finished": False}
    document = checkpoint.to_json()
    settled_at = checkpoint.settled_at
    return {
        "position": document["position"],
        "finished": checkpoint.finished,
        "behind_ms": checkpoint.behind_ms,
        "settled_at": settled_at or None,
        "age_seconds": round(max(now - settled_at, 0.0), 3) if settled_at else None,
        "lanes": document.get("lanes", []),
        "heads": document.get("heads", []),
        "window": {"start": checkpoint.window.start} if checkpoint.window else None,
    }


def _checkpoint(rows: Mapping[str, Row], generation: str, lease: Lease) -> Checkpoint | None:
    row = rows.get(checkpoint_key(generation, lease.shard.shard_id)) if lease.shard else None
    return checkpoint_of(row)[1] if row else None
