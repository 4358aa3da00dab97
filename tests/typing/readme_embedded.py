"""The README's example of a broker inside a service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from broker import Broker, BrokerSettings

broker = Broker(settings=BrokerSettings(drain_timeout_in_seconds=20))


@broker.event_source_mapping(
    "arn:aws:sqs:eu-west-1:123456789012:ledger.fifo",
    scaling_config={"MaximumConcurrency": 4},
    filter_criteria={"Filters": [{"Pattern": '{"body": {"amount": [{"numeric": [">", 0]}]}}'}]},
    broker={"FifoFailure": "hold-group"},
)
def post(event: dict[str, Any], context: Any) -> None:  # not asynchronous: runs on a worker thread
    for record in event["Records"]:
        print(record["body"], context.get_remaining_time_in_millis())


@asynccontextmanager
async def lifespan(app: object) -> AsyncIterator[None]:
    async with broker:  # drains when the service stops
        yield
