"""How a queue's `MaximumConcurrency` is cut into leases, so that it holds for all brokers together.

Rule: the limit is cut into as many slots as it has units, at most 32; their weights add up to it and differ by at most
one. A broker may have as many batches in flight as its slots weigh. When the setting changes, the slots are cut anew:
what shrinks or goes first, what grows or comes after it.

Invariants: at every step of a new cut the weights add up to no more than the greater of the two limits.

Source: the limit is AWS's (AWS Lambda Developer Guide, "Configuring scaling behavior for SQS event source mappings",
read November 2026); the slots are ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.core.lease_rows import SLOT_PREFIX, lease_value, slot_key
from broker.model.lease import Lease, LeaseKey, Row

MOST_SLOTS = 32
"""A fleet of more brokers leaves some without a slot; more slots would cost more rows for each queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotChange:
    """One write that brings the rows nearer to the setting."""

    key: str
    value: dict[str, Any] | None
    """What the row should say; None to remove it."""
    version: int
    """What the row's version is; 0 where there is none."""


def weights(maximum: int) -> tuple[int, ...]:
    """The weights of all slots, the heavier ones first; none for 0."""
    count = min(maximum, MOST_SLOTS)
    whole, rest = divmod(maximum, count) if count else (0, 0)
    return tuple(whole + (number < rest) for number in range(count))


def new_cut(mapping: str, rows: Mapping[str, Row], maximum: int) -> tuple[SlotChange, ...]:
    """What is to be written, in order; nothing where the rows of the mapping's partition are cut as they should be."""
    wanted = {slot_key(number): weight for number, weight in enumerate(weights(maximum))}
    found = {key: row for key, row in rows.items() if key.startswith(SLOT_PREFIX)}
    growth = {
        key: wanted.get(key, 0) - (found[key].value.get("weight", 1) if key in found else 0)
        for key in sorted({*wanted, *found})
    }
    changed = [key for key in growth if growth[key] or (key in found) != (key in wanted)]
    return tuple(
        _change(mapping, key, wanted.get(key, 0), found.get(key)) for key in sorted(changed, key=growth.__getitem__)
    )


def _change(mapping: str, key: str, weight: int, row: Row | None) -> SlotChange:
    if row is None:
        value = lease_value(Lease(key=LeaseKey(mapping=mapping, key=key), version=0, weight=weight))
        return SlotChange(key=key, value=value, version=0)
    return SlotChange(key=key, value={**row.value, "weight": weight} if weight else None, version=row.version)
