"""The figures of many simulated fleets, added up."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.simulation.fleet_checks import changes, repeated, violations
from tests.simulation.fleet_world import World

MONTH_SECONDS = 30 * 86_400.0
DOLLARS_PER_WRITE_UNIT = 0.625e-6
"""DynamoDB on demand, us-east-1: a write request unit is one write of up to 1 KB."""
DOLLARS_PER_READ_UNIT = 0.125e-6
"""DynamoDB on demand, us-east-1: a read request unit is one strongly consistent read of up to 4 KB."""
KINDS = ("workers", "lease", "checkpoint")
"""What is read and written; all rows of a mapping together are read for its leases."""


@dataclass(slots=True)
class Report:
    """Sums over seeds."""

    seeds: int = 0
    virtual_seconds: float = 0.0
    page_count: int = 0
    record_count: int = 0
    call_count: int = 0
    lost_count: int = 0
    trimmed_count: int = 0
    crash_count: int = 0
    drain_count: int = 0
    failed_seeds: dict[int, list[str]] = field(default_factory=dict)
    repeats: list[int] = field(default_factory=list)
    """By crash: settled records that were started again."""
    take_overs: list[float] = field(default_factory=list)
    hand_overs: list[float] = field(default_factory=list)
    rebalances: list[float] = field(default_factory=list)
    store_calls: Counter[str] = field(default_factory=Counter)
    store_units: Counter[str] = field(default_factory=Counter)
    shard_seconds: float = 0.0
    broker_seconds: float = 0.0

    def add(self, other: "Report") -> None:
        """Takes the figures of other seeds in."""
        for name in ("seeds", "virtual_seconds", "page_count", "record_count", "call_count", "lost_count",
                     "trimmed_count", "crash_count", "drain_count", "shard_seconds", "broker_seconds"):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("repeats", "take_overs", "hand_overs", "rebalances"):
            getattr(self, name).extend(getattr(other, name))
        self.failed_seeds.update(other.failed_seeds)
        self.store_calls.update(other.store_calls)
        self.store_units.update(other.store_units)


def report_of(world: World) -> Report:
    """The figures of one run."""
    wrong = violations(world)
    changed = [change for change in changes(world) if change.is_calm]
    trimmed = world.trimmed_numbers()
    open_ = [put.number for put in world.unsettled()]
    again = repeated(world)
    crashes = [each for each in world.ledger.departures if each.is_crash]
    return Report(
        seeds=1,
        virtual_seconds=world.lasted_seconds,
        page_count=world.ledger.page_count,
        record_count=len(world.ledger.puts),
        call_count=len(world.ledger.calls),
        lost_count=sum(number not in trimmed for number in open_),
        trimmed_count=sum(number in trimmed for number in open_),
        crash_count=len(crashes),
        drain_count=len(world.ledger.departures) - len(crashes),
        failed_seeds={world.plan.seed: wrong} if wrong else {},
        repeats=[sum(len(again.get(key, ())) for key in crash.leases) for crash in crashes],
        take_overs=[change.seconds for change in changed if change.departure.is_crash],
        hand_overs=[change.seconds for change in changed if not change.departure.is_crash],
        rebalances=world.ledger.rebalanced_seconds,
        store_calls=world.store.rows.calls,
        store_units=world.store.rows.units,
        shard_seconds=world.shard_seconds,
        broker_seconds=world.broker_seconds,
    )


def dollars(units: Counter[str], seconds: float) -> float:
    """A month at this rate."""
    writes = sum(count for kind, count in units.items() if kind.endswith("write"))
    reads = sum(count for kind, count in units.items() if kind.endswith("read"))
    return (writes * DOLLARS_PER_WRITE_UNIT + reads * DOLLARS_PER_READ_UNIT) * MONTH_SECONDS / seconds


def percentile(values: Sequence[float], share: float) -> str:
    """The value that so many do not exceed."""
    if not values:
        return "-"
    ordered = sorted(values)
    return f"{ordered[min(int(len(ordered) * share), len(ordered) - 1)]:.2f}"


def _spread(values: Sequence[float]) -> str:
    return f"{percentile(values, 0.5)} / {percentile(values, 0.99)} (of {len(values)})"


def lines(report: Report) -> list[str]:
    """The report, for people."""
    rows = [
        ("seeds", f"{report.seeds:,}"),
        ("virtual hours", f"{report.virtual_seconds / 3600:,.0f}"),
        ("polls", f"{report.page_count:,}"),
        ("records", f"{report.record_count:,} in {report.call_count:,} invocations"),
        ("lost", f"{report.lost_count}; {report.trimmed_count} trimmed before they could be read, all reported"),
        ("seeds with a violation", f"{len(report.failed_seeds)}"),
        ("crashes, drains", f"{report.crash_count:,}, {report.drain_count:,}"),
        (
            "repeated per crash",
            f"{sum(report.repeats) / max(report.crash_count, 1):.3f} mean, {max(report.repeats, default=0)} most",
        ),
        ("take-over p50/p99 s", _spread(report.take_overs)),
        ("hand-over p50/p99 s", _spread(report.hand_overs)),
        ("rebalance p50/p99 s", _spread(report.rebalances)),
        *((f"{kind} a second and shard", _rates(report, kind)) for kind in KINDS),
        ("dollars a month and shard", f"{dollars(report.store_units, max(report.shard_seconds, 1.0)):.2f}"),
    ]
    width = max(len(name) for name, _ in rows)
    return [f"{name:<{width}}  {value}" for name, value in rows]


def _rates(report: Report, kind: str) -> str:
    seconds = max(report.shard_seconds, 1.0)
    reads, writes = report.store_calls[f"{kind} read"], report.store_calls[f"{kind} write"]
    return f"{reads / seconds:.3f} reads, {writes / seconds:.3f} writes"
