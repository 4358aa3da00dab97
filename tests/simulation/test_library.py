"""The library as a service embeds it."""

import anyio
import pytest

from broker import Broker, ConfigurationError, Surroundings
from broker.config import parse_function, parse_settings
from broker.errors import SourceError
from broker.testing import InMemoryQueueSource

pytestmark = pytest.mark.anyio


def make_broker(queue, **options) -> Broker:
    return Broker(
        settings=parse_settings(drain_timeout_in_seconds=30.0, **options),
        sources={queue.arn: InMemoryQueueSource(queue)},
        surroundings=Surroundings(clock=queue.clock, raise_bugs=True),
    )


async def until_empty(queue) -> None:
    with anyio.fail_after(600):
        while len(queue):  # noqa: ASYNC110 - the queue tells nobody
            await anyio.sleep(0.25)


async def test_the_end_of_the_block_drains(make_queue):
    queue, handled = make_queue(), []
    broker = make_broker(queue)

    @broker.event_source_mapping(queue.arn)
    async def orders(event, _context):
        await anyio.sleep(2)
        handled.extend(record["body"] for record in event["Records"])

    async with broker:
        queue.send("hello")
        await anyio.sleep(1)

    assert handled == ["hello"]
    assert not len(queue)


async def test_an_error_in_the_block_ends_the_broker_and_comes_out(make_queue):
    queue = make_queue()
    broker = make_broker(queue)

    @broker.event_source_mapping(queue.arn)
    async def orders(_event, _context):
        await anyio.sleep(2)

    with pytest.RaisesGroup(ZeroDivisionError):
        async with broker:
            queue.send("hello")
            await anyio.sleep(1)
            raise ZeroDivisionError

    assert len(queue) == 1


async def test_a_plain_function_runs_on_a_thread(make_queue):
    queue, handled = make_queue(), []
    broker = make_broker(queue)

    @broker.event_source_mapping(queue.arn, report_batch_item_failures=True)
    def orders(event, context):
        handled.append((event["Records"][0]["body"], context.invoked_function_arn, context.memory_limit_in_mb))
        return {"batchItemFailures": []}

    async with broker:
        queue.send("hello")
        await until_empty(queue)

    assert handled == [("hello", f"arn:aws:lambda:eu-west-1:{queue.arn.split(':')[4]}:function:orders", "128")]


async def test_a_filtered_message_is_deleted_without_an_invocation(make_queue):
    queue, handled = make_queue(), []
    broker = make_broker(queue)

    @broker.event_source_mapping(queue.arn, filter_criteria={"filters": [{"pattern": '{"body":{"kind":["order"]}}'}]})
    async def orders(event, _context):
        handled.extend(record["body"] for record in event["Records"])

    async with broker:
        queue.send('{"kind": "order"}')
        queue.send('{"kind": "refund"}')
        await until_empty(queue)

    assert handled == ['{"kind": "order"}']
    assert broker.statuses()[0].statistics.filtered_count == 1


async def test_two_handlers_of_one_name_are_refused(make_queue):
    queue = make_queue()
    broker = make_broker(queue)

    @broker.event_source_mapping(queue.arn)
    async def orders(_event, _context):
        """One."""

    with pytest.raises(ConfigurationError, match="function_name"):
        broker.event_source_mapping("arn:aws:sqs:eu-west-1:123456789012:other", function_name="orders")(print)


def test_two_functions_of_one_name_are_refused():
    functions = [parse_function(function_name="orders", callable=each) for each in (print, repr)]
    with pytest.raises(ConfigurationError, match="Function already exist: orders"):
        Broker(functions=functions)


async def test_a_wrong_field_is_refused_where_it_is_written(make_queue):
    with pytest.raises(ConfigurationError, match="batch_size"):
        make_broker(make_queue()).event_source_mapping("arn:aws:sqs:eu-west-1:123456789012:other", batch_sice=3)(print)


async def test_strict_refuses_to_start_while_a_queue_is_missing(make_queue):
    queue = make_queue()
    queue.vanish()
    broker = Broker(sources={queue.arn: InMemoryQueueSource(queue)}, strict=True)
    broker.event_source_mapping(queue.arn, function_name="orders")(print)

    with pytest.raises(ConfigurationError, match=r"EventSourceMappings\[0\].EventSourceArn"):
        await broker.run()


async def test_a_broker_without_mappings_runs_until_it_is_drained(make_queue):
    broker = make_broker(make_queue())
    async with broker:
        await anyio.sleep(100)
        assert broker.statuses() == ()


async def test_a_broker_may_be_used_again(make_queue):
    queue, handled = make_queue(), []
    broker = make_broker(queue)

    @broker.event_source_mapping(queue.arn)
    async def orders(event, _context):
        handled.extend(record["body"] for record in event["Records"])

    for body in ("one", "two"):
        queue.send(body)
        async with broker:
            await until_empty(queue)

    assert handled == ["one", "two"]


async def test_a_broker_says_whether_it_runs(make_queue):
    broker = make_broker(make_queue())
    assert not broker.is_running
    async with broker:
        assert broker.is_running
        broker.drain()
        assert not broker.is_running


def test_account_and_region_are_those_of_the_first_mapping():
    broker = Broker()
    broker.event_source_mapping("arn:aws:sqs:eu-north-1:210987654321:orders", function_name="orders")(print)

    assert (broker.account_id, broker.region) == ("210987654321", "eu-north-1")


async def test_strict_refuses_a_queue_that_hides_messages_for_too_short_a_time(make_queue):
    queue = make_queue(visibility_timeout_seconds=2)
    broker = Broker(sources={queue.arn: InMemoryQueueSource(queue)}, strict=True)
    broker.event_source_mapping(queue.arn, function_name="orders")(print)

    with pytest.raises(ConfigurationError, match="Queue visibility timeout: 2 seconds is less than"):
        await broker.run()


async def test_strict_lets_a_disabled_mapping_be(make_queue):
    queue = make_queue()
    queue.vanish()
    broker = Broker(sources={queue.arn: InMemoryQueueSource(queue)}, strict=True)
    broker.event_source_mapping(queue.arn, function_name="orders", enabled=False)(print)

    async with broker:
        assert broker.statuses()[0].state == "Disabled"


async def test_strict_passes_on_what_is_not_the_users_mistake(make_queue):
    queue = make_queue()
    queue.throttle("describe")
    broker = Broker(sources={queue.arn: InMemoryQueueSource(queue)}, strict=True)
    broker.event_source_mapping(queue.arn, function_name="orders")(print)

    with pytest.raises(SourceError):
        await broker.run()
