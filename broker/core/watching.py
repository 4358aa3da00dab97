"""When another worker is taken for gone, and how long a worker may trust its own leases.

Rule: a worker rewrites its row every quarter of the lease duration D. Whoever has itself watched the row's version
stand still for D evicts the worker. A worker trusts its leases until three quarters of D after it *sent* its last
successful heartbeat. Only elapsed time of one process is ever compared with itself; no clocks are.

Why trust ends before eviction: a heartbeat is sent at s and stands in the store from e >= s on. A watcher sees the new
version at e at the earliest; the answer that shows it comes at a >= e, and the watch begins at a. It evicts when an
answer to a question that was *asked* at a + D or later still shows that version. So it watches for D by its own clock,
beginning at s or later, while the worker trusts 3/4 D by its own, beginning at s. Clocks that run differently fast
would have to differ by a third, and polling only makes the watcher later. A heartbeat whose answer was lost and which
is repeated counts from its *first* sending, because it may have stood in the store since then. What is left of the
quarter is for what lies between the look at the time and the start of an invocation; a process that stands still just
there for longer starts one invocation too many, and its fencing token is what tells.

When a watch begins anew: a row's version moved; or between the answers to two readings more time passed than a gap of
D/4 allows, because the watcher was paused, or could not read. Then nobody could be seen beating, and in the second case
perhaps nobody could beat either: to have seen nothing is no evidence.

Invariants: nobody is expired who was not seen with one version for D, in readings that follow each other closely.

Source: inferred; AWS does not publish how its pollers divide their work.
"""

from collections.abc import Mapping
from dataclasses import dataclass

PARTS_OF_A_LEASE = 4
"""Heartbeats in a lease's duration: two may fail in a row before trust ends."""
POLL_SECONDS = 0.5
"""Between readings of the workers: what takes over after a release sees it within this."""
POLLS_PER_LEASE = 8
"""At least so many, so that one that fails does not make a gap."""
ROWS_PER_SECOND = 64
"""Rows of workers that one process reads. Every worker reads the rows of all: the cost of a fleet grows with its square
(100 workers, twice a second, read 20,000 rows). So beyond 32 workers readings get rarer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTiming:
    """All durations of leases, from the one that is chosen."""

    lease_seconds: float = 10.0
    """How long a worker's version must stand still until the worker is evicted."""

    @property
    def beat_seconds(self) -> float:
        """Between heartbeats; the limit of every call of the store, too."""
        return self.lease_seconds / PARTS_OF_A_LEASE

    @property
    def gap_seconds(self) -> float:
        """Most time between two readings of one watch."""
        return self.lease_seconds / PARTS_OF_A_LEASE

    def trusted_until(self, sent_at: float) -> float:
        """Up to when leases are certain after a heartbeat that was first sent at `sent_at` and has succeeded."""
        return sent_at + self.lease_seconds - self.lease_seconds / PARTS_OF_A_LEASE

    def poll_seconds(self, worker_count: int) -> float:
        """Between readings of the workers."""
        return min(max(POLL_SECONDS, worker_count / ROWS_PER_SECOND), self.lease_seconds / POLLS_PER_LEASE)


class Watch:
    """One process's eyes on the others."""

    __slots__ = ("_asked_at", "_read_at", "_since", "_timing")

    def __init__(self, timing: LeaseTiming) -> None:
        self._timing = timing
        self._since: dict[str, tuple[int, float]] = {}
        self._asked_at = float("-inf")
        self._read_at = float("-inf")

    def saw(self, versions: Mapping[str, int], *, asked_at: float, answered_at: float) -> None:
        """The workers were read: the version of each row, and when that was asked for and answered."""
        if answered_at - self._read_at > self._timing.gap_seconds:
            self._since.clear()
        self._asked_at, self._read_at = asked_at, answered_at
        since = {worker_id: (version, answered_at) for worker_id, version in versions.items()}
        for worker_id, (version, _) in since.items():
            known = self._since.get(worker_id)
            if known is not None and known[0] == version:
                since[worker_id] = known
        self._since = since

    def expired(self) -> tuple[tuple[str, int], ...]:
        """Id and version of each worker that has stood still for the lease's duration, by the last reading."""
        return tuple(
            (worker_id, version)
            for worker_id, (version, since) in sorted(self._since.items())
            if self._asked_at - since >= self._timing.lease_seconds
        )
