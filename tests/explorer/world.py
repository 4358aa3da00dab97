"""The world of the properties, made finite: bounded failures and delays, a key for each state, copies by freezing.

Two more entries of the budget: `fail`, how often a handler does not succeed; `late`, how often the clock goes on to the
next instant at which anything happens while a call other than a waiting receive is under way.
"""

import io
import pickle
from collections.abc import Iterator
from typing import Self

from broker.core.events import Invoke, QueueAction, QueueEvent
from broker.core.queue_policy import QueuePolicy
from broker.model.batch import Batch
from tests.explorer.snapshot import FIRST_INSTANT, Snapshot
from tests.property.queue_world import Plan, Running, Step, Worker, World

KIND_VERBS = frozenset({"time", "receive", "effect", "answer", "returned"})
"""Steps in which nothing goes wrong, and so does a handler's success."""


class SmallWorld(World):
    """A world to be explored."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan, now=FIRST_INSTANT)

    # ---- what the search needs

    def is_kind(self, step: Step) -> bool:
        """Whether nothing goes wrong in this step."""
        return step[0] in KIND_VERBS or step[-1] == "success"

    def is_at_rest(self) -> bool:
        """Whether every worker has drained, or nothing is left in the queue and nothing to be done."""
        if all(worker.consumer.finished for worker in self.workers):
            return True
        return not self.queue.present() and not any(self._is_busy(worker) for worker in self.workers)

    def _is_busy(self, worker: Worker) -> bool:
        return bool(worker.running) or any(kind != "fetch" for kind, _ in worker.calls)

    def key(self) -> bytes:
        """Equal for two worlds with the same future."""
        return Snapshot(self).key()

    def freeze(self) -> bytes:
        """Everything, as bytes; what never changes is shared."""
        target = io.BytesIO()
        _Pickler(target, pickle.HIGHEST_PROTOCOL).dump(self)
        return target.getvalue()

    def thaw(self, frozen: bytes) -> Self:
        """The world that was frozen."""
        world = pickle.loads(frozen)
        assert isinstance(world, type(self))
        return world

    # ---- fewer steps

    def steps(self) -> list[Step]:
        """All that may happen next; none when the world has come to rest."""
        found = super().steps()
        return found if self._has("late") or not self._is_waited_for() else [s for s in found if s != ("time",)]

    def _is_waited_for(self) -> bool:
        calls = [(kind, call) for worker in self.workers for (kind, _), call in worker.calls.items()]
        return any(kind != "fetch" or call.took_effect for kind, call in calls)

    def _ends(self, index: int, number: int, running: Running) -> Iterator[Step]:
        for step in super()._ends(index, number, running):
            if self.is_kind(step) or self._has("fail"):
                yield step

    def _take_finish(self, index: int, number: int, outcome: str) -> None:
        if outcome != "success":
            self.budget["fail"] -= 1
        super()._take_finish(index, number, outcome)

    # ---- more promises

    def take(self, step: Step) -> None:
        """Lets one step happen. Raises `AssertionError` where it breaks a promise."""
        if step == ("time",) and self._is_waited_for():
            self.budget["late"] -= 1
        super().take(step)
        for worker in self.workers:
            self._holds_no_lock_for_nothing(worker)
        assert self.steps() or self.is_at_rest(), "nothing can happen any more, and messages are left"

    def _holds_no_lock_for_nothing(self, worker: Worker) -> None:
        consumer = worker.consumer
        if not consumer._dispatch.flights and not consumer._deletions:
            assert not consumer._deletions._locks._holders, "a message group stays locked"

    def _ask(self, worker: Worker, event: QueueEvent) -> list[QueueAction]:
        actions = super()._ask(worker, event)
        for action in actions:
            if isinstance(action, Invoke):
                self._starts_in_order(action.batch)
        return actions

    def _starts_in_order(self, batch: Batch) -> None:
        """No message starts before those ahead of it in its group were handled, have left, or start with it."""
        started: set[str] = set()
        for record in batch.records:
            for ahead in self._ahead(record.identifier):
                assert ahead in started | self.promises.handled, f"{record.identifier} started before {ahead}"
            started.add(record.identifier)

    def _ahead(self, identifier: str) -> list[str]:
        message = self.queue.messages[identifier]
        group = [one for one in self.queue.present() if one.group is not None and one.group == message.group]
        return [one.identifier for one in group if one.position < message.position]


_SHARED: dict[int, object] = {}


def shared(key: int) -> object:
    """What never changes, by its identity."""
    return _SHARED[key]


def _share(value: object) -> tuple[object, tuple[int]]:
    _SHARED[id(value)] = value
    return shared, (id(value),)


class _Pickler(pickle.Pickler):
    dispatch_table = {Plan: _share, QueuePolicy: _share}  # noqa: RUF012 - as pickle wants it
