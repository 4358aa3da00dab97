"""The streams of the built-in demonstration of `broker dev`, whose handlers fail in known ways.

`clicks` is a Kinesis stream of four shards, two lanes each. A filter drops the clicks of bots, one in six; those of one
visitor always fail: the batch is split until such a click is alone, it is tried twice more, and then it goes to the
queue `clicks-failed`. `stock` is a DynamoDB table; its handler reports at which change of a batch it failed, one in
nine the first time. A filter drops changes of the test warehouse, one in four.
"""

import json
from base64 import b64decode
from dataclasses import dataclass
from typing import Any

import anyio

from broker.app import Broker
from broker.cli.demo_traffic import Ledger
from broker.cli.emulated_queues import EmulatedQueues, QueuePlan
from broker.cli.emulated_streams import TABLE_KEY, EmulatedStreams
from broker.model.stream import StreamRecord

CLICKS = "clicks"
STOCK = "stock"
FAILED_CLICKS = QueuePlan(name="clicks-failed", visibility_timeout_seconds=30)
FUNCTIONS = {CLICKS: "clicks", STOCK: "stock"}
"""Which function handles which stream."""
ABOUT = "clicks: one visitor's always fail, bots filtered away · stock: 1 in 9 fails once"

SHARDS = 4
LANES = 2
BATCH_SIZE = 10
RETRIES = 2
HANDLER_SECONDS = 5
"""Far more than a batch takes, so that none is handled and counted as failed."""
CLICK_SECONDS = 0.1
"""Long enough for lanes to be seen at work."""

CLICKS_EACH_TIME = 16
CHANGES_EACH_TIME = 3
VISITORS = 24
BROKEN_EVERY = 144
"""Clicks from one that always fails to the next: no more than its lane has time for. A multiple of what is sent at a
time, and of `BOTS_EVERY`."""
ARTICLES = 10
BROKEN_PLACE = 8
"""Which of these clicks it is: not the first that is sent at a time, nor the last, nor a bot's."""
BOTS_EVERY = 6
BROKEN_VISITOR = "visitor-broken"
NEIGHBOUR = "visitor-18"
"""Sends a click before each of that one and after it, in the same shard and lane: so there is something to split."""
REAL_CLICKS = {"Pattern": json.dumps({"data": {"kind": ["click"]}})}
REAL_STOCK = {"Pattern": json.dumps({"dynamodb": {"NewImage": {"warehouse": {"S": ["north", "south"]}}}})}


class ClickFailedError(Exception):
    """What the handler of clicks raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The ARNs of what has been made."""

    clicks: str
    stock: str
    failed_clicks: str


async def create(streams: EmulatedStreams, queues: EmulatedQueues) -> Sources:
    """Makes stream, table and destination."""
    await queues.create(FAILED_CLICKS)
    return Sources(
        clicks=await streams.create_stream(CLICKS, shard_count=SHARDS),
        stock=await streams.create_table(STOCK),
        failed_clicks=queues.arn(FAILED_CLICKS.name),
    )


def register_handlers(broker: Broker, sources: Sources, ledger: Ledger) -> None:
    """Registers both handlers, as any program would that embeds the broker."""
    _register_clicks(broker, sources, ledger)
    _register_stock(broker, sources, ledger)


def _register_clicks(broker: Broker, sources: Sources, ledger: Ledger) -> None:
    @broker.event_source_mapping(
        sources.clicks,
        function_name=FUNCTIONS[CLICKS],
        timeout=HANDLER_SECONDS,
        starting_position="TRIM_HORIZON",
        batch_size=BATCH_SIZE,
        parallelization_factor=LANES,
        bisect_batch_on_function_error=True,
        maximum_retry_attempts=RETRIES,
        destination_config={"OnFailure": {"Destination": sources.failed_clicks}},
        filter_criteria={"Filters": [REAL_CLICKS]},
    )
    async def clicks(event: dict[str, Any], _context: object) -> None:
        for record in event["Records"]:
            await anyio.sleep(CLICK_SECONDS)
            if record["kinesis"]["partitionKey"] == BROKEN_VISITOR:
                raise ClickFailedError(BROKEN_VISITOR)
        ledger.handled[CLICKS] += [int(record["kinesis"]["sequenceNumber"]) for record in event["Records"]]


def _register_stock(broker: Broker, sources: Sources, ledger: Ledger) -> None:
    failed_before: set[int] = set()

    @broker.event_source_mapping(
        sources.stock,
        function_name=FUNCTIONS[STOCK],
        timeout=HANDLER_SECONDS,
        starting_position="TRIM_HORIZON",
        batch_size=BATCH_SIZE,
        report_batch_item_failures=True,
        filter_criteria={"Filters": [REAL_STOCK]},
    )
    def stock(event: dict[str, Any], _context: object) -> dict[str, Any]:
        for record in event["Records"]:
            number = int(record["dynamodb"]["NewImage"]["number"]["N"])
            if change_fails(number, failed_before=failed_before):
                failed_before.add(number)
                return {"batchItemFailures": [{"itemIdentifier": record["dynamodb"]["SequenceNumber"]}]}
            ledger.handled[STOCK].append(int(record["dynamodb"]["SequenceNumber"]))
        return {"batchItemFailures": []}


def visitor_of(number: int) -> str:
    """Whose click it is, by its number."""
    place = number % BROKEN_EVERY
    if place == BROKEN_PLACE:
        return BROKEN_VISITOR
    return NEIGHBOUR if abs(place - BROKEN_PLACE) == 1 else f"visitor-{number % VISITORS}"


def change_fails(number: int, *, failed_before: set[int]) -> bool:
    """Every ninth change fails the first time."""
    return number % 9 == 0 and number not in failed_before


def is_real_click(record: StreamRecord) -> bool:
    """What the filter should say of a click, by the sender's word."""
    kind: str = json.loads(b64decode(record.event["kinesis"]["data"]))["kind"]
    return kind == "click"


def is_real_change(record: StreamRecord) -> bool:
    """What the filter should say of a change of the stock, by the sender's word."""
    warehouse: str = record.event["dynamodb"]["NewImage"]["warehouse"]["S"]
    return warehouse != "test"


class StreamTraffic:
    """Sends clicks, and changes the stock."""

    def __init__(self, streams: EmulatedStreams, ledger: Ledger) -> None:
        self._streams = streams
        self._ledger = ledger
        self._clicks = 0
        self._changes = 0

    async def send(self) -> None:
        """Sends a few of each."""
        clicks = [self._click() for _ in range(CLICKS_EACH_TIME)]
        self._ledger.sent[CLICKS] += await self._streams.put_records(CLICKS, clicks)
        for _ in range(CHANGES_EACH_TIME):
            await self._streams.put_item(STOCK, self._change())
            self._ledger.sent[STOCK] += 1

    def _click(self) -> tuple[str, bytes]:
        self._clicks += 1
        number = self._clicks
        kind = "bot" if number % BOTS_EVERY == 0 else "click"
        return visitor_of(number), json.dumps({"number": number, "kind": kind}).encode()

    def _change(self) -> dict[str, Any]:
        self._changes += 1
        number = self._changes
        warehouse = "test" if number % 4 == 0 else ("north", "south")[number % 2]
        return {
            TABLE_KEY: {"S": f"article-{number % ARTICLES}"},
            "number": {"N": str(number)},
            "warehouse": {"S": warehouse},
        }
