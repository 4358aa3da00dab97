"""What befalls a fleet, drawn from its seed: brokers crash, stop, come and go; store, stream and destination fail."""

import random
from collections.abc import Callable

import anyio
from anyio.abc import TaskGroup

from broker.errors import RowConflict, StoreError
from broker.testing import steal_lease
from broker.testing.store_faults import StoreOperation
from tests.simulation.fleet_plan import MOST_BROKERS, MOST_SHARDS
from tests.simulation.fleet_store import THIEF
from tests.simulation.fleet_world import Member, World

_CRASHES = (
    ("", False), ("", False), ("", False), ("store.write", False), ("store.write", True), ("read", True),
    ("handler", True), ("send", True),
)  # fmt: skip
"""Where a process dies: at once, or at its next call of a kind, before it takes effect or before the answer."""
_LATEST_CRASH_SECONDS = 20.0


class Chaos:
    """The faults of one run."""

    def __init__(self, world: World, tasks: TaskGroup) -> None:
        self._world = world
        self._tasks = tasks
        self._draw = random.Random(f"chaos {world.plan.seed}")
        verbs: dict[Callable[[], None], int] = {
            self._crash: 6,
            self._pause: 3,
            self._join: 4,
            self._drain: 4,
            self._throttle_store: 3,
            self._lose_of_store: 3,
            self._slow_store: 2,
            self._take_store_down: 1,
            self._fail_reads: 4,
            self._slow_reads: 2,
            self._expire_iterators: 1,
            self._reshard: 5,
            self._vanish: 1,
            self._trim: 2,
            self._fail_destination: 2 if world.plan.has_destination else 0,
            self._steal: 2 if world.plan.steals else 0,
        }
        self._verbs, self._weights = list(verbs), list(verbs.values())

    async def run(self, until: float) -> None:
        """Lets one thing after the other happen, some of them at the same time."""
        while True:
            await anyio.sleep(self._draw.expovariate(1 / self._world.plan.gap_seconds))
            if self._now >= until:
                return
            self._draw.choices(self._verbs, self._weights)[0]()

    @property
    def _now(self) -> float:
        return self._world.clock.now()

    def _disturb(self, what: str, seconds: float = 0.0, who: str = "") -> None:
        self._world.ledger.disturb(what, self._now, seconds, who=who)

    def _anybody(self) -> Member | None:
        staying = self._world.staying
        return self._draw.choice(staying) if staying else None

    # ---- brokers

    def _crash(self) -> None:
        member = self._anybody()
        if member is None:
            return
        operation, answered = self._draw.choice(_CRASHES)
        if operation:
            member.process.crash_at_next(operation, answered=answered)
        self._tasks.start_soon(self._crash_soon, member, _LATEST_CRASH_SECONDS if operation else 0.0)

    async def _crash_soon(self, member: Member, seconds: float) -> None:
        """It crashes by itself within this time, or is killed then."""
        ends_at = self._now + seconds
        while not member.process.crashed and self._now < ends_at and not member.is_leaving:  # noqa: ASYNC110
            await anyio.sleep(0.05)
        if member.is_leaving and not member.process.crashed:
            return
        self._world.leave(member, is_crash=True)
        self._disturb("crash", who=member.name)
        member.process.crash()
        if self._draw.random() < 0.8 or not self._world.staying:
            await self._start_later()

    async def _start_later(self) -> None:
        await anyio.sleep(self._draw.uniform(0.5, 40.0))
        self._join()

    def _pause(self) -> None:
        if member := self._anybody():
            seconds = self._draw.choice([5.0, 12.0, 60.0, 60.0])
            self._disturb("pause", seconds + 15, member.name)
            member.process.pause_process(seconds)

    def _join(self) -> None:
        if len(self._world.members) < MOST_BROKERS:
            self._disturb("join")
            self._world.start()

    def _drain(self) -> None:
        if member := self._anybody():
            self._world.leave(member, is_crash=False)
            self._disturb("drain", who=member.name)
            member.broker.drain()
            if self._draw.random() < 0.7 or not self._world.staying:
                self._tasks.start_soon(self._start_later)

    # ---- the store

    def _caller(self) -> str | None:
        member = self._anybody()
        return None if member is None or self._draw.random() < 0.5 else member.name

    def _operations(self) -> tuple[StoreOperation, ...]:
        some: list[tuple[StoreOperation, ...]] = [(), ("write",), ("read",), ("get", "write"), ("delete",)]
        return self._draw.choice(some)

    def _disturb_store(self, what: str, seconds: float) -> None:
        self._world.store.expect_faults(seconds)
        self._disturb(f"store {what}", seconds + 15)

    def _throttle_store(self) -> None:
        seconds = self._draw.uniform(0.5, 20.0)
        self._disturb_store("throttles", seconds)
        self._world.store.throttle(*self._operations(), seconds=seconds, caller=self._caller())

    def _lose_of_store(self) -> None:
        self._disturb_store("loses", 30)
        lose = self._draw.choice([self._world.store.lose_reply, self._world.store.lose_request])
        lose(*self._operations(), calls=self._draw.randrange(1, 4), seconds=30, caller=self._caller())

    def _slow_store(self) -> None:
        self._disturb_store("is slow", 20)
        request, reply = self._draw.choice([(0.5, 0.5), (5.0, 0.0), (0.0, 4.0), (30.0, 0.0)])
        self._world.store.slow(
            *self._operations(),
            request_seconds=request,
            reply_seconds=reply,
            calls=self._draw.randrange(1, 5),
            seconds=20,
            caller=self._caller(),
        )

    def _take_store_down(self) -> None:
        seconds = self._draw.uniform(3.0, 40.0)
        self._disturb_store("is down", seconds)
        self._tasks.start_soon(self._store_down, self._caller(), seconds)

    async def _store_down(self, caller: str | None, seconds: float) -> None:
        self._world.store.take_down(caller=caller)
        await anyio.sleep(seconds)
        self._world.store.restore(caller=caller)

    # ---- the stream

    def _fail_reads(self) -> None:
        self._disturb("reads fail", 10)
        fail = self._draw.choice([self._world.stream.throttle, self._world.stream.lose_reply])
        fail(calls=self._draw.randrange(1, 8))

    def _slow_reads(self) -> None:
        self._disturb("reads slow", 30)
        request, reply = self._draw.choice([(2.0, 0.0), (0.0, 3.0), (8.0, 8.0)])
        self._world.stream.slow(request_seconds=request, reply_seconds=reply, calls=self._draw.randrange(1, 6))

    def _expire_iterators(self) -> None:
        self._disturb("iterators expire")
        self._world.stream.expire_iterators()

    def _reshard(self) -> None:
        stream = self._world.stream
        open_ids = stream.open_shard_ids
        self._disturb("reshard", 5)
        verb = self._draw.choice(["split", "roll"] + ["merge"] * stream.kind.can_merge)
        if verb == "split" and len(open_ids) < MOST_SHARDS[self._world.plan.kind]:
            stream.split(self._draw.choice(open_ids))
        elif verb == "merge" and len(open_ids) > 1:
            first = self._draw.randrange(len(open_ids) - 1)
            stream.merge(open_ids[first], open_ids[first + 1])
        elif verb == "roll":
            stream.roll(self._draw.choice(open_ids))
        if self._draw.random() < 0.2:
            stream.hide_shards(stream.open_shard_ids[-1])

    def _vanish(self) -> None:
        seconds = self._draw.uniform(3.0, 60.0)
        self._disturb("stream gone", seconds + 30)
        self._tasks.start_soon(self._gone, seconds)

    async def _gone(self, seconds: float) -> None:
        self._world.stream.vanish()
        await anyio.sleep(seconds)
        self._world.stream.restore()

    def _trim(self) -> None:
        """Forgets what is settled already, which harms nobody, and closed shards with it."""
        unsettled = min((put.arrived_at for put in self._world.unsettled()), default=self._world.stream.service_now)
        self._world.stream.trim(before=unsettled - 30.0)

    # ---- others

    def _fail_destination(self) -> None:
        seconds = self._draw.choice([2.0, 20.0, 100.0])
        self._disturb("destination away", seconds + 30)
        self._world.destination_fails_until = self._now + seconds
        self._world.destination_replies_to_lose = self._draw.randrange(3)

    def _steal(self) -> None:
        shards = [
            lease.shard
            for lease, done in self._world.store.rows.leases(self._world.uuid)
            if lease.epoch and not (done and done.finished)  # a thief begins nothing before its time
        ]
        if shards and (shard := self._draw.choice(shards)):
            self._disturb("steal", 60)
            self._tasks.start_soon(self._steal_lease, shard.shard_id)

    async def _steal_lease(self, shard_id: str) -> None:
        try:
            await steal_lease(self._world.store.seen_by(THIEF), self._world.uuid, shard_id, owner=THIEF)
        except (RowConflict, StoreError, LookupError):
            return
