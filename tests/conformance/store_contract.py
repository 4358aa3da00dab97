"""What every `StateStore` promises. The class is collected where it is subclassed with a world."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple

import anyio
import pytest

from broker.errors import RowConflict
from broker.model.lease import Row
from broker.ports import StateStore


class StoreWorld(NamedTuple):
    """Two stores on the same rows, which nobody else uses."""

    store: StateStore
    other: StateStore


OpenWorld = Callable[[], AbstractAsyncContextManager[StoreWorld]]

MEGABYTE = 1024 * 1024
UNICODE = 'größe ☃ 😀 \u2028 \x00 "quoted" \\ back\\slash'
LATER_SECONDS = (0.0, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.05)
"""When calls are cancelled: before, during and after their work."""


async def increment(store: StateStore, times: int, name: str) -> None:
    """Adds to a shared counter by compare-and-set, as often as it takes."""
    done = attempts = 0
    while done < times:
        row = await store.get("numbers", "n")
        version, count = (row.version, row.value["count"]) if row else (0, 0)
        attempts += 1
        try:
            await store.write("numbers", "n", {"count": count + 1}, version=version, nonce=f"{name}-{attempts}")
        except RowConflict:
            continue
        done += 1


def large(mark: str, size: int = MEGABYTE) -> dict[str, str]:
    """A value of about `size` bytes, in characters of one to four bytes."""
    return {"mark": mark, "state": "aé☃😀" * (size // 10)}


class StateStoreContract:
    """One test for each promise."""

    # ---- writing

    async def test_a_row_that_was_created_is_read_with_version_1(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            await world.store.write("workers", "a", {"changes": 0}, version=0, nonce="n1")
            assert await world.store.get("workers", "a") == Row(version=1, value={"changes": 0})
            assert await world.store.read("workers") == {"a": Row(version=1, value={"changes": 0})}

    async def test_a_row_that_is_there_is_not_created_again(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            await world.store.write("workers", "a", {"by": 1}, version=0, nonce="n1")
            with pytest.raises(RowConflict):
                await world.other.write("workers", "a", {"by": 2}, version=0, nonce="n2")
            assert await world.store.get("workers", "a") == Row(version=1, value={"by": 1})

    async def test_each_write_makes_the_version_one_more(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            for version in range(5):
                await world.store.write("workers", "a", {"at": version}, version=version, nonce=f"n{version}")
            assert await world.store.get("workers", "a") == Row(version=5, value={"at": 4})

    @pytest.mark.parametrize("version", [1, 3, 7])
    async def test_a_write_that_expects_another_version_changes_nothing(
        self, open_world: OpenWorld, version: int
    ) -> None:
        async with open_world() as world:
            await world.store.write("workers", "a", {"at": 1}, version=0, nonce="n1")
            await world.store.write("workers", "a", {"at": 2}, version=1, nonce="n2")
            with pytest.raises(RowConflict) as refused:
                await world.store.write("workers", "a", {"at": 9}, version=version, nonce="n9")
            assert not refused.value.retryable
            assert await world.store.get("workers", "a") == Row(version=2, value={"at": 2})

    async def test_a_row_that_is_gone_is_not_written(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            with pytest.raises(RowConflict):
                await world.store.write("workers", "a", {}, version=4, nonce="n1")
            assert await world.store.get("workers", "a") is None

    # ---- lost answers

    @pytest.mark.parametrize("version", [0, 1])
    async def test_a_change_that_is_repeated_with_its_nonce_has_succeeded(
        self, open_world: OpenWorld, version: int
    ) -> None:
        async with open_world() as world:
            for before in range(version):
                await world.store.write("workers", "a", {}, version=before, nonce=f"before-{before}")
            for _ in range(3):
                await world.store.write("workers", "a", {"mine": True}, version=version, nonce="mine")
            assert await world.other.get("workers", "a") == Row(version=version + 1, value={"mine": True})

    async def test_a_repetition_with_another_nonce_is_somebody_elses_write(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            await world.store.write("workers", "a", {"mine": True}, version=0, nonce="mine")
            with pytest.raises(RowConflict):
                await world.other.write("workers", "a", {"mine": True}, version=0, nonce="theirs")

    async def test_a_repetition_after_somebody_elses_write_has_lost(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            await world.store.write("workers", "a", {"by": "me"}, version=0, nonce="mine")
            await world.other.write("workers", "a", {"by": "them"}, version=1, nonce="theirs")
            with pytest.raises(RowConflict):
                await world.store.write("workers", "a", {"by": "me"}, version=0, nonce="mine")
            assert await world.store.get("workers", "a") == Row(version=2, value={"by": "them"})

    # ---- deleting

    async def test_a_deleted_row_is_gone_and_may_be_created_again(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            await world.store.write("workers", "a", {}, version=0, nonce="n1")
            await world.store.delete("workers", "a", version=1)
            assert await world.other.get("workers", "a") is None
            assert await world.other.read("workers") == {}
            await world.other.write("workers", "a", {"again": True}, version=0, nonce="n2")
            assert await world.store.get("workers", "a") == Row(version=1, value={"again": True})

    async def test_a_row_of_another_version_is_not_deleted(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            await world.store.write("workers", "a", {}, version=0, nonce="n1")
            await world.other.write("workers", "a", {"alive": True}, version=1, nonce="n2")
            with pytest.raises(RowConflict):
                await world.store.delete("workers", "a", version=1)
            assert await world.store.get("workers", "a") == Row(version=2, value={"alive": True})

    async def test_deleting_what_is_gone_is_fine(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            await world.store.delete("workers", "a", version=3)
            await world.store.write("workers", "a", {}, version=0, nonce="n1")
            for _ in range(2):
                await world.store.delete("workers", "a", version=1)

    # ---- reading

    async def test_an_unknown_partition_is_empty(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            assert await world.store.read("nobody") == {}
            assert await world.store.get("nobody", "nothing") is None

    async def test_partitions_do_not_see_each_other(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            await world.store.write("one", "a", {"of": 1}, version=0, nonce="n1")
            await world.store.write("two", "a", {"of": 2}, version=0, nonce="n2")
            await world.store.delete("one", "a", version=1)
            assert await world.store.read("two") == {"a": Row(version=1, value={"of": 2})}

    async def test_two_stores_on_the_same_data_see_each_others_writes_at_once(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            stores = (world.store, world.other)
            for version in range(10):
                writer, reader = stores[version % 2], stores[(version + 1) % 2]
                await writer.write("workers", "a", {"at": version}, version=version, nonce=f"n{version}")
                assert await reader.get("workers", "a") == Row(version=version + 1, value={"at": version})
                assert (await reader.read("workers"))["a"].version == version + 1

    async def test_all_rows_of_a_partition_are_read(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            for number in range(60):
                await world.store.write("shards", f"shard:{number}", {"n": number}, version=0, nonce=f"n{number}")
            rows = await world.other.read("shards")
            assert {key: row.value["n"] for key, row in rows.items()} == {f"shard:{n}": n for n in range(60)}

    # ---- values

    @pytest.mark.parametrize(
        "value",
        [
            {},
            {"none": None, "yes": True, "no": False, "int": 2**53, "float": 1.5, "list": [1, [2, {}]], "empty": ""},
            {"text": UNICODE, UNICODE: 1},
            {"deep": {"er": {"est": [{"x": [None]}]}}},
        ],
        ids=["empty", "kinds", "unicode", "deep"],
    )
    async def test_a_value_comes_back_as_it_was_written(self, open_world: OpenWorld, value: dict[str, Any]) -> None:
        async with open_world() as world:
            await world.store.write("p", "k", value, version=0, nonce="n")
            assert await world.other.get("p", "k") == Row(version=1, value=value)

    async def test_keys_may_hold_any_characters(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            keys = ["shard:g-1:shardId-000000000001", "größe ☃ 😀", "a#b", "a'b\"c", "a b%_*"]
            for key in keys:
                await world.store.write("größe/☃", key, {"key": key}, version=0, nonce=f"n-{key}")
            assert {key: row.value["key"] for key, row in (await world.other.read("größe/☃")).items()} == {
                key: key for key in keys
            }

    async def test_what_a_caller_does_to_its_values_later_stays_outside(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            value = {"list": [1]}
            await world.store.write("p", "k", value, version=0, nonce="n")
            value["list"].append(2)
            read = await world.store.get("p", "k")
            assert read is not None
            read.value["list"].append(3)
            (await world.store.read("p"))["k"].value.clear()
            assert await world.store.get("p", "k") == Row(version=1, value={"list": [1]})

    async def test_a_value_of_a_megabyte_is_kept_replaced_and_deleted(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            await world.store.write("windows", "w", large("first"), version=0, nonce="n1")
            assert await world.other.get("windows", "w") == Row(version=1, value=large("first"))
            await world.store.write("windows", "w", large("second", 400_000), version=1, nonce="n2")
            assert await world.other.read("windows") == {"w": Row(version=2, value=large("second", 400_000))}
            await world.store.write("windows", "w", {"small": True}, version=2, nonce="n3")
            assert await world.other.read("windows") == {"w": Row(version=3, value={"small": True})}
            await world.store.write("windows", "w", large("third"), version=3, nonce="n4")
            await world.store.delete("windows", "w", version=4)
            assert await world.other.read("windows") == {}

    async def test_a_large_value_that_loses_leaves_the_winners(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            await world.store.write("windows", "w", large("mine"), version=0, nonce="mine")
            with pytest.raises(RowConflict):
                await world.other.write("windows", "w", large("theirs"), version=0, nonce="theirs")
            await world.store.write("windows", "w", large("mine"), version=0, nonce="mine")
            assert await world.other.get("windows", "w") == Row(version=1, value=large("mine"))

    # ---- many at once

    async def test_no_increment_of_concurrent_writers_is_lost(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            async with anyio.create_task_group() as tasks:
                for number in range(6):
                    tasks.start_soon(increment, (world.store, world.other)[number % 2], 5, f"w{number}")
            assert await world.store.get("numbers", "n") == Row(version=30, value={"count": 30})

    async def test_one_of_many_creators_wins(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            winners: list[str] = []

            async def create(store: StateStore, name: str) -> None:
                try:
                    await store.write("leases", "shard", {"owner": name}, version=0, nonce=name)
                except RowConflict:
                    return
                winners.append(name)

            async with anyio.create_task_group() as tasks:
                for number in range(8):
                    tasks.start_soon(create, (world.store, world.other)[number % 2], f"w{number}")
            row = await world.store.get("leases", "shard")
            assert row is not None
            assert winners == [row.value["owner"]]

    # ---- cancellation

    async def test_a_write_that_is_cancelled_leaves_the_old_row_or_the_new_one(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            await world.store.write("p", "k", large("0"), version=0, nonce="n0")
            version = 1
            for number, seconds in enumerate(LATER_SECONDS, 1):
                old, new = Row(version=version, value=large(str(number - 1))), large(str(number))
                with anyio.move_on_after(seconds):
                    await world.store.write("p", "k", new, version=version, nonce=f"n{number}")
                assert await world.other.get("p", "k") in (old, Row(version=version + 1, value=new))
                await world.store.write("p", "k", new, version=version, nonce=f"n{number}")
                version += 1
                assert await world.store.read("p") == {"k": Row(version=version, value=new)}

    async def test_a_store_works_on_after_reads_and_deletes_were_cancelled(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            await world.store.write("p", "k", {"at": 1}, version=0, nonce="n1")
            for seconds in LATER_SECONDS:
                with anyio.move_on_after(seconds):
                    await world.store.read("p")
                with anyio.move_on_after(seconds):
                    await world.store.delete("p", "other", version=1)
            assert await world.store.read("p") == {"k": Row(version=1, value={"at": 1})}
