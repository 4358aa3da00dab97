"""When a batch is cut, and from which records.

Rule: a batch goes when `BatchSize` is reached, when `MaximumBatchingWindowInSeconds` has passed, or when the next
record would make the event exceed 6 MB; without a window whatever is there goes at once. A window opens when the
previous invocation ended; where it would have passed before anything came, it opens with the first record. It closes
early where the oldest record's visibility would otherwise no longer cover the handler: a window that is as long as
the visibility allows would let its first record go each time, and never hand it over.

How it works: an ordered map of records by identifier. A record that is delivered again while it waits here replaces
its older self in place. `take` passes over message groups that are locked, and then over all that follows in them, so
that a group's records leave in order.

Invariants: no batch exceeds `BatchSize` or, with more than one record, the byte limit; a group's records never
overtake each other; every record that was added leaves by `take` or `discard`.

Source: AWS Lambda Developer Guide, "How event source mappings process records", batching behaviour (read November
2026). That the window is not reopened over an empty buffer, and that it closes early, is inferred.
"""

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from math import inf

from broker.model.batch import BatchTrigger, event_bytes
from broker.model.record import Record

COVER_MARGIN_SECONDS = 1.0
"""How much earlier than it must a window closes: a reply and a timer may be late."""


class BatchBuffer:
    """Records that wait to be handed over, oldest first; `cover_seconds` is the visibility that the handler needs."""

    __slots__ = (
        "_batch_size",
        "_bytes",
        "_cover_seconds",
        "_ended_at",
        "_lapses_at",
        "_limit_bytes",
        "_opened_at",
        "_records",
        "_window_seconds",
    )

    def __init__(self, *, batch_size: int, window_seconds: float, limit_bytes: int, cover_seconds: float) -> None:
        self._batch_size = batch_size
        self._window_seconds = window_seconds
        self._limit_bytes = limit_bytes
        self._cover_seconds = cover_seconds + COVER_MARGIN_SECONDS
        self._lapses_at = inf
        self._records: dict[str, Record] = {}
        self._bytes = 0
        self._opened_at = 0.0
        self._ended_at = float("-inf")

    def __len__(self) -> int:
        return len(self._records)

    def startable_count(self, is_locked: Callable[[str], bool]) -> int:
        """Records whose message group is free."""
        return sum(1 for _ in self._startable(is_locked))

    def add(self, records: Sequence[Record], now: float) -> None:
        """Appends records that are not here yet."""
        if not self._records:
            self._open(now)
        for record in records:
            self._records[record.identifier] = record
            self._bytes += len(record.json)
        self._notice(records)

    def _notice(self, records: Iterable[Record]) -> None:
        """Keeps the earliest end of a visibility; one that is past its record's stay only closes a window early."""
        if self._window_seconds:
            self._lapses_at = min([self._lapses_at, *(record.visible_until for record in records)])

    def _open(self, now: float) -> None:
        lapsed = self._ended_at + self._window_seconds <= now
        self._opened_at = now if lapsed else self._ended_at
        self._lapses_at = inf

    def has_none_of(self, identifiers: AbstractSet[str]) -> bool:
        """Whether no record here has one of these identifiers."""
        return self._records.keys().isdisjoint(identifiers)

    def replace(self, record: Record) -> bool:
        """Takes a record's newer delivery in its place; False where it does not wait here."""
        known = self._records.get(record.identifier)
        if known is None:
            return False
        newest = record.newest(known)
        self._records[record.identifier] = newest
        self._bytes += len(newest.json) - len(known.json)
        return True

    def invocation_ended(self, now: float, *, was_last: bool) -> None:
        """Opens the next window, and anew for what came meanwhile where no other invocation runs beside it."""
        self._ended_at = now
        if was_last:
            self._opened_at = now

    @property
    def window_ends_at(self) -> float | None:
        """When what is here goes at the latest; None while nothing is here or without a window."""
        return self._closes_at if self._records and self._window_seconds else None

    @property
    def _closes_at(self) -> float:
        return min(self._opened_at + self._window_seconds, self._lapses_at - self._cover_seconds)

    def trigger(self, now: float) -> BatchTrigger | None:
        """Why a batch may be cut now; None where it has to wait."""
        if not self._records:
            return None
        if not self._window_seconds:
            return BatchTrigger.AVAILABLE
        if len(self._records) >= self._batch_size:
            return BatchTrigger.SIZE
        if event_bytes(self._bytes, len(self._records)) > self._limit_bytes:
            return BatchTrigger.BYTES
        return BatchTrigger.WINDOW if now >= self._closes_at else None

    def take(self, is_locked: Callable[[str], bool], now: float) -> tuple[Record, ...]:
        """Removes and returns the records of the next batch; none where all groups are locked."""
        chosen = self._choose(is_locked)
        for record in chosen:
            del self._records[record.identifier]
            self._bytes -= len(record.json)
        if chosen and self._records:
            self._opened_at = now
            self._lapses_at = inf
            self._notice(self._records.values())
        return tuple(chosen)

    def _choose(self, is_locked: Callable[[str], bool]) -> list[Record]:
        chosen: list[Record] = []
        size = event_bytes(0, 1)
        for record in self._startable(is_locked):
            size += len(record.json) + (1 if chosen else 0)
            if chosen and (len(chosen) >= self._batch_size or size > self._limit_bytes):
                break
            chosen.append(record)
        return chosen

    def _startable(self, is_locked: Callable[[str], bool]) -> Iterable[Record]:
        return (r for r in self._records.values() if r.group is None or not is_locked(r.group))

    def discard(self, is_unwanted: Callable[[Record], bool]) -> tuple[Record, ...]:
        """Removes and returns, in order, the records that `is_unwanted`."""
        unwanted = tuple(record for record in self._records.values() if is_unwanted(record))
        for record in unwanted:
            del self._records[record.identifier]
            self._bytes -= len(record.json)
        return unwanted
