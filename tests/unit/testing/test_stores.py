"""The state store of tests: its faults strike whom they are meant for, and it counts what it is asked."""

import doctest

import anyio
import pytest

from broker.errors import RowConflict, StoreError
from broker.model.lease import Row
from broker.testing import store_traffic, stores
from broker.testing.stores import InMemoryStateStore, StateStoreView

pytestmark = pytest.mark.anyio


@pytest.fixture
def store() -> InMemoryStateStore:
    return InMemoryStateStore()


@pytest.fixture
def first(store: InMemoryStateStore) -> StateStoreView:
    return store.seen_by("first")


@pytest.fixture
def second(store: InMemoryStateStore) -> StateStoreView:
    return store.seen_by("second")


async def code_of(call) -> str:
    """What the call fails with; nothing where it succeeds."""
    try:
        await call
    except StoreError as error:
        return error.code
    return ""


async def test_callers_see_each_others_rows(first: StateStoreView, second: StateStoreView) -> None:
    await first.write("p", "k", {"by": 1}, version=0, nonce="n1")
    async with second.reopened() as again:
        assert await again.get("p", "k") == Row(version=1, value={"by": 1})
    with pytest.raises(RowConflict):
        await second.write("p", "k", {}, version=0, nonce="n2")
    assert first.is_shared
    assert not InMemoryStateStore(is_shared=False).seen_by("").is_shared
    assert repr(first) == "<StateStoreView of first>"


async def test_throttled_calls_have_no_effect(
    store: InMemoryStateStore, first: StateStoreView, second: StateStoreView
) -> None:
    store.throttle("write", calls=2, caller="first")
    assert await code_of(first.read("p")) == ""
    assert await code_of(second.write("p", "two", {}, version=0, nonce="n")) == ""
    for expected in ("ThrottlingException", "ThrottlingException", ""):
        assert await code_of(first.write("p", "one", {}, version=0, nonce="n")) == expected


async def test_a_fault_may_last_for_a_time(store: InMemoryStateStore, first: StateStoreView) -> None:
    store.throttle(seconds=10)
    for _ in range(4):
        assert await code_of(first.read("p")) == "ThrottlingException"
        await anyio.sleep(2.5)
    assert await code_of(first.read("p")) == ""


async def test_what_ends_first_ends_a_fault(store: InMemoryStateStore, first: StateStoreView) -> None:
    store.throttle(seconds=10, calls=1)
    assert await code_of(first.read("p")) == "ThrottlingException"
    assert await code_of(first.read("p")) == ""


async def test_a_call_whose_reply_is_lost_takes_effect(store: InMemoryStateStore, first: StateStoreView) -> None:
    store.lose_reply()
    assert await code_of(first.write("p", "k", {}, version=0, nonce="n")) == "ConnectionClosedError"
    assert (await first.read("p")).keys() == {"k"}
    store.lose_reply("write")
    assert await code_of(first.write("p", "k", {}, version=7, nonce="x")) == "ConnectionClosedError", "a conflict, too"
    await first.write("p", "k", {}, version=0, nonce="n")


async def test_a_call_whose_request_is_lost_has_no_effect(store: InMemoryStateStore, first: StateStoreView) -> None:
    store.lose_request("write", "delete")
    assert await code_of(first.write("p", "k", {}, version=0, nonce="n")) == "ConnectionClosedError"
    assert await first.read("p") == {}


async def test_a_store_that_is_down_answers_nobody_until_it_is_restored(
    store: InMemoryStateStore, first: StateStoreView, second: StateStoreView
) -> None:
    store.take_down()
    assert await code_of(first.get("p", "k")) == await code_of(second.get("p", "k")) == "EndpointConnectionError"
    store.restore()
    store.take_down(caller="first")
    assert store.is_down("first")
    assert not store.is_down("second")
    assert (await code_of(first.get("p", "k")), await code_of(second.get("p", "k"))) == ("EndpointConnectionError", "")
    store.restore(caller="first")
    assert await code_of(first.get("p", "k")) == ""


async def test_a_slow_call_takes_effect_when_its_request_arrives(
    store: InMemoryStateStore, first: StateStoreView, second: StateStoreView
) -> None:
    store.slow("write", request_seconds=2, reply_seconds=3)
    began_at = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: first.write("p", "k", {}, version=0, nonce="n"))
        await anyio.sleep(1.9)
        assert await second.read("p") == {}
        await anyio.sleep(0.2)
        assert (await second.read("p")).keys() == {"k"}
    assert anyio.current_time() - began_at == pytest.approx(5)


async def test_a_request_that_is_under_way_arrives_though_its_caller_gave_up(
    store: InMemoryStateStore, first: StateStoreView, second: StateStoreView
) -> None:
    store.slow("write", request_seconds=10)
    with anyio.move_on_after(1):
        await first.write("p", "k", {"by": "first"}, version=0, nonce="n1")
    assert await second.get("p", "k") is None
    await anyio.sleep(10)
    with pytest.raises(RowConflict):
        await second.write("p", "k", {"by": "second"}, version=0, nonce="n2")
    assert await second.get("p", "k") == Row(version=1, value={"by": "first"})


async def test_a_late_request_is_refused_where_somebody_was_faster(
    store: InMemoryStateStore, first: StateStoreView, second: StateStoreView
) -> None:
    store.slow("write", request_seconds=10)
    with anyio.move_on_after(1):
        await first.write("p", "k", {"by": "first"}, version=0, nonce="n1")
    await second.write("p", "k", {"by": "second"}, version=0, nonce="n2")
    await anyio.sleep(10)
    assert await second.get("p", "k") == Row(version=1, value={"by": "second"})


async def test_calls_are_counted_by_partition_as_a_table_would_bill_them(
    store: InMemoryStateStore, first: StateStoreView
) -> None:
    await first.write("small", "k", {}, version=0, nonce="n1")
    await first.write("large", "k", {"text": "x" * 10_000}, version=0, nonce="n2")
    await first.read("small")
    await first.read("large")
    await first.get("none", "k")
    await first.delete("large", "k", version=1)
    with pytest.raises(RowConflict):
        await first.write("small", "k", {}, version=0, nonce="n3")
    store.throttle()
    await code_of(first.read("small"))
    small, large, none = (store.traffic.of(partition) for partition in ("small", "large", "none"))
    assert (small.reads, small.writes, small.conflicts, small.read_units, small.write_units) == (1, 2, 1, 1, 2)
    assert (large.reads, large.writes, large.conflicts, large.read_units, large.write_units) == (1, 2, 0, 3, 20)
    assert (none.reads, none.read_units) == (1, 1)
    assert (store.traffic.total.reads, store.traffic.total.write_units) == (3, 22)
    store.traffic.reset()
    assert store.traffic.total == store_traffic.PartitionTraffic()


def test_the_example_of_the_module_runs() -> None:
    assert doctest.testmod(stores).failed == 0
