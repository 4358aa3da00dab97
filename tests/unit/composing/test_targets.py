"""What every invocation says of its function, whose limits its mappings share."""

from contextlib import AsyncExitStack
from typing import Any

import pytest

from broker.composing.executors import Executors
from broker.composing.targets import target_of
from broker.config import parse_function
from broker.model.settings import BrokerSettings
from tests.unit.composing.kit import ignore, reading, surroundings

QUEUE = "arn:aws:sqs:eu-west-1:123456789012:orders"
STREAM = "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/clicks"
FULL = "arn:aws:lambda:eu-west-1:999999999999:function:orders:live"


@pytest.mark.parametrize(
    ("function", "settings", "arn", "version"),
    [
        ("orders", {}, "arn:aws:lambda:eu-west-1:123456789012:function:orders", "$LATEST"),
        ("orders:live", {}, "arn:aws:lambda:eu-west-1:123456789012:function:orders:live", "live"),
        (
            "orders",
            {"account_id": "111111111111", "region": "us-west-1"},
            "arn:aws:lambda:us-west-1:111111111111:function:orders",
            "$LATEST",
        ),
        (FULL, {"account_id": "111111111111", "region": "us-west-1"}, FULL, "live"),
    ],
)
def test_account_and_region_are_the_mappings_own_else_those_of_the_settings_else_of_the_source(
    function: str, settings: dict[str, Any], arn: str, version: str
) -> None:
    named = parse_function(function_name="orders", callable=ignore, timeout=7, memory_size=256)
    target = target_of(reading(QUEUE, function), named, BrokerSettings(**settings))
    assert (target.function_arn, target.function_version) == (arn, version)
    assert (target.timeout_seconds, target.memory_limit_in_mb, target.function_name) == (7, 256, "orders")


def test_the_partition_is_that_of_the_source() -> None:
    named = parse_function(function_name="orders", callable=ignore)
    target = target_of(reading(STREAM), named, BrokerSettings())
    assert target.function_arn == "arn:aws-cn:lambda:cn-north-1:123456789012:function:orders"


@pytest.mark.anyio
async def test_the_mappings_of_a_function_share_its_executor() -> None:
    function = parse_function(function_name="orders", callable=ignore, reserved_concurrent_executions=3)
    of_queue, of_stream = reading(QUEUE), reading("arn:aws:kinesis:eu-west-1:123456789012:stream/clicks")
    executors = Executors({"orders": function}, surroundings())
    async with AsyncExitStack() as stack:
        await executors.open([of_queue, of_stream], stack)
        assert executors.of(of_queue) is executors.of(of_stream)
        assert executors.of(of_queue).concurrency == 3
