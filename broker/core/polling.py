"""When to receive, and how many messages.

Rule: a receive asks for no more than can start at once: the batches that may still start, less what waits and what
other receives may bring. A queue that cannot be read is left alone with back-off, and then one receive tries. A FIFO
receive whose reply was lost is repeated with the same attempt id, so that it brings the same messages. A receive that
brought nothing though it did not wait is not followed at once by the next.

How it works: without a window each receive fills whole batches of its own, so it takes as many slots as its count
needs; with a window all receives fill one batch. The extensions are two gates: a token bucket of records (what a
receive did not bring is given back) and a circuit breaker (after its pause one batch tries).

Invariants: what is out, what waits and what runs together fit the slots that were free when each receive was planned;
a repetition keeps its attempt number, count and visibility timeout.

Source: AWS Lambda Developer Guide, "Configuring scaling behavior for SQS event source mappings"; Amazon SQS API,
ReceiveMessage, ReceiveRequestAttemptId (read November 2026). That no message is received that could not start is
inferred from the documented effect of `MaximumConcurrency`.
"""

from broker.core.events import Fetch, FetchFailed
from broker.core.queue_policy import CircuitBreakerPolicy, QueuePolicy
from broker.core.retry import Backoff
from broker.core.scaling import ConcurrencyScale

MESSAGES_PER_RECEIVE = 10
"""Most messages that one ReceiveMessage brings."""
ATTEMPT_LIFE_SECONDS = 300.0
"""How long SQS remembers a `ReceiveRequestAttemptId`."""
SHORTEST_EMPTY_SECONDS = 1.0
"""How far apart receives of an empty queue begin at least, where the queue does not let them wait."""
EARLY_SECONDS = 1e-6
"""Instants of this century, as floats, are no finer than a quarter of this: what is due so soon is due."""


class TokenBucket:
    """Records that may still be received, refilled at a steady rate; at most one second's worth, and at least one."""

    __slots__ = ("_at", "_rate", "_tokens")

    def __init__(self, records_per_second: float) -> None:
        self._rate = records_per_second
        self._tokens = max(records_per_second, 1.0)
        self._at = float("inf")

    def available(self, now: float) -> int:
        """Whole tokens at this instant."""
        self._tokens = min(self._tokens + max(now - self._at, 0.0) * self._rate, max(self._rate, 1.0))
        self._at = now
        return int(self._tokens + self._rate * EARLY_SECONDS)

    def take(self, count: int) -> None:
        """Removes tokens; a negative count gives them back."""
        self._tokens -= count

    @property
    def next_at(self) -> float:
        """When there is a whole token again."""
        return self._at + max(1.0 - self._tokens, 0.0) / self._rate


class CircuitBreaker:
    """Counts invocations in a row that found the target down, and pauses."""

    __slots__ = ("_failures", "_policy", "until")

    def __init__(self, policy: CircuitBreakerPolicy) -> None:
        self._policy = policy
        self._failures = 0
        self.until = float("-inf")

    def failed(self, now: float) -> bool:
        """The target was throttled or unavailable; True where the circuit opens now."""
        self._failures += 1
        opens = self._failures >= self._policy.consecutive_failures and now >= self.until
        if opens:
            self.until = now + self._policy.pause_seconds
        return opens

    def succeeded(self) -> bool:
        """The target ran the handler; True where the circuit had been open."""
        was_open = self.is_tripped
        self._failures = 0
        self.until = float("-inf")
        return was_open

    def limit(self, limit: int, now: float) -> int:
        """Batches that may be in flight, of the `limit` that there would be without it."""
        if not self.is_tripped:
            return limit
        return 0 if now < self.until else 1

    @property
    def is_tripped(self) -> bool:
        """Whether the target has not answered since the circuit opened."""
        return self._failures >= self._policy.consecutive_failures


