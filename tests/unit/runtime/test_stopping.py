"""What a drain does to mappings that have already come to an end."""

import anyio
import pytest

from broker.core.queue_policy import QueuePolicy
from broker.errors import ExecutorError
from broker.model.invocation import Invocation
from broker.runtime.queue_run import QueueRun
from broker.runtime.supervisor import Supervisor
from tests.unit.runtime.test_driver import until
from tests.unit.runtime.world import ScriptedExecutor, make_plan

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), ExecutorError("the pool is gone")])
async def test_a_drain_does_not_drive_a_mapping_that_has_ended_with_messages_in_hand(make_queue, error):
    broken, healthy, handled = make_queue("broken"), make_queue("healthy"), []

    async def fail(_invocation: Invocation):
        await anyio.sleep(1)
        raise error

    async def work(_invocation: Invocation):
        await anyio.sleep(5)
        handled.append(1)

    windowed = QueuePolicy(window_seconds=20, long_poll_seconds=2, batch_size=2, function_timeout_seconds=3)
    plans = [
        make_plan(broken, ScriptedExecutor(fail), policy=windowed),
        make_plan(healthy, ScriptedExecutor(work), policy=QueuePolicy(function_timeout_seconds=10)),
    ]
    runs = [QueueRun(plan, clock=broken.clock, chance=lambda: 0.9, raise_bugs=False) for plan in plans]
    supervisor = Supervisor(runs, clock=broken.clock)
    for _ in range(3):
        broken.send("two fill a batch, the third waits for its window")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(supervisor.run)
        await until(lambda: supervisor.statuses()[0].problem)
        assert supervisor.statuses()[0].statistics.buffered_records
        healthy.send("in flight while the drain begins")
        await until(lambda: supervisor.statuses()[1].statistics.in_flight_records)
        supervisor.drain(30)

    assert handled == [1]
    assert len(healthy) == 0
