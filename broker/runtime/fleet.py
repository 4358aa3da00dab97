"""One broker process among others: who lives, who owns what, and what to do about it.

Rule: a worker reads the few rows of the workers twice a second; the rows of its mappings only when a worker has come,
gone or changed something, and every 30 seconds. It evicts workers that stand still, takes what is free, asks for what
the plan gives it, and hears who asks for what it has. When it was evicted itself it has lost everything, and goes on
under a new id.

How it works: one task turns: read the workers, `_look` at the leases where something has moved, extend trust, give
what is overdue. Beating is a heartbeat's business, working under a lease a tenant's. Leases are read before workers
are read again: an id stands among the workers before it ever owns anything and never comes back once it is gone, so
that an owner who is not among them afterwards was evicted, and is not merely newer than the list.

Invariants:
* Nothing is taken from an owner whose row stands.
* A worker that is not certain of its own leases neither evicts nor takes.
* A worker whose own heartbeats fail begins its watch anew: who could not write did not stand still.
* After `running` has ended, the worker's row is gone, and with it its hold on any lease.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from math import inf

from anyio import CancelScope, CapacityLimiter, Event, create_task_group, move_on_after

from broker.core.leasing import Step, can_own, next_step, plan
from broker.core.watching import LeaseTiming, Watch
from broker.errors import RowConflict, StoreError
from broker.model.lease import Lease, Row, Worker
from broker.model.observation import Observation, StoreProblem, StoreRecovered
from broker.ports import Clock, StateStore
from broker.runtime.heartbeat import NEWS_SECONDS, Beats, Heartbeat
from broker.runtime.holdings import Holdings, Tenant
from broker.runtime.lease_table import LeaseTable

LOOK_SECONDS = 30.0
"""Between looks at the leases when nothing seems to have moved: for what nobody could announce."""
CALLS_AT_ONCE = 16
"""Leases that are taken at the same time: a thousand within a second or two, and no burst for the store."""
END_SECONDS = 2.0
"""What removing the own row may take at the end; else it is evicted later."""
REMOVAL_ATTEMPTS = 3

Signature = dict[str, tuple[int, bool, frozenset[str]]]
"""What of the other workers makes a look worth while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A lease as it was read."""

    tenant: Tenant
    lease: Lease
    row: Row
    is_startable: bool


class Fleet:
    """This process's part in the fleet. All methods are for the event loop in which it runs."""

    def __init__(
        self,
        *,
        store: StateStore,
        beats: Beats,
        clock: Clock,
        name: str,
        new_id: Callable[[], str],
        chance: Callable[[], float],
        observe: Callable[[str, Observation], None],
        timing: LeaseTiming | None = None,
    ) -> None:
        """`name` (host and process) and an id from `new_id` make the worker's id; `new_id` makes nonces, too.

        `observe` hears what happens to a mapping's leases under its UUID, and what concerns them all under "".
        """
        self._timing = timing or LeaseTiming()
        self.table = LeaseTable(store, limit_seconds=self._timing.beat_seconds, new_id=new_id)
        """The rows, for tenants that write some of their own."""
        self._beats = beats
        self._clock = clock
        self._name = name
        self._new_id = new_id
        self._chance = chance
        self._observe = observe
        self._tenants: dict[str, Tenant] = {}
        self._is_draining = False
        self._changes = 0
        self._workers: dict[str, Worker] = {}
        self._problem = ""
        self._news = Event()
        self._begin()

    def _begin(self) -> None:
        """A new worker, who owns nothing and has seen nobody."""
        self._worker_id = f"{self._name}-{self._new_id()}"
        self._heartbeat = Heartbeat(
            self._self(), clock=self._clock, timing=self._timing, new_id=self._new_id, chance=self._chance
        )
        self._holdings = Holdings(
            self._worker_id,
            table=self.table,
            clock=self._clock,
            observe=self._observe,
            receivers=self._receivers,
            grant_seconds=self._timing.lease_seconds / 2,
            announce=self._announce,
        )
        self._watch = Watch(self._timing)
        self._seen: Signature | None = None
        self._look_at = -inf
        self._told_until = -inf

    # ---- what tenants and their owner ask

    @property
    def worker_id(self) -> str:
        """The id under which this process works now."""
        return self._worker_id

    @property
    def trusted_until(self) -> float:
        """Instant up to which its leases are certain: no invocation may start at it or later."""
        return self._heartbeat.trusted_until

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Who lives, as last read, by id."""
        return tuple(worker for _, worker in sorted(self._workers.items()))

    def is_first(self, mapping: str) -> bool:
        """Whether this is the live worker with the lowest id that serves a mapping: it does what one should do."""
        return min(self._receivers(mapping), default=None) == self._worker_id

    def owned(self, mapping: str) -> tuple[Lease, ...]:
        """The leases of a mapping that are ours and not given away."""
        return self._holdings.owned(mapping)

    @property
    def problem(self) -> str:
        """Why the state store does not answer; empty while it does."""
        return self._problem

    @asynccontextmanager
    async def serving(self, tenant: Tenant) -> AsyncIterator[None]:
        """Holds leases for a mapping during the block; what its tenant has not released by then is cut short."""
        self._tenants[tenant.mapping] = tenant
        self.changed()
        try:
            yield
        finally:
            del self._tenants[tenant.mapping]
            self._holdings.end(tenant.mapping)
            self.changed()

    def changed(self) -> None:
        """Rows of a mapping were written that everybody should look at, this process too."""
        self._look_at = -inf
        self._announce()
        self._news.set()

    def drain(self) -> None:
        """Takes nothing more, and lets the others take what its tenants release."""
        self._is_draining = True
        self.changed()

    async def release(self, lease: Lease, to: str = "") -> None:
        """Gives a lease to whoever asks, else to `to`, else to nobody. Nothing where it was lost before."""
        await self._holdings.release(lease, to)
        self._look_at = -inf

    def _announce(self) -> None:
        self._changes += 1
        self._heartbeat.announce(self._self())

    def _self(self) -> Worker:
        return Worker(
            worker_id=self._worker_id,
            counter=0,
            changes=self._changes,
            mappings=frozenset(self._tenants),
            is_draining=self._is_draining,
        )

    def _receivers(self, mapping: str) -> Collection[str]:
        return {worker_id for worker_id, worker in self._workers.items() if can_own(worker, mapping)}

    # ---- its life

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Works beside the block. At its end the worker's row is removed: tenants must have ended before."""
        try:
            async with create_task_group() as tasks:
                tasks.start_soon(self._live)
                try:
                    yield
                finally:
                    tasks.cancel_scope.cancel()
        finally:
            with CancelScope(shield=True), move_on_after(END_SECONDS):
                await self._leave()

    async def _live(self) -> None:
        while True:
            async with self._beats(self._heartbeat):
                while not self._heartbeat.is_lost:
                    await self._turn()
                    await self._rest()
                self._holdings.lose_all("this worker was evicted")
            self._begin()

    async def _leave(self) -> None:
        for _ in range(REMOVAL_ATTEMPTS):
            try:
                row = await self.table.own_row(self._worker_id)
                if row is not None:
                    await self.table.remove_worker(self._worker_id, version=row.version)
            except RowConflict:
                continue
            except StoreError:
                return
            return

    async def _rest(self) -> None:
        seconds = self._timing.poll_seconds(len(self._workers)) if self._heartbeat.is_registered else NEWS_SECONDS
        with move_on_after(seconds):
            await self._news.wait()
        self._news = Event()

    async def _turn(self) -> None:
        problem = self._heartbeat.problem
        if self._heartbeat.is_registered:
            try:
                await self._read()
                await self._holdings.give_overdue()
            except StoreError as error:
                problem = str(error)
        self._tell_trust()
        self._tell_problem(problem)

    def _tell_trust(self) -> None:
        if self.trusted_until > self._told_until:
            self._told_until = self.trusted_until
            for tenant in tuple(self._tenants.values()):
                tenant.trust_extended(self._told_until)

    def _tell_problem(self, problem: str) -> None:
        if problem and not self._problem:
            self._observe("", StoreProblem(problem=problem))
        elif self._problem and not problem:
            self._observe("", StoreRecovered())
        self._problem = problem

    @property
    def _is_certain(self) -> bool:
        return self._clock.now() < self.trusted_until

    # ---- who lives

    async def _read(self) -> None:
        """Reads the workers, and the leases where something has moved."""
        asked_at = self._clock.now()
        await self._read_workers()
        if self._has_missed_beats:
            self._watch = Watch(self._timing)
        versions = {worker_id: worker.counter for worker_id, worker in self._workers.items()}
        self._watch.saw(versions, asked_at=asked_at, answered_at=self._clock.now())
        await self._evict()
        signature = self._signature()
        if signature != self._seen or self._clock.now() >= self._look_at:
            self._look_at = self._clock.now() + LOOK_SECONDS
            self._seen = None
            await self._look()
            self._seen = signature

    @property
    def _has_missed_beats(self) -> bool:
        """Whether its own row has stood still for two heartbeats: perhaps nobody can write, which is no evidence."""
        return self.trusted_until - self._clock.now() < self._timing.gap_seconds

    async def _read_workers(self) -> None:
        self._workers = await self.table.workers()
        if self._worker_id not in self._workers:
            self._heartbeat.lose()

    def _signature(self) -> Signature:
        """Of our own row what plans depend on: it may say later what it serves than we began to look."""
        return {
            worker_id: (0 if worker_id == self._worker_id else worker.changes, worker.is_draining, worker.mappings)
            for worker_id, worker in self._workers.items()
        }

    async def _evict(self) -> None:
        for worker_id, version in self._watch.expired():
            if worker_id == self._worker_id or not self._is_certain:
                continue
            try:
                await self.table.remove_worker(worker_id, version=version)
            except RowConflict:
                continue
            del self._workers[worker_id]

    # ---- who owns what

    async def _look(self) -> None:
        """Reads all leases, then acts on them."""
        self._holdings.begin_reading()
        tables = [(tenant, await self.table.rows(mapping)) for mapping, tenant in tuple(self._tenants.items())]
        await self._read_workers()
        if self._heartbeat.is_lost:
            return
        candidates: list[_Candidate] = []
        for tenant, rows in tables:
            if self._tenants.get(tenant.mapping) is tenant:
                self._holdings.compare(tenant.mapping, rows)
                candidates += [
                    _Candidate(tenant=tenant, lease=lease, row=rows[lease.key.key], is_startable=is_startable)
                    for lease, is_startable in tenant.leases(rows)
                ]
        await self._act(candidates)

    async def _act(self, candidates: Sequence[_Candidate]) -> None:
        """Does what there is to do about each lease, some at a time."""
        startable = [candidate.lease for candidate in candidates if candidate.is_startable]
        targets = plan(startable, self._workers.values())
        limiter = CapacityLimiter(CALLS_AT_ONCE)
        async with create_task_group() as tasks:
            for candidate in candidates:
                if step := self._step(candidate, targets.get(candidate.lease.key)):
                    tasks.start_soon(self._perform, step, limiter)

    def _step(self, candidate: _Candidate, target: str | None) -> Callable[[], Awaitable[None]] | None:
        tenant, lease, row = candidate.tenant, candidate.lease, candidate.row
        if self._holdings.is_old(lease.key):
            return None
        if self._holdings.is_new(lease):
            return partial(self._holdings.grant, tenant, lease)
        match next_step(lease, worker_id=self._worker_id, target=target, workers=self._workers):
            case Step.TAKE if self._is_certain:
                return partial(self._holdings.take, tenant, lease, row)
            case Step.ASK:
                return partial(self._holdings.ask, lease, row)
            case _:
                return None

    async def _perform(self, step: Callable[[], Awaitable[None]], limiter: CapacityLimiter) -> None:
        """Whatever becomes of it, the others look; where it is unknown or somebody was first, we look again."""
        async with limiter:
            try:
                await step()
            except StoreError:
                self._look_at = -inf
            finally:
                self._announce()
            self._tell_trust()  # a turn may last longer than trust does, where much is begun and the store is slow
