"""What every `QueueSource` promises: SQS's contract, as far as a consumer relies on it.

The class is collected where it is subclassed with a world. A server that is known to differ from AWS names the test and
the reason in `DEVIATIONS`; the test must then fail there.
"""

from typing import Any, ClassVar

import anyio
import orjson
import pytest

from broker.errors import SourceError
from broker.model.record import QueueAttributes, Record
from broker.ports import QueueSource
from tests.conformance.queue_worlds import OpenWorld, QueueWorld

NEARLY = 0.25
"""Seconds by which a server may be late or early where real time passes."""


async def receive(source: QueueSource, **changes: Any) -> tuple[Record, ...]:
    options = {"maximum_count": 10, "wait_seconds": 2, "visibility_timeout_seconds": 30, "attempt_id": None}
    return await source.receive(**{**options, **changes})


async def receive_all(source: QueueSource, count: int, **changes: Any) -> list[Record]:
    """A receive may bring fewer messages than there are."""
    records: list[Record] = []
    while len(records) < count and (page := await receive(source, **changes)):
        records += page
    return records


def bodies(records: Any) -> list[str]:
    return [record.event["body"] for record in records]


def with_receipt(record: Record, receipt: str) -> Record:
    return Record(
        identifier=record.identifier,
        event=record.event,
        json=record.json,
        receipt=receipt,
        received_at=record.received_at,
        visible_until=record.visible_until,
    )


async def send_in_order(world: QueueWorld, *bodies: str) -> None:
    """Each body begins with the letter of its group."""
    for body in bodies:
        await world.send(body, group=body[0])


