"""Time jumps when every task waits, and only then."""

import os
import threading
import time

import anyio
import anyio.to_thread
import pytest

from broker.errors import VirtualTimeStalled
from broker.testing import EPOCH, VirtualClock, VirtualEventLoop, run_in_virtual_time, virtual_backend
from broker.testing.virtual_time import _current_time, _ThreadCall

DAY = 86400.0

virtual = pytest.mark.anyio


@virtual
async def test_sleeping_moves_the_clock_and_takes_no_time() -> None:
    clock, really = VirtualClock(), time.monotonic()
    started_at = clock.now()
    await anyio.sleep(1000 * DAY)
    assert clock.now() - started_at == 1000 * DAY
    assert time.monotonic() - really < 5


@virtual
async def test_the_clock_starts_at_its_epoch() -> None:
    assert VirtualClock().now() == EPOCH
    assert VirtualClock(epoch=0.0).now() == anyio.current_time() == 0.0


@virtual
async def test_timers_fire_in_the_order_of_their_instants() -> None:
    fired = []

    async def sleeper(seconds: float) -> None:
        await anyio.sleep(seconds)
        fired.append((seconds, anyio.current_time()))

    async with anyio.create_task_group() as tasks:
        for seconds in (7.5, 0.25, 3, 0.5):
            tasks.start_soon(sleeper, seconds)
    assert fired == [(0.25, 0.25), (0.5, 0.5), (3, 3), (7.5, 7.5)]


@virtual
async def test_a_time_limit_ends_a_wait_at_its_instant() -> None:
    with anyio.move_on_after(12.5) as scope:
        await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert anyio.current_time() == 12.5


@virtual
async def test_time_stands_still_while_a_worker_thread_runs() -> None:
    clock, ticks = VirtualClock(), []
    release = threading.Event()

    async def ticking() -> None:
        while True:
            await anyio.sleep(1)
            ticks.append(clock.now())
            release.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ticking)
        assert not await clock.run_sync(release.wait, 0.05)
        assert ticks == []
        tasks.cancel_scope.cancel()


@virtual
async def test_time_goes_on_after_a_worker_thread_has_returned() -> None:
    clock = VirtualClock()
    for _ in range(20):
        assert await clock.run_sync(max, 1, 2) == 2
        await anyio.sleep(1)
    assert anyio.current_time() == 20


@virtual
async def test_a_worker_thread_reads_the_clock_and_its_error_comes_back() -> None:
    clock = VirtualClock()
    await anyio.sleep(5)

    def fail() -> None:
        raise LookupError(clock.now())

    with pytest.raises(LookupError) as raised:
        await clock.run_sync(fail)
    assert raised.value.args == (EPOCH + 5,)


@virtual
async def test_a_thread_that_sleeps_virtually_lets_time_pass() -> None:
    clock = VirtualClock()

    def handler() -> tuple[float, float]:
        before = clock.now()
        clock.sleep_in_thread(10)
        return before, clock.now()

    assert await clock.run_sync(handler) == (EPOCH, EPOCH + 10)


@virtual
async def test_an_abandoned_thread_goes_on_by_itself() -> None:
    clock, returned = VirtualClock(), []

    def handler() -> None:
        clock.sleep_in_thread(10)
        returned.append(clock.now())

    with anyio.move_on_after(3) as scope:
        await clock.run_sync(handler, abandon_on_cancel=True)
    assert scope.cancelled_caught
    assert clock.now() == EPOCH + 3
    await anyio.sleep(20)
    assert returned == [EPOCH + 10]
    assert clock.now() == EPOCH + 23


@virtual
async def test_a_thread_that_must_not_be_abandoned_is_waited_for() -> None:
    clock = VirtualClock()
    with anyio.move_on_after(3):
        await clock.run_sync(clock.sleep_in_thread, 10)
    assert clock.now() == EPOCH + 10


@virtual
async def test_waiting_for_a_free_thread_does_not_stop_time() -> None:
    clock, limiter = VirtualClock(), anyio.CapacityLimiter(1)

    async def call() -> None:
        await clock.run_sync(clock.sleep_in_thread, 10, limiter=limiter)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        tasks.start_soon(call)
    assert clock.now() == EPOCH + 20


@virtual
async def test_a_thread_that_starts_after_its_call_was_abandoned_holds_time_too() -> None:
    clock = VirtualClock()
    with _ThreadCall.begin(_current_time()) as late:
        pass
    assert await clock.run_sync(late.run, clock.now, ()) == EPOCH
    await anyio.sleep(1)
    assert clock.now() == EPOCH + 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_sleeping_thread_wakes_when_its_event_loop_ends(backend) -> None:
    returned = threading.Event()

    async def main() -> None:
        clock = VirtualClock()

        def handler() -> None:
            clock.sleep_in_thread(10)
            returned.set()

        with anyio.move_on_after(3):
            await clock.run_sync(handler, abandon_on_cancel=True)

    run_in_virtual_time(main, backend=backend)
    assert returned.wait(5)


def test_a_wait_that_cannot_end_is_an_error_on_asyncio() -> None:
    with pytest.raises(VirtualTimeStalled, match="nothing can ever happen"):
        run_in_virtual_time(anyio.sleep_forever)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_real_time_stays_real_under_the_same_clock(backend) -> None:
    async def main() -> float:
        clock = VirtualClock()
        before = clock.now()
        await clock.run_sync(clock.sleep_in_thread, 0.02)
        return clock.now() - before

    assert 0.02 <= anyio.run(main, backend=backend) < 5


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_each_backend_starts_with_a_fresh_clock(backend) -> None:
    async def main() -> float:
        await anyio.sleep(1)
        return anyio.current_time()

    assert [run_in_virtual_time(main, backend=backend) for _ in range(2)] == [1.0, 1.0]


def test_a_file_descriptor_is_waited_for_where_nothing_else_can_happen() -> None:
    reading, writing = os.pipe()
    loop = VirtualEventLoop()
    try:
        loop.add_reader(reading, loop.stop)
        threading.Timer(0.01, os.write, (writing, b"x")).start()
        loop.run_forever()
        assert os.read(reading, 1) == b"x"
        assert loop.time() == 0.0
        loop.remove_reader(reading)
    finally:
        loop.close()
        os.close(reading)
        os.close(writing)


def test_outside_of_run_sync_a_thread_really_sleeps() -> None:
    before = time.monotonic()
    VirtualClock().sleep_in_thread(0.01)
    assert time.monotonic() - before >= 0.01


def test_only_the_two_backends_have_a_virtual_form() -> None:
    assert [virtual_backend(name)[0] for name in ("asyncio", "trio")] == ["asyncio", "trio"]
