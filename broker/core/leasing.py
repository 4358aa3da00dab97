"""Who should own which lease, and what a worker does about it.

Rule: every lease that may be worked on has a live worker that serves its mapping; workers have equally many, and no
lease changes its owner unless counts demand it. Only the worker that should have a lease does anything: it takes a
lease that is nobody's, and asks a live owner, which finishes and hands over.

How it works: a lease that somebody live has asked for counts as that worker's already. First the free leases are given
out, the furthest behind first, each to the worker with the fewest, then with the least lag. After that one lease at a
time moves from a worker with the most to one with the fewest, until no move brings two counts nearer; among a worker's
leases the one moves that makes the two lags most alike. Shards of all mappings are counted together; the slots of a
mapping's concurrency by themselves, because each queue should be read by as many workers as there are.

Invariants:
* The plan depends on its input alone, not on its order: workers that read the same rows make the same plan.
* The plan of a plan is the same plan: nothing moves twice.
* Two workers that serve the same mappings have counts that differ by at most one; no lease could go to a worker that
  serves its mapping and has two less.
* With equal service no fewer moves would do. A worker that comes causes at most its own share of moves; one that goes
  causes none but of its own leases.

A worker plans over the mappings that it serves. Where replicas serve different mappings their plans differ, and as
each only draws towards itself, leases come to rest there too.

Source: inferred; AWS does not publish how its pollers share shards.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import Enum, auto
from operator import attrgetter
from zlib import crc32

from broker.model.lease import Lease, LeaseKey, Worker

LAG_GRAIN_MS = 60_000
"""Lags are compared in minutes: finer differences change between two readings and would make plans differ."""
CLOSE_ENOUGH = 1
"""Counts that differ by this are equal."""

Weighed = tuple[int, str, str]
"""A lease in a worker's hand: lag in minutes, mapping, key. Sorted by lag."""


class Step(Enum):
    """What a worker does about one lease."""

    NOTHING = auto()
    TAKE = auto()
    """Make itself the owner: the lease is nobody's, or its owner is no more."""
    ASK = auto()
    """Ask the owner to hand it over."""


def next_step(lease: Lease, *, worker_id: str, target: str | None, workers: Mapping[str, Worker]) -> Step:
    """What `worker_id` does about a lease that should be `target`'s; `workers` are all that live, by id."""
    if target != worker_id or lease.owner == worker_id:
        return Step.NOTHING
    if lease.owner not in workers:
        return Step.TAKE
    asker = workers.get(lease.asked_by)
    return Step.NOTHING if asker is not None and can_own(asker, lease.key.mapping) else Step.ASK


def can_own(worker: Worker, mapping: str) -> bool:
    """Whether a live worker may be given leases of a mapping."""
    return mapping in worker.mappings and not worker.is_draining


def plan(leases: Iterable[Lease], workers: Iterable[Worker]) -> dict[LeaseKey, str]:
    """The worker that should own each of the leases; a lease that no worker can serve is left out.

    Give it the leases of shards that may be read and of slots, whoever owns them, and all live workers.
    """
    alive = tuple(workers)
    targets: dict[LeaseKey, str] = {}
    for name, pool in _pools(leases).items():
        targets.update(_Pool(name, pool, alive).balanced())
    return targets


def _pools(leases: Iterable[Lease]) -> Mapping[str, list[Lease]]:
    """Leases that are counted together."""
    pools: defaultdict[str, list[Lease]] = defaultdict(list)
    for lease in leases:
        pools["" if lease.shard is not None else lease.key.mapping].append(lease)
    return pools


def _lag(lease: Weighed) -> int:
    return lease[0]


