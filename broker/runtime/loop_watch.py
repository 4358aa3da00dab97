"""Watches the broker's event loop from another thread: who blocks it, and for how long.

Rule: a loop that has not run for five seconds is reported, with the line of code that its thread is at; again when it
has lasted twice as long, and so on. A process that was stopped as a whole is no blocked loop: where the watcher itself
was late it begins anew.
"""

import sys
import threading
from collections.abc import Callable
from math import inf

from anyio import sleep

from broker.model.observation import EventLoopBlocked
from broker.ports import Clock

BLOCKED_SECONDS = 5.0
"""Every other handler of the process waits: longer than a slow import, shorter than most time limits."""
TICKS_PER_LIMIT = 5


class LoopWatch:
    """One event loop, and the thread that it runs on."""

    def __init__(
        self,
        *,
        clock: Clock,
        observe: Callable[[EventLoopBlocked], None],
        blocked_seconds: float = BLOCKED_SECONDS,
    ) -> None:
        """`observe` is called on the watching thread."""
        self._clock = clock
        self._observe = observe
        self._blocked_seconds = blocked_seconds
        self._step_seconds = blocked_seconds / TICKS_PER_LIMIT
        self._thread_id = 0
        self._ticked_at = inf
        self._report_at = blocked_seconds

    async def tick(self) -> None:
        """In the event loop that is watched: shows that it runs."""
        self._thread_id = threading.get_ident()
        while True:
            self._ticked_at = self._clock.now()
            await sleep(self._step_seconds)

    async def watch(self) -> None:
        """In another thread's event loop: looks."""
        while True:
            looked_at = self._clock.now()
            await sleep(self._step_seconds)
            late_seconds = self._clock.now() - looked_at - self._step_seconds
            if late_seconds > self._step_seconds:
                self._ticked_at = self._clock.now()
            self._look()

    def _look(self) -> None:
        blocked = self._clock.now() - self._ticked_at
        if blocked < self._blocked_seconds:
            self._report_at = self._blocked_seconds
        elif blocked >= self._report_at:
            self._report_at = 2 * blocked
            self._observe(EventLoopBlocked(seconds=blocked, location=_location(self._thread_id)))


def _location(thread_id: int) -> str:
    """File and line of the innermost frame of a thread; empty where it has ended."""
    frame = sys._current_frames().get(thread_id)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else ""
