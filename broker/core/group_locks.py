"""Which message groups of a FIFO queue are taken.

Rule: a group is locked while a batch with one of its messages is in flight and until every one of its deletes is
settled; other groups flow on.
Invariant: a group that nobody holds takes no memory.
Source: AWS Lambda Developer Guide, "Using Lambda with Amazon SQS", FIFO queues (read November 2026); that a batch may
mix groups, each of them locked, is inferred from two versions of that page.
"""

from collections.abc import Iterable

from broker.model.record import Record


class GroupLocks:
    """Counts the holders of each message group."""

    __slots__ = ("_holders",)

    def __init__(self) -> None:
        self._holders: dict[str, int] = {}

    def acquire(self, records: Iterable[Record]) -> None:
        """Each record holds its group once more."""
        for record in records:
            if record.group is not None:
                self._holders[record.group] = self._holders.get(record.group, 0) + 1

    def release(self, records: Iterable[Record]) -> None:
        """Each record lets go of its group once."""
        for record in records:
            if record.group is not None:
                holders = self._holders.pop(record.group) - 1
                if holders:
                    self._holders[record.group] = holders

    def is_locked(self, group: str) -> bool:
        """Whether anybody holds the group."""
        return group in self._holders


def groups_of(records: Iterable[Record]) -> tuple[str, ...]:
    """The message groups of some records, sorted; none on a standard queue."""
    return tuple(sorted({record.group for record in records if record.group is not None}))
