"""A whole broker against a queue in memory, in virtual time, with faults drawn from a seed.

The world sends messages, breaks calls, kills the broker and starts it again; then it becomes kind, so that all that is
left is handled, and the broker drains. What must hold is checked by the tests.
"""

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import anyio

from broker import Broker, Surroundings
from broker.config import parse_settings
from broker.model import observation as seen
from broker.testing import InMemoryQueue, Process, VirtualClock

TIMEOUT_SECONDS = 5
VISIBILITY_SECONDS = 12
GROUPS = 4


@dataclass(slots=True, kw_only=True)
class Plan:
    """What a simulation is like."""

    seed: int
    fifo: bool = False
    messages: int = 120
    minutes: float = 4.0
    crashes: int = 2
    faults: bool = True
    poison: float = 0.02
    """Share of messages that always fail."""
    fields: dict[str, Any] = field(default_factory=dict)
    """Fields of the mapping and the function."""


@dataclass(slots=True)
class Call:
    """One invocation, as the handler saw it."""

    broker: int
    started_at: float
    bodies: list[str]
    groups: set[str]
    identifiers: list[str]
    ended_at: float | None = None
    succeeded: set[str] = field(default_factory=set)


class Simulation:
    """One run: `await Simulation(plan).run()`, then look at it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.random = random.Random(plan.seed)
        self.clock = VirtualClock()
        suffix = ".fifo" if plan.fifo else ""
        self.dead_letters = InMemoryQueue(f"dead{suffix}", clock=self.clock, fifo=plan.fifo)
        self.queue = InMemoryQueue(
            f"orders{suffix}",
            clock=self.clock,
            fifo=plan.fifo,
            visibility_timeout_seconds=VISIBILITY_SECONDS,
            maximum_receive_count=30,
            dead_letter_queue=self.dead_letters,
            random=None if plan.fifo else random.Random(plan.seed + 1),
        )
        self.sent: dict[str, tuple[int, str | None]] = {}
        """Number and group of each message, by identifier."""
        self.expired: set[str] = set()
        """Messages whose visibility timeout the queue cut short."""
        self.calls: list[Call] = []
        self.observations: list[tuple[int, float, seen.Observation]] = []
        self.kind = not plan.faults
        self.brokers = 0
        self.broker: Broker | None = None
        self.process: Process | None = None
        self.drained: list[bool] = []

    async def run(self) -> "Simulation":
        """Runs to the end; hangs never: virtual time has a limit."""
        with anyio.fail_after(self.plan.minutes * 60 + 7200):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._send)
                if self.plan.faults:
                    tasks.start_soon(self._break)
                tasks.start_soon(self._live)
        return self

    async def _send(self) -> None:
        for number in range(self.plan.messages):
            poison = "poison-" if self.random.random() < self.plan.poison else ""
            group = f"g{self.random.randrange(GROUPS)}" if self.plan.fifo else None
            identifier = self.queue.send(
                f"{poison}{number}", group=group, deduplication_id=str(number) if group else None
            )
            self.sent[identifier] = (number, group)
            if self.random.random() < 0.5:
                await anyio.sleep(self.random.random() * self.plan.minutes * 60 / self.plan.messages)

    async def _break(self) -> None:
        until = self.clock.now() + self.plan.minutes * 60
        while self.clock.now() < until:
            await anyio.sleep(self.random.random() * 8)
            fault = self.random.choice(
                [
                    lambda: self.queue.throttle(calls=self.random.randrange(1, 4)),
                    lambda: self.queue.lose_reply(calls=1),
                    lambda: self.queue.fail_deletes(calls=self.random.randrange(1, 4)),
                    lambda: self.queue.fail_visibility_changes(calls=1),
                    lambda: self.queue.slow("delete", request_seconds=self.random.random() * 20),
                    lambda: self.queue.slow("receive", reply_seconds=self.random.random() * 20),
                    self._expire_visibility,
                ]
            )
            fault()
        self.kind = True

    def _expire_visibility(self) -> None:
        """The queue breaks its word; what it does so with may be handled twice."""
        if not self.plan.fifo:
            self.expired.update(identifier for identifier in self.sent if identifier in self.queue)
            self.queue.expire_visibility()

    async def _live(self) -> None:
        """Starts broker after broker until nothing is left, the last one drains."""
        gap = self.plan.minutes * 60 / (self.plan.crashes + 1)
        for _ in range(self.plan.crashes):
            await self._run_broker(lives=gap * (0.5 + self.random.random() / 2), crash=True)
        await self._run_broker(lives=None, crash=False)

    async def _run_broker(self, *, lives: float | None, crash: bool) -> None:
        self.brokers += 1
        self.process = Process()
        self.broker = self._make_broker(self.brokers, self.process)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.process.run, self._drive, self.broker)
            if crash:
                await anyio.sleep(lives or 0)
                self.process.crash()
            else:
                await self._until_settled()
                self.broker.drain()

    async def _drive(self, broker: Broker) -> None:
        self.drained.append(await broker.run())

    async def _until_settled(self) -> None:
        while not self.kind or len(self.queue) or len(self.sent) < self.plan.messages:  # noqa: ASYNC110 - nobody tells
            await anyio.sleep(1)

    def _make_broker(self, number: int, process: Process) -> Broker:
        chance = random.Random(self.plan.seed * 1000 + number)
        broker = Broker(
            settings=parse_settings(drain_timeout_in_seconds=60.0),
            observers=[_Recorder(self, number)],
            sources={self.queue.arn: process.connect(self.queue)},
            surroundings=Surroundings(
                clock=self.clock,
                chance=chance.random,
                new_id=lambda: UUID(int=chance.getrandbits(128), version=4),
                run_sync=self.clock.run_sync,
                raise_bugs=True,
            ),
        )
        fields = {"timeout": TIMEOUT_SECONDS, "function_name": "orders", **self.plan.fields}

        @broker.event_source_mapping(self.queue.arn, **fields)
        async def orders(event: dict[str, Any], _context: object) -> object:
            return await self._handle(number, event)

        return broker

    async def _handle(self, broker: int, event: dict[str, Any]) -> object:
        records = event["Records"]
        call = Call(
            broker,
            self.clock.now(),
            [record["body"] for record in records],
            {record["attributes"]["MessageGroupId"] for record in records} if self.plan.fifo else set(),
            [record["messageId"] for record in records],
        )
        self.calls.append(call)
        try:
            return await self._outcome(call, records)
        finally:
            call.ended_at = self.clock.now()

    async def _outcome(self, call: Call, records: list[dict[str, Any]]) -> object:
        draw = self.random.random() if not self.kind else 1.0
        await anyio.sleep(self.random.random() * (2 * TIMEOUT_SECONDS if draw < 0.05 else 1.5))
        if draw < 0.15:
            raise RuntimeError("the database is away")
        failed = self._failed(records, draw)
        call.succeeded = {record["messageId"] for record in records if record["messageId"] not in failed}
        if "report_batch_item_failures" in self.plan.fields:
            return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in failed]}
        if failed:
            call.succeeded = set()
            raise RuntimeError("a poisoned message")
        return None

    def _failed(self, records: list[dict[str, Any]], draw: float) -> list[str]:
        failed: list[str] = []
        groups: set[str | None] = set()
        for record in records:
            group = record["attributes"].get("MessageGroupId")
            bad = record["body"].startswith("poison") or (draw < 0.4 and self.random.random() < 0.2)
            if bad or (group is not None and group in groups):
                failed.append(record["messageId"])
                groups.add(group)
        return failed

    # ---- what is looked at

    @property
    def handled(self) -> set[str]:
        """Identifiers of messages that a handler handled."""
        return {identifier for call in self.calls for identifier in call.succeeded}

    def successes(self) -> dict[str, list[Call]]:
        """The calls in which each message was handled."""
        found: dict[str, list[Call]] = defaultdict(list)
        for call in self.calls:
            for identifier in call.succeeded:
                found[identifier].append(call)
        return found

    def counts(self, kind: type[seen.Observation]) -> int:
        """How often something was told."""
        return sum(isinstance(observation, kind) for _, _, observation in self.observations)

    def repeated_by_one_broker(self) -> dict[str, int]:
        """Messages that one broker had handled successfully more than once."""
        counter: Counter[tuple[int, str]] = Counter()
        for call in self.calls:
            counter.update((call.broker, identifier) for identifier in call.succeeded)
        return {
            identifier: count
            for (_, identifier), count in counter.items()
            if count > 1 and identifier not in self.expired
        }


class _Recorder:
    def __init__(self, simulation: Simulation, number: int) -> None:
        self._simulation = simulation
        self._number = number

    def observe(self, _mapping: str, observation: seen.Observation) -> None:
        self._simulation.observations.append((self._number, self._simulation.clock.now(), observation))
