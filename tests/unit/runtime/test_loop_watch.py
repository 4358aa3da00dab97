"""Who blocks the event loop: asked by another task here, whose clock the test may move."""

from itertools import pairwise

import anyio
import pytest

from broker.model.observation import EventLoopBlocked
from broker.runtime.loop_watch import LoopWatch
from broker.testing import VirtualClock

pytestmark = pytest.mark.anyio


class JumpingClock:
    """Virtual time, and what the test adds to it."""

    def __init__(self) -> None:
        self._clock = VirtualClock()
        self.jumped = 0.0

    def now(self) -> float:
        return self._clock.now() + self.jumped


async def test_a_loop_that_runs_is_not_reported():
    seen: list[EventLoopBlocked] = []
    watch = LoopWatch(clock=VirtualClock(), observe=seen.append)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.tick)
        tasks.start_soon(watch.watch)
        await anyio.sleep(60)
        tasks.cancel_scope.cancel()

    assert seen == []


async def test_a_blocked_loop_is_reported_after_five_seconds_and_ever_more_rarely():
    seen: list[EventLoopBlocked] = []
    watch = LoopWatch(clock=VirtualClock(), observe=seen.append)
    async with anyio.create_task_group() as tasks:
        with anyio.move_on_after(10.5):
            await watch.tick()
        tasks.start_soon(watch.watch)
        await anyio.sleep(60.5)
        tasks.cancel_scope.cancel()

    assert len(seen) == 4
    assert 5 <= seen[0].seconds <= 7
    assert all(later.seconds >= 2 * sooner.seconds for sooner, later in pairwise(seen))


async def test_a_second_blockade_is_reported_like_the_first():
    seen: list[EventLoopBlocked] = []
    watch = LoopWatch(clock=VirtualClock(), observe=seen.append)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.watch)
        for _ in range(2):
            with anyio.move_on_after(3.5):
                await watch.tick()
            await anyio.sleep(8)
        tasks.cancel_scope.cancel()

    assert len(seen) == 2


async def test_a_process_that_was_stopped_as_a_whole_is_not_reported():
    seen: list[EventLoopBlocked] = []
    clock = JumpingClock()
    watch = LoopWatch(clock=clock, observe=seen.append)
    async with anyio.create_task_group() as tasks:
        with anyio.move_on_after(0.5):
            await watch.tick()
        tasks.start_soon(watch.watch)
        tasks.start_soon(watch.tick)
        await anyio.sleep(10.5)
        clock.jumped += 60
        await anyio.sleep(10)
        tasks.cancel_scope.cancel()

    assert seen == []


async def test_a_loop_that_never_ran_is_not_reported():
    seen: list[EventLoopBlocked] = []
    with anyio.move_on_after(30):
        await LoopWatch(clock=VirtualClock(), observe=seen.append).watch()

    assert seen == []