class Polling:
    """The receives of one consumer."""

    __slots__ = (
        "_asked",
        "_asked_slots",
        "_attempts",
        "_number",
        "_policy",
        "_quiet_until",
        "_repeats",
        "_scale",
        "_started_at",
        "backoff",
        "outstanding",
        "rate",
    )

    def __init__(self, policy: QueuePolicy, scale: ConcurrencyScale) -> None:
        self._policy = policy
        self._scale = scale
        self._number = 0
        self._attempts = 0
        self._quiet_until = 0.0
        self._repeats: list[Fetch] = []
        self._started_at: dict[int, float] = {}
        self._asked = 0
        self._asked_slots = 0
        self.outstanding: dict[int, Fetch] = {}
        self.backoff = Backoff(policy.source_backoff)
        self.rate = TokenBucket(policy.records_per_second) if policy.records_per_second else None

    def plan(self, *, free_slots: int, buffered: int, wait_seconds: int, visibility: int, now: float) -> list[Fetch]:
        """The receives to start now."""
        fetches: list[Fetch] = []
        most = min(self._scale.pollers, 1) if self.backoff.failures else self._scale.pollers
        while now >= self._closed_until and len(self.outstanding) < most:
            count = self._count(free_slots, buffered, now)
            if count < 1:
                break
            fetches.append(self._repeat(count, now) or self._first(count, wait_seconds, visibility, now))
        return fetches

    def _count(self, free_slots: int, buffered: int, now: float) -> int:
        room = min(self._room(free_slots, buffered), MESSAGES_PER_RECEIVE)
        if self._policy.fifo:
            room = min(room, self._policy.batch_size)
        return min(room, self.rate.available(now)) if self.rate else room

    def _room(self, free_slots: int, buffered: int) -> int:
        size = self._policy.batch_size
        if self._policy.window_seconds:
            return free_slots * size - buffered - self._asked
        return (free_slots - self._slots(buffered) - self._asked_slots) * size

    def _slots(self, count: int) -> int:
        """How many batches so many messages make, without a window."""
        return -(-count // self._policy.batch_size)

    def _first(self, count: int, wait_seconds: int, visibility: int, now: float) -> Fetch:
        self._attempts += 1
        self._started_at[self._attempts] = now
        return self._send(attempt=self._attempts, count=count, wait_seconds=wait_seconds, visibility=visibility)

    def _repeat(self, count: int, now: float) -> Fetch | None:
        for fetch in tuple(self._repeats):
            if now - self._started_at[fetch.attempt_number] >= ATTEMPT_LIFE_SECONDS:
                self._repeats.remove(fetch)
                del self._started_at[fetch.attempt_number]
            elif fetch.maximum_count <= count:
                self._repeats.remove(fetch)
                return self._send(
                    attempt=fetch.attempt_number,
                    count=fetch.maximum_count,
                    wait_seconds=fetch.wait_seconds,
                    visibility=fetch.visibility_timeout_seconds,
                )
        return None

    def _send(self, *, attempt: int, count: int, wait_seconds: int, visibility: int) -> Fetch:
        self._number += 1
        fetch = Fetch(
            number=self._number,
            attempt_number=attempt,
            maximum_count=count,
            wait_seconds=wait_seconds,
            visibility_timeout_seconds=visibility,
        )
        self.outstanding[self._number] = fetch
        self._asked += count
        self._asked_slots += self._slots(count)
        if self.rate:
            self.rate.take(count)
        return fetch

    def fetched(self, number: int, count: int, now: float) -> None:
        """A receive returned."""
        fetch = self._end(number, count)
        started_at = self._started_at.pop(fetch.attempt_number)
        self.backoff.reset()
        if not count:
            self._quiet_until = max(self._quiet_until, started_at + SHORTEST_EMPTY_SECONDS)
        self._scale.fetched(count, fetch.maximum_count, now)

    def failed(self, event: FetchFailed, now: float) -> float:
        """A receive failed; returns the delay in seconds before the next."""
        fetch = self._end(event.number, 0)
        if self._policy.fifo and event.may_have_taken_effect:
            self._repeats.append(fetch)
        else:
            del self._started_at[fetch.attempt_number]
        return self.backoff.failed(now, event.chance)

    def _end(self, number: int, count: int) -> Fetch:
        fetch = self.outstanding.pop(number)
        self._asked -= fetch.maximum_count
        self._asked_slots -= self._slots(fetch.maximum_count)
        if self.rate:
            self.rate.take(count - fetch.maximum_count)
        return fetch

    @property
    def deadline(self) -> float:
        """Before this instant nothing more is received."""
        return max(self._closed_until, self.rate.next_at if self.rate else 0.0)

    @property
    def _closed_until(self) -> float:
        return max(self.backoff.until, self._quiet_until)
