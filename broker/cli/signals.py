"""SIGTERM and Ctrl-C: the first drains, the second cuts the drain short, the third does not wait for anything.

Cancelled work has a moment to settle. A handler that catches its cancellation and goes on, or a service that does not
answer a delete, has no more than that: the process then ends regardless.
"""

import math
import os
import signal
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup, TaskStatus

from broker.cli.exits import SIGNAL_BASE, ExitCode

SIGINT = signal.SIGINT
SIGNALS = (signal.SIGTERM, SIGINT)
LEAVING_SECONDS = 5.0
"""What cancelled work has to come to an end."""


async def run_until_drained(
    work: Callable[[], Awaitable[object]],
    drain: Callable[[], None],
    *,
    say: Callable[[str], None],
    drain_seconds: float = math.inf,
    leave: Callable[[int], None] = os._exit,
) -> int:
    """Runs `work` to its end and returns the exit code: 0, or 130 or 143 where a second signal cut it short.

    The first signal calls `drain`, which makes `work` return, within `drain_seconds` if it is well; the second cancels
    it. `leave` ends the process at once: the third signal's way out, and everybody's where cancelled work does not come
    to an end.
    """
    async with anyio.create_task_group() as tasks:
        ears = _Ears(drain, say, _Exit(tasks, leave), drain_seconds)
        await tasks.start(ears.listen)
        with ears.scope:
            await work()
        tasks.cancel_scope.cancel()
    return ears.exit_code


class _Exit:
    """The way out that asks nobody."""

    def __init__(self, tasks: TaskGroup, leave: Callable[[int], None]) -> None:
        self._tasks = tasks
        self.leave = leave

    def leave_after(self, seconds: float, code: int) -> None:
        self._tasks.start_soon(self._wait_and_leave, seconds, code)

    async def _wait_and_leave(self, seconds: float, code: int) -> None:
        await anyio.sleep(seconds)
        self.leave(code)


class _Ears:
    def __init__(
        self, drain: Callable[[], None], say: Callable[[str], None], way_out: _Exit, drain_seconds: float
    ) -> None:
        self._drain = drain
        self._say = say
        self._exit = way_out
        self._drain_seconds = drain_seconds
        self._heard = 0
        self.scope = anyio.CancelScope()
        self.exit_code: int = ExitCode.OK

    async def listen(self, *, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(*SIGNALS) as received:
            task_status.started()
            async for number in received:
                self._heard += 1
                self._hear(number)

    def _hear(self, number: int) -> None:
        match self._heard:
            case 1:
                self._say("what is in flight finishes; a second signal ends at once")
                self._drain()
                self._exit.leave_after(self._drain_seconds + LEAVING_SECONDS, self.exit_code)
            case 2:
                self.exit_code = SIGNAL_BASE + number
                self.scope.cancel()
                self._exit.leave_after(LEAVING_SECONDS, self.exit_code)
            case _:
                self._exit.leave(SIGNAL_BASE + number)
