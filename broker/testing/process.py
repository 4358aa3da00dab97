"""A process that can be killed, or stopped for a while.

What it has not settled stays hidden in a queue until its visibility timeout brings it back, and is read again from a
stream by whoever takes its leases.

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

import math
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVarTuple, overload

import anyio
import anyio.lowlevel

from broker.errors import SourceError
from broker.testing.faults import pause
from broker.testing.queue_source import InMemoryQueueSource
from broker.testing.queues import InMemoryQueue
from broker.testing.stream_source import InMemoryStreamSource
from broker.testing.streams import InMemoryStream

_Arguments = TypeVarTuple("_Arguments")


@dataclass(frozen=True, slots=True)
class _Moment:
    operation: str
    number: int
    answered: bool


class Process:
    """One process as queues and streams see it. After its crash no call of its sources reaches them.

    Functions on worker threads are not killed; shielded scopes end because their calls fail at once.
    """

    def __init__(self) -> None:
        self.crashed = False
        self._scopes: set[anyio.CancelScope] = set()
        self._moments: set[_Moment] = set()
        self._calls: Counter[tuple[str, bool]] = Counter()
        self._paused_until = -math.inf

    @overload
    def connect(self, source: InMemoryQueue) -> InMemoryQueueSource: ...

    @overload
    def connect(self, source: InMemoryStream, *, consumer: str | None = None) -> InMemoryStreamSource: ...

    def connect(
        self, source: InMemoryQueue | InMemoryStream, *, consumer: str | None = None
    ) -> InMemoryQueueSource | InMemoryStreamSource:
        """A source that belongs to this process; `consumer` as `InMemoryStreamSource` takes it."""
        if isinstance(source, InMemoryQueue):
            return InMemoryQueueSource(source, line=self)
        return InMemoryStreamSource(source, line=self, consumer=consumer)

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

    def crash_at(self, operation: str, *, number: int = 1, answered: bool = False) -> None:
        """Kills the process at its `number`th call of a kind: before it takes effect, or after, before its reply."""
        self._moments.add(_Moment(operation, number, answered))

    def pause_process(self, seconds: float) -> None:
        """Stops the process: its calls, and answers that are on the way, do not get through before it goes on.

        As near to SIGSTOP as one event loop comes: whatever asks nobody (a handler, a timer) runs on meanwhile. Let
        such a function begin with `await process.passes("handler", answered=False)` to stop it too.
        """
        self._paused_until = max(self._paused_until, anyio.current_time() + seconds)

    async def passes(self, operation: str, *, answered: bool) -> None:
        """A source's call or its answer is on the way. Raises `SourceError` where the process is dead."""
        self._calls[operation, answered] += 1
        if _Moment(operation, self._calls[operation, answered], answered) in self._moments:
            self.crash()
        while not self.crashed and (left := self._paused_until - anyio.current_time()) > 0:
            await pause(left)
        if self.crashed:
            await anyio.lowlevel.checkpoint()
            raise SourceError(f"The process that called {operation} has crashed.", retryable=False)


def _is_more_than_a_dead_line(error: SourceError | ExceptionGroup[Exception]) -> bool:
    return isinstance(error, ExceptionGroup) and error.split(SourceError)[1] is not None
