"""A fleet of brokers on one stream in memory, in virtual time: a producer, handlers, brokers that come and go."""

import asyncio
import random
from collections import Counter
from itertools import count
from typing import Any
from uuid import UUID

import anyio
import orjson
from anyio.abc import TaskGroup

from broker import Broker, Surroundings
from broker.config import identity_of, parse_settings
from broker.errors import BrokerError, DestinationError, SourceError
from broker.model import observation as seen
from broker.model.discard import DiscardedBatch
from broker.testing import DYNAMODB, EPOCH, KINESIS, InMemoryStream, VirtualClock, keyed_records
from broker.testing.stream_history import StreamHappening
from tests.simulation.fleet_ledger import Call, Departure, Ledger, Put
from tests.simulation.fleet_plan import DESTINATION, LEASE_SECONDS, TIMEOUT_SECONDS, FleetPlan
from tests.simulation.fleet_store import FleetProcess, FleetStore, LinedStore

_HANG_SECONDS = 2.0 * TIMEOUT_SECONDS
_MEASURED_SECONDS = 5.0


class LoopClock(VirtualClock):
    """Virtual time for one event loop and no threads: it is asked a hundred times for each poll."""

    def __init__(self) -> None:
        super().__init__()
        self._time = asyncio.get_running_loop().time

    def now(self) -> float:
        """As virtual time has it."""
        return EPOCH + self._time()


class Member:
    """One broker's process."""

    def __init__(self, world: "World", number: int) -> None:
        plan = world.plan
        self.name = f"p{number}"
        self.process = FleetProcess()
        self.ended = anyio.Event()
        self.is_leaving = False
        self.epochs: dict[str, int] = {}
        """The epoch under which it last began each shard."""
        self._world = world
        chance = random.Random(f"broker {plan.seed} {number}")
        consumer = "fan" if plan.kind == "fan-out" else None
        source = self.process.connect(world.stream, consumer=consumer)
        self.broker = Broker(
            settings=parse_settings(drain_timeout_in_seconds=60.0, lease_duration_in_seconds=LEASE_SECONDS),
            observers=[self],
            streams={source.arn: source},
            destinations={DESTINATION: _Destination(world, self.process)},
            store=LinedStore(world.store, self.name, self.process, seed=plan.seed, longest_seconds=plan.store_seconds),
            surroundings=Surroundings(
                clock=world.clock,
                chance=chance.random,
                new_id=lambda: UUID(int=chance.getrandbits(128), version=4),
                worker_name=self.name,
                raise_bugs=True,
            ),
        )
        self.broker.event_source_mapping(source.arn, **world.mapping)(self._handle)
        world.uuid = identity_of(self.broker._mappings[0])

    async def _handle(self, event: dict[str, Any], context: Any) -> object:
        return await self._world.handle(self, event, context.fencing_token)

    def observe(self, _mapping: str, observation: seen.Observation) -> None:
        """Notes what the checks need."""
        ledger = self._world.ledger
        match observation:
            case seen.PageReceived():
                ledger.page_count += 1
            case seen.ShardStarted():
                self.epochs[observation.shard] = observation.epoch
            case seen.RecordsDiscarded():
                epoch = self.epochs[observation.shard]
                ledger.give_up(observation, epoch=epoch, factor=self._world.plan.factor)
            case seen.RecordsLost():
                ledger.lost.append((self._world.clock.now(), observation))
            case seen.MappingFailed():
                ledger.violations.append(f"{self.name} failed: {observation.error!r}")
            case _:
                pass

    async def run(self) -> None:
        """Lives until it has drained or crashed."""
        try:
            await self.process.run(self.broker.run)
        except* BrokerError:
            if not self.process.crashed:
                raise
        finally:
            self._world.members.remove(self)
            self.ended.set()

    @property
    def worker_ids(self) -> set[str]:
        """The ids under which it stands among the workers."""
        return {worker_id for worker_id in self._world.store.rows.workers() if worker_id.startswith(f"{self.name}-")}


