"""Enumerates every state that a world can reach, and says how it came to the first that breaks a promise.

Breadth first, so the history that is shown is a shortest one. A state that was met before, by its `key`, is not
entered again. When all are known, one question remains that no single state answers: does a way in which nothing more
goes wrong lead from each of them to rest?
"""

from array import array
from collections import deque
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol, Self

Step = tuple[object, ...]
"""What may happen in a world; printed as it is."""


class ExploredWorld(Protocol):
    """What the search needs of a world."""

    def steps(self) -> list[Step]:
        """All that may happen next."""

    def take(self, step: Step) -> None:
        """Lets one of the steps happen. Raises `AssertionError` where it breaks a promise."""

    def is_kind(self, step: Step) -> bool:
        """Whether nothing goes wrong in this step."""

    def is_at_rest(self) -> bool:
        """Whether all that had to be done is done."""

    def key(self) -> bytes:
        """Equal for two worlds with the same future."""

    def freeze(self) -> bytes:
        """Everything, as bytes."""

    def thaw(self, frozen: bytes) -> Self:
        """The world that was frozen."""


@dataclass(frozen=True, slots=True)
class Report:
    """How large a world was."""

    states: int
    transitions: int
    resting: int
    """States at rest."""
    depth: int
    """Steps to the state that is farthest away."""
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.states} states, {self.transitions} transitions, {self.resting} at rest, "
            f"{self.depth} steps deep, {self.seconds:.1f} s"
        )


class Violation(AssertionError):
    """A promise can be broken; the message ends with a shortest history that does it."""

    def __init__(self, problem: str, history: list[Step]) -> None:
        lines = [f"{number:3} {' '.join(map(str, step))}" for number, step in enumerate(history, 1)]
        super().__init__("\n".join([problem, f"after {len(history)} steps:", *lines]))
        self.history = history


class Explorer:
    """One search."""

    def __init__(self, world: ExploredWorld, most_states: int) -> None:
        self._world = world
        self._most_states = most_states
        self._indices: dict[bytes, int] = {}
        self._came_from: list[tuple[int, Step]] = []
        self._depths = array("I")
        self._resting = bytearray()
        self._edges_from, self._edges_to = array("I"), array("I")
        self._frontier: deque[tuple[int, bytes]] = deque()
        self._transitions = 0

    def explore(self) -> Report:
        """Visits every state. Raises `Violation` at the first that breaks a promise or leads nowhere."""
        began_at = perf_counter()
        self._reach(self._world, -1, ())
        while self._frontier:
            index, frozen = self._frontier.popleft()
            self._expand(index, frozen)
        resting = sum(self._resting)
        self._check_that_all_can_rest()
        return Report(
            states=len(self._indices),
            transitions=self._transitions,
            resting=resting,
            depth=self._depths[-1],
            seconds=perf_counter() - began_at,
        )

    def _expand(self, index: int, frozen: bytes) -> None:
        for step in self._world.thaw(frozen).steps():
            world = self._world.thaw(frozen)
            try:
                world.take(step)
            except AssertionError as error:
                raise Violation(str(error), [*self._history(index), step]) from error
            self._transitions += 1
            reached = self._reach(world, index, step)
            if world.is_kind(step):
                self._edges_from.append(index)
                self._edges_to.append(reached)

    def _reach(self, world: ExploredWorld, before: int, step: Step) -> int:
        key = world.key()
        known = self._indices.get(key)
        if known is not None:
            return known
        index = self._indices[key] = len(self._indices)
        assert index < self._most_states, f"more than {self._most_states} states"
        self._came_from.append((before, step))
        self._depths.append(self._depths[before] + 1 if before >= 0 else 0)
        self._resting.append(world.is_at_rest())
        self._frontier.append((index, world.freeze()))
        return index

    def _history(self, index: int) -> list[Step]:
        history: list[Step] = []
        while index > 0:
            index, step = self._came_from[index]
            history.append(step)
        return history[::-1]

    def _check_that_all_can_rest(self) -> None:
        """Goes back from the states at rest until nothing is added."""
        can_rest, changed = self._resting, True
        while changed:
            changed = False
            for source, target in zip(reversed(self._edges_from), reversed(self._edges_to), strict=True):
                if can_rest[target] and not can_rest[source]:
                    can_rest[source] = changed = True
        if 0 in can_rest:
            raise Violation("nothing leads from here to rest", self._history(can_rest.index(0)))
