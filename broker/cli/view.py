"""The live view of `broker dev`: a few lines that are drawn anew on a terminal, plain lines elsewhere."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import anyio
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from broker.cli.output import Column, plain_lines, rich_table, terminal_height
from broker.cli.progress import Progress, Tally
from broker.cli.shard_rows import COLUMNS as SHARD_COLUMNS
from broker.cli.shard_rows import ShardRow, shard_rows
from broker.model.arn import Arn
from broker.model.reference import StreamReference, StreamService
from broker.model.status import MappingStatus, QueueStatistics, StreamStatistics

REFRESHES_PER_SECOND = 4
PLAIN_INTERVAL_SECONDS = 2.0
EVENT_LINES = 8
LEAST_EVENT_LINES = 2
FIXED_LINES = 5
"""Head of the table, blank lines, foot, and the line on which the cursor ends."""
SHARD_LINES = 2
"""Head of the shards' table, and the blank line before it."""

COLUMNS = (
    Column(title="source"),
    Column(title="polled", number=True),
    Column(title="filtered", number=True),
    Column(title="batches", number=True),
    Column(title="busy", number=True),
    Column(title="handled", number=True),
    Column(title="retried", number=True),
    Column(title="dead", number=True),
    Column(title="left", number=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Depths:
    """What the emulator says of one queue."""

    queued: int = 0
    dead_lettered: int | None = None
    """None for a queue without a dead-letter queue."""


class View:
    """Shows what `statuses`, `progress` and `depths` (by queue name) say, until stopped."""

    def __init__(
        self,
        console: Console,
        *,
        title: Sequence[str],
        statuses: Callable[[], Sequence[MappingStatus]],
        progress: Progress,
        depths: Mapping[str, Depths],
    ) -> None:
        self._console = console
        self._title = [*title, ""]
        self._statuses = statuses
        self._progress = progress
        self._depths = depths
        self._stopping = anyio.Event()
        self.foot = "Ctrl-C drains and ends"
        """The last line: what goes on and what one may do."""

    def stop(self) -> None:
        """Shows the last state and ends."""
        self._stopping.set()

    async def run(self) -> None:
        """Draws until stopped."""
        if not self._console.is_terminal:
            await self._run_plain()
            return
        with Live(console=self._console, auto_refresh=False, vertical_overflow="ellipsis") as live:
            while not self._stopping.is_set():
                live.update(self.draw(), refresh=True)
                await self._pause(1 / REFRESHES_PER_SECOND)
            live.update(self.draw(), refresh=True)

    def draw(self) -> Group:
        """The view as it is now, at most as high as the terminal."""
        statuses = self._statuses()
        rows, styles = self._rows(statuses), ["" if status.healthy else "red" for status in statuses]
        room = terminal_height() - FIXED_LINES - len(self._title) - len(rows)
        shards = fitting(self._shards(statuses), room - SHARD_LINES - LEAST_EVENT_LINES)
        if shards:
            room -= SHARD_LINES + len(shards)
        return Group(
            *(Text(line, style="bold", no_wrap=True, overflow="ellipsis") for line in self._title),
            rich_table(COLUMNS, rows, width=self._console.width, styles=styles),
            *self._draw_shards(shards),
            Text(),
            *self._draw_events(max(1, min(EVENT_LINES, room))),
            Text(),
            Text(self.foot, style="bold"),
        )

    def _draw_shards(self, shards: Sequence[ShardRow]) -> list[RenderableType]:
        if not shards:
            return []
        styles = ["yellow" if shard.is_troubled else "" for shard in shards]
        cells = [shard.cells for shard in shards]
        return [Text(), rich_table(SHARD_COLUMNS, cells, width=self._console.width, styles=styles)]

    def _draw_events(self, count: int) -> list[RenderableType]:
        """The last events, always as many lines."""
        lines = list(islice(reversed(self._progress.lines), count))[::-1]
        texts = [Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in lines]
        return [*texts, *(Text() for _ in range(count - len(lines)))]

    async def _run_plain(self) -> None:
        self._console.print(*self._title, sep="\n", markup=False)
        shown: list[str] = []
        while not self._stopping.is_set():
            await self._pause(PLAIN_INTERVAL_SECONDS)
            lines = self._plain_lines()
            if lines != shown:
                self._console.print(*lines, sep="\n", markup=False)
            shown = lines

    def _plain_lines(self) -> list[str]:
        statuses = self._statuses()
        shards = self._shards(statuses)
        lines = plain_lines(COLUMNS, self._rows(statuses))
        return lines + plain_lines(SHARD_COLUMNS, [shard.cells for shard in shards]) if shards else lines

    async def _pause(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._stopping.wait()

    def _shards(self, statuses: Sequence[MappingStatus]) -> list[ShardRow]:
        return [row for status in statuses for row in shard_rows(self._progress.name_of(status.uuid), status)]

    def _rows(self, statuses: Sequence[MappingStatus]) -> list[list[str]]:
        return [self._row(status) for status in statuses]

    def _row(self, status: MappingStatus) -> list[str]:
        tally, statistics = self._progress.tallies[status.uuid], status.statistics
        if isinstance(statistics, QueueStatistics):
            dead, left = self._depths_of(source_name(status.event_source_arn))
        else:
            dead, left = _ends(tally, statistics)
        counts = (tally.polled, tally.filtered, tally.batches, statistics.in_flight_batches, tally.handled)
        name = self._progress.name_of(status.uuid)
        return [name, *map(str, (*counts, tally.retried, dead, left))]

    def _depths_of(self, queue: str) -> tuple[int | str, int]:
        depths = self._depths.get(queue, Depths())
        return "-" if depths.dead_lettered is None else depths.dead_lettered, depths.queued


def _ends(tally: Tally, statistics: StreamStatistics) -> tuple[int, int]:
    """Records that were given up, and records that have been read and are not settled."""
    return tally.delivered + tally.dropped, statistics.in_flight_records + statistics.buffered_records


def fitting(rows: Sequence[ShardRow], room: int) -> Sequence[ShardRow]:
    """The rows, if there is room for so many; else those in trouble first, and how many more there are."""
    if len(rows) <= room:
        return rows
    shown = sorted(rows, key=lambda row: not row.is_troubled)[: max(room - 1, 0)]
    more = f"{len(rows) - len(shown)} more"
    return [*shown, ShardRow(cells=[more, *[""] * (len(SHARD_COLUMNS) - 1)], is_troubled=False)]


def source_name(arn: str) -> str:
    """The name of a queue, a stream or a table, as people call it."""
    parsed = Arn.parse(arn)
    return StreamReference.parse(arn).name if parsed.service in set(StreamService) else parsed.resource
