"""All that happened to one simulated fleet, in order: what its checks and its report look at."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass, field

from broker.core.lanes import lane_of
from broker.model import observation as seen


@dataclass(slots=True, kw_only=True, eq=False)
class Put:
    """One record, from the producer's side."""

    number: int
    """Its sequence number."""
    key: str
    lane_key: bytes
    shard: str
    arrived_at: float
    """By the service's clock."""
    passes: bool
    """Whether the filter lets it pass."""
    is_poison: bool
    settled_tick: int | None = None
    """When it was first handled or given up; None while neither."""
    is_handled: bool = False
    is_given_up: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Call:
    """One invocation, from the handler's side."""

    process: str
    shard: str
    epoch: int
    records: tuple[Put, ...]
    tick: int
    started_at: float
    ended_at: float | None = None
    ended_tick: int | None = None
    settled: tuple[Put, ...] = ()
    """What it has done, as far as its answer says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """Records that the broker has given up."""

    shard: str
    epoch: int
    records: tuple[Put, ...]
    tick: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A checkpoint's row was written."""

    shard: str
    epoch: int
    is_fence: bool
    """Whether it is the first of its epoch."""
    position: int
    """Everything up to here is settled; 0 where there is no number yet."""
    marks: tuple[tuple[int, tuple[int, ...]], ...]
    """For each partition its factor and the mark of each lane, 0 without one."""
    is_finished: bool
    sent_tick: int
    at: float
    tick: int

    def covers(self, put: Put) -> bool:
        """Whether a record is settled by what was written."""
        if put.number <= self.position:
            return True
        return any(put.number <= marks[lane_of(put.lane_key, factor)] for factor, marks in self.marks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """A lease's row says that it has another owner."""

    shard: str
    epoch: int
    owner: str
    """The worker's id; empty for nobody."""
    is_taken: bool
    """Whether somebody took it from an owner who had not given it."""
    is_stolen: bool
    at: float
    tick: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """Something that befell the fleet."""

    what: str
    begins_at: float
    ends_at: float
    who: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """A broker crashed, or began to drain."""

    process: str
    is_crash: bool
    at: float
    tick: int
    leases: tuple[tuple[str, int], ...]
    """Shard and epoch of what it owned."""
    others: tuple[str, ...]
    """The brokers that were there already and stayed."""


@dataclass(slots=True)
class Ledger:
    """One history."""

    puts: dict[int, Put] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    given_up: list[GivenUp] = field(default_factory=list)
    written: list[Written] = field(default_factory=list)
    owned: list[Owned] = field(default_factory=list)
    beats: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """By worker: when each write of its row was sent that took effect, in the order of their taking effect."""
    disturbances: list[Disturbance] = field(default_factory=list)
    departures: list[Departure] = field(default_factory=list)
    lost: list[tuple[float, seen.RecordsLost]] = field(default_factory=list)
    rebalanced_seconds: list[float] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    enabled_at: float | None = None
    """The service's time at which the mapping was enabled, as its row says."""
    page_count: int = 0
    ticks: int = 0
    _by_shard: dict[str, list[Put]] = field(default_factory=lambda: defaultdict(list))

    def tick(self) -> int:
        """The next instant: what happens at one time happens in an order, too."""
        self.ticks += 1
        return self.ticks

    def put(self, put: Put) -> None:
        """The producer put a record."""
        self.puts[put.number] = put
        self._by_shard[put.shard].append(put)

    def of_shard(self, shard: str, first: int = 0, last: int | None = None) -> list[Put]:
        """The records of a shard, in order."""
        puts = self._by_shard[shard]
        start = bisect_left(puts, first, key=lambda put: put.number)
        end = len(puts) if last is None else bisect_right(puts, last, key=lambda put: put.number)
        return puts[start:end]

    @property
    def shards(self) -> tuple[str, ...]:
        """Every shard that records were put into."""
        return tuple(self._by_shard)

    def settle(self, call: Call, settled: tuple[Put, ...]) -> None:
        """A handler's answer."""
        call.settled = settled
        tick = self.tick()
        for put in settled:
            put.is_handled = True
            put.settled_tick = put.settled_tick or tick

    def give_up(self, discarded: seen.RecordsDiscarded, *, epoch: int, factor: int) -> None:
        """The broker says that it has given up some records: those of one lane, from the first to the last."""
        found = self.of_shard(discarded.shard, int(discarded.first or 0), int(discarded.last or 0))
        lane = lane_of(found[0].lane_key, factor)
        records = tuple(put for put in found if put.passes and lane_of(put.lane_key, factor) == lane)
        if len(records) != discarded.count:
            self.violations.append(f"{discarded} names {len(records)} records")
        tick = self.tick()
        for put in records:
            put.is_given_up = True
            put.settled_tick = put.settled_tick or tick
        self.given_up.append(GivenUp(shard=discarded.shard, epoch=epoch, records=records, tick=tick))

    def disturb(self, what: str, begins_at: float, seconds: float = 0.0, *, who: str = "") -> None:
        """Something befell the fleet."""
        self.disturbances.append(Disturbance(what=what, begins_at=begins_at, ends_at=begins_at + seconds, who=who))

    def is_calm(self, begins_at: float, ends_at: float) -> bool:
        """Whether nothing befell the fleet meanwhile."""
        return not any(each.begins_at < ends_at and each.ends_at > begins_at for each in self.disturbances)
