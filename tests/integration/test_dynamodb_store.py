"""The DynamoDB store against Amazon's own DynamoDB Local: the contract of the conformance suite, and the table."""

import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from broker.aws.clients import Clients
from broker.cli.emulator import Emulator
from broker.errors import StoreError
from broker.model.lease import Row
from broker.stores.dynamodb import DynamoDbStateStore
from broker.stores.opening import open_store
from tests.conformance.store_contract import OpenWorld, StateStoreContract, increment, large
from tests.conformance.test_state_store import table_worlds
from tests.emulator import ACCOUNT_ID, REGION, enter
from tests.integration.containers import running_container
from tests.integration.images import image

pytestmark = [pytest.mark.containers, pytest.mark.anyio]

DYNAMODB_LOCAL = image("DYNAMODB_LOCAL", "amazon/dynamodb-local:latest")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with running_container(DYNAMODB_LOCAL, port=8000, account_id=ACCOUNT_ID) as server:
        yield server


@pytest.fixture(autouse=True)
def entered(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(server, monkeypatch)


@pytest.fixture
def prefix() -> str:
    return f"broker-{uuid.uuid4().hex}"


@pytest.fixture
async def client() -> AsyncIterator[Any]:
    """Botocore's own."""
    async with Clients() as clients:
        yield await clients.client("dynamodb", REGION)


class TestDynamoDbLocal(StateStoreContract):
    """Amazon's own code."""

    @pytest.fixture
    def open_world(self, server: Emulator) -> OpenWorld:
        return table_worlds(server)


async def test_the_table_is_paid_by_request_and_nothing_in_it_expires(prefix: str, client: Any) -> None:
    async with open_store(f"dynamodb:{prefix}", data_folder=Path(), region=REGION) as store:
        await store.write("p", "k", large("x"), version=0, nonce="n")
    table = (await client.describe_table(TableName=f"{prefix}-state"))["Table"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    living = (await client.describe_time_to_live(TableName=f"{prefix}-state"))["TimeToLiveDescription"]
    assert living["TimeToLiveStatus"] == "DISABLED"
    items = (await client.scan(TableName=f"{prefix}-state"))["Items"]
    numbers = {name for item in items for name, value in item.items() if "N" in value}
    assert numbers <= {"version", "parts"}, "only a number could be taken for an instant"


async def test_stores_that_make_the_table_at_once_use_one(prefix: str) -> None:
    async def use(name: str) -> None:
        async with open_store(f"dynamodb:{prefix}", data_folder=Path(), region=REGION) as store:
            await store.write("p", name, {}, version=0, nonce=name)

    async with anyio.create_task_group() as tasks:
        for name in "abc":
            tasks.start_soon(use, name)
    async with open_store(f"dynamodb:{prefix}", data_folder=Path(), region=REGION) as store:
        assert (await store.read("p")).keys() == {"a", "b", "c"}


async def test_a_thread_with_an_event_loop_of_its_own_has_clients_of_its_own(prefix: str) -> None:
    async with open_store(f"dynamodb:{prefix}", data_folder=Path(), region=REGION) as store:

        async def beat() -> None:
            async with store.reopened() as heartbeat:
                await increment(heartbeat, 10, "heartbeat")

        thread = threading.Thread(target=lambda: anyio.run(beat))
        thread.start()
        await increment(store, 10, "main")
        await anyio.to_thread.run_sync(thread.join)
        assert await store.get("numbers", "n") == Row(version=20, value={"count": 20})


async def test_a_partition_of_several_megabytes_is_read_in_all_its_pages(prefix: str) -> None:
    async with open_store(f"dynamodb:{prefix}", data_folder=Path(), region=REGION) as store:
        for number in range(4):
            await store.write("p", f"window-{number}", large(str(number)), version=0, nonce=f"n{number}")
        rows = await store.read("p")
        assert {key: row.value["mark"] for key, row in rows.items()} == {f"window-{n}": str(n) for n in range(4)}


@pytest.mark.parametrize("sort_key", [None, ("key", "N"), ("other", "S")])
async def test_a_table_of_another_shape_is_refused(prefix: str, client: Any, sort_key: tuple[str, str] | None) -> None:
    attributes = [("partition", "S", "HASH"), *([(*sort_key, "RANGE")] if sort_key else [])]
    await client.create_table(
        TableName=f"{prefix}-state",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind, _ in attributes],
        KeySchema=[{"AttributeName": name, "KeyType": role} for name, _, role in attributes],
    )
    with pytest.raises(StoreError, match="is not a broker's") as refused:
        async with open_store(f"dynamodb:{prefix}", data_folder=Path(), region=REGION):
            pass
    assert not refused.value.retryable


async def test_a_table_that_is_gone_is_told(prefix: str, client: Any) -> None:
    async with Clients() as clients:
        store = DynamoDbStateStore(table_prefix=prefix, clients=clients, region=REGION)
        async with store:
            await client.delete_table(TableName=f"{prefix}-state")
            with pytest.raises(StoreError, match="there is no such table") as failed:
                await store.write("p", "k", {}, version=0, nonce="n")
    assert failed.value.retryable
