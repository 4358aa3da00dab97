"""The setting `StateStore` names a store."""

from pathlib import Path

import pytest

from broker.errors import ConfigurationError, StoreError
from broker.stores.dynamodb import DynamoDbStateStore
from broker.stores.memory import MemoryStateStore
from broker.stores.opening import open_store
from broker.stores.sqlite import SqliteStateStore
from tests.unit.stores.dynamodb_server import SCHEMA, FakeDynamoDb, FakeTable

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class FakeClients(FakeDynamoDb):
    region: str | None = None


@pytest.fixture
def clients() -> FakeClients:
    clients = FakeClients()
    clients.tables["orders-state"] = FakeTable(SCHEMA)
    return clients


async def test_memory_is_seen_by_this_process_only(tmp_path: Path) -> None:
    async with open_store("memory:", data_folder=tmp_path) as store:
        assert isinstance(store, MemoryStateStore)
        assert not store.is_shared
        await store.write("p", "k", {}, version=0, nonce="n")
        async with store.reopened() as again:
            assert (await again.read("p")).keys() == {"k"}
    async with open_store("memory:", data_folder=tmp_path) as another:
        assert await another.read("p") == {}
    assert not any(tmp_path.iterdir())  # noqa: ASYNC240 - a look


async def test_sqlite_is_a_file_of_the_data_folder(tmp_path: Path) -> None:
    async with open_store("sqlite:", data_folder=tmp_path / "data") as store:
        assert isinstance(store, SqliteStateStore)
        assert store.is_shared
        assert (tmp_path / "data" / "state.sqlite").exists()
        async with store.reopened() as again:
            assert again is not store


async def test_sqlite_may_name_its_file(tmp_path: Path) -> None:
    async with open_store(f"sqlite:{tmp_path}/here/mine.db", data_folder=tmp_path / "data"):
        assert (tmp_path / "here" / "mine.db").exists()
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("region", "configured"), [("eu-west-1", None), (None, "eu-west-1"), ("eu-west-1", "us-east-1")]
)
async def test_dynamodb_is_a_table_of_the_region(
    tmp_path: Path, clients: FakeClients, region: str | None, configured: str | None
) -> None:
    clients.region = configured
    opening = open_store("dynamodb:orders", data_folder=tmp_path, region=region, open_clients=lambda: clients)  # type: ignore[arg-type, return-value]
    async with opening as store:
        assert isinstance(store, DynamoDbStateStore)
        assert store.is_shared
        assert clients.opened == [("dynamodb", "eu-west-1")]
        async with store.reopened() as again:
            assert await again.read("p") == {}


async def test_dynamodb_needs_a_region(tmp_path: Path, clients: FakeClients) -> None:
    with pytest.raises(ConfigurationError, match="needs a region"):
        async with open_store("dynamodb:orders", data_folder=tmp_path, open_clients=lambda: clients):  # type: ignore[arg-type, return-value]
            pass


@pytest.mark.parametrize("setting", ["", "memory", "memory:here", "redis:", "sqlite", "DYNAMODB:orders", "dynamodb:"])
async def test_another_setting_is_a_mistake(tmp_path: Path, clients: FakeClients, setting: str) -> None:
    clients.region = "eu-west-1"
    with pytest.raises(ConfigurationError, match="StateStore: "):
        async with open_store(setting, data_folder=tmp_path, open_clients=lambda: clients):  # type: ignore[arg-type, return-value]
            pass


async def test_a_file_that_must_exist_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"There is no state store {tmp_path}/state.sqlite"):
        async with open_store("sqlite:", data_folder=tmp_path, must_exist=True):
            raise AssertionError
    assert not any(tmp_path.iterdir())  # noqa: ASYNC240 - a look
    async with open_store("sqlite:", data_folder=tmp_path):
        pass
    async with open_store("sqlite:", data_folder=tmp_path, must_exist=True) as store:
        assert await store.read("p") == {}


async def test_a_table_that_must_exist_is_not_made(tmp_path: Path, clients: FakeClients) -> None:
    clients.region = "eu-west-1"
    with pytest.raises(StoreError, match="There is no state table other-state in eu-west-1"):
        async with open_store("dynamodb:other", data_folder=tmp_path, open_clients=lambda: clients, must_exist=True):
            raise AssertionError
    assert clients.tables.keys() == {"orders-state"}
    async with open_store("dynamodb:orders", data_folder=tmp_path, open_clients=lambda: clients, must_exist=True):
        pass
