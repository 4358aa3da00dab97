"""What a stream is made of: shards, places in them, records in their wire form, and pages of these."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

# ---- places


@dataclass(frozen=True, slots=True, kw_only=True)
class TrimHorizon:
    """The oldest record that the stream still has."""

    def __str__(self) -> str:
        return "TRIM_HORIZON"


@dataclass(frozen=True, slots=True, kw_only=True)
class AtTimestamp:
    """The first record that arrived at this instant or later.

    DynamoDB Streams have no such iterator: there it is the oldest record, and older ones are skipped.
    """

    at: float
    """Epoch seconds of the service's clock."""

    def __str__(self) -> str:
        return f"AT_TIMESTAMP {self.at:.3f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterSequenceNumber:
    """The record that follows this one."""

    number: str

    def __str__(self) -> str:
        return f"AFTER_SEQUENCE_NUMBER {self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AtSequenceNumber:
    """This very record."""

    number: str

    def __str__(self) -> str:
        return f"AT_SEQUENCE_NUMBER {self.number}"


Position = TrimHorizon | AtTimestamp | AfterSequenceNumber | AtSequenceNumber

# ---- streams and shards


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamDescription:
    """What a mapping must know of its stream."""

    generation: str
    """Tells a stream from another of the same name that was made after it was deleted: when it was made."""
    retention_seconds: float
    """How long it keeps records."""
    server_at: float
    """The service's time as it answered, epoch seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One shard, as a listing shows it."""

    shard_id: str
    parents: tuple[str, ...] = ()
    """The shards it was split or merged from; they may be trimmed by now. Two after a merge."""
    is_closed: bool = False
    """Whether nothing is written to it any more."""


class StreamRecord(Protocol):
    """One record of a shard. Sources have a class each, with slots: a record is made a million times.

    Immutable by convention. `event` and `json` are built from the wire form when somebody looks at them.
    """

    @property
    def identifier(self) -> str:
        """The sequence number, as sent: the `itemIdentifier` of partial responses. Compare it as an integer.

        The parts of one aggregated record share it.
        """
        ...

    @property
    def arrived_at(self) -> float:
        """When the stream took it: `ApproximateArrivalTimestamp`, `ApproximateCreationDateTime`; epoch seconds."""
        ...

    @property
    def size_bytes(self) -> int:
        """`len(json)`, known without building it."""
        ...

    @property
    def key(self) -> bytes:
        """What order is kept by when lanes run in parallel: the partition key, or the item's keys as canonical JSON."""
        ...

    @property
    def event(self) -> dict[str, Any]:
        """The record as Lambda delivers it: an element of `Records`."""
        ...

    @property
    def json(self) -> bytes:
        """Compact UTF-8 JSON of `event`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What one read of a shard brought, at most 1,000 records of it."""

    records: Sequence[StreamRecord]
    """In the order of the shard."""
    read_at: float
    """Instant at which it came, by the broker's clock."""
    server_at: float
    """The service's time as it answered (`Date`), epoch seconds; `read_at` where the service did not say."""
    size_bytes: int = 0
    """What the read counts against the shard's throughput; 0 for the later parts of an answer."""
    behind_ms: int | None = None
    """`MillisBehindLatest`; None where the service does not say."""
    is_last: bool = False
    """Whether the shard is closed and this is its end."""
    has_more: bool = False
    """Whether the next part is here already, so that reading it asks nothing of the service."""
    read_through: str | None = None
    """Sequence number after which reading goes on, where it is beyond the last record's."""
    children: tuple[Shard, ...] = ()
    """The shards that follow, where the end of the shard names them."""
