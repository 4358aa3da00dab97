"""What becomes of a shard whose work was refused although its lease stands."""

from typing import Any

import anyio
import pytest

from broker import Broker, Surroundings
from broker.config import identity_of
from broker.core.lease_rows import CHECKPOINT_PREFIX
from broker.errors import ExecutorError
from broker.model.observation import Observation, SourceProblem, SourceRecovered
from broker.testing import InMemoryStream, InMemoryStreamSource, keyed_records
from broker.testing.stores import InMemoryStateStore

pytestmark = pytest.mark.anyio


class Watched:
    """One broker on one stream."""

    def __init__(self, stream: InMemoryStream) -> None:
        self.stream = stream
        self.store = InMemoryStateStore(is_shared=False)
        self.handled: list[str] = []
        self.seen: list[Observation] = []
        self.broker = Broker(
            streams={stream.arn: InMemoryStreamSource(stream)},
            store=self.store.seen_by("broker"),
            observers=[self],
            surroundings=Surroundings(clock=stream.clock, raise_bugs=True),
        )

        @self.broker.event_source_mapping(stream.arn, starting_position="TRIM_HORIZON")
        async def clicks(event: dict[str, Any], _context: object) -> None:
            self.handled += [number for _, number in keyed_records(event)]

        self.uuid = identity_of(self.broker._mappings[0])

    def observe(self, _mapping: str, observation: Observation) -> None:
        self.seen.append(observation)

    async def until_handled(self, number: str) -> None:
        with anyio.fail_after(60):
            while number not in self.handled:  # noqa: ASYNC110 - nobody tells
                await anyio.sleep(0.25)


async def test_a_shard_whose_checkpoint_was_removed_is_begun_again(make_stream):
    watched = Watched(make_stream("clicks"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watched.broker.run)
        await watched.until_handled(watched.stream.put("k", "1"))
        rows = await watched.store.seen_by("test").read(watched.uuid)
        key = next(key for key in rows if key.startswith(CHECKPOINT_PREFIX))
        await watched.store.seen_by("test").delete(watched.uuid, key, version=rows[key].version)
        await watched.until_handled(watched.stream.put("k", "2"))
        await watched.until_handled(watched.stream.put("k", "3"))
        watched.broker.drain()


async def test_a_problem_of_an_executor_is_forgotten_when_it_works_again(make_stream, monkeypatch):
    watched = Watched(make_stream("clicks"))
    broken = [ExecutorError("the pool is gone")]
    from broker.executors.in_process import InProcessExecutor

    invoke = InProcessExecutor.invoke

    async def sometimes(self: InProcessExecutor, invocation: Any) -> Any:
        if broken:
            raise broken.pop()
        return await invoke(self, invocation)

    monkeypatch.setattr(InProcessExecutor, "invoke", sometimes)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watched.broker.run)
        await watched.until_handled(watched.stream.put("k", "1"))
        (status,) = watched.broker.statuses()
        assert status.healthy, status.problem
        watched.broker.drain()

    kinds = [type(each) for each in watched.seen if isinstance(each, SourceProblem | SourceRecovered)]
    assert kinds == [SourceProblem, SourceRecovered]
