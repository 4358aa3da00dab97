"""The driver and its performer: every await may be cancelled, settlements are not."""

import anyio
import pytest

from broker.core.queue_consumer import QueueConsumer
from broker.core.queue_policy import QueuePolicy, ScalingPolicy
from broker.errors import ExecutorError
from broker.model.invocation import HandlerFailed, Invocation, Throttled, TimedOut
from broker.runtime.driver import Driver
from broker.testing import InMemoryQueue
from tests.unit.runtime.world import ScriptedExecutor, make_plan, succeed

pytestmark = pytest.mark.anyio


def make_driver(queue: InMemoryQueue, executor: ScriptedExecutor, **options: object) -> Driver:
    plan = make_plan(queue, executor, **options)
    return Driver(consumer=QueueConsumer(plan.policy), performer=plan.performer, clock=queue.clock)


async def until(condition) -> None:
    with anyio.fail_after(600):
        while not condition():  # noqa: ASYNC110 - a condition tells nobody
            await anyio.sleep(0.25)


async def test_messages_are_handled_and_deleted(make_queue):
    queue, executor = make_queue(), ScriptedExecutor(succeed)
    sent = [queue.send(str(number)) for number in range(25)]
    driver = make_driver(queue, executor)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(driver.run)
        await until(lambda: not len(queue))
        driver.stop(queue.clock.now() + 60)

    assert sorted(executor.bodies, key=int) == [str(number) for number in range(25)]
    queue.every_message_accounted(handled=sent)


async def test_an_idle_driver_ends_within_its_long_poll(make_queue):
    queue = make_queue()
    driver = make_driver(queue, ScriptedExecutor(succeed))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(driver.run)
        await anyio.sleep(0.5)
        stopped_at = queue.clock.now()
        driver.stop(stopped_at + 60)

    assert queue.clock.now() - stopped_at <= 2


async def test_a_drain_lets_the_handler_finish_and_deletes_its_messages(make_queue):
    queue = make_queue()

    async def slow(_invocation: Invocation) -> None:
        await anyio.sleep(2.5)

    sent, driver = queue.send("hello"), None
    driver = make_driver(queue, ScriptedExecutor(slow))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(driver.run)
        await anyio.sleep(1)
        driver.stop(queue.clock.now() + 60)

    queue.every_message_accounted(handled=[sent])
    assert not len(queue)


@pytest.mark.parametrize("after", [0.0, 0.1, 1.0, 1.9, 2.1, 3.0, 4.9, 5.5, 30.0])
async def test_cancelling_at_any_moment_leaves_each_message_deleted_or_in_the_queue(make_queue, after):
    queue, handled = make_queue(), []
    queue.slow("receive", request_seconds=1, reply_seconds=1, calls=100)
    queue.slow("delete", request_seconds=2, reply_seconds=1, calls=100)

    async def handle(invocation: Invocation) -> None:
        await anyio.sleep(1)
        handled.extend(record["messageId"] for record in invocation.payload.value["Records"])

    for number in range(30):
        queue.send(str(number))
    driver = make_driver(queue, ScriptedExecutor(handle))

    with anyio.move_on_after(after):
        await driver.run()

    account = queue.every_message_accounted(handled=handled)
    assert account.deleted_count == len(handled)
    assert account.deleted_count + account.remaining_count == 30


async def test_a_delete_under_way_is_finished_though_the_driver_is_cancelled(make_queue):
    queue = make_queue()
    queue.slow("delete", request_seconds=4)
    queue.send("hello")
    started = queue.clock.now()
    driver = make_driver(queue, ScriptedExecutor(succeed))

    with anyio.move_on_after(1):
        await driver.run()

    assert not len(queue)
    assert queue.clock.now() - started == pytest.approx(4)


async def test_a_delete_that_is_never_answered_does_not_hold_the_driver_for_ever(make_queue):
    queue = make_queue()
    queue.slow("delete", request_seconds=10_000)
    queue.send("hello")
    started = queue.clock.now()
    driver = make_driver(queue, ScriptedExecutor(succeed), settlement_seconds=7.0)

    with anyio.move_on_after(1):
        await driver.run()

    assert queue.clock.now() - started == pytest.approx(7)


