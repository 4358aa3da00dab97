"""How many batches of one queue mapping may be in flight, and how many receives may be out.

Rule: start with 5 concurrent batches; while receives come back full, grow by 300 a minute up to 1,250, to
`MaximumConcurrency` or to what the function can take; with an empty queue fall back to 5 and poll with 2. A throttle
halves the limit, and so does a function error unless the mapping reports batch item failures; successes win it back
one by one.

How it works: `limit` is a real number that is read as its floor. Growth is rate x time, where the time between two
full receives counts at most a second: an idle hour earns nothing. At most one reduction a second, so that fifty
batches that fail together count as one event.

Where several processes share the maximum, each has a part of it that is certain up to an instant; beyond that it has
none. What a part takes away is gone at once; what a new part adds is there to be grown into, as at the start.

Invariants: limit <= maximum, and 1 <= limit unless the maximum is 0; without an error limit >= min(floor, maximum).

Source: AWS Lambda Developer Guide, "Configuring scaling behavior for SQS event source mappings" (read November 2026).
The schedule of reductions and recoveries is not published: inferred.
"""

from broker.core.queue_policy import ScalingPolicy

LONGEST_EARNING_GAP_SECONDS = 1.0
SHORTEST_REDUCTION_GAP_SECONDS = 1.0


class ConcurrencyScale:
    """The concurrency limit of one mapping."""

    __slots__ = ("_full_at", "_goal", "_idle", "_limit", "_policy", "_reduced_at", "certain_until", "maximum")

    def __init__(self, policy: ScalingPolicy) -> None:
        self._policy = policy
        self.maximum = 0 if policy.is_shared else policy.maximum
        """Batches that may ever be in flight: of a shared maximum, this process's part."""
        self.certain_until = float("inf")
        """When the part ends, unless it is extended."""
        self._limit = float(min(policy.initial, self.maximum))
        self._goal = self._limit
        self._idle = False
        self._full_at = float("-inf")
        self._reduced_at = float("-inf")

    def share(self, maximum: int, until_at: float) -> None:
        """This process's part of the maximum."""
        self.certain_until = until_at
        self._cap(min(maximum, self._policy.maximum))

    def pass_time(self, now: float) -> None:
        """It is `now`: a part that is no longer certain is none."""
        if now >= self.certain_until:
            self._cap(0)

    def _cap(self, maximum: int) -> None:
        if maximum == self.maximum:
            return
        self.maximum = maximum
        is_reduced = self._limit < self._goal
        self._goal = max(min(self._goal, float(maximum)), self._initial)
        self._limit = min(self._limit, self._goal) if is_reduced else self._goal

    @property
    def _initial(self) -> float:
        return float(min(self._policy.initial, self.maximum))

    @property
    def limit(self) -> int:
        """Batches that may be in flight now."""
        return int(self._limit)

    @property
    def pollers(self) -> int:
        """Receives that may be out now."""
        return min(self.limit, self._policy.idle_pollers) if self._idle else self.limit

    def fetched(self, count: int, asked: int, now: float) -> None:
        """A receive brought `count` of the `asked` messages."""
        self._idle = count == 0
        if count == 0:
            self._fall_back()
        elif count >= asked:
            self._grow(now)

    def _fall_back(self) -> None:
        self._limit = min(self._limit, self._initial)
        self._goal = min(self._goal, self._initial)

    def _grow(self, now: float) -> None:
        earned = min(now - self._full_at, LONGEST_EARNING_GAP_SECONDS) * self._policy.growth_per_second
        self._full_at = now
        if self._limit >= self._goal:
            self._limit = self._goal = min(self._limit + earned, float(self.maximum))

    def succeeded(self) -> None:
        """An invocation succeeded: a reduced limit recovers by one."""
        recovered = max(self._limit + 1.0, float(self._policy.floor))
        self._limit = max(self._limit, min(recovered, self._goal))

    def failed(self, now: float) -> None:
        """The function failed."""
        if self._policy.reduce_on_error:
            self._reduce(now, floor=1.0)

    def throttled(self, now: float) -> None:
        """The function was throttled or could not be reached."""
        self._reduce(now, floor=float(min(self._policy.floor, self.maximum)))

    def _reduce(self, now: float, *, floor: float) -> None:
        if now - self._reduced_at >= SHORTEST_REDUCTION_GAP_SECONDS:
            self._reduced_at = now
            self._limit = max(min(floor, self._limit), self._limit / 2)
