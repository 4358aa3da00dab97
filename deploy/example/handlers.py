"""The handlers of `broker.yaml`: what would be Lambda functions."""

import base64
import json
from typing import Any


def orders(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Prints each order; every tenth fails and comes again when its visibility timeout has passed."""
    failed = []
    for record in event["Records"]:
        number = json.loads(record["body"])["number"]
        if number % 10 == 0:
            failed.append({"itemIdentifier": record["messageId"]})
        else:
            print(f"order {number} handled by request {context.aws_request_id}")
    return {"batchItemFailures": failed}


def clicks(event: dict[str, Any], context: Any) -> None:
    """Prints each click, in order for each customer; the token grows when a shard changes hands."""
    for record in event["Records"]:
        kinesis = record["kinesis"]
        page = json.loads(base64.b64decode(kinesis["data"]))["page"]
        print(f"{kinesis['partitionKey']} looked at {page} (fencing token {context.fencing_token})")