class _Destination:
    """Takes what is given up, unless it is to fail."""

    def __init__(self, world: "World", process: FleetProcess) -> None:
        self._world = world
        self._process = process

    async def send(self, discarded: DiscardedBatch, *, shard_id: str, request_id: str, now: float) -> None:
        try:
            await self._process.passes("send", answered=False)
            if self._world.clock.now() < self._world.destination_fails_until:
                raise DestinationError("the queue is away")
            self._world.delivered.append((shard_id, discarded.first, discarded.last))
            if self._world.destination_replies_to_lose:
                self._world.destination_replies_to_lose -= 1
                raise DestinationError("the reply was lost")
            await self._process.passes("send", answered=True)
        except SourceError as error:
            raise DestinationError(str(error)) from error


class World:
    """One run: `await World(plan).run()`, then look at its `ledger`."""

    def __init__(self, plan: FleetPlan) -> None:
        self.plan = plan
        self.clock = LoopClock()
        self.stream = InMemoryStream(
            "orders",
            clock=self.clock,
            kind=DYNAMODB if plan.kind == "dynamodb" else KINESIS,
            shard_count=plan.shards,
            retention_seconds=plan.retention_seconds,
            clock_offset_seconds=plan.clock_offset_seconds,
        )
        self.ledger = Ledger()
        self.store = FleetStore(self.ledger, self.clock)
        self.store.rows.on_change = self._look_at_balance
        self.members: list[Member] = []
        self.is_kind = False
        """Whether the faults have ended."""
        self.destination_fails_until = 0.0
        self.destination_replies_to_lose = 0
        self.delivered: list[tuple[str, str, str]] = []
        self.mapping = dict(plan.mapping)
        self.uuid = ""
        self.began_at = 0.0
        self.shard_seconds = 0.0
        self.broker_seconds = 0.0
        self.lasted_seconds = 0.0
        self._joining: dict[str, float] = {}
        self._uneven: set[str] = set()
        self._numbers = count(1)
        self._attempts: Counter[int] = Counter()
        self._tasks: TaskGroup

    # ---- brokers

    def use(self, tasks: TaskGroup) -> None:
        """Brokers live in this task group."""
        self._tasks = tasks
        self.began_at = self.clock.now()

    def start(self) -> Member:
        """Another broker comes."""
        member = Member(self, next(self._numbers))
        self.members.append(member)
        self._joining[member.name] = self.clock.now()
        self._tasks.start_soon(member.run)
        return member

    async def measure(self) -> None:
        """Counts for how long there are how many shards and brokers."""
        while True:
            await anyio.sleep(_MEASURED_SECONDS)
            self.shard_seconds += len(self.stream.open_shard_ids) * _MEASURED_SECONDS
            self.broker_seconds += len(self.members) * _MEASURED_SECONDS
            self.lasted_seconds = self.clock.now() - self.began_at

    @property
    def staying(self) -> list[Member]:
        """The brokers that are neither dead nor leaving."""
        return [member for member in self.members if not member.is_leaving and not member.process.crashed]

    def leave(self, member: Member, *, is_crash: bool) -> None:
        """A broker goes: notes what it owned."""
        member.is_leaving = True
        self._joining.clear()
        ids = member.worker_ids
        owned = [
            (lease.shard.shard_id, lease.epoch)
            for lease, checkpoint in self.store.rows.leases(self.uuid)
            if lease.owner in ids and lease.shard and not (checkpoint and checkpoint.finished)
        ]
        departure = Departure(
            process=member.name,
            is_crash=is_crash,
            at=self.clock.now(),
            tick=self.ledger.tick(),
            leases=tuple(owned),
            others=tuple(other.name for other in self.staying if other.worker_ids),
        )
        self.ledger.departures.append(departure)

    def _look_at_balance(self) -> None:
        """Notes how long it took until a broker that came had its share."""
        if not self._joining or not self.uuid:
            return
        workers = {worker_id for worker_id, row in self.store.rows.workers().items() if not row.value["draining"]}
        open_leases = [each for each, done in self.store.rows.leases(self.uuid) if not (done and done.finished)]
        unfinished = {lease.shard.shard_id for lease in open_leases if lease.shard}
        counts = dict.fromkeys(workers, 0)
        for lease in open_leases:
            if lease.shard and not unfinished.intersection(lease.shard.parents):
                counts[lease.owner] = counts.get(lease.owner, 0) + 1
        is_even = counts.keys() == workers and max(counts.values(), default=0) - min(counts.values(), default=0) <= 1
        if not is_even:
            self._uneven.update(self._joining)
            return
        names = {worker_id.partition("-")[0] for worker_id in workers}
        for name, joined_at in tuple(self._joining.items()):
            if name in names:
                del self._joining[name]
                if name in self._uneven and self.ledger.is_calm(joined_at - 1, self.clock.now()):
                    self.ledger.rebalanced_seconds.append(self.clock.now() - joined_at)

    # ---- records

    def put(self, draw: random.Random) -> None:
        """One record comes."""
        plan = self.plan
        key, passes = f"k{draw.randrange(plan.keys)}", not plan.filters or draw.random() < 0.6
        content = {"kind": "order" if passes else "noise", "n": len(self.ledger.puts)}
        if plan.kind == "dynamodb":
            keys = {"Id": {"S": key}}
            image = {**keys, "kind": {"S": content["kind"]}}
            number, lane_key = self.stream.change(keys, new_image=image), orjson.dumps(keys)
        else:
            number, lane_key = self.stream.put(key, orjson.dumps(content)), key.encode()
        put = Put(
            number=int(number),
            key=key,
            lane_key=lane_key,
            shard=self.stream.history._put[int(number)],
            arrived_at=self.stream.service_now,
            passes=passes,
            is_poison=draw.random() < plan.poison_share,
        )
        self.ledger.put(put)

    # ---- handlers

    async def handle(self, member: Member, event: dict[str, Any], epoch: int) -> object:
        """The function: takes its time, and fails now and then."""
        puts = tuple(self.ledger.puts[int(number)] for _, number in keyed_records(event))
        call = Call(
            process=member.name,
            shard=puts[0].shard,
            epoch=epoch,
            records=puts,
            tick=self.ledger.tick(),
            started_at=self.clock.now(),
        )
        self.ledger.calls.append(call)
        try:
            await member.process.passes("handler", answered=False)
            draw = self._draw(puts[0])
            await anyio.sleep(self._duration(draw))
            await member.process.passes("handler", answered=True)
            return self._answer(call, draw)
        finally:
            call.ended_at, call.ended_tick = self.clock.now(), self.ledger.tick()

    def _draw(self, first: Put) -> random.Random:
        """Chance for one call, whatever else happens at the same time."""
        self._attempts[first.number] += 1
        return random.Random(f"call {self.plan.seed} {first.number} {self._attempts[first.number]}")

    def _duration(self, draw: random.Random) -> float:
        if self.is_kind:
            return 0.01
        if draw.random() < 0.01:
            return _HANG_SECONDS
        return 0.01 * (self.plan.slowest_seconds / 0.01) ** draw.random()

    def _answer(self, call: Call, draw: random.Random) -> object:
        is_failing = not self.is_kind and draw.random() < self.plan.failure_share
        failed = [put for put in call.records if not self.is_kind and (put.is_poison or is_failing)]
        if is_failing and self.plan.partial:
            failed = draw.sample(call.records, draw.randrange(1, len(call.records) + 1))
        if not self.plan.partial:
            if failed:
                raise RuntimeError("the database is away")
            self.ledger.settle(call, call.records)
            return None
        lowest = min((put.number for put in failed), default=None)
        self.ledger.settle(call, tuple(put for put in call.records if lowest is None or put.number < lowest))
        return {"batchItemFailures": [{"itemIdentifier": str(put.number)} for put in failed]}

    # ---- what is left

    def is_required(self, put: Put) -> bool:
        """Whether the mapping's position and filter ask for a record."""
        if not put.passes:
            return False
        if self.plan.starting_position == "LATEST":
            return self.ledger.enabled_at is not None and put.arrived_at >= self.ledger.enabled_at
        if self.plan.starting_position == "AT_TIMESTAMP":
            return put.arrived_at >= self.mapping["starting_position_timestamp"]
        return True

    def unsettled(self) -> list[Put]:
        """Records that are neither handled nor given up, although they should be."""
        open_ = [put for put in self.ledger.puts.values() if put.settled_tick is None]
        return [put for put in open_ if self.is_required(put)]

    def trimmed_numbers(self) -> set[int]:
        """The records that the stream has forgotten."""
        horizons: dict[str, int] = {}
        for entry in self.stream.history:
            if entry.what is StreamHappening.TRIMMED:
                horizons[entry.shard_id] = entry.last
        return {put.number for put in self.ledger.puts.values() if put.number <= horizons.get(put.shard, 0)}