class _Hand:
    """What one worker has of one pool."""

    __slots__ = ("_lot", "count", "lag", "of_class", "rank", "worker_id")

    def __init__(self, worker_id: str, pool: str) -> None:
        self.worker_id = worker_id
        self._lot = crc32(f"{pool}/{worker_id}".encode())
        self.count = 0
        self.lag = 0
        self.of_class: dict[frozenset[str], list[Weighed]] = {}
        self.rank = (0, 0, self._lot, worker_id)
        """The fewest leases first, then the least lag, then a lot that each pool draws anew: nobody always wins."""

    def _weigh(self, count: int, lag: int) -> None:
        self.count += count
        self.lag += lag
        self.rank = (self.count, self.lag, self._lot, self.worker_id)

    def add(self, able: frozenset[str], lease: Weighed) -> None:
        insort(self.of_class.setdefault(able, []), lease)
        self._weigh(1, _lag(lease))

    def give(self, able: frozenset[str], to: "_Hand") -> None:
        """The lease that makes the lags most alike goes over."""
        mine, half = self.of_class[able], (self.lag - to.lag) / 2
        place = bisect_left(mine, half, key=_lag)
        nearby = range(max(place - 1, 0), min(place + 1, len(mine)))
        lease = mine.pop(min(nearby, key=lambda index: abs(_lag(mine[index]) - half)))
        self._weigh(-1, -_lag(lease))
        to.add(able, lease)


_rank = attrgetter("rank")


class _Pool:
    """Leases that are counted together, in the hands of those that can serve them."""

    def __init__(self, name: str, leases: Sequence[Lease], workers: Sequence[Worker]) -> None:
        self._hands = {worker.worker_id: _Hand(worker.worker_id, name) for worker in workers}
        self._able = self._able_by_mapping(leases, workers)
        free: list[tuple[frozenset[str], Weighed]] = []
        for lease in leases:
            able = self._able[lease.key.mapping]
            weighed = (lease.lag_ms // LAG_GRAIN_MS, lease.key.mapping, lease.key.key)
            holder = _holder(lease, able)
            if holder is not None:
                self._hands[holder].add(able, weighed)
            elif able:
                free.append((able, weighed))
        self._give_out(free)

    def _able_by_mapping(self, leases: Sequence[Lease], workers: Sequence[Worker]) -> Mapping[str, frozenset[str]]:
        """For each mapping those that serve it; equal sets are one class."""
        mappings = {lease.key.mapping for lease in leases}
        return {
            mapping: frozenset(worker.worker_id for worker in workers if can_own(worker, mapping))
            for mapping in mappings
        }

    def _give_out(self, free: list[tuple[frozenset[str], Weighed]]) -> None:
        """The furthest behind first."""
        for able, weighed in sorted(free, key=lambda each: (-each[1][0], each[1])):
            min((self._hands[worker_id] for worker_id in able), key=_rank).add(able, weighed)

    def balanced(self) -> dict[LeaseKey, str]:
        """Moves what must move. Each move brings two counts nearer, so that it ends."""
        classes = sorted({able for able in self._able.values() if able}, key=sorted)
        while any(self._even_out(able) for able in classes):
            pass
        return {
            LeaseKey(mapping=mapping, key=key): hand.worker_id
            for hand in self._hands.values()
            for mine in hand.of_class.values()
            for _, mapping, key in mine
        }

    def _even_out(self, able: frozenset[str]) -> bool:
        """Evens out one class; whether anything moved."""
        hands = [self._hands[worker_id] for worker_id in able]
        has_moved = False
        while True:
            givers = [hand for hand in hands if hand.of_class.get(able)]
            fullest = max(givers, key=_rank, default=None)
            emptiest = min(hands, key=_rank)
            if fullest is None or fullest.count <= emptiest.count + CLOSE_ENOUGH:
                return has_moved
            fullest.give(able, emptiest)
            has_moved = True


def _holder(lease: Lease, able: Collection[str]) -> str | None:
    """Whose a lease is, or will be once it is handed over."""
    for worker_id in (lease.asked_by, lease.owner):
        if worker_id in able:
            return worker_id
    return None
