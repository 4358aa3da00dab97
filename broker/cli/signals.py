"""SIGTERM and Ctrl-C: the first drains, the second cuts the drain short, the third does not wait for anything."""

import os
import signal
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskStatus

from broker.cli.exits import SIGNAL_BASE, ExitCode

SIGINT = signal.SIGINT
SIGNALS = (signal.SIGTERM, SIGINT)


async def run_until_drained(
    work: Callable[[], Awaitable[object]],
    drain: Callable[[], None],
    *,
    say: Callable[[str], None],
    leave: Callable[[int], None] = os._exit,
) -> int:
    """Runs `work` to its end and returns the exit code: 0, or 130 or 143 where a second signal cut it short.

    The first signal calls `drain`, which makes `work` return; the second cancels it. `leave` ends the process at once:
    the third signal's way out where cancelled work does not come to an end.
    """
    ears = _Ears(drain, say, leave)
    async with anyio.create_task_group() as tasks:
        await tasks.start(ears.listen)
        with ears.scope:
            await work()
        tasks.cancel_scope.cancel()
    return ears.exit_code


class _Ears:
    def __init__(self, drain: Callable[[], None], say: Callable[[str], None], leave: Callable[[int], None]) -> None:
        self._drain = drain
        self._say = say
        self._leave = leave
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
            case 2:
                self.exit_code = SIGNAL_BASE + number
                self.scope.cancel()
            case _:
                self._leave(SIGNAL_BASE + number)
