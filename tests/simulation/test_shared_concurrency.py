"""`MaximumConcurrency` holds for a fleet: brokers that share a queue and a store are as many as it says, together."""

from random import Random
from uuid import UUID

import anyio
import pytest

from broker import Broker, Surroundings
from broker.testing import InMemoryQueueSource
from broker.testing.stores import InMemoryStateStore

pytestmark = pytest.mark.anyio


class Crowd:
    """Counts how many handlers run at once, in all brokers together."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.handled: dict[str, int] = {}

    async def handle(self, name, event):
        self.now += 1
        self.most = max(self.most, self.now)
        await anyio.sleep(2)
        self.now -= 1
        self.handled[name] = self.handled.get(name, 0) + len(event["Records"])


def make_broker(name: str, queue, store: InMemoryStateStore, crowd: Crowd) -> Broker:
    random = Random(name)
    broker = Broker(
        sources={queue.arn: InMemoryQueueSource(queue)},
        store=store.seen_by(name),
        surroundings=Surroundings(
            clock=queue.clock,
            chance=random.random,
            new_id=lambda: UUID(int=random.getrandbits(128)),
            worker_name=name,
            raise_bugs=True,
        ),
    )

    @broker.event_source_mapping(
        queue.arn, function_name="orders", batch_size=1, scaling_config={"MaximumConcurrency": 4}
    )
    async def orders(event, _context):
        await crowd.handle(name, event)

    return broker


async def test_brokers_share_a_queues_maximum_and_take_over_what_another_leaves(make_queue):
    queue, crowd = make_queue(visibility_timeout_seconds=120), Crowd()
    store = InMemoryStateStore()
    first, second = (make_broker(name, queue, store, crowd) for name in "ab")
    for number in range(200):
        queue.send(str(number))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first.run)
        await anyio.sleep(20)
        assert crowd.most == 4
        tasks.start_soon(second.run)
        await anyio.sleep(30)
        alone = crowd.handled["a"]
        first.drain()
        while len(queue):  # noqa: ASYNC110 - virtual time
            await anyio.sleep(1)
        second.drain()

    assert crowd.most == 4
    assert sum(crowd.handled.values()) == 200
    assert crowd.handled["b"] > 200 - alone - 10
