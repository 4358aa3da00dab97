"""100 replicas and 1,000 shards: the plan itself is made, what it costs is arithmetic."""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from broker.core.lease_rows import checkpoint_value, lease_value, shard_key, worker_value
from broker.core.leasing import plan
from broker.core.watching import LeaseTiming
from broker.model.checkpoint import Checkpoint
from broker.model.lease import Lease, LeaseKey, Worker
from broker.model.stream import AfterSequenceNumber, Shard
from broker.runtime.fleet import LOOK_SECONDS
from broker.stores.rows import encoded
from broker.testing.store_traffic import READ_UNIT_BYTES, ROW_OVERHEAD_BYTES, WRITE_UNIT_BYTES
from tests.simulation.fleet_report import DOLLARS_PER_READ_UNIT, DOLLARS_PER_WRITE_UNIT, MONTH_SECONDS

REPLICAS = 100
SHARDS = 1_000
MAPPING = "00000000-0000-4000-8000-000000000001"
GENERATION = "2026-01-01T00:00:00.000"
CHECKPOINTS_PER_SECOND = 1.0
"""Of a shard that is busy: one for each batch, and AWS polls a shard once a second."""


def planned() -> Iterator[str]:
    """The figures, a line each."""
    workers = [_worker(number) for number in range(REPLICAS)]
    began_at = time.perf_counter()
    owners = plan(_leases(), workers)
    fresh_seconds = time.perf_counter() - began_at
    leases = [replace(lease, owner=owners[lease.key], epoch=1) for lease in _leases()]
    began_at = time.perf_counter()
    joined = plan(leases, [*workers, _worker(REPLICAS)])
    join_seconds = time.perf_counter() - began_at
    left = plan(leases, workers[1:])
    yield f"planning: {REPLICAS} replicas, {SHARDS:,} shards"
    yield f"  a plan takes {fresh_seconds * 1000:.0f} ms from nothing, {join_seconds * 1000:.0f} ms when one has come"
    yield f"  one comes: {_moves(leases, joined)} leases move; one goes: {_moves(leases, left)}, all of them its own"
    yield from _costs()


def _worker(number: int) -> Worker:
    return Worker(worker_id=f"orders-{number:03d}-{number:032x}", counter=1, changes=10, mappings=frozenset({MAPPING}))


def _leases() -> list[Lease]:
    draw = random.Random(1)
    return [
        Lease(
            key=LeaseKey(mapping=MAPPING, key=shard_key(GENERATION, shard)),
            version=1,
            shard=Shard(shard_id=shard),
            lag_ms=int(draw.expovariate(1 / 60_000)),
        )
        for shard in (f"shardId-{number:012d}" for number in range(SHARDS))
    ]


def _moves(leases: Sequence[Lease], targets: Mapping[LeaseKey, str]) -> int:
    return sum(targets[lease.key] != lease.owner for lease in leases)


def _costs() -> Iterator[str]:
    """Every replica beats, and reads all workers; leases are read when something moves, and every 30 s."""
    timing = LeaseTiming()
    worker_bytes, row_bytes = _row_bytes()
    beats = REPLICAS / timing.beat_seconds
    polls = REPLICAS / timing.poll_seconds(REPLICAS)
    looks = REPLICAS / LOOK_SECONDS
    read_units = polls * _units(worker_bytes * REPLICAS, READ_UNIT_BYTES) + looks * _units(
        row_bytes * SHARDS, READ_UNIT_BYTES
    )
    lease_dollars = (beats * DOLLARS_PER_WRITE_UNIT + read_units * DOLLARS_PER_READ_UNIT) * MONTH_SECONDS
    per_shard = CHECKPOINTS_PER_SECOND * _units(row_bytes, WRITE_UNIT_BYTES) * DOLLARS_PER_WRITE_UNIT * MONTH_SECONDS
    yield f"  a second: {beats:.0f} writes of workers' rows, {polls:.0f} reads of all of them ({worker_bytes} B each)"
    yield f"  a second: {looks:.1f} reads of all leases and checkpoints ({row_bytes} B a shard)"
    yield f"  leases and liveness: ${lease_dollars:,.0f} a month (${lease_dollars / SHARDS:.2f} a shard)"
    yield f"  checkpoints: ${per_shard:.2f} a month for a shard that is written once a second"


def _row_bytes() -> tuple[int, int]:
    """Of a worker; of a shard's lease and checkpoint together."""
    worker = len(encoded(worker_value(_worker(1)))) + ROW_OVERHEAD_BYTES
    lease = len(encoded(lease_value(_leases()[0]))) + ROW_OVERHEAD_BYTES
    position = AfterSequenceNumber(number="49" * 28)
    checkpoint = Checkpoint(position=position, settled_at=1_800_000_000.0, behind_ms=1000)
    return worker, lease + len(encoded(checkpoint_value(1, checkpoint))) + ROW_OVERHEAD_BYTES


def _units(size: int, unit: int) -> int:
    return -(-size // unit)
