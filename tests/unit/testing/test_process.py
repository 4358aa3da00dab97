"""A crash settles nothing: everything comes back when its visibility timeout has passed."""

import anyio
import anyio.lowlevel
import pytest

from broker.errors import SourceError
from broker.testing import Happening, Process

pytestmark = pytest.mark.anyio

POLL = {"maximum_count": 10, "wait_seconds": 20, "visibility_timeout_seconds": 30, "attempt_id": None}


@pytest.fixture
def queue(make_queue):
    return make_queue("orders")


async def consume(source, handled, *, handler_seconds=5) -> None:
    """A driver in small: it settles in a shielded and bounded scope."""
    while True:
        records = await source.receive(**POLL)
        try:
            await anyio.sleep(handler_seconds)
            handled += [record.identifier for record in records]
        finally:
            with anyio.move_on_after(60, shield=True):
                if records:
                    await source.delete(records)


async def test_a_crash_in_the_handler_leaves_the_message_hidden_until_its_timeout(queue) -> None:
    message_id, handled = queue.send("a"), []
    first, second = Process(), Process()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first.run, consume, first.connect(queue), handled)
        await anyio.sleep(3)
        first.crash()
        assert queue.in_flight_count == 1
        tasks.start_soon(second.run, consume, second.connect(queue), handled)
        await anyio.sleep(40)
        second.crash()
    assert (
        queue.history.instants(message_id, Happening.RECEIVED)[1] - 30
        == queue.history.instants(message_id, Happening.RECEIVED)[0]
    )
    assert handled == [message_id]
    assert queue.every_message_accounted(handled=handled).deleted_count == 1


async def test_a_shielded_settlement_does_not_reach_the_queue_after_the_crash(queue) -> None:
    message_id, process = queue.send("a"), Process()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(process.run, consume, process.connect(queue), [])
        await anyio.sleep(3)
        process.crash()
    assert anyio.current_time() == 3
    assert message_id in queue


@pytest.mark.parametrize(("answered", "deleted"), [(False, False), (True, True)])
async def test_a_process_can_crash_before_its_call_takes_effect_or_after(queue, answered, deleted) -> None:
    message_id, process = queue.send("a"), Process()
    process.crash_at("delete", answered=answered)
    await process.run(consume, process.connect(queue), [])
    assert process.crashed
    assert (message_id not in queue) is deleted


async def test_the_moment_can_be_a_later_call(queue) -> None:
    process = Process()
    process.crash_at("receive", number=3)
    for body in ("a", "b", "c"):
        queue.send(body)
        await process.run(receive_once, process.connect(queue))
    assert process.crashed
    assert queue.in_flight_count == 2


async def receive_once(source) -> None:
    await source.receive(**POLL)


async def test_a_dead_process_runs_nothing_and_calls_nobody(queue) -> None:
    process, ran = Process(), []
    process.crash()

    async def main() -> None:
        await anyio.lowlevel.checkpoint()
        ran.append(1)

    await process.run(main)
    assert ran == []
    with pytest.raises(SourceError):
        await process.connect(queue).describe()


async def test_a_process_that_ends_by_itself_has_not_crashed(queue) -> None:
    process = Process()
    queue.send("a")
    await process.run(receive_once, process.connect(queue))
    assert not process.crashed


async def test_errors_of_a_living_process_and_bugs_of_a_dying_one_are_heard(queue) -> None:
    process = Process()
    queue.throttle()
    with pytest.raises(SourceError):
        await process.run(receive_once, process.connect(queue))

    async def bug() -> None:
        async with anyio.create_task_group():
            process.crash()
            raise LookupError

    with pytest.raises(ExceptionGroup) as raised:
        await process.run(bug)
    assert raised.group_contains(LookupError)


async def test_the_tasks_of_a_process_die_with_it(queue) -> None:
    process, handled = Process(), []
    queue.send("a")

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(consume, process.connect(queue), handled)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(process.run, main)
        await anyio.sleep(3)
        process.crash()
    assert handled == []
    assert queue.in_flight_count == 1
