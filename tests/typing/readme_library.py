"""The README's first example."""

from typing import Any

import anyio

from broker import Broker

broker = Broker()


@broker.event_source_mapping(
    "arn:aws:sqs:eu-west-1:123456789012:orders", batch_size=10, timeout=30, report_batch_item_failures=True
)
async def orders(event: dict[str, Any], context: Any) -> dict[str, Any]:
    failed = [record for record in event["Records"] if "poison" in record["body"]]
    print(f"{len(event['Records'])} orders, {len(failed)} of them come again")
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in failed]}


if __name__ == "__main__":
    anyio.run(broker.run)
