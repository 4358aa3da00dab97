"""Whether handlers saw the records of each key in order: a log of invocations, and what is wrong with it.

>>> from broker.testing import HandlerLog
>>> log = HandlerLog()
>>> first = log.start([("a", "9"), ("b", "10")])
>>> log.start([("a", "11")])
1
>>> log.order_violations()
["11 of 'a' started before 9 was settled"]
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass

KeyedRecord = tuple[str, str]
"""A record's key and its sequence number."""


@dataclass(frozen=True, slots=True)
class _Start:
    records: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class _Settled:
    numbers: frozenset[int]


class HandlerLog:
    """Starts and settlements of invocations in the order in which they happened, of all processes together.

    A record is settled when its handler succeeded with it, or when it was discarded: from then on the next record of
    its key may start. An attempt that failed settles nothing.
    """

    def __init__(self) -> None:
        self._entries: list[_Start | _Settled] = []
        self._calls: list[tuple[tuple[str, int], ...]] = []
        self._running: set[int] = set()
        self.overlap_count = 0
        """Invocations that began while another one of the same key was running: redeliveries after a lost lease."""

    def start(self, records: Iterable[KeyedRecord]) -> int:
        """An invocation begins, with its records in order. Returns its number, from 0."""
        call = tuple((key, int(number)) for key, number in records)
        keys = {key for key, _ in call}
        self.overlap_count += any(key in keys for other in self._running for key, _ in self._calls[other])
        self._running.add(len(self._calls))
        self._calls.append(call)
        self._entries.append(_Start(call))
        return len(self._calls) - 1

    def end(self, call: int, *, settled: Iterable[str] | None = None) -> None:
        """An invocation ended. `settled` are its records that are settled now: all of them unless given."""
        self._running.discard(call)
        numbers = (number for _, number in self._calls[call]) if settled is None else map(int, settled)
        self._entries.append(_Settled(frozenset(numbers)))

    def settle(self, numbers: Iterable[str]) -> None:
        """Records were discarded."""
        self._entries.append(_Settled(frozenset(map(int, numbers))))

    def order_violations(self) -> list[str]:
        """Each start of a record before an earlier one of its key, that ever started, was settled."""
        order = self._order()
        settled: set[int] = set()
        violations: list[str] = []
        for entry in self._entries:
            if isinstance(entry, _Settled):
                settled |= entry.numbers
            else:
                violations += _violations(entry.records, order, settled)
        return violations

    def _order(self) -> dict[str, list[int]]:
        """The records of each key that ever started, by their sequence numbers."""
        order: dict[str, list[int]] = {}
        for call in self._calls:
            for key, number in call:
                numbers = order.setdefault(key, [])
                index = bisect_left(numbers, number)
                if index == len(numbers) or numbers[index] != number:
                    insort(numbers, number)
        return order


def _violations(records: Iterable[tuple[str, int]], order: dict[str, list[int]], settled: set[int]) -> list[str]:
    violations = []
    together: dict[str, int] = {}
    for key, number in records:
        index = bisect_left(order[key], number)
        before = order[key][index - 1] if index else None
        if before is not None and before not in settled and together.get(key) != before:
            violations.append(f"{number} of {key!r} started before {before} was settled")
        together[key] = number
    return violations
