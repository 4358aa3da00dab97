"""The Kinesis source, by polling and by enhanced fan-out, against servers in containers.

The contract is that of the conformance suite, which runs on anyio; hence these tests do too.
"""

import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import anyio
import pytest

from broker.aws.clients import Clients
from broker.cli.emulator import Emulator
from broker.errors import ReadFault
from broker.model.stream import AtTimestamp, StreamRecord, TrimHorizon
from broker.ports import ShardReader
from broker.runtime.clock import SystemClock
from broker.sources.kinesis import KinesisStreamSource
from tests.conformance.stream_contract import StreamSourceContract, fault_of, only_shard, put, read, read_anew
from tests.conformance.stream_worlds import RESUBSCRIBE_SECONDS, ROLE_ARN, OpenStreamWorld, kinesis_event
from tests.emulator import ACCOUNT_ID, REGION, enter
from tests.integration import images
from tests.integration.containers import running_container
from tests.unit.sources.kinesis_aggregates import aggregate

pytestmark = [pytest.mark.containers, pytest.mark.anyio]

PAGE_SIZE = 2
"""Shards in a page of a listing, where a test wants several pages."""
HASH_KEYS = 2**128
NO_PARENTS = "ministack removes a shard that is split or merged, with its records"
ENDLESS = "a subscription of kinesis-mock does not end with its shard"
ZEROS = "ministack writes sequence numbers with leading zeros"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def kinesis_mock() -> Iterator[Emulator]:
    names = {"AWS_ACCOUNT_ID": ACCOUNT_ID, "SHARD_LIMIT": "1000"}
    with running_container(images.KINESIS_MOCK, port=4568, account_id=ACCOUNT_ID, **names) as server:
        yield server


@pytest.fixture(scope="module")
def ministack() -> Iterator[Emulator]:
    names = {"MINISTACK_ACCOUNT_ID": ACCOUNT_ID, "MINISTACK_REGION": REGION}
    with running_container(images.MINISTACK, port=4566, account_id=ACCOUNT_ID, **names) as server:
        yield server


