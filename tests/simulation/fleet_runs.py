"""One seed in one call, for processes beside each other."""

import gc

from tests.simulation.fleet_plan import drawn
from tests.simulation.fleet_report import Report, report_of
from tests.simulation.fleet_simulation import simulate


def run_seed(seed: int, minutes: float) -> Report:
    """One seed; a bug that ends the run is a violation, too."""
    try:
        return report_of(simulate(drawn(seed, minutes=minutes)))
    except Exception as error:
        return Report(seeds=1, failed_seeds={seed: [f"ended by {error!r}"]})
    finally:
        gc.collect()
