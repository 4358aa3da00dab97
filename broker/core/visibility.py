"""Changing when messages become visible: handing them back, delaying them, keeping them hidden for longer.

Rule: what a drain cannot handle is released with visibility 0, so that another worker has it at once. In a FIFO queue
a message must not become visible before a later one of its group is: the group is released from its last message to
its first, the first of each group alone in the final calls, and where a later one cannot be released the earlier ones
stay hidden until their visibility timeout. A message whose visibility has ended is nobody's here: it may be with
another worker, so nothing is changed. To keep messages hidden for longer needs no order.

How it works: a `Change` is a list of calls. Without groups they all go at once; with groups each waits for the one
before, and a group with a failed entry is left out of those that follow.

Invariants: no call has more than ten entries; the first message of a group is never released before all its later ones
have been.

Source: Amazon SQS Developer Guide, "FIFO delivery logic" (read November 2026); the order of release is inferred.
"""

from collections import deque
from collections.abc import Sequence

from broker.core.events import ChangeVisibility, VisibilityChanged
from broker.core.settlement import chunks
from broker.model.record import Record


class _Change:
    """One release or extension, in calls that follow each other."""

    __slots__ = ("calls", "seconds", "sent_at", "spoiled")

    def __init__(self, calls: Sequence[tuple[Record, ...]], seconds: int, now: float) -> None:
        self.calls = deque(calls)
        self.seconds = seconds
        self.sent_at = now
        self.spoiled: set[str] = set()

    def next_call(self) -> tuple[Record, ...]:
        while self.calls:
            if call := tuple(record for record in self.calls.popleft() if record.group not in self.spoiled):
                return call
        return ()


class VisibilityChanges:
    """The visibility changes of one consumer."""

    __slots__ = ("_number", "_outstanding")

    def __init__(self) -> None:
        self._number = 0
        self._outstanding: dict[int, tuple[_Change, tuple[Record, ...]]] = {}

    def __len__(self) -> int:
        """Calls outstanding."""
        return len(self._outstanding)

    def change(self, records: Sequence[Record], seconds: int, now: float) -> list[ChangeVisibility]:
        """Lets records, which are in queue order, become visible `seconds` from now."""
        grouped = [record for record in _hidden(records, now) if record.group is not None]
        actions = self.extend([record for record in records if record.group is None], seconds, now)
        return actions + self._send(_Change(_last_to_first(grouped), seconds, now))

    def extend(self, records: Sequence[Record], seconds: int, now: float) -> list[ChangeVisibility]:
        """Keeps records hidden for `seconds` from now."""
        return [
            action for chunk in chunks(_hidden(records, now)) for action in self._send(_Change([chunk], seconds, now))
        ]

    def _send(self, change: _Change) -> list[ChangeVisibility]:
        records = change.next_call()
        if not records:
            return []
        self._number += 1
        self._outstanding[self._number] = change, records
        return [ChangeVisibility(number=self._number, records=records, visibility_timeout_seconds=change.seconds)]

    def settled(self, event: VisibilityChanged) -> list[ChangeVisibility]:
        """Notes the new deadline of each record that was changed; returns the calls that follow."""
        change, records = self._outstanding.pop(event.number)
        for record in records:
            if record.identifier not in event.failures:
                record.visible_until = change.sent_at + change.seconds
            elif record.group is not None:
                change.spoiled.add(record.group)
        return self._send(change)


def _hidden(records: Sequence[Record], now: float) -> list[Record]:
    return [record for record in records if record.visible_until > now]


def _last_to_first(records: Sequence[Record]) -> list[tuple[Record, ...]]:
    firsts = {record.group: record for record in reversed(records)}
    later = [record for record in reversed(records) if firsts[record.group] is not record]
    return [*chunks(later), *chunks(list(firsts.values()))]
