"""Several brokers in one event loop, on one store: fleets whose tenants only note what they may do, and when."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from random import Random
from typing import Any

import anyio
from anyio.abc import TaskGroup

from broker.core.lease_rows import lease_value, leases_of, shard_key
from broker.core.watching import LeaseTiming
from broker.errors import LeaseLost
from broker.model.lease import Lease, LeaseKey, Row
from broker.model.observation import Observation
from broker.model.stream import Shard
from broker.ports import StateStore
from broker.runtime.fleet import Fleet
from broker.runtime.heartbeat import in_task
from broker.testing import VirtualClock
from broker.testing.stores import InMemoryStateStore

MAPPING = "11111111-1111-4111-8111-111111111111"


class PausableStore:
    """The store as one process sees it, which may be stopped: then no call goes out and none gives up."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self.paused_until = 0.0
        self.before_read: dict[str, Callable[[], Awaitable[None]]] = {}
        """What happens, once, just before a partition is read."""

    async def _pause(self) -> None:
        with anyio.CancelScope(shield=True):
            while (seconds := self.paused_until - anyio.current_time()) > 0:  # noqa: ASYNC110 - it may be prolonged
                await anyio.sleep(seconds)

    async def read(self, partition: str) -> Mapping[str, Row]:
        await self._pause()
        if happen := self.before_read.pop(partition, None):
            await happen()
        result = await self._store.read(partition)
        await self._pause()
        return result

    async def get(self, partition: str, key: str) -> Row | None:
        await self._pause()
        result = await self._store.get(partition, key)
        await self._pause()
        return result

    async def write(self, partition: str, key: str, value: Mapping[str, Any], *, version: int, nonce: str) -> None:
        await self._pause()
        await self._store.write(partition, key, value, version=version, nonce=nonce)
        await self._pause()

    async def delete(self, partition: str, key: str, *, version: int) -> None:
        await self._pause()
        await self._store.delete(partition, key, version=version)
        await self._pause()


class NotingTenant:
    """Works under leases without doing anything; what it was asked for it gives after `finish_seconds`."""

    def __init__(self, world: "World", tasks: TaskGroup, mapping: str = MAPPING) -> None:
        self.mapping = mapping
        self.hand_over_seconds = 30.0
        self.finish_seconds = 0.0
        self.gives = True
        self.failures = 0
        self.fence_seconds = 0.0
        self.startable: Callable[[Lease], bool] = lambda _lease: True
        self.working: dict[str, Lease] = {}
        self.fenced: list[tuple[str, bool]] = []
        self.lost_keys: list[str] = []
        self.asked: list[tuple[str, str]] = []
        self.trusted: list[float] = []
        self.fleet: Fleet
        self._world = world
        self._tasks = tasks

    def leases(self, rows: Mapping[str, Row]) -> Sequence[tuple[Lease, bool]]:
        return [(lease, self.startable(lease)) for lease in leases_of(self.mapping, rows)]

    async def granted(self, lease: Lease, *, was_expired: bool) -> None:
        await anyio.sleep(self.fence_seconds)
        self.fenced.append((lease.key.key, was_expired))
        if self.failures:
            self.failures -= 1
            raise LeaseLost("the fence could not be written")
        self.working[lease.key.key] = lease
        self._world.check(lease.key.key)

    def lost(self, lease: Lease) -> None:
        self.lost_keys.append(lease.key.key)
        self.working.pop(lease.key.key, None)

    def hand_over(self, lease: Lease, to: str) -> None:
        self.asked.append((lease.key.key, to))
        if self.gives:
            self._tasks.start_soon(self.finish, lease, to)

    async def finish(self, lease: Lease, to: str = "") -> None:
        await anyio.sleep(self.finish_seconds)
        self.working.pop(lease.key.key, None)
        await self.fleet.release(lease, to=to)

    def trust_extended(self, until_at: float) -> None:
        self.trusted.append(until_at)

    @property
    def keys(self) -> list[str]:
        return sorted(self.working)


