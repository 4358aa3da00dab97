"""Batches that were given up, for these tests."""

from typing import Any

from broker.destinations.failure_record import Origin
from broker.model.discard import Condition, DiscardedBatch, ResponseContext, TimeWindow
from broker.model.payload import Payload

UUID = "14e0db71-5d35-4eb5-b481-8945cf9d10c2"
KINESIS = "arn:aws:kinesis:us-east-2:123456789012:stream/mystream"
CONSUMER = f"{KINESIS}/consumer/mine:1573689846"
DYNAMODB = "arn:aws:dynamodb:us-east-2:123456789012:table/mytable/stream/2019-11-14T00:04:06.388"
FUNCTION = "arn:aws:lambda:us-east-2:123456789012:function:myfunction"
KINESIS_SHARD = "shardId-000000000001"
DYNAMODB_SHARD = "shardId-00000001573689847184-864758bb"
REQUEST = "c9b8fa9f-5a7f-4e5e-af9c-0c604cde93a5"
NOW = 1573691886.021
"""2019-11-14T00:38:06.021Z"""
EVENT = {"Records": [{"eventID": 'a "quoted" é'}]}
WINDOW = TimeWindow(start=1573691880, end=1573691940, is_final_invoke=True, is_terminated_early=False)


def origin(**changes: Any) -> Origin:
    return Origin(**{"mapping_uuid": UUID, "function_arn": FUNCTION, "stream_arn": KINESIS, **changes})


def discarded(**changes: Any) -> DiscardedBatch:
    members = {
        "number": 1,
        "batch": 7,
        "condition": Condition.RETRY_ATTEMPTS_EXHAUSTED,
        "invoke_count": 2,
        "response": ResponseContext(function_error="Unhandled"),
        "count": 500,
        "first": "49601189658422359378836298521827638475320189012309704722",
        "last": "49601189658422359378836298522902373528957594348623495186",
        "first_arrived_at": 1573691884.835,
        "last_arrived_at": 1573691885.58,
        "payload": Payload.of_value(EVENT),
    }
    return DiscardedBatch(**{**members, **changes})


def closed_window(**changes: Any) -> DiscardedBatch:
    empty = {"count": 0, "first": "", "last": "", "first_arrived_at": 0.0, "last_arrived_at": 0.0, "window": WINDOW}
    return discarded(**{**empty, **changes})
