"""A store in DynamoDB asks for what it should, survives lost answers, and leaves no parts of large rows behind."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from broker.aws.faults import Refusal
from broker.errors import ConfigurationError, RowConflict, StoreError
from broker.model.lease import Row
from broker.stores.dynamodb import DynamoDbStateStore
from tests.conformance.store_contract import OpenWorld, StateStoreContract, StoreWorld, large
from tests.unit.stores.dynamodb_server import SCHEMA, FakeDynamoDb, FakeTable

pytestmark = pytest.mark.anyio

TABLE = "orders-state"
PART_SIZE = 300 * 1024


def opened(server: FakeDynamoDb, **changes: Any) -> DynamoDbStateStore:
    options = {"table_prefix": "orders", "clients": server, "region": "eu-west-1", "open_clients": lambda: server}
    return DynamoDbStateStore(**{**options, **changes})


@pytest.fixture
def server() -> FakeDynamoDb:
    server = FakeDynamoDb()
    server.tables[TABLE] = FakeTable(SCHEMA)
    return server


@pytest.fixture
def store(server: FakeDynamoDb) -> DynamoDbStateStore:
    return opened(server)


def keys(server: FakeDynamoDb) -> list[str]:
    return sorted(key for _, key in server.tables[TABLE].items)


class TestContract(StateStoreContract):
    """The contract, answered by a fake in virtual time, in pages of three items."""

    @pytest.fixture
    def open_world(self, server: FakeDynamoDb) -> OpenWorld:
        @asynccontextmanager
        async def open_world() -> AsyncIterator[StoreWorld]:
            async with opened(server) as store, store.reopened() as other:
                yield StoreWorld(store, other)

        return open_world


# ---- what is asked


async def test_a_row_has_these_attributes_and_none_that_could_expire(
    server: FakeDynamoDb, store: DynamoDbStateStore
) -> None:
    await store.write("m-1", "checkpoint:g:s", {"position": 7}, version=0, nonce="n1")
    item = server.tables[TABLE].items["m-1", "checkpoint:g:s"]
    assert item == {
        "partition": {"S": "m-1"},
        "key": {"S": "checkpoint:g:s"},
        "version": {"N": "1"},
        "nonce": {"S": "n1"},
        "body": {"S": '{"position":7}'},
        "written_at": {"S": item["written_at"]["S"]},
    }


async def test_parts_of_a_large_row_have_these_attributes_and_none_that_could_expire(
    server: FakeDynamoDb, store: DynamoDbStateStore
) -> None:
    await store.write("m-1", "w", large("x"), version=0, nonce="n1")
    shapes = {key: {name: next(iter(value)) for name, value in item.items()} for (_, key), item in rows_of(server)}
    assert shapes == {
        "w": {"partition": "S", "key": "S", "version": "N", "nonce": "S", "parts": "N", "written_at": "S"},
        **{
            f"w#part#n1#{index}": {
                "partition": "S", "key": "S", "part_of": "S", "version": "N",
                "nonce": "S", "body": "S", "written_at": "S",
            }
            for index in range(4)
        },
    }  # fmt: skip
    assert all(len(item["body"]["S"].encode()) <= PART_SIZE for _, item in rows_of(server) if "body" in item)


def rows_of(server: FakeDynamoDb) -> list[tuple[tuple[str, str], dict[str, Any]]]:
    return sorted(server.tables[TABLE].items.items())


async def test_nobody_asks_for_a_time_to_live(server: FakeDynamoDb) -> None:
    del server.tables[TABLE]
    async with opened(server) as store:
        await store.write("p", "k", large("x"), version=0, nonce="n1")
        await store.write("p", "k", {}, version=1, nonce="n2")
        await store.read("p")
        await store.get("p", "k")
        await store.delete("p", "k", version=2)
    assert set(server.operations()) == {
        "DescribeTable", "CreateTable", "PutItem", "DeleteItem", "GetItem", "Query",
    }  # fmt: skip


async def test_reads_see_what_was_written_just_now(store: DynamoDbStateStore) -> None:
    for version in range(3):
        await store.write("p", "k", {"at": version}, version=version, nonce=f"n{version}")
        assert await store.get("p", "k") == Row(version=version + 1, value={"at": version})
        assert await store.read("p") == {"k": Row(version=version + 1, value={"at": version})}


async def test_all_pages_of_a_partition_are_read(server: FakeDynamoDb, store: DynamoDbStateStore) -> None:
    for number in range(10):
        await store.write("p", f"k{number}", {}, version=0, nonce=f"n{number}")
    assert sorted(await store.read("p")) == [f"k{number}" for number in range(10)]
    assert server.operations().count("Query") == 4


async def test_a_call_is_one_attempt_in_its_region(server: FakeDynamoDb, store: DynamoDbStateStore) -> None:
    server.refusals["PutItem"] = [Refusal("ThrottlingException")]
    with pytest.raises(StoreError) as refused:
        await store.write("p", "k", {}, version=0, nonce="n")
    assert (refused.value.code, refused.value.retryable) == ("ThrottlingException", True)
    assert server.operations() == ["PutItem"]
    assert server.opened == [("dynamodb", "eu-west-1")]


# ---- lost answers


@pytest.mark.parametrize(
    ("value", "call"), [({"mine": 1}, 0), *((large("mine"), call) for call in range(5))], ids=["small", *"01234"]
)
async def test_a_write_whose_answer_was_lost_succeeds_when_it_is_repeated(
    server: FakeDynamoDb, store: DynamoDbStateStore, value: dict[str, Any], call: int
) -> None:
    await store.write("p", "k", large("old"), version=0, nonce="old")
    server.lost_replies["PutItem"] = [*([False] * call), True]
    with pytest.raises(StoreError, match="connection was lost"):
        await store.write("p", "k", value, version=1, nonce="mine")
    await store.write("p", "k", value, version=1, nonce="mine")
    assert await store.read("p") == {"k": Row(version=2, value=value)}
    assert not [key for key in keys(server) if "#part#old#" in key]


async def test_a_conflict_whose_answer_was_lost_is_one_when_it_is_repeated(
    server: FakeDynamoDb, store: DynamoDbStateStore
) -> None:
    await store.write("p", "k", {"by": "them"}, version=0, nonce="theirs")
    server.refusals["GetItem"] = [Refusal("InternalServerError")]
    with pytest.raises(StoreError, match="has a problem"):
        await store.write("p", "k", large("mine"), version=0, nonce="mine")
    with pytest.raises(RowConflict):
        await store.write("p", "k", large("mine"), version=0, nonce="mine")
    assert keys(server) == ["k"]


async def test_a_delete_whose_answer_was_lost_succeeds_when_it_is_repeated(
    server: FakeDynamoDb, store: DynamoDbStateStore
) -> None:
    await store.write("p", "k", {}, version=0, nonce="n")
    server.lost_replies["DeleteItem"] = [True]
    with pytest.raises(StoreError, match="connection was lost"):
        await store.delete("p", "k", version=1)
    await store.delete("p", "k", version=1)
    assert keys(server) == []


# ---- parts


async def test_the_parts_of_a_replaced_value_are_removed(server: FakeDynamoDb, store: DynamoDbStateStore) -> None:
    await store.write("p", "k", large("1"), version=0, nonce="n1")
    await store.write("p", "k", large("2", 700_000), version=1, nonce="n2")
    assert keys(server) == ["k", "k#part#n2#0", "k#part#n2#1", "k#part#n2#2"]
    await store.delete("p", "k", version=2)
    assert keys(server) == []


async def test_the_parts_of_a_change_that_lost_are_removed(server: FakeDynamoDb, store: DynamoDbStateStore) -> None:
    await store.write("p", "k", {}, version=0, nonce="n1")
    with pytest.raises(RowConflict):
        await store.write("p", "k", large("2"), version=0, nonce="n2")
    assert keys(server) == ["k"]


async def test_parts_of_a_change_that_may_still_succeed_are_kept(
    server: FakeDynamoDb, store: DynamoDbStateStore
) -> None:
    await store.write("p", "k", {"at": 1}, version=0, nonce="n1")
    leave_parts(server, "k", version=2, nonce="n2")
    leave_parts(server, "other", version=1, nonce="n3")
    assert await store.read("p") == {"k": Row(version=1, value={"at": 1})}
    assert keys(server) == ["k", "k#part#n2#0", "k#part#n2#1", "other#part#n3#0", "other#part#n3#1"]


async def test_parts_that_a_crash_left_are_ignored_and_removed_once_their_change_cannot_succeed(
    server: FakeDynamoDb, store: DynamoDbStateStore
) -> None:
    await store.write("p", "k", {"at": 1}, version=0, nonce="n1")
    leave_parts(server, "k", version=2, nonce="crashed")
    leave_parts(server, "gone", version=5, nonce="n9")
    await store.write("p", "k", large("2"), version=1, nonce="n2")
    assert await store.read("p") == {"k": Row(version=2, value=large("2"))}
    assert keys(server) == ["k", *(f"k#part#n2#{index}" for index in range(4))]


async def test_parts_are_kept_where_their_row_was_made_between_two_pages(
    server: FakeDynamoDb, store: DynamoDbStateStore
) -> None:
    server.page_items = 1
    before_parts = "k!"  # its key is between that of the row and those of the parts
    await store.write("p", before_parts, {}, version=0, nonce="n")
    other = opened(server)

    def make_row() -> None:
        server.tables[TABLE].items |= made

    await other.write("p", "k", {}, version=0, nonce="n1")
    await other.write("p", "k", large("2"), version=1, nonce="n2")
    made = {place: item for place, item in server.tables[TABLE].items.items() if place[1] != before_parts}
    leave_only(server, before_parts, "k#part#n2#0")
    server.before["Query"] = [lambda: None, make_row]
    assert (await store.read("p")).keys() == {before_parts}
    assert await store.get("p", "k") == Row(version=2, value=large("2"))


async def test_a_row_whose_parts_were_replaced_between_two_pages_is_read_again(
    server: FakeDynamoDb, store: DynamoDbStateStore
) -> None:
    server.page_items = 2
    await store.write("p", "k", large("1"), version=0, nonce="n1")
    before = dict(server.tables[TABLE].items)
    await store.write("p", "k", large("2"), version=1, nonce="n2")
    after = dict(server.tables[TABLE].items)
    server.tables[TABLE].items = before

    def replace() -> None:
        server.tables[TABLE].items = after

    server.before["Query"] = [lambda: None, replace]
    assert await store.read("p") == {"k": Row(version=2, value=large("2"))}


async def test_a_row_whose_parts_are_gone_for_good_is_an_error(server: FakeDynamoDb, store: DynamoDbStateStore) -> None:
    await store.write("p", "k", large("1"), version=0, nonce="n1")
    leave_only(server, "k")
    with pytest.raises(StoreError, match="its parts were replaced each time, or are gone") as failed:
        await store.read("p")
    assert failed.value.retryable


async def test_a_row_that_is_deleted_while_it_is_read_is_not_there(
    server: FakeDynamoDb, store: DynamoDbStateStore
) -> None:
    await store.write("p", "k", large("1"), version=0, nonce="n1")
    leave_only(server, "k")
    server.before["GetItem"] = [server.tables[TABLE].items.clear]
    assert await store.read("p") == {}


async def test_a_write_succeeds_though_the_old_parts_cannot_be_removed(
    server: FakeDynamoDb, store: DynamoDbStateStore
) -> None:
    await store.write("p", "k", large("1"), version=0, nonce="n1")
    server.refusals["DeleteItem"] = [Refusal("ThrottlingException")]
    await store.write("p", "k", {}, version=1, nonce="n2")
    assert len(keys(server)) == 5
    assert await store.read("p") == {"k": Row(version=2, value={})}
    assert keys(server) == ["k"]


def leave_parts(server: FakeDynamoDb, key: str, *, version: int, nonce: str) -> None:
    for index in range(2):
        place = ("p", f"{key}#part#{nonce}#{index}")
        server.tables[TABLE].items[place] = {
            "partition": {"S": "p"},
            "key": {"S": place[1]},
            "part_of": {"S": key},
            "version": {"N": str(version)},
            "nonce": {"S": nonce},
            "body": {"S": "…"},
        }


def leave_only(server: FakeDynamoDb, *kept: str) -> None:
    items = server.tables[TABLE].items
    for place in [place for place in items if place[1] not in kept]:
        del items[place]


# ---- the table


async def test_the_table_is_made_on_first_use_and_waited_for(server: FakeDynamoDb) -> None:
    del server.tables[TABLE]
    async with opened(server) as store:
        assert await store.read("p") == {}
    assert server.operations() == ["DescribeTable", "CreateTable", "DescribeTable", "DescribeTable", "Query"]
    assert server.tables[TABLE].schema == SCHEMA


async def test_two_processes_that_make_the_table_at_once_use_one(server: FakeDynamoDb) -> None:
    del server.tables[TABLE]

    async def use(name: str) -> None:
        async with opened(server) as store:
            await store.write("p", name, {}, version=0, nonce=name)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(use, "a")
        tasks.start_soon(use, "b")
    assert keys(server) == ["a", "b"]
    assert server.operations().count("CreateTable") == 2


async def test_a_table_that_never_becomes_active_is_given_up(server: FakeDynamoDb) -> None:
    server.tables[TABLE].statuses = ["CREATING"]
    with pytest.raises(StoreError, match="orders-state in eu-west-1 is not active after 120 s"):
        await opened(server).__aenter__()


async def test_a_table_that_is_being_deleted_is_refused(server: FakeDynamoDb) -> None:
    server.tables[TABLE].statuses = ["DELETING"]
    with pytest.raises(StoreError, match="is DELETING") as refused:
        await opened(server).__aenter__()
    assert refused.value.retryable


async def test_a_table_of_another_shape_is_refused_and_stays_as_it_is(server: FakeDynamoDb) -> None:
    server.tables[TABLE].schema = {
        "KeySchema": [{"AttributeName": "leaseKey", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "leaseKey", "AttributeType": "S"}],
    }
    with pytest.raises(StoreError, match=r"its key is leaseKey \(HASH, S\), not partition") as refused:
        await opened(server).__aenter__()
    assert (refused.value.retryable, refused.value.code) == (False, "ForeignTable")
    assert server.operations() == ["DescribeTable"]


@pytest.mark.parametrize("operation", ["DescribeTable", "CreateTable"])
async def test_a_missing_permission_is_told_with_its_action_and_table(server: FakeDynamoDb, operation: str) -> None:
    del server.tables[TABLE]
    server.refusals[operation] = [Refusal("AccessDeniedException", "User: me is not authorized")]
    with pytest.raises(StoreError) as refused:
        await opened(server).__aenter__()
    assert f"dynamodb:{operation} on the table orders-state in eu-west-1" in str(refused.value)
    assert "User: me is not authorized" in str(refused.value)


async def test_another_refusal_to_make_the_table_is_told(server: FakeDynamoDb) -> None:
    del server.tables[TABLE]
    server.refusals["CreateTable"] = [Refusal("LimitExceededException", "Too many tables")]
    with pytest.raises(StoreError, match="Too many tables"):
        await opened(server).__aenter__()


async def test_an_answer_that_is_none_is_told(server: FakeDynamoDb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_DescribeTable", lambda request, call: {})
    with pytest.raises(StoreError, match="the answer cannot be understood"):
        await opened(server).__aenter__()


@pytest.mark.parametrize(
    ("code", "retryable", "told"),
    [
        ("ProvisionedThroughputExceededException", True, "DynamoDB throttles"),
        ("ResourceNotFoundException", True, "there is no such table"),
        ("InternalServerError", True, "the service has a problem"),
        ("ValidationException", False, "ValidationException"),
    ],
)
async def test_a_refusal_says_whether_it_may_pass(
    server: FakeDynamoDb, store: DynamoDbStateStore, code: str, retryable: bool, told: str
) -> None:
    server.refusals["Query"] = [Refusal(code)]
    with pytest.raises(StoreError, match=told) as refused:
        await store.read("p")
    assert (refused.value.code, refused.value.retryable) == (code, retryable)
    assert TABLE in str(refused.value)


async def test_an_item_of_somebody_else_is_told(server: FakeDynamoDb, store: DynamoDbStateStore) -> None:
    server.tables[TABLE].items["p", "k"] = {"partition": {"S": "p"}, "key": {"S": "k"}, "hello": {"S": "world"}}
    with pytest.raises(StoreError, match="is no row of the broker's") as refused:
        await store.read("p")
    assert not refused.value.retryable


@pytest.mark.parametrize("prefix", ["", "a b", "größe", "x" * 250])
def test_a_prefix_that_no_table_can_have_is_a_mistake(server: FakeDynamoDb, prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="needs a table prefix"):
        opened(server, table_prefix=prefix)


def test_it_shows_its_table(store: DynamoDbStateStore) -> None:
    assert repr(store) == "<DynamoDbStateStore orders-state in eu-west-1>"


# ---- cancellation


@pytest.mark.parametrize(("operation", "call"), [*(("PutItem", call) for call in range(5)), ("DeleteItem", 0)])
async def test_a_write_that_is_cancelled_at_any_call_leaves_the_old_row_or_the_new_one(
    server: FakeDynamoDb, store: DynamoDbStateStore, operation: str, call: int
) -> None:
    await store.write("p", "k", large("old"), version=0, nonce="old")
    with anyio.CancelScope() as scope:
        server.before[operation] = [*([lambda: None] * call), scope.cancel]
        await store.write("p", "k", large("new"), version=1, nonce="new")
        await anyio.sleep(1)
    assert scope.cancelled_caught
    found = await store.get("p", "k")
    assert found in (Row(version=1, value=large("old")), Row(version=2, value=large("new")))
    await store.write("p", "k", large("new"), version=1, nonce="new")
    assert await store.read("p") == {"k": Row(version=2, value=large("new"))}
    assert keys(server) == ["k", *(f"k#part#new#{index}" for index in range(4))]
