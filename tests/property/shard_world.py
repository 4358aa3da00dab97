"""A stream, its rows and its consumers as one value that moves in steps: no I/O, no tasks, no clock.

`World.steps()` lists what may happen next; `World.take(step)` lets it happen and checks what must hold. A consumer
lives under a lease: it is trusted until some instant, and somebody else may take the shard a little later. Who takes
it raises the epoch, and a write under an older one conflicts and ends its writer. What a superseded consumer's handler
is doing goes on.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import inf

from broker.core.events import Finished, Returned, Stopping, Tell, Woke
from broker.core.shard_consumer import ShardConsumer
from broker.core.stream_events import (
    CheckpointFailed,
    CheckpointSaved,
    Discard,
    Discarded,
    InvokeStream,
    LeaseExtended,
    NotStarted,
    PageRead,
    Read,
    ReadFailed,
    SaveCheckpoint,
    ShardAction,
    ShardEvent,
    StreamBatch,
)
from broker.core.stream_policy import StreamPolicy
from broker.errors import ReadFault
from broker.model.checkpoint import Checkpoint
from broker.model.invocation import HandlerFailed, InvocationResult, Succeeded, Throttled, TimedOut, Unavailable
from broker.model.payload import Payload
from broker.model.stream import StreamRecord
from tests.property.shard_model import ModelShard
from tests.property.shard_promises import Promises

Step = tuple[object, ...]
"""A verb and what it is about."""
FAR_SECONDS = 3_000.0
"""Nobody waits for what comes later than this."""
MARGIN_SECONDS = 1.0
"""How long after its owner's trust ended a lease is free."""
COUNTED = frozenset({"error", "malformed", "timeout", "stuck", "stateless"})
"""Outcomes that use up a retry."""


async def returned() -> None:
    """What a call that cannot be stopped is waited for with; here the step "returned" says when."""


@dataclass(slots=True)
class Life:
    """One consumer of one shard under one lease."""

    name: int
    policy: StreamPolicy
    shard: ModelShard
    consumer: ShardConsumer
    start: Checkpoint
    start_epoch: int
    reads: Read | None = None
    reader_at: int = 0
    saving: SaveCheckpoint | None = None
    running: dict[int, StreamBatch] = field(default_factory=dict)
    stuck: dict[int, StreamBatch] = field(default_factory=dict)
    discards: dict[int, Discard] = field(default_factory=dict)
    given_up: dict[int, tuple[StreamRecord, ...]] = field(default_factory=dict)
    is_stopping: bool = False
    settled: set[int] = field(default_factory=set)
    failures: dict[tuple[int, ...], int] = field(default_factory=dict)
    last_place: int = -1


@dataclass(frozen=True, slots=True)
class Plan:
    """What a world is like and how much may go wrong in it."""

    policy: StreamPolicy
    shards: tuple[tuple[str, tuple[str, ...], tuple[tuple[int, str, int], ...]], ...]
    """Name, parents and records (number, key, size) of each shard."""
    factors: tuple[int, ...] = (1,)
    """`ParallelizationFactor` of the lives, in turns."""
    outcomes: tuple[str, ...] = ("success", "error")
    budget: tuple[tuple[str, int], ...] = ()
    """How often: crash, stop, lose, refuse, fault, undelivered, late (a lease is not extended in time), fail."""
    page_sizes: tuple[int, ...] = (10,)
    is_written: bool = True
    """Whether all records are there from the beginning."""
    lease_seconds: float = 20.0
    chances: tuple[float, ...] = (0.5,)