class QueueSourceContract:
    """One test for each promise."""

    DEVIATIONS: ClassVar[dict[str, str]] = {}

    @pytest.fixture(autouse=True)
    def _expect_deviation(self, request: pytest.FixtureRequest) -> None:
        if reason := self.DEVIATIONS.get(request.node.originalname):
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))

    # ---- describing

    @pytest.mark.parametrize("fifo", [False, True])
    async def test_it_describes_its_queue(self, open_world: OpenWorld, fifo: bool) -> None:
        async with open_world(fifo=fifo, visibility_timeout_seconds=45, maximum_receive_count=3) as world:
            assert await world.source.describe() == QueueAttributes(
                visibility_timeout_seconds=45,
                fifo=fifo,
                maximum_receive_count=3,
                dead_letter_target_arn=world.dead_letter_arn,
            )

    async def test_a_missing_queue_is_an_error_with_the_code_of_aws(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            for call in (world.missing.describe(), receive(world.missing)):
                with pytest.raises(SourceError) as raised:
                    await call
                assert raised.value.code == "AWS.SimpleQueueService.NonExistentQueue"
                assert raised.value.retryable

    # ---- receiving

    async def test_a_long_poll_returns_early_with_what_is_sent_meanwhile(self, open_world: OpenWorld) -> None:
        async with open_world() as world, anyio.create_task_group() as tasks:

            async def send_later() -> None:
                await anyio.sleep(1)
                await world.send("hello")

            started_at = anyio.current_time()
            tasks.start_soon(send_later)
            assert bodies(await receive(world.source, wait_seconds=20)) == ["hello"]
            assert 1 - NEARLY <= anyio.current_time() - started_at < 10

    async def test_a_long_poll_returns_early_with_what_becomes_visible(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            await world.send("hello")
            await receive(world.source, visibility_timeout_seconds=2)
            started_at = anyio.current_time()
            assert bodies(await receive(world.source, wait_seconds=20)) == ["hello"]
            assert 1 <= anyio.current_time() - started_at < 10

    async def test_an_empty_poll_waits_as_long_as_it_was_told(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            started_at = anyio.current_time()
            assert await receive(world.source, wait_seconds=1) == ()
            assert 1 - NEARLY <= anyio.current_time() - started_at < 5

    async def test_a_receive_brings_no_more_than_was_asked_for(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            for number in range(5):
                await world.send(str(number))
            records = await receive_all(world.source, 5, maximum_count=2)
            assert sorted(bodies(records)) == ["0", "1", "2", "3", "4"]
            assert await receive(world.source, maximum_count=2, wait_seconds=0) == ()

    async def test_the_visibility_timeout_of_the_receive_holds_not_the_queues(self, open_world: OpenWorld) -> None:
        async with open_world(visibility_timeout_seconds=30) as world:
            await world.send("hello")
            (record,) = await receive(world.source, visibility_timeout_seconds=2)
            assert record.visible_until - record.received_at == 2
            assert await receive(world.source, wait_seconds=0) == ()
            await anyio.sleep(2 + NEARLY)
            assert bodies(await receive(world.source)) == ["hello"]

    async def test_each_receive_counts_and_has_a_receipt_of_its_own(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            message_id = await world.send("hello")
            records = [*await receive(world.source, visibility_timeout_seconds=1), *await receive(world.source)]
            assert [record.receive_count for record in records] == [1, 2]
            assert {record.identifier for record in records} == {message_id}
            assert len({record.receipt for record in records}) == 2

    async def test_redrive_happens_when_the_receive_count_exceeds_its_maximum(self, open_world: OpenWorld) -> None:
        async with open_world(maximum_receive_count=2) as world:
            message_id = await world.send("poison")
            for _ in range(2):
                assert len(await receive(world.source, visibility_timeout_seconds=1)) == 1
            await anyio.sleep(1 + NEARLY)
            assert await receive(world.source, wait_seconds=0) == ()
            (dead,) = await receive(world.dead_letters)
            assert (dead.identifier, bodies([dead])) == (message_id, ["poison"])

    # ---- deleting

    async def test_what_is_deleted_does_not_come_back(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            for number in range(3):
                await world.send(str(number))
            records = await receive_all(world.source, 3, visibility_timeout_seconds=1)
            assert await world.source.delete(records) == {}
            await anyio.sleep(1 + NEARLY)
            assert await receive(world.source, wait_seconds=0) == ()

    async def test_entries_that_cannot_be_deleted_are_told_by_identifier(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            for number in range(2):
                await world.send(str(number))
            good, bad = await receive_all(world.source, 2, visibility_timeout_seconds=1)
            failures = await world.source.delete([with_receipt(bad, "nonsense"), good])
            assert list(failures) == [bad.identifier]
            assert (failures[bad.identifier].code, failures[bad.identifier].final) == ("ReceiptHandleIsInvalid", True)
            assert [record.identifier for record in await receive(world.source)] == [bad.identifier]

    async def test_deleting_twice_is_no_failure(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            await world.send("hello")
            records = await receive(world.source)
            assert await world.source.delete(records) == {}
            assert await world.source.delete(records) == {}

    async def test_the_newest_receipt_deletes_even_after_its_visibility_timeout(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            await world.send("hello")
            records = await receive(world.source, visibility_timeout_seconds=1)
            await anyio.sleep(1 + NEARLY)
            assert await world.source.delete(records) == {}
            assert await receive(world.source, wait_seconds=0) == ()

    async def test_a_stale_receipt_succeeds_and_deletes_nothing(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            await world.send("hello")
            stale = await receive(world.source, visibility_timeout_seconds=1)
            newest = await receive(world.source, visibility_timeout_seconds=1)
            assert len(newest) == 1
            assert await world.source.delete(stale) == {}
            assert bodies(await receive(world.source)) == ["hello"]

    async def test_an_expired_receipt_of_a_fifo_queue_fails_and_deletes_nothing(self, open_world: OpenWorld) -> None:
        async with open_world(fifo=True) as world:
            await send_in_order(world, "a1")
            (record,) = await receive(world.source, visibility_timeout_seconds=1)
            await anyio.sleep(1 + NEARLY)
            failure = (await world.source.delete([record]))[record.identifier]
            assert (failure.code, failure.final) == ("InvalidParameterValue", True)
            assert "receipt handle has expired" in failure.message
            assert bodies(await receive(world.source)) == ["a1"]

    # ---- changing the visibility

    async def test_visibility_zero_makes_messages_visible_at_once(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            await world.send("hello")
            records = await receive(world.source)
            assert await world.source.change_visibility(records, visibility_timeout_seconds=0) == {}
            assert bodies(await receive(world.source)) == ["hello"]

    async def test_a_longer_visibility_keeps_messages_hidden(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            await world.send("hello")
            records = await receive(world.source, visibility_timeout_seconds=1)
            assert await world.source.change_visibility(records, visibility_timeout_seconds=30) == {}
            await anyio.sleep(1 + NEARLY)
            assert await receive(world.source, wait_seconds=0) == ()

    async def test_entries_that_cannot_be_changed_are_told_by_identifier(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            for number in range(2):
                await world.send(str(number))
            good, bad = await receive_all(world.source, 2)
            failures = await world.source.change_visibility(
                [with_receipt(bad, "nonsense"), good], visibility_timeout_seconds=0
            )
            assert list(failures) == [bad.identifier]
            assert (failures[bad.identifier].code, failures[bad.identifier].final) == ("ReceiptHandleIsInvalid", True)
            assert [record.identifier for record in await receive(world.source)] == [good.identifier]

    async def test_a_message_that_is_visible_again_cannot_be_hidden(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            await world.send("hello")
            (record,) = await receive(world.source, visibility_timeout_seconds=1)
            await anyio.sleep(1 + NEARLY)
            failures = await world.source.change_visibility([record], visibility_timeout_seconds=30)
            assert list(failures) == [record.identifier]
            assert failures[record.identifier].final
            assert bodies(await receive(world.source)) == ["hello"]

    # ---- FIFO

    async def test_messages_of_a_group_come_in_order(self, open_world: OpenWorld) -> None:
        async with open_world(fifo=True) as world:
            await send_in_order(world, "a1", "a2", "a3")
            for body in ("a1", "a2", "a3"):
                (record,) = await receive(world.source, maximum_count=1)
                assert (bodies([record]), record.group) == ([body], "a")
                await world.source.delete([record])

    async def test_a_receive_brings_several_messages_of_a_group_in_order(self, open_world: OpenWorld) -> None:
        async with open_world(fifo=True) as world:
            await send_in_order(world, "a1", "a2", "a3")
            assert bodies(await receive(world.source)) == ["a1", "a2", "a3"]

    async def test_a_group_is_locked_while_one_of_its_messages_is_in_flight(self, open_world: OpenWorld) -> None:
        async with open_world(fifo=True) as world:
            await send_in_order(world, "a1", "a2", "b1")
            held = await receive(world.source, maximum_count=1)
            assert bodies(held) == ["a1"]
            assert bodies(await receive_all(world.source, 2, wait_seconds=0)) == ["b1"]
            await world.source.delete(held)
            assert bodies(await receive(world.source)) == ["a2"]

    async def test_released_messages_come_again_in_order_before_later_ones(self, open_world: OpenWorld) -> None:
        async with open_world(fifo=True) as world:
            await send_in_order(world, "a1", "a2", "a3")
            held = await receive(world.source, maximum_count=1)
            await world.source.change_visibility(held, visibility_timeout_seconds=0)
            for body in ("a1", "a2", "a3"):
                records = await receive(world.source, maximum_count=1)
                assert bodies(records) == [body]
                await world.source.delete(records)

    async def test_a_repeated_receive_brings_the_same_messages_and_receipts(self, open_world: OpenWorld) -> None:
        async with open_world(fifo=True) as world:
            await send_in_order(world, "a1", "b1")
            first = await receive(world.source, maximum_count=1, attempt_id="attempt-1")
            again = await receive(world.source, maximum_count=1, attempt_id="attempt-1")
            assert [(r.identifier, r.receipt) for r in again] == [(r.identifier, r.receipt) for r in first]
            assert bodies(await receive(world.source, maximum_count=1, attempt_id="attempt-2")) == ["b1"]

    async def test_a_duplicate_is_not_delivered(self, open_world: OpenWorld) -> None:
        async with open_world(fifo=True) as world:
            first = await world.send("a1", group="a", name="once")
            assert await world.send("a1", group="a", name="once") == first
            records = await receive(world.source)
            assert bodies(records) == ["a1"]
            await world.source.delete(records)
            assert await receive(world.source, wait_seconds=0) == ()

    # ---- the event

    async def test_the_event_of_a_message_is_the_one_that_lambda_delivers(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            message_id = await world.send(
                "Test message.",
                attributes={
                    "Title": {"DataType": "String", "StringValue": "The Whistler"},
                    "WeeksOn": {"DataType": "Number", "StringValue": "6"},
                    "Cover": {"DataType": "Binary", "BinaryValue": b"\x01\x02\xff"},
                },
            )
            (record,) = await receive(world.source)
            attributes = record.event["attributes"]
            empty = {"stringListValues": [], "binaryListValues": []}
            assert record.event == {
                "messageId": message_id,
                "receiptHandle": record.receipt,
                "body": "Test message.",
                "attributes": attributes,
                "messageAttributes": {
                    "Title": {"stringValue": "The Whistler", "dataType": "String", **empty},
                    "WeeksOn": {"stringValue": "6", "dataType": "Number", **empty},
                    "Cover": {"binaryValue": "AQL/", "dataType": "Binary", **empty},
                },
                "md5OfMessageAttributes": "a08cffe0f867b70fd94b1f2a67ab62e1",
                "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
                "eventSource": "aws:sqs",
                "eventSourceARN": world.arn,
                "awsRegion": "eu-west-1",
            }
            assert list(record.event) == [
                "messageId", "receiptHandle", "body", "attributes", "messageAttributes", "md5OfMessageAttributes",
                "md5OfBody", "eventSource", "eventSourceARN", "awsRegion",
            ]  # fmt: skip
            assert record.json == orjson.dumps(record.event)
            assert attributes["ApproximateReceiveCount"] == "1"
            for name in ("SentTimestamp", "ApproximateFirstReceiveTimestamp"):
                assert attributes[name].isdecimal()
                assert len(attributes[name]) == 13
            assert attributes["SenderId"]

    async def test_a_message_without_attributes_has_no_checksum_of_them(self, open_world: OpenWorld) -> None:
        async with open_world() as world:
            await world.send("hello")
            (record,) = await receive(world.source)
            assert record.event["messageAttributes"] == {}
            assert "md5OfMessageAttributes" not in record.event

    async def test_a_body_arrives_byte_for_byte(self, open_world: OpenWorld) -> None:
        body = '{"a": 1.0,  "größe": "☃\\u2603 😀",\n "e": 1e400}'
        async with open_world() as world:
            await world.send(body)
            assert bodies(await receive(world.source)) == [body]

    async def test_a_fifo_message_carries_its_group_deduplication_id_and_sequence(self, open_world: OpenWorld) -> None:
        async with open_world(fifo=True) as world:
            await world.send("a1", group="a", name="once")
            (record,) = await receive(world.source)
            attributes = record.event["attributes"]
            assert (attributes["MessageGroupId"], attributes["MessageDeduplicationId"]) == ("a", "once")
            assert attributes["SequenceNumber"].isdecimal()
            assert (record.group, record.visible_until - record.received_at) == ("a", 30)
