"""SIGTERM and Ctrl-C as they arrive, whatever the event loop does: counted, passed on, and in the end obeyed.

Signals that are heard through the event loop are not heard while a handler blocks it. So they are counted between two
bytecodes of the main thread; the event loop is told when it listens. Two things then need no loop: the third signal
ends the process at once, and a thread ends it where it has not ended by itself some time after it should have.
"""

import os
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Protocol

import anyio

from broker.cli.exits import SIGNAL_BASE, ExitCode
from broker.runtime.supervisor import SETTLEMENT_GRACE_SECONDS

SIGINT = signal.SIGINT
SIGNALS = (signal.SIGTERM, SIGINT)
GRACE_SECONDS = 10.0
"""What a process may need to end after its work should have."""
SAYING_SECONDS = 1.0
"""A last line is not worth more: whoever reads it may be what is stuck."""


class Signals(Protocol):
    """Where a command hears its signals."""

    async def next(self) -> int:
        """The number of the next signal, once there is one."""
        ...


class Watchdog:
    """Ends the process where it does not end by itself."""

    def __init__(self, *, say: Callable[[str], None], leave: Callable[[int], None]) -> None:
        self._say = say
        self._leave = leave
        self._orders: SimpleQueue[tuple[float, int] | None] = SimpleQueue()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def expect_end(self, seconds: float, code: int) -> None:
        """Expects the end so many seconds from now, and no other end; signal handlers may call it."""
        self._orders.put((seconds, code))

    def stop(self) -> None:
        """Expects nothing any more."""
        self._orders.put(None)

    def _watch(self) -> None:
        order = self._orders.get()
        while order is not None:
            seconds, code = order
            try:
                order = self._orders.get(timeout=min(seconds, threading.TIMEOUT_MAX))
            except Empty:
                self._end(seconds, code)
                return

    def _end(self, seconds: float, code: int) -> None:
        text = f"the process has not ended {seconds:g} s after the signal, because a handler keeps it: it ends now"
        saying = threading.Thread(target=self._say, args=(text,), daemon=True)
        saying.start()
        saying.join(SAYING_SECONDS)
        self._leave(code)


class Interrupts:
    """Counts signals; the first and the second wind the watchdog, the third leaves."""

    def __init__(self, watchdog: Watchdog, *, drain_seconds: float, leave: Callable[[int], None]) -> None:
        self._watchdog = watchdog
        self._drain_seconds = drain_seconds
        self._leave = leave
        self._unheard: deque[int] = deque()
        self._reader, self._writer = socket.socketpair()
        self._reader.settimeout(0)
        self._writer.settimeout(0)
        self.count = 0
        """Signals so far."""

    def hear(self, number: int, _frame: FrameType | None = None) -> None:
        """A signal arrived; runs between two bytecodes of the main thread, so it takes no lock."""
        self.count += 1
        self._unheard.append(number)
        match self.count:
            case 1:
                self._watchdog.expect_end(self._drain_seconds + GRACE_SECONDS, ExitCode.OK)
            case 2:
                self._watchdog.expect_end(SETTLEMENT_GRACE_SECONDS + GRACE_SECONDS, SIGNAL_BASE + number)
            case _:
                self._leave(SIGNAL_BASE + number)

    async def next(self) -> int:
        """The number of the next signal, once there is one."""
        while not self._unheard:
            await anyio.wait_readable(self._reader)
            self._reader.recv(64)
        return self._unheard.popleft()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Hears the process's signals while the block runs. For the main thread only."""
        wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        handlers = {number: signal.signal(number, self.hear) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler or signal.SIG_DFL)
            signal.set_wakeup_fd(wakeup)
            self._reader.close()
            self._writer.close()


@contextmanager
def heard_signals(
    *, say: Callable[[str], None], drain_seconds: float, leave: Callable[[int], None] = os._exit
) -> Iterator[Interrupts]:
    """Hears signals while the block runs; once there was one, the process ends in time even after the block.

    `leave` ends the process at once; `say` gets one line before it does, from a thread, perhaps while all else stands.
    """
    watchdog = Watchdog(say=say, leave=leave)
    interrupts = Interrupts(watchdog, drain_seconds=drain_seconds, leave=leave)
    try:
        with interrupts.installed():
            yield interrupts
    finally:
        if not interrupts.count:
            watchdog.stop()