async def test_a_delete_that_is_never_answered_is_repeated(make_queue):
    queue = make_queue()
    queue.slow("delete", request_seconds=10_000)
    queue.send("hello")
    driver = make_driver(queue, ScriptedExecutor(succeed), settlement_seconds=7.0)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(driver.run)
        await until(lambda: not len(queue))
        driver.stop(queue.clock.now() + 60)


async def test_an_unchanged_batch_keeps_its_request_id(make_queue):
    queue, results = make_queue(), [Throttled(message="busy"), Throttled(message="busy"), None]

    async def handle(_invocation: Invocation):
        return results.pop(0)

    executor = ScriptedExecutor(handle)
    queue.send("hello")
    driver = make_driver(queue, executor)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(driver.run)
        await until(lambda: not len(queue))
        driver.stop(queue.clock.now() + 60)

    assert len({each.request_id for each in executor.invocations}) == 1
    assert len(executor.invocations) == 3


async def test_a_fifo_receive_whose_reply_was_lost_brings_the_same_messages(make_queue):
    queue, executor = make_queue("orders.fifo", fifo=True), ScriptedExecutor(succeed)
    for number in range(3):
        queue.send(str(number), group="a", deduplication_id=str(number))
    queue.lose_reply("receive")
    started = queue.clock.now()
    driver = make_driver(queue, executor)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(driver.run)
        await until(lambda: not len(queue))
        driver.stop(queue.clock.now() + 60)

    assert executor.bodies == ["0", "1", "2"]
    assert queue.clock.now() - started < queue.visibility_timeout_seconds


async def test_a_fifo_receive_whose_repetition_is_refused_does_not_stall_the_mapping(make_queue):
    queue = make_queue("orders.fifo", fifo=True, visibility_timeout_seconds=20)
    queue.send("0", group="a", deduplication_id="0")
    queue.lose_reply("receive")
    one_slot = QueuePolicy(fifo=True, long_poll_seconds=2, scaling=ScalingPolicy(initial=1, maximum=1))
    driver = make_driver(queue, executor := ScriptedExecutor(succeed), policy=one_slot)
    started = queue.clock.now()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(driver.run)
        await anyio.sleep(0.1)
        queue.expire_visibility()
        queue.take(maximum_count=1)  # by another consumer: from here on the queue refuses the attempt id
        await until(lambda: not len(queue))
        driver.stop(queue.clock.now() + 60)

    assert executor.bodies == ["0"]
    assert queue.clock.now() - started < 30


async def test_a_stuck_call_keeps_its_group_until_it_returns(make_queue):
    queue = make_queue("orders.fifo", fifo=True, visibility_timeout_seconds=5)
    returned, order = anyio.Event(), []

    async def handle(invocation: Invocation):
        (body,) = [record["body"] for record in invocation.payload.value["Records"]]
        order.append(body)
        if order.count("first") != 1 or body != "first":
            return None
        await anyio.sleep(3)
        return TimedOut(message="Task timed out after 3.00 seconds", wait_returned=returned.wait)

    queue.send("first", group="a", deduplication_id="1")
    queue.send("other", group="b", deduplication_id="2")
    driver = make_driver(queue, ScriptedExecutor(handle), policy=QueuePolicy(fifo=True, batch_size=1))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(driver.run)
        await anyio.sleep(17)
        assert sorted(order) == ["first", "other"]
        returned.set()
        await until(lambda: not len(queue))
        driver.stop(queue.clock.now() + 60)

    assert sorted(order) == ["first", "first", "other"]


async def test_a_broken_executor_ends_the_driver(make_queue):
    queue = make_queue()

    async def broken(_invocation: Invocation):
        raise ExecutorError("the pool is gone")

    queue.send("hello")
    driver = make_driver(queue, ScriptedExecutor(broken))
    with pytest.RaisesGroup(ExecutorError):
        await driver.run()


async def test_a_failed_batch_comes_again_after_its_visibility_timeout(make_queue):
    queue, results = make_queue(visibility_timeout_seconds=10), [HandlerFailed(error_type="E", message="no"), None]
    times: list[float] = []

    async def handle(_invocation: Invocation):
        times.append(queue.clock.now())
        return results.pop(0)

    queue.send("hello")
    driver = make_driver(queue, ScriptedExecutor(handle))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(driver.run)
        await until(lambda: not len(queue))
        driver.stop(queue.clock.now() + 60)

    assert times[1] - times[0] == pytest.approx(10, abs=0.1)
