"""SQS: CPU of this process for each message that is received, handled and deleted; ten to a call, 1 KB each.

A server in another process answers from memory. All contenders run in one process and one event loop, with the same
number of workers and connections, in turns; the figures are medians over the turns.
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
from broker.sources.sqs import SqsQueueSource
from tests.benchmarks import sqs_loops
from tests.benchmarks.handlers import COLUMNS, Column, Tally
from tests.benchmarks.measuring import Contender, Samples, factors, figures, measure, medians, ratios, verdict
from tests.benchmarks.sqs_loops import ARN, REGION, WORKERS, LeanApi, side_by_side
from tests.benchmarks.stub_server import QUEUE_URL
from tests.benchmarks.table import Row, print_table, say

PLAIN = "plain aiobotocore loop, no event built"
LEAN = "lean: aiohttp, botocore's SigV4, orjson, no event built"
FLOOR = "floor: the lean loop with the broker's SigV4"
SOURCE = "the broker's source alone"
OURS = "the broker: source, consumer, driver, executor"
LEAN_TARGET = 1.25
PLAIN_TARGET = 2.2


async def run(*, endpoint_url: str, rounds: int, messages: int) -> None:
    """Measures and prints."""
    async with AsyncExitStack() as stack:
        contenders = await _contenders(stack, endpoint_url)
        measured = await measure(contenders, rounds=rounds, count=messages, warm_up_count=500)
    _print(measured, rounds=rounds, messages=messages)


async def _contenders(stack: AsyncExitStack, endpoint_url: str) -> dict[str, Contender]:
    session = get_session()
    config = AioConfig(max_pool_connections=WORKERS, retries={"total_max_attempts": 1})
    client = await stack.enter_async_context(session.create_client("sqs", region_name=REGION, config=config))
    http = await stack.enter_async_context(
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=WORKERS), auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
        )
    )
    credentials = ReadOnlyCredentials("test", "test", None)
    lean_api = LeanApi(http, endpoint_url, sqs_loops.botocore_signer(endpoint_url, credentials))
    floor_api = LeanApi(http, endpoint_url, sqs_loops.our_signer(endpoint_url, credentials))
    clients = await stack.enter_async_context(Clients())
    source = SqsQueueSource(arn=ARN, clients=clients, clock=SystemClock())

    async def plain(column: Column, tally: Tally) -> None:
        await side_by_side(partial(sqs_loops.consume_plainly, client, QUEUE_URL, column.handle, tally))

    async def lean(column: Column, tally: Tally) -> None:
        await side_by_side(partial(sqs_loops.consume_leanly, lean_api, QUEUE_URL, column.handle, tally))

    async def floor(column: Column, tally: Tally) -> None:
        await side_by_side(partial(sqs_loops.consume_leanly, floor_api, QUEUE_URL, column.handle, tally))

    async def by_source(column: Column, tally: Tally) -> None:
        await side_by_side(partial(sqs_loops.consume_by_source, source, column.handle, tally))

    ours = partial(sqs_loops.consume_by_broker, clients)
    return {PLAIN: plain, LEAN: lean, FLOOR: floor, SOURCE: by_source, OURS: ours}


def _print(samples: Samples, *, rounds: int, messages: int) -> None:
    by_lean = ratios(samples, OURS, LEAN)
    by_floor = ratios(samples, OURS, FLOOR)
    by_plain = ratios(samples, PLAIN, OURS)
    lean_remark = f"{verdict(max(by_lean) <= LEAN_TARGET)}: at most {LEAN_TARGET}"
    plain_remark = f"{verdict(min(by_plain) >= PLAIN_TARGET)}: at least {PLAIN_TARGET}"
    print_table(
        f"SQS, µs of CPU a message ({rounds} rounds of {messages} messages, {WORKERS} workers, batches of 10)",
        [column.title for column in COLUMNS],
        [
            *[Row(name, figures(medians(samples, name))) for name in (PLAIN, LEAN, FLOOR, SOURCE, OURS)],
            Row("the broker ÷ lean", factors(by_lean), lean_remark),
            Row("the broker ÷ floor", factors(by_floor)),
            Row("plain ÷ the broker", factors(by_plain), plain_remark),
        ],
    )
    say("The plain loop, in each worker:\n")
    say(inspect.getsource(sqs_loops.consume_plainly))
