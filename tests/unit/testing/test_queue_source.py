"""What only the source of a queue in memory does: faults, each as its verb says, and the requests that it refuses.

What it shares with the real source is in the conformance suite.
"""

import anyio
import pytest

from broker.errors import SourceError
from broker.testing import EPOCH, Happening, InMemoryQueueSource

pytestmark = pytest.mark.anyio

POLL = {"maximum_count": 10, "wait_seconds": 20, "visibility_timeout_seconds": 30, "attempt_id": None}


@pytest.fixture
def queue(make_queue):
    return make_queue("orders")


@pytest.fixture
def source(queue):
    return InMemoryQueueSource(queue)


async def test_a_throttled_call_is_refused_without_effect(queue, source) -> None:
    queue.send("a")
    queue.throttle(calls=2)
    for _ in range(2):
        with pytest.raises(SourceError) as raised:
            await source.receive(**POLL)
        assert (raised.value.code, raised.value.retryable) == ("RequestThrottled", True)
    assert queue.in_flight_count == 0
    assert len(await source.receive(**POLL)) == 1


async def test_a_throttle_strikes_the_operations_that_it_names(queue, source) -> None:
    queue.send("a")
    queue.throttle("delete")
    records = await source.receive(**POLL)
    await source.describe()
    with pytest.raises(SourceError):
        await source.delete(records)
    assert await source.delete(records) == {}


async def test_a_lost_reply_of_a_receive_leaves_the_messages_hidden(queue, source) -> None:
    message_id = queue.send("a")
    queue.lose_reply()
    with pytest.raises(SourceError) as raised:
        await source.receive(**POLL)
    assert (raised.value.code, raised.value.retryable) == ("", True)
    assert queue.in_flight_count == 1
    (record,) = await source.receive(**{**POLL, "wait_seconds": 20}) or await source.receive(**POLL)
    assert (record.identifier, record.receive_count, anyio.current_time()) == (message_id, 2, 30)


async def test_the_lost_reply_waits_for_a_receive_that_brings_something(queue, source) -> None:
    queue.lose_reply("receive")
    assert await source.receive(**POLL) == ()
    queue.send("a")
    with pytest.raises(SourceError):
        await source.receive(**POLL)


async def test_a_lost_reply_of_a_delete_has_deleted(queue, source) -> None:
    queue.send("a")
    records = await source.receive(**POLL)
    queue.lose_reply("delete")
    with pytest.raises(SourceError):
        await source.delete(records)
    assert len(queue) == 0
    assert await source.delete(records) == {}


async def test_a_lost_reply_of_a_visibility_change_has_changed_it(queue, source) -> None:
    queue.send("a")
    records = await source.receive(**POLL)
    queue.lose_reply("change_visibility")
    with pytest.raises(SourceError):
        await source.change_visibility(records, visibility_timeout_seconds=0)
    assert queue.visible_count == 1


async def test_named_entries_of_a_delete_fail_and_the_others_are_deleted(queue, source) -> None:
    first, second = queue.send("a"), queue.send("b")
    records = await source.receive(**POLL)
    queue.fail_deletes(first, code="InternalError")
    failures = await source.delete(records)
    assert {identifier: failure.code for identifier, failure in failures.items()} == {first: "InternalError"}
    assert (first in queue, second in queue) == (True, False)
    assert await source.delete(records) == {}
    assert len(queue) == 0


async def test_deletes_without_a_named_entry_do_not_use_the_fault_up(queue, source) -> None:
    first, second = queue.send("a"), queue.send("b")
    one, other = await source.receive(**POLL)
    queue.fail_deletes(second, final=True)
    assert await source.delete([one]) == {}
    assert (await source.delete([other]))[second].final
    assert first not in queue


async def test_all_entries_fail_where_none_is_named_for_as_many_calls_as_asked(queue, source) -> None:
    queue.send("a")
    records = await source.receive(**POLL)
    queue.fail_deletes(calls=2)
    assert [len(await source.delete(records)) for _ in range(3)] == [1, 1, 0]


async def test_visibility_changes_can_fail_by_entry(queue, source) -> None:
    queue.send("a")
    records = await source.receive(**POLL)
    queue.fail_visibility_changes()
    assert len(await source.change_visibility(records, visibility_timeout_seconds=0)) == 1
    assert queue.visible_count == 0


async def test_visibility_expires_at_once_for_one_or_for_all(queue, source) -> None:
    first, _ = queue.send("a"), queue.send("b")
    await source.receive(**POLL)
    queue.expire_visibility(first)
    (again,) = await source.receive(**POLL)
    assert (again.identifier, again.receive_count) == (first, 2)
    queue.expire_visibility()
    assert len(await source.receive(**POLL)) == 2


async def test_a_vanished_queue_fails_every_call_and_keeps_its_messages(queue, source) -> None:
    queue.send("a")
    records = await source.receive(**POLL)
    queue.vanish()
    for call in (
        source.describe(),
        source.receive(**POLL),
        source.delete(records),
        source.change_visibility(records, visibility_timeout_seconds=0),
    ):
        with pytest.raises(SourceError) as raised:
            await call
        assert raised.value.code == "AWS.SimpleQueueService.NonExistentQueue"
    queue.restore()
    assert await source.delete(records) == {}


async def test_a_queue_that_vanishes_ends_the_receives_that_wait(queue, source) -> None:
    async def vanish_later() -> None:
        await anyio.sleep(4)
        queue.vanish()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(vanish_later)
        with pytest.raises(SourceError):
            await source.receive(**POLL)
        assert anyio.current_time() == 4


async def test_a_slow_request_takes_effect_late_and_a_slow_reply_comes_late(queue, source) -> None:
    queue.send("a")
    queue.slow("receive", request_seconds=3, reply_seconds=4)
    (record,) = await source.receive(**POLL)
    assert anyio.current_time() == 7
    assert (record.received_at, record.visible_until) == (EPOCH + 3, EPOCH + 33)
    await source.receive(**{**POLL, "wait_seconds": 0})
    assert anyio.current_time() == 7


async def test_a_delete_that_comes_too_late_does_nothing(queue, source) -> None:
    message_id = queue.send("a")
    records = await source.receive(**POLL)
    queue.slow("delete", request_seconds=35)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source.delete, records)
        await anyio.sleep(31)
        assert len(await source.receive(**POLL)) == 1
    assert queue.history.of(message_id)[-1] is Happening.DELETE_IGNORED
    assert message_id in queue


@pytest.mark.parametrize(
    "change", [{"maximum_count": 0}, {"maximum_count": 11}, {"wait_seconds": 21}, {"visibility_timeout_seconds": 43201}]
)
async def test_a_receive_out_of_range_is_refused_as_sqs_does(source, change) -> None:
    with pytest.raises(SourceError) as raised:
        await source.receive(**{**POLL, **change})
    assert (raised.value.code, raised.value.retryable) == ("InvalidParameterValue", False)


async def test_a_call_takes_one_to_ten_entries(queue, source) -> None:
    for number in range(11):
        queue.send(str(number))
    records = [*await source.receive(**POLL), *await source.receive(**POLL)]
    for entries, code in ((records, "TooManyEntriesInBatchRequest"), ([], "EmptyBatchRequest")):
        with pytest.raises(SourceError) as raised:
            await source.delete(entries)
        assert raised.value.code == f"AWS.SimpleQueueService.{code}"
        with pytest.raises(SourceError):
            await source.change_visibility(entries, visibility_timeout_seconds=0)
