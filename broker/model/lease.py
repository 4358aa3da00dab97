"""Rows of the state store: who works, who owns what."""

from dataclasses import dataclass, field
from typing import Any

from broker.model.stream import Shard


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the state store."""

    version: int
    """Counts its writes from 1."""
    value: dict[str, Any]
    """A JSON object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One broker process, as its own row shows it. While its counter moves it is alive, and what it owns is its own."""

    worker_id: str
    counter: int
    """Moves with every heartbeat; the row's version."""
    changes: int = 0
    """Moves when it has changed something in the lease table that others should look at."""
    mappings: frozenset[str] = frozenset()
    """The UUIDs of the mappings that it serves."""
    is_draining: bool = False
    """Whether it is stopping: it takes nothing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseKey:
    """What a lease is for."""

    mapping: str
    """The mapping's UUID: the partition of the store."""
    key: str
    """The row's key in it: `shard:GENERATION:SHARD` or `slot:NUMBER`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to work on one shard (or to use one share of a mapping's concurrency), as its row shows it."""

    key: LeaseKey
    version: int
    """The row's version; writes are conditional on it."""
    owner: str = ""
    """The worker's id; empty while nobody owns it."""
    epoch: int = 0
    """Counts the changes of owner: the fencing token."""
    asked_by: str = ""
    """The worker that its owner should hand it to; empty while nobody has asked."""
    is_paused: bool = False
    """Whether an operator has paused the shard: it is owned, and nothing is read."""
    shard: Shard | None = None
    """What it was made for; None for a share of concurrency."""
    weight: int = 1
    """Concurrent invocations that a share of concurrency stands for."""
    lag_ms: int = field(default=0)
    """How far the shard's last checkpoint was behind, for balancing; not of this row."""
