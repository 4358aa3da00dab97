"""When to try again: exponential back-off with jitter, from injected chance.

Rule: the n-th delay in a row lies between half and the whole of `base x 2^(n-1)`, capped. Half of it is certain, so
that an unlucky draw never makes a hot loop; the other half spreads those who failed together.
Source: inferred; AWS publishes no schedule for throttled event source mappings.
"""

from broker.core.queue_policy import BackoffPolicy


def delay_seconds(policy: BackoffPolicy, failures: int, chance: float) -> float:
    """The wait after `failures` (1 or more) failures in a row; `chance` in [0, 1)."""
    ceiling = min(policy.maximum_seconds, policy.base_seconds * 2.0 ** min(failures - 1, 40))
    return ceiling * (0.5 + chance / 2)


class Backoff:
    """Failures in a row, and the instant before which nothing is tried."""

    __slots__ = ("_policy", "failures", "until")

    def __init__(self, policy: BackoffPolicy) -> None:
        self._policy = policy
        self.failures = 0
        self.until = 0.0

    def failed(self, now: float, chance: float) -> float:
        """Counts a failure and returns the delay in seconds; what fails during a delay was begun before: no count."""
        if now >= self.until:
            self.failures += 1
            self.until = now + delay_seconds(self._policy, self.failures, chance)
        return self.until - now

    def reset(self) -> None:
        """It worked."""
        self.failures = 0
        self.until = 0.0
