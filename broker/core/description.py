"""What a consumer knows of its queue, and the visibility timeout that every receive passes.

Rule: the queue's attributes are read at the start and each minute. As AWS refuses to create a mapping whose function
may run longer than the queue's visibility timeout, ours does not begin with such a queue, unless a heartbeat extends
the visibility; one that becomes so later is only warned of. With a batching window that would outlast the visibility
timeout, AWS enlarges it for its receives.

Invariant: at most one read is outstanding.

Source: AWS Lambda Developer Guide, "Configuring a queue to use with Lambda" (text of 2022 for the enlarged timeout,
read November 2026). The minute is inferred.
"""

from math import ceil

from broker.core.events import Describe
from broker.core.queue_policy import QueuePolicy
from broker.core.retry import Backoff
from broker.model.observation import VisibilityTooShort
from broker.model.queue_mapping import visibility_mistake
from broker.model.record import QueueAttributes

SHORTEST_SECONDS = 1
"""A receive that hid nothing would bring the same messages for ever, and each of them too late."""


class Description:
    """The attributes of one queue, kept current."""

    __slots__ = ("_backoff", "_policy", "attributes", "due_at", "outstanding")

    def __init__(self, policy: QueuePolicy) -> None:
        self._policy = policy
        self._backoff = Backoff(policy.source_backoff)
        self.attributes: QueueAttributes | None = None
        """None until a queue has been found that the mapping may begin with."""
        self.outstanding = False
        self.due_at = float("-inf")
        """When the attributes are read next."""

    def due(self, now: float) -> list[Describe]:
        """The read to start now, if any."""
        if self.outstanding or now < self.due_at:
            return []
        self.outstanding = True
        return [Describe()]

    def described(self, attributes: QueueAttributes, now: float) -> str | VisibilityTooShort | None:
        """The attributes were read: the problem that keeps the mapping from beginning, a warning, or nothing."""
        self.outstanding = False
        self.due_at = now + self._policy.describe_seconds
        self._backoff.reset()
        visibility, before = attributes.visibility_timeout_seconds, self.attributes
        problem = visibility_problem(attributes, self._policy)
        if problem is None or before is not None:
            self.attributes = attributes
        if before is None or problem is None or before.visibility_timeout_seconds == visibility:
            return problem if before is None else None
        timeout = self._policy.function_timeout_seconds
        return VisibilityTooShort(visibility_timeout_seconds=visibility, function_timeout_seconds=timeout)

    def failed(self, now: float, chance: float) -> float:
        """The attributes could not be read; returns the delay in seconds."""
        self.outstanding = False
        delay = self._backoff.failed(now, chance)
        self.due_at = now + delay
        return delay

    @property
    def is_failing(self) -> bool:
        """Whether the last read failed."""
        return self._backoff.failures > 0

    @property
    def visibility_seconds(self) -> int:
        """The queue's visibility timeout, or the larger one that AWS uses where a window would outlast it."""
        queue = max(self.attributes.visibility_timeout_seconds, SHORTEST_SECONDS) if self.attributes else 0
        needed = self._policy.window_seconds + ceil(self._policy.function_timeout_seconds)
        return needed + self._policy.window_margin_seconds if self._policy.window_seconds and needed > queue else queue


def visibility_problem(attributes: QueueAttributes, policy: QueuePolicy) -> str | None:
    """Why a mapping may not begin with such a queue, in AWS's words; None where it may."""
    if policy.heartbeat:
        return None
    return visibility_mistake(attributes.visibility_timeout_seconds, policy.function_timeout_seconds)
