"""The key of a world's state: equal where the future is.

Instants count from now, and what is long past is simply past; calls and batches are numbered in the order in which
they are met; receipts count from the newest; what only counts or only tells is left out. A part that is not known
here is taken as it is: at worst there are more states than needed.
"""

from collections import OrderedDict, deque
from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from math import inf

from broker.model.record import Record
from tests.property.queue_model import Message, ModelQueue, Received
from tests.property.queue_world import Worker, World

FIRST_INSTANT = 1_000_000.0
"""Worlds begin here, so that an instant is told from a duration by its size."""
NO_FUTURE = frozenset({"_actions", "_chance", "_journal", "_policy", "_now", "_number", "_attempts", "_full_at"})
"""Fields without a future: what was said and counted, what never changes, what the next number is."""
NUMBERS = {
    ("Fetch", "number"): "fetch",
    ("Fetch", "attempt_number"): "attempt",
    ("Delete", "number"): "delete",
    ("ChangeVisibility", "number"): "change",
    ("Batch", "number"): "batch",
    ("Polling", "outstanding"): "fetch",
    ("Polling", "_started_at"): "attempt",
    ("Deletions", "_outstanding"): "delete",
    ("VisibilityChanges", "_outstanding"): "change",
    ("Flights", "_by_number"): "batch",
    ("Flights", "_due_at"): "batch",
}
"""Fields, and mappings by their keys, that hold a number of some kind."""


class Snapshot:
    """Makes one key."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._now = world.now
        timeout, fresh = world.plan.policy.function_timeout_seconds, world.plan.policy.fresh_seconds
        self._longest_age = {"started_at": timeout, "received_at": fresh, "_started_at": 1.0, "_reduced_at": 1.0}
        self._index = 0
        self._numbers: dict[tuple[int, str, int], int] = {}
        self._met: dict[int, int] = {}

    def key(self) -> bytes:
        """A digest of all that matters."""
        workers = tuple(self._worker(index, worker) for index, worker in enumerate(self._world.workers))
        promises = self._world.promises
        handled = [sorted(promises._handled_by[worker.name]) for worker in self._world.workers]
        books = (sorted(promises.handled), handled, sorted(promises._last.items()), sorted(promises._broken_groups))
        budget = tuple(sorted(self._world.budget.items()))
        return blake2b(repr((workers, self._queue(self._world.queue), books, budget)).encode(), digest_size=16).digest()

    def _worker(self, index: int, worker: Worker) -> object:
        self._index = index
        consumer = self._object(worker.consumer)
        calls = sorted(
            (kind, self._number(kind, number), call.took_effect, self._value(call.answer), self._object(call.action))
            for (kind, number), call in worker.calls.items()
        )
        running = sorted(
            (self._number("batch", number), self._instant(one.started_at, "started_at"), one.is_stuck)
            for number, one in worker.running.items()
        )
        return consumer, calls, running, self._value(worker.stop_at)

    def _queue(self, queue: ModelQueue) -> object:
        messages = [self._message(message, queue.maximum_receive_count) for message in queue.messages.values()]
        indices = {worker.name: index for index, worker in enumerate(self._world.workers)}
        attempts = []
        for (worker, attempt), brought in queue.attempts.items():
            number = self._numbers.get((indices.get(worker, -1), "attempt", attempt))
            if number is not None:
                now = tuple((m.identifier, m.receipt, m.change_count) for m in self._messages(brought))
                attempts.append((number, [one[0] for one in brought], now == brought))
        return messages, sorted(attempts)

    def _messages(self, brought: tuple[tuple[str, str, int], ...]) -> list[Message]:
        return [self._world.queue.messages[identifier] for identifier, _, _ in brought]

    def _message(self, message: Message, most: float) -> object:
        if message.place != "queue":
            return message.place
        return self._instant(message.visible_at), message.receive_count if most < inf else 0

    # ---- any value

    def _value(self, value: object, owner: str = "", name: str = "") -> object:
        match value:
            case None | bool() | int() | str() | bytes():
                return value
            case float():
                return self._instant(value, name)
            case Received():
                return self._delivery(value.identifier, value.receive_count, value.received_at, value.visible_until)
            case tuple() | list() | deque():
                return tuple([self._value(one, owner, name) for one in value])
            case dict() | OrderedDict():
                return self._mapping(value, owner, name)
            case set() | frozenset():
                return tuple(sorted(value))
            case _:
                return self._object(value)

    def _mapping(self, value: Mapping[object, object], owner: str, name: str) -> object:
        kind = NUMBERS.get((owner, name))
        return tuple(
            [(self._number(kind, key) if kind else key, self._value(one, owner, name)) for key, one in value.items()]
        )

    def _object(self, value: object) -> object:
        """Each part once: later it is named by its place, so that what is shared stays so."""
        if id(value) in self._met:
            return f"#{self._met[id(value)]}"
        self._met[id(value)] = len(self._met)
        if isinstance(value, Record):
            return self._delivery(value.identifier, value.receive_count, value.received_at, value.visible_until)
        owner = type(value).__name__
        return owner, tuple([self._field(owner, name, getattr(value, name)) for name in field_names(value)])

    def _field(self, owner: str, name: str, value: object) -> object:
        kind = NUMBERS.get((owner, name))
        return self._number(kind, value) if kind and isinstance(value, int) else self._value(value, owner, name)

    def _number(self, kind: str, number: object) -> int:
        assert isinstance(number, int)
        return self._numbers.setdefault((self._index, kind, number), len(self._numbers))

    def _delivery(self, identifier: str, receive_count: int, received_at: float, visible_until: float) -> object:
        older = self._world.queue.messages[identifier].receive_count - receive_count
        return identifier, older, self._instant(received_at, "received_at"), self._instant(visible_until)

    def _instant(self, value: float, name: str = "") -> float:
        if -inf < value < FIRST_INSTANT / 2:
            return value
        return max(value - self._now, -self._longest_age.get(name, 0.0))


def field_names(value: object) -> tuple[str, ...]:
    """The fields of a part that have a future."""
    return _with_future(*vars(value)) if hasattr(value, "__dict__") else _slots(type(value))


@cache
def _slots(kind: type) -> tuple[str, ...]:
    return _with_future(*getattr(kind, "__slots__", ()))


def _with_future(*names: str) -> tuple[str, ...]:
    return tuple(name for name in names if name not in NO_FUTURE)
