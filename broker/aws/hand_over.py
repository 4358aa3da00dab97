"""When a server handed over what has just been read, although this process may have slept in between.

An answer carries the server's time (`Date`, whole seconds). The smallest difference seen lately between the local
clock and that time is what the clocks and the network explain; what a later answer shows beyond it is time that the
answer spent waiting for this process: the machine was suspended, the event loop was blocked. The instant of hand-over
is moved back by that much, so that a message's visibility is not believed to last longer than it does.

The whole rule is inferred: AWS documents neither the delay nor a way to learn it. It errs to the early side, by up to
a second, because `Date` has no fraction.
"""

import math

_TOLERANCE_SECONDS = 1.5
"""Up to one second is the missing fraction of `Date`; the rest is the network's jitter."""
_MEMORY_SECONDS = 300.0
"""The minimum is that of the last one to two spans of this length: clocks drift by less than 0.1 s in such a time."""


class HandOverClock:
    """Remembers the differences of one endpoint; synchronous and pure."""

    def __init__(self) -> None:
        self._span_started_at = -math.inf
        self._smallest = math.inf
        self._smallest_before = math.inf

    def handed_over_at(self, *, now: float, sent_at: float | None, asked_at: float) -> float:
        """Estimates when the server sent the answer that has been read by `now`, in local time.

        `sent_at` is the server's `Date` (None where it gave none: then `now`), `asked_at` the instant before the
        request was sent: no answer is older. All in epoch seconds; returns an instant in `[asked_at, now]`.
        """
        if sent_at is None:
            return now
        difference = now - sent_at
        excess = difference - min(self._smallest, self._smallest_before)
        self._remember(difference, now)
        return max(now - excess, asked_at) if excess > _TOLERANCE_SECONDS else now

    def _remember(self, difference: float, now: float) -> None:
        if now - self._span_started_at > _MEMORY_SECONDS:
            self._span_started_at = now
            self._smallest_before, self._smallest = self._smallest, difference
        elif difference < self._smallest:
            self._smallest = difference
