"""Contenders in turns, and what their figures say of each other."""

import gc
import time
from collections.abc import Awaitable, Callable
from statistics import median

from tests.benchmarks.handlers import COLUMNS, Column, Tally

Samples = dict[tuple[str, str], list[float]]
"""Microseconds of CPU a message or record in each round, by contender and column."""
Contender = Callable[[Column, Tally], Awaitable[None]]


async def measure(contenders: dict[str, Contender], *, rounds: int, count: int, warm_up_count: int) -> Samples:
    """Lets each handle `count` in each round and column; the first turn only warms up.

    What start-up has left on the heap is frozen, for all alike: going through botocore's models at every full
    collection costs more than parsing the pages that bring it about, and says nothing of the contenders.
    """
    samples: Samples = {}
    gc.collect()
    gc.freeze()
    for turn in range(rounds + 1):
        for column in COLUMNS:
            for name, contender in contenders.items():
                figure = await _cpu_of(contender, column, count if turn else warm_up_count)
                if turn:
                    samples.setdefault((name, column.title), []).append(figure)
    return samples


async def _cpu_of(contender: Contender, column: Column, count: int) -> float:
    tally = Tally(count)
    gc.collect()
    started = time.process_time()
    await contender(column, tally)
    return (time.process_time() - started) / tally.handled * 1e6


def medians(samples: Samples, name: str) -> list[float]:
    """Each column's median over the rounds."""
    return [median(samples[name, column.title]) for column in COLUMNS]


def ratios(samples: Samples, above: str, below: str) -> list[float]:
    """For each column the median of the rounds' ratios: a load that comes and goes weighs on both sides alike."""
    return [
        median(one / other for one, other in zip(samples[above, title], samples[below, title], strict=True))
        for title in (column.title for column in COLUMNS)
    ]


def figures(values: list[float]) -> list[str]:
    """Cells of microseconds."""
    return [f"{value:.1f}" for value in values]


def factors(values: list[float]) -> list[str]:
    """Cells of ratios."""
    return [f"{value:.2f}" for value in values]


def verdict(met: bool) -> str:
    """What a remark on a target begins with."""
    return "met" if met else "MISSED"
