"""Batches that are out of the buffer and not yet decided: running, waiting for another attempt, or stuck.

Invariants: a record is in at most one flight; each record of a flight holds its message group; the newest receipt of
each is known.
"""

from collections.abc import Collection, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from broker.core.group_locks import GroupLocks
from broker.model.batch import Batch
from broker.model.record import Record


@dataclass(slots=True, kw_only=True)
class Flight:
    """One batch on its way."""

    batch: Batch
    started_at: float
    """When its last attempt began."""
    is_deferred: bool = False
    """Whether it waits for another attempt after a throttle."""
    overdue_since: float | None = None
    """When it ran into its time limit without ending; None while it is within."""


class Flights:
    """The flights of one consumer."""

    __slots__ = ("_by_number", "_due_at", "_locks", "_newest", "_number")

    def __init__(self, locks: GroupLocks) -> None:
        self._locks = locks
        self._number = 0
        self._by_number: dict[int, Flight] = {}
        self._due_at: dict[int, float] = {}
        self._newest: dict[str, Record] = {}

    def __len__(self) -> int:
        return len(self._by_number)

    def __iter__(self) -> Iterator[Flight]:
        return iter(tuple(self._by_number.values()))

    def __getitem__(self, number: int) -> Flight:
        return self._by_number[number]

    @property
    def record_count(self) -> int:
        """Records in all flights."""
        return len(self._newest)

    @property
    def stuck_count(self) -> int:
        """Flights past their time limit that cannot be stopped."""
        return len([flight for flight in self._by_number.values() if flight.overdue_since is not None])

    def next_number(self) -> int:
        """Counts the batches of this consumer."""
        self._number += 1
        return self._number

    @property
    def batch_count(self) -> int:
        """Batches so far."""
        return self._number

    def start(self, flight: Flight) -> None:
        """Takes a batch's records in hand."""
        records = flight.batch.records
        self._by_number[flight.batch.number] = flight
        self._newest.update((record.identifier, record) for record in records)
        self._locks.acquire(records)

    def end(self, flight: Flight) -> None:
        """Lets its records and their groups go."""
        del self._by_number[flight.batch.number]
        self._due_at.pop(flight.batch.number, None)
        for record in flight.batch.records:
            del self._newest[record.identifier]
        self._locks.release(flight.batch.records)

    def schedule(self, flight: Flight, at: float | None) -> None:
        """Says when the flight is due: its next attempt, or the extension of its visibility; None for never."""
        if at is None:
            self._due_at.pop(flight.batch.number, None)
        else:
            self._due_at[flight.batch.number] = at

    def due(self, now: float) -> list[Flight]:
        """The flights that are due."""
        return [self._by_number[number] for number, at in self._due_at.items() if at <= now] if self._due_at else []

    @property
    def deadlines(self) -> Collection[float]:
        """When each scheduled flight is due."""
        return self._due_at.values()

    def has_none_of(self, identifiers: AbstractSet[str]) -> bool:
        """Whether no record in hand has one of these identifiers."""
        return self._newest.keys().isdisjoint(identifiers)

    def replace(self, record: Record) -> bool:
        """Takes the newer receipt of a record in hand; False where it is not."""
        known = self._newest.get(record.identifier)
        if known is None:
            return False
        self._newest[record.identifier] = record.newest(known)
        return True

    def newest(self, records: Iterable[Record]) -> tuple[Record, ...]:
        """The same records with the newest receipts known."""
        return tuple(self._newest[record.identifier] for record in records)
