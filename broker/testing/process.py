"""A process that can be killed: what it has not settled stays hidden until its visibility timeout brings it back.

>>> import anyio
>>> from broker.testing import InMemoryQueue, Process, VirtualClock, run_in_virtual_time
>>> async def main() -> tuple[int, int]:
...     queue = InMemoryQueue("orders", clock=VirtualClock())
...     queue.send("hello")
...     process = Process()
...     source = process.connect(queue)
...     async def consume() -> None:
...         records = await source.receive(
...             maximum_count=10, wait_seconds=20, visibility_timeout_seconds=30, attempt_id=None
...         )
...         await anyio.sleep(10)  # the handler
...         await source.delete(records)
...     async with anyio.create_task_group() as tasks:
...         tasks.start_soon(process.run, consume)
...         await anyio.sleep(3)
...         process.crash()
...     hidden = queue.in_flight_count
...     await anyio.sleep(27)
...     return hidden, queue.visible_count
>>> run_in_virtual_time(main)
(1, 1)
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVarTuple

import anyio
import anyio.lowlevel

from broker.errors import SourceError
from broker.testing.queue_faults import Operation
from broker.testing.queue_source import InMemoryQueueSource
from broker.testing.queues import InMemoryQueue

_Arguments = TypeVarTuple("_Arguments")


@dataclass(frozen=True, slots=True)
class _Moment:
    operation: Operation
    number: int
    answered: bool


class Process:
    """One process as the queues see it. After its crash no call of its sources reaches a queue.

    Functions on worker threads are not killed; shielded scopes end because their calls fail at once.
    """

    def __init__(self) -> None:
        self.crashed = False
        self._scopes: set[anyio.CancelScope] = set()
        self._moments: set[_Moment] = set()
        self._calls: Counter[tuple[Operation, bool]] = Counter()

    def connect(self, queue: InMemoryQueue) -> InMemoryQueueSource:
        """A source that belongs to this process."""
        return InMemoryQueueSource(queue, line=self)

    async def run(self, main: Callable[[*_Arguments], Awaitable[object]], *args: *_Arguments) -> None:
        """Runs what the process does, until it ends or the process crashes. What a dead process raises nobody hears."""
        try:
            with anyio.CancelScope() as scope:
                self._scopes.add(scope)
                if self.crashed:
                    scope.cancel()
                await main(*args)
        except (SourceError, ExceptionGroup) as error:
            if not self.crashed or _is_more_than_a_dead_line(error):
                raise

    def crash(self) -> None:
        """Kills the process: nothing is settled, nothing is said."""
        self.crashed = True
        for scope in self._scopes:
            scope.cancel()

    def crash_at(self, operation: Operation, *, number: int = 1, answered: bool = False) -> None:
        """Kills the process at its `number`th call of a kind: before it takes effect, or after, before its reply."""
        self._moments.add(_Moment(operation, number, answered))

    async def passes(self, operation: Operation, *, answered: bool) -> None:
        """A source's call or its answer is on the way. Raises `SourceError` where the process is dead."""
        self._calls[operation, answered] += 1
        if _Moment(operation, self._calls[operation, answered], answered) in self._moments:
            self.crash()
        if self.crashed:
            await anyio.lowlevel.checkpoint()
            raise SourceError(f"The process that called {operation} has crashed.", retryable=False)


def _is_more_than_a_dead_line(error: SourceError | ExceptionGroup[Exception]) -> bool:
    return isinstance(error, ExceptionGroup) and error.split(SourceError)[1] is not None