@dataclass(kw_only=True)
class KinesisWorld:
    """A stream in a server."""

    client: Any
    name: str
    arn: str
    """What the mapping names."""
    source: KinesisStreamSource
    missing: KinesisStreamSource
    shard_count: int
    reopen_seconds: float
    reshard_problem: str
    """Why tests that split and merge mean nothing here; empty where they do."""
    unknown_shard_id: str = "shardId-000000000999"
    tells_lag: bool = True
    names_children: bool = True

    async def put(self, key: str, text: str) -> None:
        await self.client.put_record(StreamName=self.name, PartitionKey=key, Data=text.encode())

    async def split(self, shard_id: str) -> None:
        self._require_resharding()
        await self.client.split_shard(
            StreamName=self.name, ShardToSplit=shard_id, NewStartingHashKey=str(HASH_KEYS // 2)
        )
        await self.wait_until_active()

    async def merge(self, first_id: str, second_id: str) -> None:
        self._require_resharding()
        await self.client.merge_shards(StreamName=self.name, ShardToMerge=first_id, AdjacentShardToMerge=second_id)
        await self.wait_until_active()

    def _require_resharding(self) -> None:
        if self.reshard_problem:
            pytest.skip(self.reshard_problem)

    async def roll(self, shard_id: str) -> None:
        pytest.skip("shards of Kinesis do not roll")

    async def expire_iterators(self) -> None:
        pytest.skip("iterators live for five minutes")

    def require_polling(self) -> None:
        if self.reopen_seconds:
            pytest.skip("pushed pages bring as much as the service likes")

    def event_of(self, record: StreamRecord, shard_id: str, key: str, text: str) -> dict[str, Any]:
        return kinesis_event(record, shard_id, key, text, arn=self.arn, role_arn=ROLE_ARN)

    async def make(self) -> None:
        await self.client.create_stream(StreamName=self.name, ShardCount=self.shard_count)
        await self.wait_until_active()

    async def remake(self) -> None:
        await self.client.delete_stream(StreamName=self.name, EnforceConsumerDeletion=True)
        await self._wait_until("")
        await self.make()

    async def wait_until_active(self) -> None:
        await anyio.sleep(0.1)
        await self._wait_until("ACTIVE")

    async def _wait_until(self, wanted: str) -> None:
        with anyio.fail_after(30):
            while await self._status() != wanted:  # noqa: ASYNC110 - a server tells nobody
                await anyio.sleep(0.1)

    async def _status(self) -> str:
        try:
            summary = await self.client.describe_stream_summary(StreamName=self.name)
        except self.client.exceptions.ResourceNotFoundException:
            return ""
        return str(summary["StreamDescriptionSummary"]["StreamStatus"])


class RememberingSource(KinesisStreamSource):
    """Knows its readers, so that no subscription outlives its test."""

    def __init__(self, *, readers: list[ShardReader], **names: Any) -> None:
        super().__init__(**names)
        self._readers = readers

    def reader(self, shard_id: str) -> ShardReader:
        self._readers.append(super().reader(shard_id))
        return self._readers[-1]


@asynccontextmanager
async def kinesis_world(
    patch: pytest.MonkeyPatch, *, is_pushed: bool, reshard_problem: str, shard_count: int = 1, pages: int = 1
) -> AsyncIterator[KinesisWorld]:
    """Expects the environment to point at the server."""
    if pages > 1:
        if reshard_problem == NO_PARENTS:
            pytest.skip("ministack wants to be told the stream with the next page's token, which AWS refuses")
        patch.setattr("broker.sources.kinesis.SHARDS_PER_PAGE", PAGE_SIZE)
        shard_count = (pages - 1) * PAGE_SIZE + 1
    readers: list[ShardReader] = []
    async with Clients() as clients:

        def source(arn: str) -> KinesisStreamSource:
            return RememberingSource(readers=readers, arn=arn, clients=clients, clock=SystemClock(), role_arn=ROLE_ARN)

        name = f"orders-{uuid.uuid4().hex}"
        arn = f"arn:aws:kinesis:{REGION}:{ACCOUNT_ID}:stream/{name}"
        world = KinesisWorld(
            client=await clients.client("kinesis", REGION),
            name=name,
            arn=arn,
            source=source(arn),
            missing=source(arn.replace(name, "missing")),
            shard_count=shard_count,
            reopen_seconds=RESUBSCRIBE_SECONDS if is_pushed else 0.0,
            reshard_problem=reshard_problem,
        )
        await world.make()
        if is_pushed:
            world.arn = await registered(world.client, arn)
            world.source = source(world.arn)
            world.missing = source(world.arn.replace(name, "missing"))
        try:
            yield world
        finally:
            for reader in readers:
                await reader.aclose()


async def registered(client: Any, stream_arn: str) -> str:
    """The ARN of a new consumer."""
    consumer = (await client.register_stream_consumer(StreamARN=stream_arn, ConsumerName="shop"))["Consumer"]
    arn: str = consumer["ConsumerARN"]
    with anyio.fail_after(30):
        while consumer["ConsumerStatus"] != "ACTIVE":
            await anyio.sleep(0.1)
            told = await client.describe_stream_consumer(ConsumerARN=arn)
            consumer = told["ConsumerDescription"]
    return arn


class TestKinesisMock(StreamSourceContract):
    """By polling."""

    @pytest.fixture
    def open_world(self, kinesis_mock: Emulator, monkeypatch: pytest.MonkeyPatch) -> OpenStreamWorld:
        return entered(kinesis_mock, monkeypatch, is_pushed=False)

    async def test_a_stream_that_was_made_again_is_another_one(self, open_world: OpenStreamWorld) -> None:
        async with open_world() as world:
            before, shard_id = await world.source.describe(), await only_shard(world)
            await world.remake()
            assert await only_shard(world) == shard_id
            assert (await world.source.describe()).generation != before.generation

    async def test_a_place_in_the_future_is_refused_and_stays_open_to_another_try(
        self, open_world: OpenStreamWorld
    ) -> None:
        async with open_world() as world:
            await put(world, "a")
            reader = world.source.reader(await only_shard(world))
            at = SystemClock().now() + 60
            fault = await fault_of(reader.read(AtTimestamp(at=at), maximum_count=10))
            assert (fault.fault, fault.retryable) == (ReadFault.OTHER, True)

    async def test_an_aggregate_is_one_record(self, open_world: OpenStreamWorld) -> None:
        async with open_world() as world:
            await put_aggregate(world, "a", "b")
            reading = await read_anew(world, await only_shard(world), TrimHorizon(), 1)
            assert [record.key for record in reading.records] == [b"whole"]


class FanOutContract(StreamSourceContract):
    """What enhanced fan-out adds."""

    async def test_an_aggregate_is_its_parts(self, open_world: OpenStreamWorld) -> None:
        async with open_world() as world:
            await put_aggregate(world, "a", "b")
            reading = await read_anew(world, await only_shard(world), TrimHorizon(), 2)
            assert reading.texts == ["a", "b"]
            assert len(set(reading.numbers)) == 1
            assert [record.key for record in reading.records] == [b"key-a", b"key-b"]

    async def test_who_takes_a_shard_over_waits_until_the_last_subscription_is_old_enough(
        self, open_world: OpenStreamWorld
    ) -> None:
        async with open_world() as world:
            await put(world, "a")
            shard_id = await only_shard(world)
            former, later = world.source.reader(shard_id), world.source.reader(shard_id)
            assert (await read(former, TrimHorizon(), 1)).texts == ["a"]
            await former.aclose()
            assert (await read(later, TrimHorizon(), 1)).texts == ["a"]
            await later.aclose()


class TestKinesisMockFanOut(FanOutContract):
    """Pushed."""

    DEVIATIONS: ClassVar = {
        "test_an_unknown_shard_is_told_by_its_fault": "kinesis-mock subscribes to shards that are not there",
    }

    @pytest.fixture
    def open_world(self, kinesis_mock: Emulator, monkeypatch: pytest.MonkeyPatch) -> OpenStreamWorld:
        return entered(kinesis_mock, monkeypatch, is_pushed=True, reshard_problem=ENDLESS)


class TestMinistack(StreamSourceContract):
    """Another implementation, by polling."""

    DEVIATIONS: ClassVar = {"test_sequence_numbers_grow_as_integers": ZEROS}

    @pytest.fixture
    def open_world(self, ministack: Emulator, monkeypatch: pytest.MonkeyPatch) -> OpenStreamWorld:
        return entered(ministack, monkeypatch, is_pushed=False, reshard_problem=NO_PARENTS)


class TestMinistackFanOut(FanOutContract):
    """Another implementation, pushed."""

    DEVIATIONS: ClassVar = {"test_sequence_numbers_grow_as_integers": ZEROS}

    @pytest.fixture
    def open_world(self, ministack: Emulator, monkeypatch: pytest.MonkeyPatch) -> OpenStreamWorld:
        return entered(ministack, monkeypatch, is_pushed=True, reshard_problem=NO_PARENTS)


def entered(
    server: Emulator, monkeypatch: pytest.MonkeyPatch, *, is_pushed: bool, reshard_problem: str = ""
) -> OpenStreamWorld:
    enter(server, monkeypatch)
    return partial(kinesis_world, monkeypatch, is_pushed=is_pushed, reshard_problem=reshard_problem)


async def put_aggregate(world: KinesisWorld, *texts: str) -> None:
    data = aggregate(*[(f"key-{text}", text.encode()) for text in texts])
    await world.client.put_record(StreamName=world.name, PartitionKey="whole", Data=data)
