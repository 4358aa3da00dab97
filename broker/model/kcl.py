"""Leases of another consumer: those of the Kinesis Client Library (KCL), as its table has them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class KclStream:
    """The stream of a lease, where the application reads several."""

    account: str
    name: str
    created_at: int
    """When the stream was made, whole epoch seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KclLease:
    """One shard of a KCL application."""

    key: str
    """`leaseKey`."""
    shard_id: str
    checkpoint: str
    """A sequence number, or `TRIM_HORIZON`, `LATEST`, `AT_TIMESTAMP`, `SHARD_END`."""
    sub_sequence_number: int = 0
    """How far within a record that holds several (KPL); 0 for its first, or for a record that is one."""
    counter: int = 0
    """`leaseCounter`: moves while a worker renews the lease."""
    owner: str = ""
    stream: KclStream | None = None
    """None where the application reads one stream."""
