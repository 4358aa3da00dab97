"""A heartbeat on a thread of its own, in real time: the broker's event loop may be blocked, the lease stays."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from broker.core.lease_rows import WORKERS
from broker.core.watching import LeaseTiming, Watch
from broker.errors import StoreError
from broker.model.lease import Worker
from broker.model.observation import EventLoopBlocked
from broker.runtime.clock import SystemClock
from broker.runtime.heartbeat import Heartbeat, on_thread
from broker.runtime.loop_watch import LoopWatch
from broker.stores.sqlite import SqliteStateStore

pytestmark = pytest.mark.anyio
TIMING = LeaseTiming(lease_seconds=2.0)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    """Real time: a thread has no other."""
    return request.param


class World:
    def __init__(self, path: Path, *, blocked_seconds: float = 1.0) -> None:
        self.clock = SystemClock()
        self.store = SqliteStateStore(path)
        self.blocked: list[EventLoopBlocked] = []
        numbers = iter(range(1_000_000))
        self.watch = LoopWatch(clock=self.clock, observe=self.blocked.append, blocked_seconds=blocked_seconds)
        self.heartbeat = Heartbeat(
            Worker(worker_id="w", counter=0),
            clock=self.clock,
            timing=TIMING,
            new_id=lambda: f"nonce-{next(numbers)}",
            chance=lambda: 0.0,
        )

    def beating(self):
        return on_thread(self.store.reopened, watch=self.watch)(self.heartbeat)

    async def until_registered(self) -> None:
        with anyio.fail_after(20):
            while not self.heartbeat.is_registered:  # noqa: ASYNC110 - the thread tells nobody
                await anyio.sleep(0.02)


async def watched(path: Path, end: float) -> tuple[tuple[str, int], ...]:
    """What another process sees until then: who would be evicted."""
    clock, watch = SystemClock(), Watch(TIMING)
    async with SqliteStateStore(path) as store:
        while clock.now() < end:
            asked_at = clock.now()
            rows = await store.read(WORKERS)
            watch.saw({key: row.version for key, row in rows.items()}, asked_at=asked_at, answered_at=clock.now())
            if watch.expired():
                return watch.expired()
            await anyio.sleep(0.1)
    return ()


def block(seconds: float) -> None:
    time.sleep(seconds)  # the line that is named


async def test_a_handler_that_blocks_the_event_loop_moves_no_lease_and_is_named(tmp_path):
    path = tmp_path / "state.sqlite"
    world = World(path)
    async with world.beating():
        await world.until_registered()
        with ThreadPoolExecutor(1) as other:
            seen = other.submit(anyio.run, watched, path, world.clock.now() + 3.5)
            block(4.0)
            assert seen.result() == ()
        assert world.clock.now() < world.heartbeat.trusted_until
        assert not world.heartbeat.is_lost

    line = block.__code__.co_firstlineno + 1
    assert world.blocked[0].location == f"{__file__}:{line}"
    assert world.blocked[0].seconds >= 1.0
    assert 1 <= len(world.blocked) <= 3


async def test_news_reach_the_thread_and_its_end_is_quick(tmp_path):
    world = World(tmp_path / "state.sqlite")
    async with world.beating():
        await world.until_registered()
        world.heartbeat.announce(Worker(worker_id="w", counter=0, changes=7))
        async with world.store.reopened() as store:
            with anyio.fail_after(20):
                while (await store.get(WORKERS, "w")).value["changes"] != 7:  # noqa: ASYNC110 - a store tells nobody
                    await anyio.sleep(0.02)
        world.heartbeat.lose()
    assert world.blocked == []


async def test_a_store_that_cannot_be_opened_by_the_thread_is_an_error_here(tmp_path):
    world = World(tmp_path / "state.sqlite")

    @asynccontextmanager
    async def broken():
        raise StoreError("no such file")
        yield

    with pytest.raises(ExceptionGroup) as caught:
        async with on_thread(broken, watch=world.watch)(world.heartbeat):
            await anyio.sleep(20)
    assert caught.group_contains(StoreError, match="no such file")
