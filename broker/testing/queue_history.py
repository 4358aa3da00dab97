"""What a queue in memory did with each of its messages, and whether that adds up."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Happening(StrEnum):
    """What can happen to a message."""

    SENT = "sent"
    DEDUPLICATED = "deduplicated"
    """It was sent again within five minutes and not taken a second time."""
    RECEIVED = "received"
    REPLAYED = "replayed"
    """A FIFO receive was repeated with its attempt id and brought the message again."""
    VISIBILITY_CHANGED = "visibility_changed"
    DELETED = "deleted"
    DELETE_IGNORED = "delete_ignored"
    """A delete was answered with success and did nothing: the receipt was old, or the message gone."""
    DEAD_LETTERED = "dead_lettered"
    """It left for the dead-letter queue."""
    ARRIVED = "arrived"
    """It came into this queue as a dead letter."""
    EXPIRED = "expired"
    """The retention period was over."""


ENTRANCES = (Happening.SENT, Happening.ARRIVED)
EXITS = (Happening.DELETED, Happening.DEAD_LETTERED, Happening.EXPIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One thing that happened to one message."""

    at: float
    """Epoch seconds."""
    what: Happening
    message_id: str
    receipt: str = ""
    """The receipt handle that was given or used; empty where there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Where all messages of a queue are: `arrived_count` is the sum of the others."""

    arrived_count: int
    deleted_count: int
    dead_lettered_count: int
    expired_count: int
    remaining_count: int
    """Still in the queue: visible, in flight or delayed."""


class QueueHistory:
    """Everything that happened in one queue, in order."""

    def __init__(self) -> None:
        self._entries: list[HistoryEntry] = []

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[HistoryEntry]:
        return iter(self._entries)

    def add(self, at: float, what: Happening, message_id: str, receipt: str = "") -> None:
        """Writes one entry."""
        self._entries.append(HistoryEntry(at=at, what=what, message_id=message_id, receipt=receipt))

    def of(self, message_id: str) -> tuple[Happening, ...]:
        """What happened to one message, in order."""
        return tuple(entry.what for entry in self._entries if entry.message_id == message_id)

    def identifiers(self, *what: Happening) -> tuple[str, ...]:
        """The messages to which it happened, in order, as often as it happened."""
        return tuple(entry.message_id for entry in self._entries if entry.what in what)

    def instants(self, message_id: str, what: Happening) -> tuple[float, ...]:
        """When it happened to one message."""
        return tuple(entry.at for entry in self._entries if entry.message_id == message_id and entry.what is what)

    def account(self, remaining: Collection[str], *, handled: Iterable[str] | None) -> Account:
        """Adds up; see `InMemoryQueue.every_message_accounted`."""
        exits = Counter(self.identifiers(*EXITS)) + Counter(remaining)
        deleted = self.identifiers(Happening.DELETED)
        _require_each_once(self.identifiers(*ENTRANCES), exits)
        if handled is not None and (lost := set(deleted).difference(handled)):
            raise AssertionError(f"deleted without having been handled: {sorted(lost)}")
        return Account(
            arrived_count=len(self.identifiers(*ENTRANCES)),
            deleted_count=len(deleted),
            dead_lettered_count=len(self.identifiers(Happening.DEAD_LETTERED)),
            expired_count=len(self.identifiers(Happening.EXPIRED)),
            remaining_count=len(remaining),
        )


def _require_each_once(entered: Iterable[str], left: Counter[str]) -> None:
    balance = Counter(left)
    balance.subtract(entered)
    if wrong := {message_id: count for message_id, count in balance.items() if count}:
        raise AssertionError(f"lost (below 0) or twice there (above 0): {wrong}")
