"""The handlers of `broker.yaml`: what would be a Lambda function."""

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
