"""Runs the mappings of one broker, each by itself: what stops one leaves the others running."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Protocol

from anyio import CancelScope, Event, create_task_group, current_time

from broker.model.status import MappingStatus
from broker.ports import Clock

SETTLEMENT_GRACE_SECONDS = 5.0
"""How long settlements that are under way may last beyond the end of a drain."""


class MappingRun(Protocol):
    """One mapping while its broker runs: `QueueRun`, `StreamRun`."""

    def status(self) -> MappingStatus:
        """What it shows of itself."""
        ...

    def limit_settlements(self, seconds: float) -> None:
        """Lets no settlement last longer than so many seconds from now."""
        ...

    def stop(self, deadline_at: float) -> None:
        """Begins to drain."""
        ...

    async def run(self) -> None:
        """Consumes until it has drained, or a bug stops it."""
        ...


class Supervisor:
    """All mappings of one broker."""

    def __init__(self, runs: Iterable[MappingRun], *, clock: Clock) -> None:
        self._clock = clock
        self._runs = list(runs)
        self._stopping = Event()
        self._scope = CancelScope()

    def statuses(self) -> tuple[MappingStatus, ...]:
        """One for each mapping, in the order of the file."""
        return tuple(run.status() for run in self._runs)

    @property
    def is_draining(self) -> bool:
        """Whether it was asked to stop."""
        return self._stopping.is_set()

    def drain(self, seconds: float) -> None:
        """Lets every mapping finish what it has in flight, for at most so long, and its settlements a little longer."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._scope.deadline = current_time() + seconds
        for run in self._runs:
            run.limit_settlements(seconds + SETTLEMENT_GRACE_SECONDS)
            run.stop(self._clock.now() + seconds)

    def cut_short(self) -> None:
        """Ends at once: what is being settled gets a little time, all else is cancelled and comes again."""
        self.drain(0.0)
        for run in self._runs:
            run.limit_settlements(SETTLEMENT_GRACE_SECONDS)
        self._scope.cancel()

    async def run(self) -> bool:
        """Runs until drained; False where the drain was cut short."""
        with self._scope:
            async with create_task_group() as tasks:
                for run in self._runs:
                    tasks.start_soon(run.run)
                await self._stopping.wait()
        return not self._scope.cancelled_caught

    @asynccontextmanager
    async def running(self, drain_seconds: float) -> AsyncIterator[None]:
        """Runs beside the block, and drains at its end; an error in the block cuts short."""
        async with create_task_group() as tasks:
            tasks.start_soon(self.run)
            yield
            self.drain(drain_seconds)
