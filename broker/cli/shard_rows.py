"""The shards of the mappings as rows of the live view: how far each is, and what its lanes do."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from broker.cli.lines import shard_label
from broker.cli.output import Column
from broker.model.status import LaneStatistics, MappingStatus, ShardStatistics, StreamStatistics

COLUMNS = (
    Column(title="shard"),
    Column(title="handled", number=True),
    Column(title="lag", number=True),
    Column(title="position", number=True),
    Column(title="lanes"),
)
LANES_WIDTH = 44
"""What the other columns leave of a terminal of 80; lanes that need more are counted by their state."""
POSITION_DIGITS = 6
"""Of a sequence number, from its end: enough to see it move."""
MS_PER_SECOND = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRow:
    """One row."""

    cells: list[str]
    is_troubled: bool
    """Whether a lane of it is held up by failures."""


def shard_rows(name: str, status: MappingStatus) -> Iterator[ShardRow]:
    """A row for each shard that this process reads; `name` is what people know the mapping by."""
    if isinstance(status.statistics, StreamStatistics):
        for shard in status.statistics.shards:
            yield _row(name, shard)


def _row(name: str, shard: ShardStatistics) -> ShardRow:
    return ShardRow(
        cells=[
            f"{name} {shard_label(shard.shard)}",
            str(shard.succeeded_count),
            f"{lag_seconds(shard):.1f} s",
            position(shard.checkpoint),
            lanes_text(shard.lanes),
        ],
        is_troubled=bool(shard.problem) or any(lane.failures or lane.state == "stuck" for lane in shard.lanes),
    )


def lag_seconds(shard: ShardStatistics) -> float:
    """How old the oldest record is that is not settled, as far as is known here."""
    return max((shard.behind_ms or 0) / MS_PER_SECOND, shard.oldest_age_seconds)


def position(sequence_number: str) -> str:
    """The end of a sequence number, `…004312`; `-` before the first."""
    if len(sequence_number) <= POSITION_DIGITS:
        return sequence_number or "-"
    return f"…{sequence_number[-POSITION_DIGITS:]}"


def lanes_text(lanes: Sequence[LaneStatistics]) -> str:
    """What each lane does, `running 5 | idle`, or where that is long how many do what, `2 running, 8 idle`."""
    texts = " | ".join(map(lane_text, lanes))
    if len(texts) <= LANES_WIDTH:
        return texts
    return ", ".join(f"{count} {state}" for state, count in Counter(lane.state for lane in lanes).most_common())


def lane_text(lane: LaneStatistics) -> str:
    """The state of a lane, the size of its batch, and how often that has failed: `backing off 3 (failed 2x)`."""
    size = lane.batch_records or lane.buffered_records
    failures = f" (failed {lane.failures}x)" if lane.failures else ""
    return f"{lane.state} {size}{failures}" if size else lane.state
