"""The README's example of a handler's test. pytest collects it through `tests/unit/test_readme.py`."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from broker import Broker, Surroundings
from broker.testing import InMemoryQueue, InMemoryQueueSource, VirtualClock


@pytest.fixture
def anyio_backend(virtual_backend: tuple[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    return virtual_backend


@pytest.mark.anyio
async def test_a_failed_order_comes_again(
    make_queue: Callable[..., InMemoryQueue], virtual_clock: VirtualClock
) -> None:
    queue = make_queue("orders", visibility_timeout_seconds=30)
    surroundings = Surroundings(clock=virtual_clock, raise_bugs=True)
    broker = Broker(sources={queue.arn: InMemoryQueueSource(queue)}, surroundings=surroundings)
    attempts = []

    @broker.event_source_mapping(queue.arn)
    async def orders(event: dict[str, Any], context: Any) -> None:
        attempts.append(event["Records"][0]["attributes"]["ApproximateReceiveCount"])
        if len(attempts) == 1:
            raise RuntimeError("the warehouse does not answer")

    queue.send('{"number": 1}')
    async with broker:
        await anyio.sleep(60)  # no time passes: the clock is virtual
    assert attempts == ["1", "2"]
    assert len(queue) == 0
