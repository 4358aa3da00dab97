"""The stream of the properties, made finite: bounded failures and delays, a key for each state, copies by freezing.

One more entry of the budget: `late`, how often the clock goes on while an answer is outstanding, or beyond a lease
whose owner lives. A consumer whose lease is somebody else's by now only ends what it has begun, or hears of it.
"""

import io
import pickle
from collections import deque
from collections.abc import Iterator
from dataclasses import is_dataclass
from functools import cache
from hashlib import blake2b
from math import inf
from typing import Self

from broker.core.stream_policy import StreamPolicy
from broker.model.payload import Payload
from tests.explorer.world import _share
from tests.property.shard_world import Life, Plan, Step, World
from tests.unit.core.shard_talk import Entry

FIRST_INSTANT = 1_000_000.0
"""Worlds begin here, so that an instant is told from a duration by its size."""
UNKIND_VERBS = frozenset({"crash", "lose", "refuse", "fault", "undelivered", "stop"})
LONGEST_AGE_SECONDS = 1.0
"""What is longer past than this is simply past."""
NO_FUTURE = frozenset(
    {
        "_actions", "_journal", "_policy", "policy", "_now", "_number", "_count", "batch_count", "_start", "_epoch",
        "settled_at", "_settled_at", "behind_ms", "tip_at", "_server_offset", "_age_is_judged", "_refresh_at",
        "started_at", "overdue_since", "invocations", "payload", "name", "epoch", "_press", "_leave", "chance",
        "_answer_bytes", "is_written", "_shard_id", "children", "response", "trigger", "since", "start_before",
    }
)  # fmt: skip
"""Fields without a future in these worlds: what was said and counted, what never changes, what only tells."""


class SmallShardWorld(World):
    """A world to be explored."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan, now=FIRST_INSTANT)

    # ---- what the search needs

    def is_kind(self, step: Step) -> bool:
        """Whether nothing goes wrong in this step."""
        return step[-1] == "success" if step[0] == "finish" else step[0] not in UNKIND_VERBS

    def is_at_rest(self) -> bool:
        """Whether every shard is finished."""
        return all(shard.checkpoint.finished for shard in self.shards.values())

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
        return [step for step in found if step != ("time",)] if self._is_late() and not self._has("late") else found

    def _is_late(self) -> bool:
        """Whether time would go on though somebody is waited for."""
        then = self._next_instant()
        for life in self.lives.values():
            if life.reads or life.saving or life.running or life.stuck or life.discards:
                return True
            if then is not None and self._owner(life.shard) is life and then >= life.shard.trusted_until:
                return True
        return False

    def _steps_of(self, life: Life) -> Iterator[Step]:
        is_superseded = self._owner(life.shard) is not life
        for step in super()._steps_of(life):
            if not is_superseded or step[0] in {"finish", "returned", "save", "sent"}:
                yield step
        if is_superseded:
            yield "notice", life.name

    def _take_notice(self, name: int) -> None:
        """It hears that its lease is somebody else's."""
        del self.lives[name]

    # ---- more promises

    def take(self, step: Step) -> None:
        """Lets one step happen. Raises `AssertionError` where it breaks a promise."""
        if step == ("time",) and self._is_late():
            self.budget["late"] -= 1
        super().take(step)
        for name, shard in self.shards.items():
            if shard.checkpoint.finished:
                lost = [r for at, r in enumerate(shard.records) if (name, at) not in self.promises.settled]
                assert not lost, f"{lost} are lost"
        assert self.steps() or self.is_at_rest(), "nothing can happen any more, and a shard is not finished"


class Snapshot:
    """Makes the key of a world's state: instants count from now, numbers in the order in which they are met."""

    def __init__(self, world: SmallShardWorld) -> None:
        self._world = world
        self._numbers: dict[tuple[int, int], int] = {}
        self._met: dict[int, int] = {}
        self._life = 0

    def key(self) -> bytes:
        """A digest of all that matters."""
        world = self._world
        shards = [
            (shard.name, self._value(shard.checkpoint), self._value(shard.trusted_until), bool(shard.epoch))
            for shard in world.shards.values()
        ]
        lives = [self._of(index, life) for index, life in enumerate(world.lives.values())]
        budget = sorted(world.budget.items())
        books = sorted(world.promises.settled)
        turn = world._begun % len(world.plan.factors), world._chances % len(world.plan.chances)
        return blake2b(repr((shards, lives, budget, books, turn)).encode(), digest_size=16).digest()

    def _of(self, index: int, life: Life) -> object:
        self._life = index
        running = [(self._number(number), [r.identifier for r in b.records]) for number, b in life.running.items()]
        discards = [(self._number(-number), [r.identifier for r in life.given_up[number]]) for number in life.discards]
        return (
            life.shard.name,
            life.policy.factor,
            life.start_epoch - life.shard.epoch,
            self._value(life.start),
            bool(life.reads),
            self._value(life.saving),
            running,
            sorted(self._number(number) for number in life.stuck),
            discards,
            life.is_stopping,
            sorted(life.settled),
            sorted(life.failures.items()),
            life.last_place,
            life.reader_at,
            self._value(life.consumer),
        )

    def _number(self, number: int) -> int:
        return self._numbers.setdefault((self._life, number), len(self._numbers))

    def _value(self, value: object, name: str = "") -> object:
        match value:
            case None | bool() | str() | bytes():
                return value
            case int():
                return self._number(value) if name == "number" and value else value
            case float():
                return max(value - self._world.now, -LONGEST_AGE_SECONDS) if FIRST_INSTANT / 2 < value < inf else value
            case tuple() | list() | deque():
                return [self._value(one) for one in value]
            case dict():
                return [(self._number(key), self._value(one)) for key, one in value.items()]
            case Entry():
                return value.identifier
            case _:
                return self._object(value)

    def _object(self, value: object) -> object:
        if id(value) in self._met:
            return f"#{self._met[id(value)]}"
        if not is_dataclass(value):
            self._met[id(value)] = len(self._met)
        fields = [name for name in _fields(type(value), value) if name not in NO_FUTURE]
        return type(value).__name__, [self._value(getattr(value, name), name) for name in fields]


def _fields(kind: type, value: object) -> tuple[str, ...]:
    return tuple(vars(value)) if hasattr(value, "__dict__") else _slots(kind)


@cache
def _slots(kind: type) -> tuple[str, ...]:
    return tuple(getattr(kind, "__slots__", ()))


def _forget(payload: Payload) -> tuple[type[Payload], tuple[()]]:
    return Payload, ()


class _Pickler(pickle.Pickler):
    dispatch_table = {Plan: _share, StreamPolicy: _share, Entry: _share, Payload: _forget}  # noqa: RUF012 - as pickle wants it