class World:
    """One state of everything."""

    def __init__(self, plan: Plan, now: float = 1_000_000.0) -> None:
        self.plan = plan
        self.now = now
        self.budget = dict(plan.budget)
        self.shards = {name: ModelShard(name, parents, to_come=list(records)) for name, parents, records in plan.shards}
        self.promises = Promises(self.shards, plan.policy.maximum_retry_attempts)
        self.lives: dict[int, Life] = {}
        self._begun = 0
        self._chances = 0
        if plan.is_written:
            for shard in self.shards.values():
                while shard.to_come:
                    shard.put(now)

    def _has(self, what: str) -> bool:
        return self.budget.get(what, 0) > 0

    def _chance(self) -> float:
        self._chances += 1
        return self.plan.chances[self._chances % len(self.plan.chances)]

    # ---- what may happen

    def steps(self) -> list[Step]:
        """All that may happen next; none when every shard is finished and nobody lives."""
        found: list[Step] = [("take", name) for name, shard in self.shards.items() if self._is_free(shard)]
        found += [("put", name) for name, shard in self.shards.items() if shard.to_come and self._may_begin(shard)]
        for life in self.lives.values():
            found += self._steps_of(life)
        if self._next_instant() is not None:
            found.append(("time",))
        return found

    def _may_begin(self, shard: ModelShard) -> bool:
        return all(self.shards[parent].is_closed for parent in shard.parents)

    def _is_free(self, shard: ModelShard) -> bool:
        if shard.checkpoint.finished or not all(self.shards[one].checkpoint.finished for one in shard.parents):
            return False
        return self.now >= shard.trusted_until + MARGIN_SECONDS

    def _owner(self, shard: ModelShard) -> Life | None:
        return next((one for one in self.lives.values() if one.shard is shard and one.start_epoch == shard.epoch), None)

    def _steps_of(self, life: Life) -> Iterator[Step]:
        name = life.name
        if life.reads:
            if life.shard.is_closed or life.reader_at < len(life.shard.records) or not life.shard.to_come:
                yield from (("read", name, size) for size in self.plan.page_sizes)
            if self._has("fault"):
                yield "fault", name, "expired iterator"
                yield "fault", name, "throttled"
        if life.saving:
            yield "save", name
            if self._has("lose"):
                yield "lose", name
            if self._has("refuse"):
                yield "refuse", name
        for number, batch in life.running.items():
            yield from (("finish", name, number, outcome) for outcome in self._outcomes(batch))
        for number in life.stuck:
            yield "returned", name, number
        for number in life.discards:
            yield "sent", name, number
            if self._has("undelivered"):
                yield "undelivered", name, number, False
                yield "undelivered", name, number, True
        if self._has("crash"):
            yield "crash", name
        if self._has("stop") and not life.is_stopping:
            yield "stop", name
        if self._owner(life.shard) is life and life.shard.trusted_until < self.now + self.plan.lease_seconds / 2:
            yield "extend", name

    def _outcomes(self, batch: StreamBatch) -> Iterator[str]:
        for outcome in self.plan.outcomes:
            if outcome == "success" or self._has("fail"):
                yield outcome

    def _next_instant(self) -> float | None:
        """When something changes by the passing of time alone; None where nothing will."""
        instants = [life.consumer.deadline or inf for life in self.lives.values()]
        for shard in self.shards.values():
            if not shard.checkpoint.finished and shard.epoch:
                owner = self._owner(shard)
                if owner and shard.trusted_until > self.now and not self._has("late"):
                    instants.append(shard.trusted_until - self.plan.lease_seconds / 4)
                else:
                    instants += [shard.trusted_until, shard.trusted_until + MARGIN_SECONDS]
        later = min((instant for instant in instants if instant > self.now), default=inf)
        return None if later >= self.now + FAR_SECONDS else later

    # ---- what happens

    def take(self, step: Step) -> None:
        """Lets one step happen. Raises `AssertionError` where it breaks a promise."""
        verb, *rest = step
        if verb in self.budget:
            self.budget[str(verb)] -= 1
        getattr(self, f"_take_{verb}")(*rest)

    def _take_put(self, name: str) -> None:
        self.shards[name].put(self.now)

    def _take_take(self, name: str) -> None:
        shard = self.shards[name]
        self._begun += 1
        shard.epoch += 1
        shard.trusted_until = self.now + self.plan.lease_seconds
        policy = replace(self.plan.policy, factor=self.plan.factors[self._begun % len(self.plan.factors)])
        start = Checkpoint.from_json(shard.checkpoint.to_json())
        consumer = ShardConsumer(policy, shard_id=name, start=start, lease_until=shard.trusted_until, epoch=shard.epoch)
        life = Life(self._begun, policy, shard, consumer, start, shard.epoch)
        self.lives[life.name] = life
        self._hear(life, Woke())

    def _take_time(self) -> None:
        self.now = self._next_instant() or self.now
        for life in list(self.lives.values()):
            deadline = life.consumer.deadline
            if deadline is not None and deadline <= self.now:
                self._hear(life, Woke())

    def _take_extend(self, name: int) -> None:
        life = self.lives[name]
        life.shard.trusted_until = self.now + self.plan.lease_seconds
        self._hear(life, LeaseExtended(until_at=life.shard.trusted_until))

    def _take_crash(self, name: int) -> None:
        del self.lives[name]

    def _take_stop(self, name: int) -> None:
        life = self.lives[name]
        life.is_stopping = True
        self._hear(life, Stopping(deadline_at=self.now + 10))

    def _take_read(self, name: int, size: int) -> None:
        life = self.lives[name]
        read, life.reads = life.reads, None
        assert read is not None
        if read.position is not None:
            life.reader_at = life.shard.index_after(read.position)
        page = life.shard.page(life.reader_at, size, self.now)
        life.reader_at += len(page.records)
        self._hear(life, PageRead(number=read.number, page=page))

    def _take_fault(self, name: int, fault: str) -> None:
        life = self.lives[name]
        read, life.reads = life.reads, None
        assert read is not None
        self._hear(life, ReadFailed(number=read.number, fault=ReadFault(fault), problem=fault, chance=self._chance()))

    def _take_save(self, name: int) -> None:
        self._save(self.lives[name], is_answered=True)

    def _take_lose(self, name: int) -> None:
        self._save(self.lives[name], is_answered=False)

    def _save(self, life: Life, *, is_answered: bool) -> None:
        saving, shard = life.saving, life.shard
        assert saving is not None
        life.saving = None
        if shard.epoch != life.start_epoch:
            if is_answered:
                del self.lives[life.name]
            else:
                self._refused(life, saving)
            return
        self.promises.stands(shard, saving.checkpoint)
        shard.checkpoint = saving.checkpoint
        if is_answered:
            self._hear(life, CheckpointSaved(number=saving.number))
        else:
            self._refused(life, saving)

    def _take_refuse(self, name: int) -> None:
        life = self.lives[name]
        saving, life.saving = life.saving, None
        assert saving is not None
        self._refused(life, saving)

    def _refused(self, life: Life, saving: SaveCheckpoint) -> None:
        self._hear(life, CheckpointFailed(number=saving.number, problem="no answer", chance=self._chance()))

    def _take_finish(self, name: int, number: int, outcome: str) -> None:
        life = self.lives[name]
        batch = life.running.pop(number)
        if outcome != "success":
            self.budget["fail"] -= 1
        if outcome == "stuck":
            life.stuck[number] = batch
        self._book(life, batch, outcome)
        if outcome == "late":
            self._hear(life, NotStarted(number=number))
        else:
            self._hear(life, Finished(number=number, result=_result(outcome, batch), chance=self._chance()))

    def _book(self, life: Life, batch: StreamBatch, outcome: str) -> None:
        """What the outcome means, as the world sees it."""
        reports = life.policy.report_batch_item_failures
        if outcome == "success" or (outcome in {"first", "last", "malformed"} and not reports):
            self.promises.settle(life, batch.records)
        elif outcome in {"first", "last"} and batch.records:
            failed = batch.records[0 if outcome == "first" else -1].identifier
            kept = [record for record in batch.records if int(record.identifier) < int(failed)]
            self.promises.settle(life, kept)
            if not kept:
                self.promises.failed(life, batch)
        elif outcome in COUNTED and batch.records:
            self.promises.failed(life, batch)

    def _take_returned(self, name: int, number: int) -> None:
        life = self.lives[name]
        del life.stuck[number]
        self._hear(life, Returned(number=number))

    def _take_sent(self, name: int, number: int) -> None:
        self._sent(name, number, None, is_final=False)

    def _take_undelivered(self, name: int, number: int, is_final: bool) -> None:
        self._sent(name, number, "no", is_final=is_final)

    def _sent(self, name: int, number: int, problem: str | None, *, is_final: bool) -> None:
        life = self.lives[name]
        del life.discards[number]
        if problem is None or is_final:
            self.promises.settle(life, life.given_up[number])
        self._hear(life, Discarded(number=number, problem=problem, is_final=is_final, chance=self._chance()))

    # ---- what is said

    def _hear(self, life: Life, event: ShardEvent) -> None:
        actions = self._ask(life, event)
        self.promises.said(life, actions, self.now)
        for action in actions:
            self._perform(life, action)
        if life.consumer.finished:
            assert not life.running
            assert not life.stuck
            assert life.saving is None
            self.lives.pop(life.name, None)
            if self._owns(life):
                life.shard.trusted_until = -inf

    def _owns(self, life: Life) -> bool:
        return life.shard.epoch == life.start_epoch

    def _ask(self, life: Life, event: ShardEvent) -> list[ShardAction]:
        return life.consumer.handle(event, self.now)

    def _perform(self, life: Life, action: ShardAction) -> None:
        match action:
            case Read():
                assert life.reads is None, "two reads are outstanding"
                life.reads = action
            case InvokeStream():
                life.running[action.batch.number] = action.batch
            case SaveCheckpoint():
                assert life.saving is None, "two writes are outstanding"
                life.saving = action
            case Discard():
                life.discards[action.discarded.number] = action
                self._note(life, action)
            case Tell():
                pass

    def _note(self, life: Life, discard: Discard) -> None:
        """Which records are given up: those whose events the payload has."""
        if discard.discarded.number not in life.given_up:
            events = {id(event) for event in discard.discarded.payload.value["Records"]}
            life.given_up[discard.discarded.number] = tuple(
                record for record in life.shard.records if id(record.event) in events
            )

    # ---- the end

    def become_kind(self) -> None:
        """From now on nothing goes wrong."""
        self.budget = {}

    def come_to_rest(self, most_steps: int = 4_000) -> bool:
        """Goes on in a kind world, by deadlines and answers alone; whether all shards are finished by then."""
        self.become_kind()
        for _ in range(most_steps):
            if all(shard.checkpoint.finished for shard in self.shards.values()):
                return True
            steps = self.steps()
            step = next((step for step in steps if step != ("time",)), None)
            if step is None and ("time",) not in steps:
                return False
            self.take(step or ("time",))
        return False


def _result(outcome: str, batch: StreamBatch) -> InvocationResult:
    response: dict[str, object] = {"state": {"n": batch.number}}
    match outcome:
        case "success":
            return Succeeded(response=Payload.of_value(response))
        case "first" | "last":
            failed = [batch.records[0 if outcome == "first" else -1].identifier] if batch.records else []
            entries = [{"itemIdentifier": one} for one in failed]
            return Succeeded(response=Payload.of_value({**response, "batchItemFailures": entries}))
        case "malformed":
            return Succeeded(response=Payload.of_value({**response, "batchItemFailures": [{"itemIdentifier": ""}]}))
        case "stateless":
            return Succeeded(response=Payload.of_value({}))
        case "timeout":
            return TimedOut(message="Task timed out")
        case "stuck":
            return TimedOut(message="Task timed out", wait_returned=returned)
        case "throttled":
            return Throttled(message="Rate exceeded")
        case "unavailable":
            return Unavailable(message="nobody listens")
        case _:
            return HandlerFailed(error_type="Error", message="no")
