"""Kinesis: CPU of this process for each record that is read and handled; a thousand to a call, 1 KB each.

A server in another process answers from memory. All contenders run in one process and one event loop, one shard each,
in turns; the figures are medians over the turns.
"""

import inspect
from contextlib import AsyncExitStack
from functools import partial

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.credentials import ReadOnlyCredentials

from broker.aws.clients import Clients
from tests.benchmarks import kinesis_loops
from tests.benchmarks.handlers import COLUMNS, Column, Tally, serialise
from tests.benchmarks.kinesis_loops import REGION
from tests.benchmarks.kinesis_pages import PAGES, RECORDS_PER_PAGE
from tests.benchmarks.measuring import Contender, Samples, factors, measure, medians, ratios, verdict
from tests.benchmarks.sqs_loops import LeanApi, botocore_signer
from tests.benchmarks.table import Row, print_table, say

PLAIN = "plain aiobotocore loop, no event built"
LEAN = "lean: aiohttp, botocore's SigV4, orjson, no event built"
SOURCE = "the broker's source alone"
OURS = "the broker: source, consumer, driver, executor"
TARGET_MICROSECONDS = 4.5
PLAIN_TARGET = 4.0
_RECORDS = PAGES * RECORDS_PER_PAGE


async def run(*, endpoint_url: str, rounds: int) -> None:
    """Measures and prints."""
    async with AsyncExitStack() as stack:
        contenders = await _contenders(stack, endpoint_url)
        samples = await measure(contenders, rounds=rounds, count=_RECORDS, warm_up_count=RECORDS_PER_PAGE)
    _print(samples, rounds=rounds)


async def _contenders(stack: AsyncExitStack, endpoint_url: str) -> dict[str, Contender]:
    config = AioConfig(retries={"total_max_attempts": 1})
    opening = get_session().create_client("kinesis", region_name=REGION, config=config)
    client = await stack.enter_async_context(opening)
    http = await stack.enter_async_context(
        aiohttp.ClientSession(auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar())
    )
    sign = botocore_signer(endpoint_url, ReadOnlyCredentials("test", "test", None), service="kinesis")
    lean_api = LeanApi(http, endpoint_url, sign)
    source = kinesis_loops.kinesis_source(await stack.enter_async_context(Clients()))

    async def plain(column: Column, tally: Tally) -> None:
        handle = kinesis_loops.serialise_plainly if column.handle is serialise else column.handle
        await kinesis_loops.consume_plainly(client, handle, tally)

    async def lean(column: Column, tally: Tally) -> None:
        await kinesis_loops.consume_leanly(lean_api, column.handle, tally)

    by_source = partial(kinesis_loops.consume_by_source, source)
    by_broker = partial(kinesis_loops.consume_by_broker, source)
    return {PLAIN: plain, LEAN: lean, SOURCE: by_source, OURS: by_broker}


def _print(samples: Samples, *, rounds: int) -> None:
    ours, by_plain = medians(samples, OURS), ratios(samples, PLAIN, OURS)
    cost_remark = f"{verdict(max(ours) <= TARGET_MICROSECONDS)}: at most {TARGET_MICROSECONDS}"
    ratio_remark = f"{verdict(min(by_plain) >= PLAIN_TARGET)}: at least {PLAIN_TARGET:.0f}"
    print_table(
        f"Kinesis, µs of CPU a record ({rounds} rounds of {_RECORDS} records, {RECORDS_PER_PAGE} to a call and batch)",
        [column.title for column in COLUMNS],
        [
            *[Row(name, factors(medians(samples, name))) for name in (PLAIN, LEAN, SOURCE)],
            Row(OURS, factors(ours), cost_remark),
            Row("the broker ÷ lean", factors(ratios(samples, OURS, LEAN))),
            Row("plain ÷ the broker", factors(by_plain), ratio_remark),
        ],
    )
    say("The plain loop:\n")
    say(inspect.getsource(kinesis_loops.consume_plainly))
