"""One worker's row: kept moving, and trusted no longer than others let it stand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from broker.core.lease_rows import WORKERS
from broker.core.watching import LeaseTiming
from broker.model.lease import Row, Worker
from broker.runtime.heartbeat import Heartbeat, in_task
from broker.testing import VirtualClock
from broker.testing.stores import InMemoryStateStore

pytestmark = pytest.mark.anyio
WORKER = Worker(worker_id="w", counter=0, mappings=frozenset({"m"}))


class World:
    """A heartbeat on a store that the test may harm."""

    def __init__(self) -> None:
        self.store = InMemoryStateStore()
        self.clock = VirtualClock()
        self.began_at = self.clock.now()
        numbers = iter(range(1_000_000))
        self.heartbeat = Heartbeat(
            WORKER,
            clock=self.clock,
            timing=LeaseTiming(lease_seconds=10.0),
            new_id=lambda: f"nonce-{next(numbers)}",
            chance=lambda: 0.0,
        )

    async def row(self) -> Row | None:
        return await self.store.seen_by("test").get(WORKERS, "w")

    @property
    def trust(self) -> float:
        """Seconds from the beginning."""
        return self.heartbeat.trusted_until - self.began_at


@asynccontextmanager
async def beating() -> AsyncIterator[World]:
    world = World()
    async with in_task(world.store.seen_by("w"))(world.heartbeat):
        yield world


async def test_the_row_moves_every_quarter_of_the_lease():
    async with beating() as world:
        versions = []
        await anyio.sleep(0.1)
        for _ in range(4):
            versions.append((await world.row()).version)
            await anyio.sleep(2.5)

    assert versions == [1, 2, 3, 4]


async def test_trust_lasts_for_three_quarters_of_the_lease_from_the_sending():
    async with beating() as world:
        assert world.trust < 0
        await anyio.sleep(1)

        assert world.heartbeat.is_registered
        assert world.trust == 7.5


async def test_a_slow_answer_gives_no_more_trust():
    async with beating() as world:
        world.store.slow("write", request_seconds=1.0, reply_seconds=1.0)
        await anyio.sleep(2.2)

        assert world.trust == 7.5


async def test_news_are_written_at_once():
    async with beating() as world:
        await anyio.sleep(1)
        world.heartbeat.announce(Worker(worker_id="w", counter=0, changes=7, is_draining=True))
        await anyio.sleep(0.01)

        assert (await world.row()).value == {"changes": 7, "mappings": [], "draining": True}
        assert world.trust == 8.5


async def test_a_write_whose_answer_was_lost_is_repeated_as_it_was():
    async with beating() as world:
        world.store.lose_reply("write", caller="w")
        await anyio.sleep(0.1)
        before = (world.trust, world.heartbeat.problem != "")
        world.heartbeat.announce(Worker(worker_id="w", counter=0, changes=7))
        await anyio.sleep(1.0)

        assert before == (float("-inf"), True)
        assert ((await world.row()).value["changes"], world.heartbeat.is_lost) == (7, False)
        assert world.heartbeat.problem == ""


async def test_a_write_that_was_repeated_counts_from_its_first_sending():
    async with beating() as world:
        await anyio.sleep(1)
        world.store.lose_reply("write", caller="w", calls=3)
        trusts = []
        for _ in range(60):
            await anyio.sleep(0.1)
            trusts.append(round(world.trust, 3))

    assert set(trusts) >= {7.5, 10.0}
    assert not any(10.0 < trust < 11.0 for trust in trusts)


async def test_a_row_that_is_gone_means_that_everything_is_lost():
    async with beating() as world:
        await anyio.sleep(1)
        await world.store.seen_by("other").delete(WORKERS, "w", version=1)
        await anyio.sleep(2)

        assert world.heartbeat.is_lost
        assert world.trust == float("-inf")
        assert await world.row() is None


async def test_a_row_that_somebody_else_wrote_means_that_everything_is_lost():
    async with beating() as world:
        await anyio.sleep(1)
        await world.store.seen_by("other").write(WORKERS, "w", {}, version=1, nonce="other")
        await anyio.sleep(2)

        assert world.heartbeat.is_lost


async def test_a_worker_that_was_told_that_it_is_lost_beats_no_more():
    async with beating() as world:
        await anyio.sleep(1)
        world.heartbeat.lose()
        await anyio.sleep(10)

        assert (await world.row()).version == 1
        assert world.trust == float("-inf")


async def test_a_throttled_store_is_asked_again_soon_and_costs_no_lease():
    async with beating() as world:
        await anyio.sleep(1)
        lowest = 1000.0
        for _ in range(10):
            world.store.throttle("write", calls=2)
            for _ in range(50):
                await anyio.sleep(0.1)
                lowest = min(lowest, world.heartbeat.trusted_until - world.clock.now())

        assert lowest > 2.5
        assert not world.heartbeat.is_lost


async def test_a_store_that_does_not_answer_is_given_up_after_a_quarter_of_the_lease():
    async with beating() as world:
        await anyio.sleep(1)
        world.store.slow("write", request_seconds=60.0, calls=1)
        await anyio.sleep(4.1)
        assert "did not answer" in world.heartbeat.problem
        await anyio.sleep(1.0)

        assert (world.heartbeat.problem, world.heartbeat.is_lost) == ("", False)
        assert world.trust >= 10.0
