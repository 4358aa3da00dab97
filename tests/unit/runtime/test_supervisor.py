"""Mappings run by themselves: faults, bugs, drains."""

import anyio
import pytest

from broker.core.lifecycle import MappingState
from broker.errors import ExecutorError
from broker.model import observation as seen
from broker.model.invocation import Invocation
from broker.runtime.queue_run import QueueRun
from broker.runtime.supervisor import SETTLEMENT_GRACE_SECONDS, Supervisor
from tests.unit.runtime.test_driver import until
from tests.unit.runtime.world import ScriptedExecutor, make_plan, succeed

pytestmark = pytest.mark.anyio


def supervise(queue, *plans, **options) -> Supervisor:
    options = {"raise_bugs": False, **options}
    runs = [QueueRun(plan, clock=queue.clock, chance=lambda: 0.5, **options) for plan in plans]
    return Supervisor(runs, clock=queue.clock)


async def test_a_disabled_mapping_never_fires(make_queue):
    queue, executor = make_queue(), ScriptedExecutor(succeed)
    queue.send("hello")
    supervisor = supervise(queue, make_plan(queue, executor, enabled=False))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(supervisor.run)
        await anyio.sleep(120)
        assert supervisor.statuses()[0].state == MappingState.DISABLED
        supervisor.drain(10)

    assert executor.invocations == []
    assert queue.visible_count == 1


async def test_a_missing_queue_is_retried_and_shown_and_disturbs_no_other(make_queue):
    missing, healthy = make_queue("missing"), make_queue("healthy")
    missing.vanish()
    executor, observations = ScriptedExecutor(succeed), []
    supervisor = supervise(
        healthy, make_plan(missing, executor, seen=observations), make_plan(healthy, ScriptedExecutor(succeed))
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(supervisor.run)
        healthy.send("one")
        await until(lambda: not len(healthy))
        broken, well = supervisor.statuses()
        assert not broken.healthy
        assert "does not exist" in broken.problem
        assert well.healthy
        missing.restore()
        missing.send("two")
        await until(lambda: not len(missing))
        assert supervisor.statuses()[0].healthy
        supervisor.drain(10)

    assert any(isinstance(each, seen.SourceRecovered) for each in observations)


async def test_a_queue_that_vanishes_at_run_time_is_retried_with_growing_delays(make_queue):
    queue, observations = make_queue(), []
    supervisor = supervise(queue, make_plan(queue, ScriptedExecutor(succeed), seen=observations))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(supervisor.run)
        await anyio.sleep(1)
        queue.vanish()
        await anyio.sleep(300)
        delays = [each.delay_seconds for each in observations if isinstance(each, seen.SourceProblem)]
        assert delays[-1] > 10
        assert len(delays) < 60
        supervisor.drain(10)


async def test_the_worlds_fault_restarts_a_mapping(make_queue):
    queue, results = make_queue(visibility_timeout_seconds=5), [ExecutorError("the pool is gone")]

    async def handle(_invocation: Invocation):
        if results:
            raise results.pop()

    queue.send("hello")
    supervisor = supervise(queue, make_plan(queue, ScriptedExecutor(handle)))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(supervisor.run)
        await until(lambda: not len(queue))
        supervisor.drain(10)


async def test_a_bug_stops_its_mapping_and_leaves_the_others_running(make_queue):
    broken, healthy, observations = make_queue("broken"), make_queue("healthy"), []

    async def bug(_invocation: Invocation):
        raise ZeroDivisionError

    broken.send("one")
    supervisor = supervise(
        healthy,
        make_plan(broken, ScriptedExecutor(bug), seen=observations),
        make_plan(healthy, ScriptedExecutor(succeed)),
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(supervisor.run)
        await anyio.sleep(5)
        healthy.send("two")
        await until(lambda: not len(healthy))
        status = supervisor.statuses()[0]
        assert not status.healthy
        assert "bug" in status.problem
        supervisor.drain(10)

    assert any(isinstance(each, seen.MappingFailed) for each in observations)


async def test_bugs_end_the_run_where_they_are_to(make_queue):
    queue = make_queue()

    async def bug(_invocation: Invocation):
        raise ZeroDivisionError

    queue.send("one")
    supervisor = supervise(queue, make_plan(queue, ScriptedExecutor(bug)), raise_bugs=True)
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        await supervisor.run()


async def test_a_drain_that_takes_too_long_is_cut_at_its_deadline(make_queue):
    queue = make_queue(visibility_timeout_seconds=1000)

    async def endless(_invocation: Invocation):
        await anyio.sleep(900)

    queue.send("hello")
    supervisor, results = supervise(queue, make_plan(queue, ScriptedExecutor(endless))), []

    async def run() -> None:
        results.append(await supervisor.run())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await anyio.sleep(1)
        started = queue.clock.now()
        supervisor.drain(10)
        supervisor.drain(1000)

    assert results == [False]
    assert queue.clock.now() - started == pytest.approx(10)


async def test_a_drain_before_the_start_ends_at_once(make_queue):
    queue, executor = make_queue(), ScriptedExecutor(succeed)
    queue.send("hello")
    supervisor = supervise(queue, make_plan(queue, executor))
    supervisor.drain(10)

    assert await supervisor.run()
    assert executor.invocations == []


async def test_a_drain_ends_a_mapping_that_waits_to_begin_again(make_queue):
    queue = make_queue()

    async def broken(_invocation: Invocation):
        raise ExecutorError("the pool is gone")

    queue.send("hello")
    supervisor = supervise(queue, make_plan(queue, ScriptedExecutor(broken)))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(supervisor.run)
        await anyio.sleep(0.5)
        assert "the pool is gone" in supervisor.statuses()[0].problem
        started = queue.clock.now()
        supervisor.drain(1000)

    assert queue.clock.now() - started < 5


async def test_a_delete_that_is_never_answered_does_not_outlast_the_drain_by_more_than_its_grace(make_queue):
    queue = make_queue()
    queue.slow("delete", request_seconds=10_000)
    queue.send("hello")
    supervisor = supervise(queue, make_plan(queue, ScriptedExecutor(succeed)))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(supervisor.run)
        await anyio.sleep(1)
        started = queue.clock.now()
        supervisor.drain(10)

    assert queue.clock.now() - started <= 10 + SETTLEMENT_GRACE_SECONDS


async def test_cutting_short_cancels_handlers_and_gives_deletes_their_grace(make_queue):
    queue = make_queue(visibility_timeout_seconds=1000)
    queue.slow("delete", request_seconds=4)
    results: list[bool] = []

    async def first_quickly(invocation: Invocation):
        if len(invocation.payload.value["Records"]) == 1:
            await anyio.sleep(900)

    queue.send("one")
    supervisor = supervise(queue, make_plan(queue, ScriptedExecutor(first_quickly)))

    async def run() -> None:
        results.append(await supervisor.run())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await anyio.sleep(1)
        queue.send("two")
        queue.send("three")
        await anyio.sleep(1)
        started = queue.clock.now()
        supervisor.cut_short()

    assert results == [False]
    assert queue.clock.now() - started <= SETTLEMENT_GRACE_SECONDS
    assert len(queue) >= 1
