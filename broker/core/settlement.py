"""Deleting what was handled, so that nothing handled is handled again by this process.

Rule: a record leaves the queue by a `Delete` with the newest receipt known. Entries that fail are tried again with
back-off; a record that cannot be deleted is remembered (bounded), and when the queue delivers it again it is deleted
on sight. A FIFO group stays locked while one of its records is being deleted.

How it works: each `Delete` is numbered and outstanding until it is settled. A record delivered again meanwhile brings a
newer receipt: a delete with the older one may be answered with success and do nothing (standard queues), so it is
repeated with the newer. A record whose visibility had ended when its delete was answered is remembered as well: it
may have been delivered again before the delete took effect.

Invariants: a record is in at most one outstanding or waiting delete; a claimed record never reaches a handler; at most
`remembered_count` identifiers are remembered, the oldest are forgotten first.

Source: Amazon SQS API reference, DeleteMessage and DeleteMessageBatch, on receipt handles (read November 2026). The
number of attempts and the memory are inferred: AWS documents neither.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from broker.core.events import Delete, Deleted
from broker.core.group_locks import GroupLocks
from broker.core.queue_policy import QueuePolicy
from broker.core.retry import delay_seconds
from broker.model.record import Record

ENTRIES_PER_CALL = 10
"""Most entries that one batch call of SQS takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one settled delete came to."""

    deleted_count: int
    failed_count: int
    """Entries that failed; they are tried again or remembered."""
    abandoned_count: int
    """Entries that were given up and are now remembered."""
    detail: str
    """The first failure, empty without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    records: tuple[Record, ...]
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    identifiers: tuple[str, ...]
    attempt: int
    due_at: float


class Deletions:
    """The deletes of one consumer: outstanding, waiting to be repeated, and given up."""

    __slots__ = ("_locks", "_newest", "_number", "_outstanding", "_policy", "_remembered", "_waiting")

    def __init__(self, policy: QueuePolicy, locks: GroupLocks) -> None:
        self._policy = policy
        self._locks = locks
        self._number = 0
        self._newest: dict[str, Record] = {}
        self._outstanding: dict[int, _Attempt] = {}
        self._waiting: list[_Waiting] = []
        self._remembered: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        """Records being deleted."""
        return len(self._newest)

    @property
    def calls(self) -> int:
        """Deletes outstanding or waiting to be repeated."""
        return len(self._outstanding) + len(self._waiting)

    def delete(self, records: Sequence[Record]) -> list[Delete]:
        """Begins to delete records that are not being deleted yet."""
        self._newest.update((record.identifier, record) for record in records)
        self._locks.acquire(records)
        return self._send(records, 1)

    def _send(self, records: Sequence[Record], attempt: int) -> list[Delete]:
        deletes = []
        for chunk in chunks(records):
            self._number += 1
            self._outstanding[self._number] = _Attempt(records=chunk, count=attempt)
            deletes.append(Delete(number=self._number, records=chunk))
        return deletes

    def has_none_of(self, identifiers: AbstractSet[str]) -> bool:
        """Whether no record with one of these identifiers is being deleted or remembered."""
        return self._newest.keys().isdisjoint(identifiers) and self._remembered.keys().isdisjoint(identifiers)

    def claim(self, record: Record) -> list[Delete] | None:
        """Takes a record that was handled before: the deletes to perform now; None where it was not."""
        if known := self._newest.get(record.identifier):
            self._newest[record.identifier] = record.newest(known)
            return []
        return self.delete([record]) if record.identifier in self._remembered else None

    def settled(self, event: Deleted, now: float) -> tuple[Outcome, list[Delete]]:
        """Interprets the end of a delete: what came of it, and what is sent again at once."""
        attempt = self._outstanding.pop(event.number)
        newest = [self._newest[record.identifier] for record in attempt.records]
        superseded = [new for new, old in zip(newest, attempt.records, strict=True) if new.receipt != old.receipt]
        current = [record for record in newest if record not in superseded] if superseded else newest
        failed = [record for record in current if record.identifier in event.failures] if event.failures else []
        deleted = [record for record in current if record not in failed] if failed else current
        self._release(deleted)
        self._remember([record for record in deleted if now >= record.visible_until])
        outcome = Outcome(
            deleted_count=len(deleted),
            failed_count=len(failed),
            abandoned_count=self._retry(failed, attempt, event, now) if failed else 0,
            detail=str(event.failures[failed[0].identifier]) if failed else "",
        )
        return outcome, self._send(superseded, 1)

    def _retry(self, failed: Sequence[Record], attempt: _Attempt, event: Deleted, now: float) -> int:
        """Schedules the next attempt; returns how many records were given up instead."""
        exhausted = attempt.count >= self._policy.delete_attempts
        again = [r.identifier for r in failed if not exhausted and not event.failures[r.identifier].final]
        if again:
            delay = delay_seconds(self._policy.delete_backoff, attempt.count, event.chance)
            self._waiting.append(_Waiting(identifiers=tuple(again), attempt=attempt.count + 1, due_at=now + delay))
        abandoned = [record for record in failed if record.identifier not in again]
        self._release(abandoned)
        self._remember(abandoned)
        return len(abandoned)

    def _release(self, records: Sequence[Record]) -> None:
        for record in records:
            del self._newest[record.identifier]
            self._remembered.pop(record.identifier, None)
        self._locks.release(records)

    def _remember(self, records: Sequence[Record]) -> None:
        for record in records:
            self._remembered[record.identifier] = None
        while len(self._remembered) > self._policy.remembered_count:
            self._remembered.popitem(last=False)

    def due(self, now: float) -> list[Delete]:
        """The deletes whose back-off has passed."""
        ready = [waiting for waiting in self._waiting if waiting.due_at <= now]
        self._waiting = [waiting for waiting in self._waiting if waiting.due_at > now]
        deletes: list[Delete] = []
        for waiting in ready:
            deletes += self._send([self._newest[i] for i in waiting.identifiers], waiting.attempt)
        return deletes

    @property
    def deadline(self) -> float | None:
        """When `due` has something to send."""
        return min((waiting.due_at for waiting in self._waiting), default=None)


def chunks(records: Sequence[Record]) -> Iterator[tuple[Record, ...]]:
    """Cuts records into calls of at most ten."""
    for start in range(0, len(records), ENTRIES_PER_CALL):
        yield tuple(records[start : start + ENTRIES_PER_CALL])
