"""DynamoDB Streams: CPU of this process for each record that is read and handled; a thousand to a call, 1 KB each.

The server, the turns and the medians are those of the rows for SQS; one loop reads one shard.
"""

import inspect
from contextlib import AsyncExitStack
from functools import partial

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.credentials import ReadOnlyCredentials

from broker.aws.clients import Clients
from broker.runtime.clock import SystemClock
from broker.sources.dynamodb_streams import DynamoDbStreamSource
from tests.benchmarks import dynamodb_loops
from tests.benchmarks.dynamodb_loops import ARN, REGION
from tests.benchmarks.dynamodb_pages import RECORDS_PER_PAGE
from tests.benchmarks.handlers import COLUMNS, Column, Tally
from tests.benchmarks.measuring import Contender, Samples, factors, figures, measure, medians, ratios, verdict
from tests.benchmarks.sqs_loops import LeanApi, botocore_signer
from tests.benchmarks.table import Row, print_table, say

PLAIN = "plain aiobotocore loop, no event built"
LEAN = "lean: aiohttp, botocore's SigV4, orjson, no event built"
SOURCE = "the broker's source alone"
OURS = "the broker: source, consumer, driver, executor"
TARGET_MICROSECONDS = 12.0
PLAIN_TARGET = 4.0
_RECORDS = 10 * RECORDS_PER_PAGE


async def run(*, endpoint_url: str, rounds: int) -> None:
    """Measures and prints."""
    async with AsyncExitStack() as stack:
        contenders = await _contenders(stack, endpoint_url)
        samples = await measure(contenders, rounds=rounds, count=_RECORDS, warm_up_count=RECORDS_PER_PAGE)
    _print(samples, rounds=rounds)


async def _contenders(stack: AsyncExitStack, endpoint_url: str) -> dict[str, Contender]:
    config = AioConfig(retries={"total_max_attempts": 1})
    opening = get_session().create_client("dynamodbstreams", region_name=REGION, config=config)
    client = await stack.enter_async_context(opening)
    http = await stack.enter_async_context(
        aiohttp.ClientSession(auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar())
    )
    sign = botocore_signer(endpoint_url, ReadOnlyCredentials("test", "test", None), service="dynamodb")
    lean_api = LeanApi(http, endpoint_url, sign)
    clients = await stack.enter_async_context(Clients())
    source = DynamoDbStreamSource(arn=ARN, clients=clients, clock=SystemClock())

    async def plain(column: Column, tally: Tally) -> None:
        await dynamodb_loops.consume_plainly(client, column.handle, tally)

    async def lean(column: Column, tally: Tally) -> None:
        await dynamodb_loops.consume_leanly(lean_api, column.handle, tally)

    async def by_source(column: Column, tally: Tally) -> None:
        await dynamodb_loops.consume_by_source(source, column.handle, tally)

    ours = partial(dynamodb_loops.consume_by_broker, clients)
    return {PLAIN: plain, LEAN: lean, SOURCE: by_source, OURS: ours}


def _print(samples: Samples, *, rounds: int) -> None:
    ours = medians(samples, OURS)
    by_plain = ratios(samples, PLAIN, OURS)
    remarks = {OURS: f"{verdict(max(ours) <= TARGET_MICROSECONDS)}: at most {TARGET_MICROSECONDS:.0f}"}
    print_table(
        f"DynamoDB Streams, µs of CPU a record ({rounds} rounds of {_RECORDS} records, batches of {RECORDS_PER_PAGE})",
        [column.title for column in COLUMNS],
        [
            *[
                Row(name, figures(medians(samples, name)), remarks.get(name, ""))
                for name in (PLAIN, LEAN, SOURCE, OURS)
            ],
            Row("the broker ÷ lean", factors(ratios(samples, OURS, LEAN))),
            Row(
                "plain ÷ the broker",
                factors(by_plain),
                f"{verdict(min(by_plain) >= PLAIN_TARGET)}: at least {PLAIN_TARGET:.0f}",
            ),
        ],
    )
    say("The plain loop:\n")
    say(inspect.getsource(dynamodb_loops.consume_plainly))
