"""SQS: CPU of this process for each message that is received, handled and deleted; ten to a call, 1 KB each.

A server in another process answers from memory. All contenders run in one process and one event loop, with the same
number of workers and connections, in turns; the figures are medians over the turns.
"""

import gc
import inspect
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from statistics import median

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.credentials import ReadOnlyCredentials

from broker.aws.clients import Clients
from broker.runtime.clock import SystemClock
from broker.sources.sqs import SqsQueueSource
from tests.benchmarks import sqs_loops
from tests.benchmarks.handlers import COLUMNS, Column, Tally
from tests.benchmarks.sqs_loops import ARN, REGION, WORKERS, LeanApi, side_by_side
from tests.benchmarks.stub_server import QUEUE_URL
from tests.benchmarks.table import Row, print_table, say

Samples = dict[tuple[str, str], list[float]]
"""Microseconds a message in each round, by contender and column."""

Contender = Callable[[Column, Tally], Awaitable[None]]
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
        measured = await _measure(contenders, rounds=rounds, messages=messages)
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


async def _measure(contenders: dict[str, Contender], *, rounds: int, messages: int) -> Samples:
    samples: Samples = {}
    for turn in range(rounds + 1):
        for column in COLUMNS:
            for name, contender in contenders.items():
                figure = await _cpu_of(contender, column, messages if turn else 500)
                if turn:  # the first turn only warms up
                    samples.setdefault((name, column.title), []).append(figure)
    return samples


async def _cpu_of(contender: Contender, column: Column, messages: int) -> float:
    tally = Tally(messages)
    gc.collect()
    started = time.process_time()
    await contender(column, tally)
    return (time.process_time() - started) / tally.handled * 1e6


def _print(samples: Samples, *, rounds: int, messages: int) -> None:
    by_lean = _ratios(samples, OURS, LEAN)
    by_floor = _ratios(samples, OURS, FLOOR)
    by_plain = _ratios(samples, PLAIN, OURS)
    lean_remark = f"{_verdict(max(by_lean) <= LEAN_TARGET)}: at most {LEAN_TARGET}"
    plain_remark = f"{_verdict(min(by_plain) >= PLAIN_TARGET)}: at least {PLAIN_TARGET}"
    print_table(
        f"SQS, µs of CPU a message ({rounds} rounds of {messages} messages, {WORKERS} workers, batches of 10)",
        [column.title for column in COLUMNS],
        [
            *[Row(name, _figures(samples, name)) for name in (PLAIN, LEAN, FLOOR, SOURCE, OURS)],
            Row("the broker ÷ lean", _cells(by_lean), lean_remark),
            Row("the broker ÷ floor", _cells(by_floor)),
            Row("plain ÷ the broker", _cells(by_plain), plain_remark),
        ],
    )
    say("The plain loop, in each worker:\n")
    say(inspect.getsource(sqs_loops.consume_plainly))


def _figures(samples: Samples, name: str) -> list[str]:
    return [f"{median(samples[name, column.title]):.1f}" for column in COLUMNS]


def _ratios(samples: Samples, above: str, below: str) -> list[float]:
    """For each column the median of the rounds' ratios: a load that comes and goes weighs on both sides alike."""
    return [
        median(one / other for one, other in zip(samples[above, title], samples[below, title], strict=True))
        for title in (column.title for column in COLUMNS)
    ]


def _cells(ratios: list[float]) -> list[str]:
    return [f"{ratio:.2f}" for ratio in ratios]


def _verdict(met: bool) -> str:
    return "met" if met else "MISSED"
