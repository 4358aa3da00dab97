"""Restarts of a broker whose messages may be received only once."""

from typing import Any

import anyio
import pytest

from broker import Broker, Surroundings
from broker.config import parse_settings
from broker.testing import InMemoryQueue, InMemoryQueueSource, VirtualClock

pytestmark = pytest.mark.anyio
RESTARTS = 20


@pytest.mark.parametrize("fifo", [False, True])
async def test_twenty_rolling_restarts_leave_the_dead_letter_queue_empty_where_one_receive_is_allowed(fifo):
    clock = VirtualClock()
    suffix = ".fifo" if fifo else ""
    dead_letters = InMemoryQueue(f"dead{suffix}", clock=clock, fifo=fifo)
    queue = InMemoryQueue(
        f"orders{suffix}", clock=clock, fifo=fifo, maximum_receive_count=1, dead_letter_queue=dead_letters
    )
    handled: list[str] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send, queue, 600)
        for _ in range(RESTARTS):
            await run_for(make_broker(queue, handled), 3.7)
        await run_for(make_broker(queue, handled), 60)

    assert len(handled) == len(set(handled)) == 600
    assert not len(dead_letters)
    queue.every_message_accounted(handled=handled)


async def send(queue: InMemoryQueue, count: int) -> None:
    for number in range(count):
        group = f"g{number % 5}" if queue.fifo else None
        queue.send(str(number), group=group, deduplication_id=str(number) if group else None)
        await anyio.sleep(0.13)


def make_broker(queue: InMemoryQueue, handled: list[str]) -> Broker:
    broker = Broker(
        settings=parse_settings(drain_timeout_in_seconds=30.0),
        sources={queue.arn: InMemoryQueueSource(queue)},
        surroundings=Surroundings(clock=queue.clock, run_sync=queue.clock.run_sync, raise_bugs=True),
    )

    @broker.event_source_mapping(queue.arn, timeout=5, batch_size=4)
    async def orders(event: dict[str, Any], _context: object) -> None:
        await anyio.sleep(1.3)
        handled.extend(record["messageId"] for record in event["Records"])

    return broker


async def run_for(broker: Broker, seconds: float) -> None:
    async with broker:
        await anyio.sleep(seconds)
