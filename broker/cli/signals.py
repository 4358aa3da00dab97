"""What signals do: the first drains, the second cuts the drain short, the third does not wait for anything.

The third is not heard of here: it ends the process where it arrives.
"""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from broker.cli.exits import SIGNAL_BASE, ExitCode
from broker.cli.interrupts import Signals, heard_signals
from broker.runtime.supervisor import SETTLEMENT_GRACE_SECONDS

START_SECONDS = 1.0
"""What work that has not begun to consume may take longer than settlements do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """The two ways to end what runs, and what is said of it."""

    drain: Callable[[], None]
    """Lets it finish what is in flight."""
    cut_short: Callable[[], None]
    """Lets it settle for a few seconds, no more."""
    say: Callable[[str], None]
    """Gets a line when the drain begins."""
    last_words: Callable[[str], None]
    """Gets a line where the process does not end by itself; called from a thread, perhaps while all else stands."""
    drain_seconds: float
    """How long the drain may last."""


async def run_until_drained(
    work: Callable[[], Awaitable[object]], stopping: Stopping, *, leave: Callable[[int], None] = os._exit
) -> int:
    """Runs `work` to its end and returns the exit code: 0, or 130 or 143 where a second signal cut it short."""
    with heard_signals(say=stopping.last_words, drain_seconds=stopping.drain_seconds, leave=leave) as signals:
        return await conduct(work, stopping, signals)


async def conduct(work: Callable[[], Awaitable[object]], stopping: Stopping, signals: Signals) -> int:
    """The same, on signals from anywhere."""
    ears = _Ears(stopping, signals)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ears.listen)
        with ears.scope:
            await work()
        tasks.cancel_scope.cancel()
    return ears.exit_code


class _Ears:
    def __init__(self, stopping: Stopping, signals: Signals) -> None:
        self._stopping = stopping
        self._signals = signals
        self.scope = anyio.CancelScope()
        """Around the work; cancelled where it began nothing that could be cut short."""
        self.exit_code: int = ExitCode.OK

    async def listen(self) -> None:
        await self._signals.next()
        self._stopping.say("what is in flight finishes; a second signal ends at once")
        self._stopping.drain()
        number = await self._signals.next()
        self.exit_code = SIGNAL_BASE + number
        self._stopping.cut_short()
        await anyio.sleep(SETTLEMENT_GRACE_SECONDS + START_SECONDS)
        self.scope.cancel()
