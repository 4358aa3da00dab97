"""What brokers ask of a state store, by partition, and what DynamoDB would bill for it.

Source: Amazon DynamoDB Developer Guide, "Read and write operations" (read November 2026): a strongly consistent read
is a unit for each 4 KB that were looked at, a write one for each 1 KB of the item, refused ones included; an item that
is not there counts as one unit. What an item holds beside its value is estimated from the attributes that the adapter
writes.
"""

from dataclasses import dataclass

from broker.testing.store_faults import StoreOperation

ROW_OVERHEAD_BYTES = 200
"""Names of the attributes, partition, key, version, nonce and time stamp of a row."""
READ_UNIT_BYTES = 4096
WRITE_UNIT_BYTES = 1024


@dataclass(slots=True, kw_only=True)
class PartitionTraffic:
    """Calls for one partition that reached the store."""

    reads: int = 0
    """Calls of `read` and `get`."""
    writes: int = 0
    """Calls of `write` and `delete`, conflicts included."""
    conflicts: int = 0
    """Those writes that had a conflict."""
    read_units: int = 0
    """Read request units that DynamoDB would bill."""
    write_units: int = 0
    """Write request units that DynamoDB would bill."""


class StoreTraffic:
    """Counts from the store's beginning, or from `reset`."""

    def __init__(self) -> None:
        self.by_partition: dict[str, PartitionTraffic] = {}

    @property
    def total(self) -> PartitionTraffic:
        """The sum of all partitions."""
        partitions = self.by_partition.values()
        return PartitionTraffic(
            reads=sum(each.reads for each in partitions),
            writes=sum(each.writes for each in partitions),
            conflicts=sum(each.conflicts for each in partitions),
            read_units=sum(each.read_units for each in partitions),
            write_units=sum(each.write_units for each in partitions),
        )

    def reset(self) -> None:
        """Begins anew."""
        self.by_partition.clear()

    def of(self, partition: str) -> PartitionTraffic:
        """The counts of one partition, which go on counting."""
        return self.by_partition.setdefault(partition, PartitionTraffic())

    def count(self, operation: StoreOperation, partition: str, *, rows: int, body_bytes: int) -> None:
        """One call that looked at, or changed, `rows` rows of `body_bytes` in all."""
        traffic, size = self.of(partition), rows * ROW_OVERHEAD_BYTES + body_bytes
        if operation in ("read", "get"):
            traffic.reads += 1
            traffic.read_units += _units(size, READ_UNIT_BYTES)
        else:
            traffic.writes += 1
            traffic.write_units += _units(size, WRITE_UNIT_BYTES)

    def count_conflict(self, partition: str) -> None:
        """One write that was refused."""
        self.of(partition).conflicts += 1


def _units(size: int, unit: int) -> int:
    return max(1, -(-size // unit))