class Process:
    """One broker."""

    def __init__(self, world: "World", name: str, tasks: TaskGroup) -> None:
        self.name = name
        self.seen: list[Observation] = []
        self.store = PausableStore(world.store.seen_by(name))
        self.heartbeat_name = f"{name} beats"
        self._heartbeat_store = PausableStore(world.store.seen_by(self.heartbeat_name))
        self.tenant = NotingTenant(world, tasks)
        random = Random(name)
        self.fleet = Fleet(
            store=self.store,
            beats=in_task(self._heartbeat_store),
            clock=world.clock,
            name=name,
            new_id=lambda: f"{random.getrandbits(64):016x}",
            chance=random.random,
            observe=lambda _mapping, observation: self.seen.append(observation),
            timing=world.timing,
        )
        self.tenant.fleet = self.fleet
        self._ended = anyio.Event()
        self._stop = anyio.Event()
        self._crash = anyio.CancelScope()
        self._world = world

    async def run(self, serving: AbstractAsyncContextManager[None] | None = None) -> None:
        with self._crash:
            async with self.fleet.running(), serving or self.fleet.serving(self.tenant):
                await self._stop.wait()
        self._world.processes.remove(self)
        self._ended.set()

    def stop(self) -> None:
        """Its tenants have ended."""
        self._stop.set()

    async def crash(self) -> None:
        """It is gone, and says nothing."""
        for caller in (self.name, self.heartbeat_name):
            self._world.store.take_down(caller=caller)
        self.tenant.working.clear()
        self._crash.cancel()
        await self._ended.wait()

    async def drain(self) -> None:
        """It finishes, releases what it has, and ends."""
        self.fleet.drain()
        self.tenant.gives = False
        for lease in self.fleet.owned(MAPPING):
            await self.tenant.finish(lease)
        self.stop()
        await self._ended.wait()

    def pause(self, seconds: float) -> None:
        """It is stopped as a whole."""
        self.store.paused_until = self._heartbeat_store.paused_until = anyio.current_time() + seconds

    def may_work_on(self, key: str) -> bool:
        """Whether an invocation of this shard may start now."""
        is_paused = self.store.paused_until > anyio.current_time()
        return key in self.tenant.working and not is_paused and self._world.clock.now() < self.fleet.trusted_until


class World:
    """Brokers that come and go, and the shards that they share."""

    def __init__(self, tasks: TaskGroup, *, shards: int = 4, lease_seconds: float = 10.0) -> None:
        self.clock = VirtualClock()
        self.store = InMemoryStateStore()
        self.timing = LeaseTiming(lease_seconds=lease_seconds)
        self.processes: list[Process] = []
        self.shards = shards
        self.tasks = tasks
        self._names = count(1)

    async def make_rows(self) -> None:
        for number in range(self.shards):
            shard = Shard(shard_id=f"s{number}")
            key = LeaseKey(mapping=MAPPING, key=shard_key("1", shard.shard_id))
            value = lease_value(Lease(key=key, version=0, shard=shard))
            await self.store.seen_by("setup").write(MAPPING, key.key, value, version=0, nonce=f"make-{number}")

    def make(self) -> Process:
        """A broker that somebody else runs."""
        process = Process(self, f"host-{next(self._names)}", self.tasks)
        self.processes.append(process)
        return process

    def start(self) -> Process:
        process = self.make()
        self.tasks.start_soon(process.run)
        return process

    async def watch(self) -> None:
        """Looks all the time."""
        while True:
            for number in range(self.shards):
                self.check(shard_key("1", f"s{number}"))
            await anyio.sleep(0.1)

    def check(self, key: str) -> None:
        """At most one broker may start anything."""
        workers = [process.name for process in self.processes if process.may_work_on(key)]
        assert len(workers) <= 1, f"{key} is worked on by {workers} at {self.clock.now()}"

    def counts(self) -> list[int]:
        return [len(process.tenant.working) for process in self.processes]

    def is_even(self) -> bool:
        counts = self.counts()
        return sum(counts) == self.shards and max(counts) - min(counts) <= 1

    async def until(self, condition: Callable[[], bool], *, within: float = 60.0) -> float:
        """Seconds until it holds."""
        began_at = anyio.current_time()
        with anyio.fail_after(within):
            while not condition():  # noqa: ASYNC110 - a condition tells nobody
                await anyio.sleep(0.05)
        return anyio.current_time() - began_at

    async def rows(self) -> dict[str, Lease]:
        rows = await self.store.seen_by("test").read(MAPPING)
        return {lease.key.key: lease for lease in leases_of(MAPPING, rows)}


@asynccontextmanager
async def worlds(**options: Any) -> AsyncIterator[World]:
    """A world, watched, until the end of the block."""
    async with anyio.create_task_group() as tasks:
        world = World(tasks, **options)
        await world.make_rows()
        tasks.start_soon(world.watch)
        yield world
        tasks.cancel_scope.cancel()
