"""The public API keeps the types of those who use it. Checked by mypy, never run."""

from collections.abc import Callable
from typing import Any, assert_type
from uuid import UUID

from broker import (
    Broker,
    BrokerSettings,
    Configuration,
    ConfigurationError,
    EventSourceMapping,
    Function,
    MappingStatus,
    QueueMapping,
    QueueStatistics,
    StreamMapping,
    StreamStatistics,
    Surroundings,
)
from broker.config import load, parse_function, parse_mapping
from broker.ports import Destination, Observer, QueueSource, StreamSource
from broker.testing import (
    DYNAMODB,
    Account,
    InMemoryQueue,
    InMemoryQueueSource,
    InMemoryStream,
    InMemoryStreamSource,
    Process,
    StreamAccount,
    VirtualClock,
    run_in_virtual_time,
    steal_lease,
)
from broker.testing.stores import InMemoryStateStore

ARN = "arn:aws:sqs:eu-west-1:123456789012:orders"
STREAM = "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks"


class Context:
    aws_request_id: str


async def the_decorator_keeps_the_handlers_type(broker: Broker, context: Context) -> None:
    @broker.event_source_mapping(ARN, batch_size=10, report_batch_item_failures=True)
    async def asynchronous(event: dict[str, Any], context: Context) -> dict[str, list[str]]:
        return {context.aws_request_id: list(event)}

    @broker.event_source_mapping(ARN, function_name="plain", timeout=30)
    def plain(event: dict[str, Any], context: Context) -> int:
        return len(event)

    assert_type(await asynchronous({}, context), dict[str, list[str]])
    assert_type(plain({}, context), int)


def the_decorator_takes_callables_only(broker: Broker) -> None:
    broker.event_source_mapping(ARN)(5)  # type: ignore[type-var]


def what_a_broker_is_made_of(observer: Observer, source: QueueSource, draw: Callable[[], float]) -> Broker:
    return Broker(
        settings=BrokerSettings(account_id="123456789012", drain_timeout_in_seconds=5),
        functions=[Function(function_name="orders", callable="shop.handlers:orders")],
        mappings=[
            QueueMapping(function_name="orders", event_source_arn=ARN, batch_size=5),
            StreamMapping(function_name="orders", event_source_arn=STREAM, starting_position="LATEST"),
        ],
        observers=[observer],
        sources={ARN: source},
        surroundings=Surroundings(clock=VirtualClock(), chance=draw, new_id=lambda: UUID(int=1)),
        strict=True,
    )


def what_is_read_from_a_file() -> Broker:
    configuration = load("broker.yaml", environment={})
    assert_type(configuration, Configuration)
    broker = Broker.from_configuration(configuration, strict=True)
    assert_type(broker, Broker)
    return broker


def what_is_parsed_from_keywords() -> None:
    assert_type(parse_function(function_name="orders", url="http://orders:8080/"), Function)
    try:
        assert_type(parse_mapping(function_name="orders", event_source_arn=ARN), EventSourceMapping)
    except ConfigurationError as error:
        print(*(f"{mistake.path}: {mistake.message}" for mistake in error.mistakes))


async def what_a_broker_shows(broker: Broker) -> bool:
    async with broker as running:
        assert_type(running, Broker)
        for status in running.statuses():
            assert_type(status, MappingStatus)
            assert_type(status.statistics, QueueStatistics | StreamStatistics)
        running.drain()
    return await broker.run()


def what_a_test_has_in_hand() -> None:
    queue = InMemoryQueue("orders.fifo", clock=VirtualClock(), fifo=True)
    source: QueueSource = InMemoryQueueSource(queue)
    process = Process()
    connected: QueueSource = process.connect(queue)
    assert_type(queue.send("hello", group="a", deduplication_id="1"), str)
    queue.lose_reply("delete")
    process.crash_at("delete", answered=True)
    assert_type(queue.every_message_accounted(handled=["id"]), Account)

    async def run() -> bool:
        return await Broker(sources={queue.arn: source, ARN: connected}).run()

    assert_type(run_in_virtual_time(run), bool)


def what_takes_the_place_of_streams_destinations_and_store(destination: Destination) -> Broker:
    stream, store = InMemoryStream("clicks", clock=VirtualClock(), shard_count=2), InMemoryStateStore()
    source: StreamSource = InMemoryStreamSource(stream, consumer="viewer")
    return Broker(
        settings=BrokerSettings(state_store="sqlite:", lease_duration_in_seconds=20),
        mappings=[StreamMapping(function_name="clicks", event_source_arn=stream.arn, starting_position="LATEST")],
        streams={stream.arn: source},
        destinations={"arn:aws:sqs:eu-west-1:123456789012:failed": destination},
        store=store.seen_by("broker"),
    )


async def what_a_test_of_streams_has_in_hand(mapping: str) -> int:
    stream, store = InMemoryStream("orders", clock=VirtualClock(), kind=DYNAMODB), InMemoryStateStore()
    assert_type(stream.change({"id": {"S": "1"}}, new_image={"id": {"S": "1"}}), str)
    assert_type(stream.reshard(3), tuple[str, ...])
    assert_type(stream.trim(older_than_seconds=60), int)
    assert_type(stream.every_record_accounted(may_lose=True), StreamAccount)
    process = Process()
    assert_type(process.connect(stream), InMemoryStreamSource)
    process.pause_process(60)
    return await steal_lease(store.seen_by("thief"), mapping, stream.open_shard_ids[0])
