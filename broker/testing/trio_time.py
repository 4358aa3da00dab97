"""The trio half of virtual time; imported only where trio runs."""

import contextlib
import math
import threading
import time

import trio
import trio.testing


def make_clock() -> trio.testing.MockClock:
    """A clock at 0 that jumps as soon as every task is blocked."""
    return trio.testing.MockClock(autojump_threshold=0)


class TrioTime:
    """The time of the trio run that is current when this is made; where it is not virtual, nothing can be held."""

    def __init__(self) -> None:
        clock = trio.lowlevel.current_clock()
        self._mock = clock if isinstance(clock, trio.testing.MockClock) else None
        self._threshold = self._mock.autojump_threshold if self._mock else math.inf
        self._token = trio.lowlevel.current_trio_token()
        self._holds = 0
        self.time = clock.current_time

    def hold(self) -> None:
        """See `RunTime`."""
        self._holds += 1
        self._apply()

    def release(self) -> None:
        """See `RunTime`."""
        self._holds -= 1
        self._apply()

    def _apply(self) -> None:
        if self._mock is not None:
            self._mock.autojump_threshold = math.inf if self._holds > 0 else self._threshold

    def hold_from_thread(self) -> None:
        """See `RunTime`."""
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self.hold)

    def release_from_thread(self) -> None:
        """See `RunTime`."""
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self.release)

    def sleep(self, seconds: float) -> None:
        """See `RunTime`."""
        if self._mock is None:
            time.sleep(seconds)
            return
        woken = threading.Event()
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(trio.lowlevel.spawn_system_task, self._wake_later, seconds, woken)
            woken.wait()

    async def _wake_later(self, seconds: float, sleeper: threading.Event) -> None:
        self.release()
        try:
            await trio.sleep(seconds)
        finally:
            self.hold()
            sleeper.set()
