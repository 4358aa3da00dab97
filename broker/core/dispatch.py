"""Which batch starts now: what waits, what is in flight, and what may no longer start.

Rule: a message is handed over only while its visibility covers the function's timeout, or when it is fresh; one that
waited too long is let go, and with it what follows it in its message group. A batch that was throttled is tried again
while its visibility lasts.

How it works: `cut` takes batches from the buffer into flights while there are slots; `due` restarts those whose
delay has passed. Both pass the same gate, `_startable`. A record that is delivered again while it is here replaces its
older self.

Invariants: a record is here at most once; at most one batch per message group is in flight; what leaves without having
been handed over is counted as let go.

Source: inferred; AWS says only that a batch which cannot be invoked is let go when its visibility lapses (AWS Lambda
Developer Guide, "Error handling for an SQS event source", read November 2026).
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from broker.core.batching import BatchBuffer
from broker.core.events import Invoke, QueueAction
from broker.core.flights import Flight, Flights
from broker.core.group_locks import GroupLocks
from broker.core.journal import Journal
from broker.core.queue_policy import QueuePolicy
from broker.core.response import followers, identifiers_of
from broker.model.batch import Batch, BatchTrigger
from broker.model.record import Record

EXTENSIONS_PER_VISIBILITY = 3
"""A heartbeat extends visibility after each third of it, so that one failed extension loses nothing."""


class Dispatch:
    """The records of one consumer from their receive to the end of their invocation; `actions` is where it starts."""

    __slots__ = ("_actions", "_buffer", "_journal", "_locks", "_policy", "flights")

    def __init__(self, policy: QueuePolicy, locks: GroupLocks, journal: Journal, actions: list[QueueAction]) -> None:
        self._policy = policy
        self._locks = locks
        self._journal = journal
        self._actions = actions
        self._buffer = BatchBuffer(
            batch_size=policy.batch_size,
            window_seconds=policy.window_seconds,
            limit_bytes=policy.payload_limit_bytes,
            cover_seconds=self._needed_seconds,
        )
        self.flights = Flights(locks)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits and nothing is in flight."""
        return not self._buffer and not self.flights

    @property
    def buffered_count(self) -> int:
        """Records that wait."""
        return len(self._buffer)

    @property
    def waiting_count(self) -> int:
        """Records that take room: all that wait, but for those whose group another batch holds."""
        return self._buffer.startable_count(self._locks.is_locked) if self._policy.fifo else len(self._buffer)

    @property
    def window_ends_at(self) -> float | None:
        """When what waits goes at the latest; None while nothing waits or without a window."""
        return self._buffer.window_ends_at

    @property
    def _needed_seconds(self) -> float:
        """Visibility that must be left at the start; a heartbeat extends it afterwards."""
        return 0.0 if self._policy.heartbeat else self._policy.function_timeout_seconds

    @property
    def deadlines(self) -> list[float | None]:
        """When the passing of time alone lets something start, lapse or need an extension."""
        return [self._buffer.window_ends_at, *self.flights.deadlines]

    # ---- in

    def add(self, records: Sequence[Record], now: float) -> None:
        """Takes records that are not here yet, oldest first."""
        if records:
            self._buffer.add(records, now)

    def has_none_of(self, these: AbstractSet[str]) -> bool:
        """Whether no record here has one of these identifiers."""
        return self.flights.has_none_of(these) and self._buffer.has_none_of(these)

    def replace(self, record: Record) -> bool:
        """Takes the newer receipt of a record that is here; False where it is not."""
        return self.flights.replace(record) or self._buffer.replace(record)

    # ---- start

    def cut(self, slots: int, now: float, *, is_draining: bool) -> None:
        """Starts what may start in the slots that are free."""
        if self._policy.fifo:
            self._let_lapsed_go(now)
        while slots > 0 and (trigger := self._trigger(now, is_draining=is_draining)):
            records = self._buffer.take(self._locks.is_locked, now)
            if not records:
                return
            if startable := self._startable(records, "visibility too short", now):
                self._start(startable, trigger, self.flights.next_number(), 1, now)
                slots -= 1

    def _trigger(self, now: float, *, is_draining: bool) -> BatchTrigger | None:
        return self._buffer.trigger(now) or (BatchTrigger.DRAIN if is_draining and self._buffer else None)

    def _let_lapsed_go(self, now: float) -> None:
        """A group that another batch holds may wait for long."""
        groups: set[str | None] = set()

        def lapsed(record: Record) -> bool:
            if record.visible_until <= now:
                groups.add(record.group)
            return record.group in groups

        self._journal.let_go(self._buffer.discard(lapsed), "visibility too short")

    def _startable(self, records: Sequence[Record], why: str, now: float) -> tuple[Record, ...]:
        """The records that may start now; the others, and what follows them in their groups, are let go.

        A record may start while nobody else can get it until the handler's time is over, or while it is fresh.
        """
        fresh_after, covered_after = now - self._policy.fresh_seconds, now + self._needed_seconds
        uncovered = [
            record
            for record in records
            if record.visible_until <= now
            or (record.visible_until < covered_after and record.received_at <= fresh_after)
        ]
        if not uncovered:
            return tuple(records)
        lapsed = [*uncovered, *followers(records, identifiers_of(uncovered))]
        self._journal.let_go(lapsed, why)
        self.let_groups_go(lapsed)
        gone = identifiers_of(lapsed)
        return tuple(record for record in records if record.identifier not in gone)

    def _start(self, records: tuple[Record, ...], trigger: BatchTrigger, number: int, attempt: int, now: float) -> None:
        batch = Batch(number=number, records=records, trigger=trigger, attempt=attempt)
        flight = Flight(batch=batch, started_at=now)
        self.flights.start(flight)
        if self._policy.heartbeat:
            self.flights.schedule(flight, now + (_lapses_at(records) - now) / EXTENSIONS_PER_VISIBILITY)
        self._actions.append(Invoke(batch=batch))
        self._journal.invoked(batch)

    # ---- again

    def defer(self, flight: Flight, delay_seconds: float, now: float) -> float:
        """A batch did not reach its handler: it waits, at most until its visibility lapses. Returns the seconds."""
        lapses_at = _lapses_at(self.flights.newest(flight.batch.records))
        flight.is_deferred = True
        self.flights.schedule(flight, min(now + delay_seconds, lapses_at))
        return min(delay_seconds, max(lapses_at - now, 0.0))

    def due(self, now: float) -> list[Flight]:
        """Starts deferred batches whose delay has passed; returns the running ones that need more visibility."""
        due = self.flights.due(now)
        for flight in due:
            if flight.is_deferred:
                self._try_again(flight, now)
        return [flight for flight in due if not flight.is_deferred]

    def _try_again(self, flight: Flight, now: float) -> None:
        batch, records = flight.batch, self.flights.newest(flight.batch.records)
        self.flights.end(flight)
        startable = self._startable(records, "not reached in time", now)
        if len(startable) == len(records):
            self._start(startable, batch.trigger, batch.number, batch.attempt + 1, now)
        elif startable:
            self._start(startable, batch.trigger, self.flights.next_number(), 1, now)

    # ---- out

    def let_groups_go(self, records: Sequence[Record]) -> Sequence[Record]:
        """Some records were left to the queue: with them what waits of their groups, which is returned."""
        groups = {record.group for record in records if record.group is not None}
        siblings = self._buffer.discard(lambda record: record.group in groups) if groups else ()
        self._journal.let_go(siblings, "group failed")
        return siblings

    def let_deferred_go(self, why: str) -> None:
        """Leaves the deferred batches to the queue."""
        records = self._end_deferred()
        self._journal.let_go(records, why)
        self.let_groups_go(records)

    def _end_deferred(self) -> list[Record]:
        records: list[Record] = []
        for flight in self.flights:
            if flight.is_deferred:
                records += self.flights.newest(flight.batch.records)
                self.flights.end(flight)
        return records

    def leave(self, flight: Flight, now: float) -> None:
        """An invocation is decided; one that is stuck keeps its slot and its records until it returns."""
        if flight.overdue_since is None:
            self.flights.end(flight)
        self._buffer.invocation_ended(now, was_last=not self.flights)

    def hand_over(self) -> list[Record]:
        """Takes out all that is not running, each group in its order."""
        deferred = self._end_deferred()
        return [*deferred, *self._buffer.discard(lambda _: True)]


def _lapses_at(records: Sequence[Record]) -> float:
    return min([record.visible_until for record in records])
