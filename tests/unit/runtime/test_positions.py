"""One shard's row in the store: who may write it, whatever becomes of a write and of its answer."""

from itertools import count
from uuid import UUID

import anyio
import pytest

from broker.core.lease_rows import checkpoint_of
from broker.errors import LeaseLost, StoreError
from broker.model.checkpoint import Checkpoint
from broker.model.stream import AfterSequenceNumber, TrimHorizon
from broker.runtime.positions import Positions
from broker.testing.stores import InMemoryStateStore

pytestmark = pytest.mark.anyio
BEGINNING = Checkpoint(position=TrimHorizon())


def at(number: int) -> Checkpoint:
    return Checkpoint(position=AfterSequenceNumber(number=str(number)))


class Rows:
    """A store with one row, and owners by epoch."""

    def __init__(self) -> None:
        self.store = InMemoryStateStore(is_shared=False)
        self._ids = count(1)

    def owner(self, epoch: int) -> Positions:
        store = self.store.seen_by(f"epoch {epoch}")
        return Positions(store, partition="m", key="c", epoch=epoch, new_id=lambda: UUID(int=next(self._ids)))

    async def stands(self) -> tuple[int, Checkpoint] | None:
        row = await self.store.seen_by("test").get("m", "c")
        return row and checkpoint_of(row)


@pytest.fixture
def rows() -> Rows:
    return Rows()


async def test_the_first_owner_begins_where_it_is_told_and_says_so_in_the_row(rows):
    assert await rows.owner(1).fence(BEGINNING) == BEGINNING
    assert await rows.stands() == (1, BEGINNING)


async def test_the_next_owner_begins_where_the_last_one_was(rows):
    first = rows.owner(1)
    await first.fence(BEGINNING)
    await first.save(at(5))

    assert await rows.owner(2).fence(BEGINNING) == at(5)
    assert await rows.stands() == (2, at(5))


async def test_an_owner_writes_nothing_after_its_successor_has_begun(rows):
    first, second = rows.owner(1), rows.owner(2)
    await first.fence(BEGINNING)
    await second.fence(BEGINNING)
    with pytest.raises(LeaseLost):
        await first.save(at(5))

    assert await rows.stands() == (2, BEGINNING)


async def test_an_owner_writes_nothing_though_its_successor_has_written_often(rows):
    first, second = rows.owner(1), rows.owner(2)
    await first.fence(BEGINNING)
    await second.fence(BEGINNING)
    for number in range(1, 4):
        await second.save(at(number))
    with pytest.raises(LeaseLost):
        await first.save(at(9))

    assert await rows.stands() == (2, at(3))


async def test_a_late_owner_does_not_begin_after_a_later_one(rows):
    await rows.owner(3).fence(BEGINNING)
    with pytest.raises(LeaseLost):
        await rows.owner(2).fence(BEGINNING)

    assert await rows.stands() == (3, BEGINNING)


async def test_a_row_that_is_gone_is_a_lost_lease(rows):
    owner = rows.owner(1)
    await owner.fence(BEGINNING)
    await rows.store.seen_by("test").delete("m", "c", version=1)
    with pytest.raises(LeaseLost):
        await owner.save(at(5))

    assert await rows.stands() is None


async def test_a_write_whose_answer_was_lost_is_no_lost_lease(rows):
    owner = rows.owner(1)
    await owner.fence(BEGINNING)
    rows.store.lose_reply("write")
    with pytest.raises(StoreError):
        await owner.save(at(5))
    await owner.save(at(6))

    assert await rows.stands() == (1, at(6))


async def test_a_fence_whose_answer_was_lost_may_be_repeated(rows):
    await rows.owner(1).fence(BEGINNING)
    second = rows.owner(2)
    rows.store.lose_reply("write")
    with pytest.raises(StoreError):
        await second.fence(BEGINNING)

    assert await second.fence(BEGINNING) == BEGINNING
    await second.save(at(5))
    assert await rows.stands() == (2, at(5))


async def test_a_former_owners_write_that_arrives_before_the_fence_is_kept(rows):
    first, second = rows.owner(1), rows.owner(2)
    await first.fence(BEGINNING)
    rows.store.slow("write", request_seconds=1, caller="epoch 2")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(second.fence, BEGINNING)
        await anyio.sleep(0.5)
        await first.save(at(5))

    assert await rows.stands() == (2, at(5))


async def test_a_former_owners_write_that_arrives_after_the_fence_changes_nothing(rows):
    first, second = rows.owner(1), rows.owner(2)
    await first.fence(BEGINNING)
    rows.store.slow("write", request_seconds=2, caller="epoch 1")
    with anyio.move_on_after(1):
        await first.save(at(5))
    await second.fence(BEGINNING)
    await anyio.sleep(2)

    assert await rows.stands() == (2, BEGINNING)


@pytest.mark.parametrize("operation", ["get", "write"])
@pytest.mark.parametrize(("request_seconds", "reply_seconds"), [(2.0, 0.0), (0.0, 2.0)])
async def test_a_fence_that_is_cancelled_at_any_await_may_be_repeated(rows, operation, request_seconds, reply_seconds):
    first, second = rows.owner(1), rows.owner(2)
    await first.fence(BEGINNING)
    await first.save(at(5))
    rows.store.slow(operation, request_seconds=request_seconds, reply_seconds=reply_seconds, caller="epoch 2")
    with anyio.move_on_after(1):
        await second.fence(BEGINNING)

    assert (await rows.stands())[1] == at(5)
    assert await second.fence(BEGINNING) == at(5)
    await second.save(at(6))
    assert await rows.stands() == (2, at(6))


@pytest.mark.parametrize(("request_seconds", "reply_seconds"), [(2.0, 0.0), (0.0, 2.0)])
async def test_a_save_that_is_cancelled_at_any_await_is_followed_by_the_next(rows, request_seconds, reply_seconds):
    owner = rows.owner(1)
    await owner.fence(BEGINNING)
    rows.store.slow("write", request_seconds=request_seconds, reply_seconds=reply_seconds)
    with anyio.move_on_after(1):
        await owner.save(at(5))
    assert (await rows.stands())[1] in (BEGINNING, at(5))
    await owner.save(at(6))
    await anyio.sleep(3)
    await owner.save(at(7))

    assert await rows.stands() == (1, at(7))


async def test_a_save_that_is_cancelled_while_it_looks_whose_the_row_is_is_followed_by_the_next(rows):
    owner = rows.owner(1)
    await owner.fence(BEGINNING)
    rows.store.lose_reply("write")
    with pytest.raises(StoreError):
        await owner.save(at(5))
    rows.store.slow("get", request_seconds=2)
    with anyio.move_on_after(1):
        await owner.save(at(6))
    await owner.save(at(7))

    assert await rows.stands() == (1, at(7))


async def test_a_row_that_a_former_owner_keeps_writing_is_contended_and_not_lost(rows):
    first, second = rows.owner(1), rows.owner(2)
    await first.fence(BEGINNING)
    rows.store.slow("write", request_seconds=1, caller="epoch 2", calls=4)
    ended = []

    async def begin() -> None:
        try:
            await second.fence(BEGINNING)
        except StoreError as error:
            ended.append(type(error))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(begin)
        for number in range(1, 9):
            await anyio.sleep(0.5)
            await first.save(at(number))

    assert ended == [StoreError]
    assert await second.fence(BEGINNING) == at(8)
