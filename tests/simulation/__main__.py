"""`python -m tests.simulation`: fleets of many seeds on all cores, and the figures. `make simulate` calls it.

`--seeds N [--first S]` takes N seeds, or as many of them as `--within SECONDS` allows; `--seed S` repeats one;
`--hours H` makes each of them so long; `--planning` adds 100 replicas with 1,000 shards, by the plan and by arithmetic.
"""

import argparse
import os
import sys
import time
from functools import partial
from multiprocessing import get_context

from tests.simulation.fleet_planning import planned
from tests.simulation.fleet_report import Report, lines
from tests.simulation.fleet_runs import run_seed

_MINUTES = 10.0
_TOLD_SECONDS = 60.0
"""Between lines about how far it is."""


def main() -> int:
    """Exit code 0 where nothing was violated."""
    options = _options()
    seeds = [options.seed] if options.seed is not None else range(options.first, options.first + options.seeds)
    total, began_at = Report(), time.monotonic()
    told_at = began_at
    with get_context("spawn").Pool(options.workers, maxtasksperchild=50) as pool:
        for report in pool.imap_unordered(partial(run_seed, minutes=options.hours * 60), seeds):
            total.add(report)
            _tell_failures(report, options.hours)
            if options.within and time.monotonic() - began_at > options.within:
                break
            if time.monotonic() - told_at > _TOLD_SECONDS:
                told_at = time.monotonic()
                print(f"{total.seeds} seeds after {told_at - began_at:.0f} s", file=sys.stderr, flush=True)
    print("\n".join(lines(total)))
    if options.planning:
        print("\n".join(planned()))
    return 1 if total.failed_seeds else 0


def _tell_failures(report: Report, hours: float) -> None:
    long = f" HOURS={hours:g}" if hours * 60 != _MINUTES else ""
    for seed, wrong in report.failed_seeds.items():
        print(f"seed {seed}: {len(wrong)} violations; replay: make simulate SEED={seed}{long}")
        for each in wrong[:5]:
            print(f"    {each}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--hours", type=float, default=_MINUTES / 60)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--within", type=float, metavar="SECONDS", help="as many of the seeds as this allows")
    parser.add_argument("--planning", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
