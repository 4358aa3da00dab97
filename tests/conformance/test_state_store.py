"""Memory in virtual time; a SQLite file, and DynamoDB in an emulator, in real time: one contract."""

import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

from broker.aws.clients import Clients
from broker.cli.emulator import Emulator, find_command, running_emulator
from broker.errors import CommandError
from broker.stores.dynamodb import DynamoDbStateStore
from broker.stores.memory import MemoryStateStore
from broker.stores.sqlite import SqliteStateStore
from broker.testing.stores import InMemoryStateStore
from tests.conformance.store_contract import OpenWorld, StateStoreContract, StoreWorld
from tests.emulator import ACCOUNT_ID, REGION, enter

pytestmark = pytest.mark.anyio

A_YEAR = 366 * 86400.0


class TestMemory(StateStoreContract):
    """What the library uses unless told otherwise, on both backends."""

    @pytest.fixture
    def open_world(self) -> OpenWorld:
        @asynccontextmanager
        async def open_world() -> AsyncIterator[StoreWorld]:
            store = MemoryStateStore()
            async with store.reopened() as other:
                yield StoreWorld(store, other)

        return open_world

    async def test_a_row_that_nobody_touches_is_there_after_a_year(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            await world.store.write("p", "checkpoint", {"position": 1}, version=0, nonce="n")
            await anyio.sleep(A_YEAR)
            assert await world.store.get("p", "checkpoint") is not None


class TestInMemory(StateStoreContract):
    """What tests use, with its faults unused."""

    @pytest.fixture
    def open_world(self) -> OpenWorld:
        @asynccontextmanager
        async def open_world() -> AsyncIterator[StoreWorld]:
            store = InMemoryStateStore()
            yield StoreWorld(store.seen_by("one"), store.seen_by("two"))

        return open_world


class TestSqlite(StateStoreContract):
    """One file, two connections."""

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture
    def open_world(self, tmp_path: Path) -> OpenWorld:
        @asynccontextmanager
        async def open_world() -> AsyncIterator[StoreWorld]:
            async with SqliteStateStore(tmp_path / "state.sqlite") as store, store.reopened() as other:
                yield StoreWorld(store, other)

        return open_world


def table_worlds(emulator: Emulator) -> OpenWorld:
    """A table of its own for each test; expects the environment to point at the emulator."""

    @asynccontextmanager
    async def open_world() -> AsyncIterator[StoreWorld]:
        async with Clients() as clients:
            place: Any = {"table_prefix": f"broker-{uuid.uuid4().hex}", "clients": clients, "region": emulator.region}
            async with DynamoDbStateStore(**place) as store, DynamoDbStateStore(**place) as other:
                yield StoreWorld(store, other)

    return open_world


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator of DynamoDB."""
    try:
        command = ["env", "SERVICES=dynamodb,sts", *find_command(None)]
    except CommandError as error:
        pytest.skip(f"{error} (`make test` sets it up)")
    folder = Path(tmp_path_factory.mktemp("emulator"))
    running = running_emulator(command, folder=folder, account_id=ACCOUNT_ID, region=REGION)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(running) as emulator:
        yield emulator


class TestMinistack(StateStoreContract):
    """DynamoDB's requests, answered by an emulator."""

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture
    def open_world(self, tables: Emulator, monkeypatch: pytest.MonkeyPatch) -> OpenWorld:
        enter(tables, monkeypatch)
        return table_worlds(tables)
