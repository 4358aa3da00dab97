"""One shard under one lease."""

from collections.abc import Callable
from itertools import count
from math import inf
from typing import Any
from uuid import UUID

import anyio
import pytest

from broker.core.stream_policy import StreamPolicy
from broker.model.lease import Lease, LeaseKey
from broker.runtime.shard_run import ShardRun, ShardTools
from broker.runtime.target import Target
from broker.stores.memory import MemoryStateStore
from broker.testing import InMemoryStream, InMemoryStreamSource, VirtualClock
from tests.unit.runtime.world import ScriptedExecutor, succeed

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend(virtual_backend: tuple[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    return virtual_backend


async def test_a_lease_that_is_lost_before_its_shard_is_read_is_not_worked_on(
    make_stream: Callable[..., InMemoryStream], virtual_clock: VirtualClock
) -> None:
    stream, executor, numbers = make_stream("clicks"), ScriptedExecutor(succeed), count(1)
    stream.put("first", b"1")
    tools = ShardTools(
        uuid="m",
        policy=StreamPolicy(),
        source=InMemoryStreamSource(stream),
        executor=executor,
        destination=None,
        target=Target(function_name="f", function_arn="arn:aws:lambda:eu-west-1:123456789012:function:f"),
        store=MemoryStateStore(),
        clock=virtual_clock,
        chance=lambda: 0.5,
        new_id=lambda: UUID(int=next(numbers)),
        observe=lambda _: None,
    )
    (shard,) = await tools.source.list_shards()
    lease = Lease(key=LeaseKey(mapping="m", key="shard:g:0"), version=1, owner="me", epoch=1, shard=shard)
    run = ShardRun(tools, lease, shard, generation="g", lease_until=inf, start_at=-inf)
    await run.begin()
    run.lose()
    with anyio.fail_after(60):
        await run.run()
    assert run.is_over
    assert executor.invocations == []
