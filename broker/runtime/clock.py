"""Elapsed time that a suspended machine counts too."""

import time

_ELAPSED = getattr(time, "CLOCK_BOOTTIME", None)


def _elapsed() -> float:
    return time.monotonic() if _ELAPSED is None else time.clock_gettime(_ELAPSED)


class SystemClock:
    """Epoch seconds: the wall clock read once, and what has elapsed since. It never goes back."""

    def __init__(self) -> None:
        self._epoch = time.time() - _elapsed()

    def now(self) -> float:
        """Epoch seconds, UTC."""
        return self._epoch + _elapsed()
