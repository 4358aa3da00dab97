"""The README's example of streams."""

import base64
import json
from typing import Any

import anyio

from broker import Broker, BrokerSettings

broker = Broker(settings=BrokerSettings(state_store="sqlite:"))


@broker.event_source_mapping(
    "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks",
    starting_position="TRIM_HORIZON",
    bisect_batch_on_function_error=True,
    maximum_retry_attempts=3,
    destination_config={"OnFailure": {"Destination": "arn:aws:sqs:eu-west-1:123456789012:failed-clicks"}},
)
async def clicks(event: dict[str, Any], context: Any) -> None:
    for record in event["Records"]:
        click = json.loads(base64.b64decode(record["kinesis"]["data"]))
        print(record["kinesis"]["partitionKey"], click["page"])


@broker.event_source_mapping(
    "arn:aws:dynamodb:eu-west-1:123456789012:table/products/stream/2026-01-31T09:00:00.000",
    starting_position="LATEST",
    filter_criteria={"Filters": [{"Pattern": '{"eventName": ["INSERT", "MODIFY"]}'}]},
)
def products(event: dict[str, Any], context: Any) -> None:
    for record in event["Records"]:
        print(record["eventName"], record["dynamodb"]["Keys"])


if __name__ == "__main__":
    anyio.run(broker.run)
