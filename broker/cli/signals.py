"""SIGTERM and Ctrl-C: the first drains, the second cuts the drain short, the third does not wait for anything."""

import os
import signal
import sys
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskStatus

from broker.cli.exits import SIGNAL_BASE, ExitCode

SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def run_until_drained(
    work: Callable[[], Awaitable[None]], drain: Callable[[int], None], *, leave: Callable[[int], None] = os._exit
) -> int:
    """Runs `work` to its end and returns the exit code: 0, or 130 or 143 where a second signal cut it short.

    `drain` is called at the first signal, with the signal's number, and makes `work` return. `leave` ends the process
    at once: the third signal's way out where cancelled work does not come to an end.
    """
    run = _Run(drain, leave)
    async with anyio.create_task_group() as tasks:
        await tasks.start(run.listen)
        with run.scope:
            await work()
        tasks.cancel_scope.cancel()
    return run.exit_code


class _Run:
    def __init__(self, drain: Callable[[int], None], leave: Callable[[int], None]) -> None:
        self._drain = drain
        self._leave = leave
        self.scope = anyio.CancelScope()
        self.exit_code: int = ExitCode.OK

    async def listen(self, *, task_status: TaskStatus[None]) -> None:
        count = 0
        with anyio.open_signal_receiver(*SIGNALS) as received:
            task_status.started()
            async for number in received:
                count += 1
                self._hear(count, number)

    def _hear(self, count: int, number: int) -> None:
        match count:
            case 1:
                self._drain(number)
            case 2:
                self.exit_code = SIGNAL_BASE + number
                self.scope.cancel()
            case _:
                sys.stderr.flush()
                self._leave(SIGNAL_BASE + number)
