"""One stream's mapping while its broker runs: its rows, and the shards whose leases this broker has."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf

from anyio import Event, create_task_group, move_on_after, sleep
from anyio.abc import TaskGroup

from broker.core.lifecycle import Step
from broker.core.retry import Backoff
from broker.errors import EnabledElsewhere, LeaseLost, ReadFault, StoreError
from broker.model.batch import Reason
from broker.model.lease import Lease, LeaseKey, Row
from broker.model.observation import (
    BatchSettled,
    InvocationDeferred,
    MappingStateChanged,
    Observation,
    ShardStopped,
    SourceProblem,
    SourceRecovered,
    StoreProblem,
    StoreRecovered,
)
from broker.model.status import MappingStatus, ShardStatistics, StreamStatistics
from broker.runtime.fleet import Fleet
from broker.runtime.holdings import HAND_OVER_GRACE_SECONDS
from broker.runtime.mapping_life import MappingFacts, MappingLife, fault_of
from broker.runtime.shard_register import ShardRegister
from broker.runtime.shard_run import ShardRun, ShardTools

SURVEY_GAP_SECONDS = 1.0
"""Between two surveys, whatever asks for them: many shards may end at once, and an account may list only so often."""
CUMULATIVE = (
    "polled_count", "filtered_count", "invoked_count", "failed_count", "succeeded_count", "dropped_count",
    "delivered_count", "lost_count", "batch_count",
)  # fmt: skip
_NOTHING_PROCESSED = "No records processed"
_RESULTS = {
    Reason.SUCCEEDED: "OK",
    Reason.PARTIAL_FAILURE: "OK",
    Reason.MALFORMED_RESPONSE: (
        "PROBLEM: Sequence number in function response is invalid. Please check function implementation."
    ),
}
"""`LastProcessingResult`, as AWS words it; every other failure, throttling too, is `PROBLEM: Function call failed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """One mapping of a stream, ready to run."""

    facts: MappingFacts
    tools: ShardTools
    register: ShardRegister
    fleet: Fleet
    listing_seconds: float
    """How often the stream's shards are listed."""
    waits_out_expired: bool = False
    """Extension `TakeOver: ordered`: who takes an expired lease waits out the running batch's time limit."""


class StreamRun:
    """The shards of one stream that this broker works on. A tenant of the fleet."""

    def __init__(self, plan: StreamPlan, *, raise_bugs: bool) -> None:
        tools = plan.tools
        self._plan = plan
        self._tools = replace(tools, observe=self._observed)
        self._observe = tools.observe
        self._life = MappingLife(plan.facts, observe=tools.observe, raise_bugs=raise_bugs)
        self._runs: dict[LeaseKey, ShardRun] = {}
        self._tasks: TaskGroup | None = None
        self._stopping = Event()
        self._drain_seconds = 0.0
        self._idle = Event()
        self._survey_wanted = Event()
        self._pauses: dict[str, str] = {}
        self._rows_problem = ""
        self._past = StreamStatistics()
        self._last_processing_result = _NOTHING_PROCESSED

    # ---- what it shows

    def status(self) -> MappingStatus:
        """What it shows of itself."""
        return self._life.status(self.statistics())

    def statistics(self) -> StreamStatistics:
        """Counts of all shards so far, and what each of them holds now."""
        shards = sorted((run.statistics() for run in self._runs.values()), key=lambda each: each.shard)
        lanes = [lane for shard in shards for lane in shard.lanes]
        counts = {name: getattr(self._past, name) + sum(getattr(each, name) for each in shards) for name in CUMULATIVE}
        counts["lost_count"] += self._plan.register.lost_count
        in_a_shard = next((f"{each.shard}: {each.problem}" for each in shards if each.problem), "")
        problem = self._life.problem or in_a_shard
        return StreamStatistics(
            shards=tuple(shards),
            **counts,
            in_flight_batches=sum(lane.state in {"running", "stuck"} for lane in lanes),
            in_flight_records=sum(lane.in_flight_records for lane in lanes),
            buffered_records=sum(lane.buffered_records for lane in lanes),
            stuck_batches=sum(lane.state == "stuck" for lane in lanes),
            problem=in_a_shard or self._rows_problem or self._plan.fleet.problem,
            last_result=next((each.last_result for each in shards if each.last_result), self._past.last_result),
            last_processing_result=f"PROBLEM: {problem}" if problem else self._last_processing_result,
            paused=tuple(_pause_text(shard, note) for shard, note in sorted(self._pauses.items())),
        )

    def _observed(self, observation: Observation) -> None:
        if isinstance(observation, BatchSettled | InvocationDeferred):
            self._last_processing_result = _RESULTS.get(observation.reason, "PROBLEM: Function call failed")
        if isinstance(observation, SourceProblem) and observation.fault is ReadFault.STREAM_GONE:
            self._survey_wanted.set()  # it may have been made again
        self._observe(observation)

    def _remember(self, ended: ShardStatistics) -> None:
        past = self._past
        counts = {name: getattr(past, name) + getattr(ended, name) for name in CUMULATIVE}
        self._past = replace(past, **counts, last_result=ended.last_result or past.last_result)

    # ---- its life

    def limit_settlements(self, seconds: float) -> None:
        """Lets no settlement last longer than so many seconds from now."""
        for run in self._runs.values():
            run.limit_settlements(seconds)

    def stop(self, deadline_at: float) -> None:
        """Begins to drain."""
        self._drain_seconds = max(deadline_at - self._tools.clock.now(), 0.0)
        self._stopping.set()

    async def run(self) -> None:
        """Consumes until it has drained, or a bug stops it."""
        if not self._plan.facts.enabled:
            self._life.step(Step.STOPPED)
            return
        try:
            async with create_task_group() as tasks:
                self._tasks = tasks
                if await self._persist(self._enable):
                    await self._consume(tasks)
                tasks.cancel_scope.cancel()
        except Exception as error:  # noqa: BLE001 - one mapping's end must not be the others'
            self._life.failed(error, left="its records stay in the stream")
        finally:
            self._tasks = None

    async def _consume(self, tasks: TaskGroup) -> None:
        self._life.started()
        async with self._plan.fleet.serving(self):
            tasks.start_soon(self._keep_register)
            await self._stopping.wait()
            for run in tuple(self._runs.values()):
                run.hand_over("", self._drain_seconds)
            while self._runs:
                self._idle = Event()
                await self._idle.wait()

    async def _enable(self) -> None:
        await self._plan.register.enable()
        policy = replace(self._tools.policy, retention_seconds=self._plan.register.retention_seconds)
        self._tools = replace(self._tools, policy=policy)

    async def _keep_register(self) -> None:
        """Keeps the rows in step with the stream: the first of the workers, and each after the end of a shard."""
        while True:
            with move_on_after(self._plan.listing_seconds):
                await self._survey_wanted.wait()
            if self._survey_wanted.is_set() or self._plan.fleet.is_first(self.mapping):
                self._survey_wanted = Event()
                await self._persist(self._survey)
                await sleep(SURVEY_GAP_SECONDS)

    async def _survey(self) -> None:
        fleet = self._plan.fleet
        if await self._plan.register.survey({worker.worker_id for worker in fleet.workers}):
            fleet.changed()

    async def _persist(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Does something until the world lets it happen; False where the mapping is stopped meanwhile."""
        backoff = Backoff(self._tools.policy.source_backoff)
        while not self._stopping.is_set():
            try:
                await work()
            except Exception as error:
                fault = fault_of(error)
                if fault is None:
                    raise
                if isinstance(fault, EnabledElsewhere):
                    with move_on_after(backoff.failed(self._tools.clock.now(), self._tools.chance())):
                        await self._stopping.wait()
                else:
                    await self._wait_after(str(fault), backoff)
            else:
                self._recovered()
                return True
        return False

    async def _wait_after(self, problem: str, backoff: Backoff) -> None:
        self._life.problem = problem
        delay = backoff.failed(self._tools.clock.now(), self._tools.chance())
        self._observe(SourceProblem(problem=problem, delay_seconds=delay))
        with move_on_after(delay):
            await self._stopping.wait()

    def _recovered(self) -> None:
        if self._life.problem:
            self._life.problem = ""
            self._observe(SourceRecovered())

    # ---- a tenant of the fleet

    @property
    def mapping(self) -> str:
        """The mapping's UUID."""
        return self._plan.facts.uuid

    @property
    def hand_over_seconds(self) -> float:
        """The running batch's time limit, and a little for settling it."""
        return self._tools.target.timeout_seconds + HAND_OVER_GRACE_SECONDS

    def leases(self, rows: Mapping[str, Row]) -> Sequence[tuple[Lease, bool]]:
        """The leases among the rows, each with whether its shard may be read; a paused shard is given back.

        None where a row is not understood: what runs goes on, and other mappings are not disturbed.
        """
        register = self._plan.register
        if register.is_replaced(rows):
            self._survey_wanted.set()
        try:
            found, pauses = register.leases(rows), register.pauses(rows)
        except StoreError as error:
            self._tell_rows(str(error))
            return ()
        self._tell_rows("")
        may_run = {lease.key for lease, may_start in found if may_start}
        for key, run in tuple(self._runs.items()):
            if key not in may_run and not run.is_finished:  # paused, or of a stream that is no more
                run.is_paused = "" in pauses or run.shard.shard_id in pauses
                run.hand_over("", self.hand_over_seconds)
        self._tell_pauses(pauses)
        return found

    def _tell_rows(self, problem: str) -> None:
        before, self._rows_problem = self._rows_problem, problem
        if problem and problem != before:
            self._observe(StoreProblem(problem=problem))
        elif before and not problem:
            self._observe(StoreRecovered())

    def _tell_pauses(self, pauses: dict[str, str]) -> None:
        before, self._pauses = self._pauses, pauses
        for shard in sorted(before.keys() | pauses.keys()):
            if before.get(shard) != pauses.get(shard):
                detail = _pause_text(shard, pauses.get(shard, "resumed"))
                self._observe(MappingStateChanged(state=self.status().state, detail=detail))

    async def granted(self, lease: Lease, *, was_expired: bool) -> None:
        """The lease is ours: makes the checkpoint ours too, and begins."""
        plan, tools, tasks = self._plan, self._tools, self._tasks
        if tasks is None or lease.shard is None:
            return
        waits = was_expired and plan.waits_out_expired
        run = ShardRun(
            tools,
            lease,
            lease.shard,
            generation=plan.register.generation,
            lease_until=plan.fleet.trusted_until,
            start_at=tools.clock.now() + tools.target.timeout_seconds if waits else -inf,
        )
        self._runs[lease.key] = run  # so that it hears when the lease is lost, or asked for, while it begins
        try:
            await run.begin()
        except BaseException:
            self._ended(run)
            raise
        if run.is_lost or self._tasks is not tasks:
            self._ended(run)
            return
        tasks.start_soon(self._work, run)
        if self._stopping.is_set():
            run.hand_over("", self._drain_seconds)

    def _ended(self, run: ShardRun) -> None:
        if self._runs.get(run.lease.key) is run:
            del self._runs[run.lease.key]
        self._idle.set()

    def lost(self, lease: Lease) -> None:
        """The lease is somebody else's."""
        if run := self._runs.get(lease.key):
            run.lose()

    def hand_over(self, lease: Lease, to: str) -> None:
        """Somebody else should have it."""
        if run := self._runs.get(lease.key):
            run.hand_over(to, self.hand_over_seconds)

    def trust_extended(self, until_at: float) -> None:
        """All leases are certain until this instant."""
        for run in tuple(self._runs.values()):
            run.extend(until_at)

    # ---- one shard

    async def _work(self, run: ShardRun) -> None:
        """Consumes a shard until it ends, and sees to what follows from that."""
        try:
            await self._consume_shard(run)
            self._remember(run.statistics())
            self._observe(ShardStopped(shard=run.shard.shard_id, why=_why(run)))
            if run.is_finished:
                await self._follow(run)
            await run.wait_until_ordered()
            await self._plan.fleet.release(run.lease, run.hands_to or "")  # also what only the checkpoint says is lost
        finally:
            self._ended(run)

    async def _consume_shard(self, run: ShardRun) -> None:
        """Begins again under the same lease while the world makes it fail."""
        backoff = Backoff(self._tools.policy.source_backoff)
        while True:
            try:
                await run.run()
            except Exception as error:
                fault = fault_of(error)
                if fault is None:
                    raise
                if isinstance(fault, LeaseLost):
                    run.is_lost = True
                    self._plan.fleet.changed()
                    return
                await self._wait_after(str(fault), backoff)
                self._recovered()
            if run.is_over:
                return

    async def _follow(self, run: ShardRun) -> None:
        """A shard is finished: the shards that follow get their rows."""
        name = partial(self._plan.register.name_children, run.children, run.generation)
        if run.children and await self._persist(name):
            self._plan.fleet.changed()
        self._survey_wanted.set()


def _why(run: ShardRun) -> str:
    if run.is_finished:
        return "finished"
    if run.is_lost:
        return "lease lost"
    if run.is_paused:
        return "paused"
    return "handed over" if run.hands_to else "given back"


def _pause_text(shard: str, note: str) -> str:
    """`paused by …` for the mapping as a whole, `shardId-…: paused by …` for one shard."""
    return f"{shard}: {note}" if shard else note
