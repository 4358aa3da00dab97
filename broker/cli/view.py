"""The live view of `broker dev`: a few lines that are drawn anew on a terminal, plain lines elsewhere."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import anyio
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from broker.cli.output import Column, plain_lines, rich_table, terminal_height
from broker.cli.progress import Progress
from broker.model.arn import Arn
from broker.model.status import MappingStatus

REFRESHES_PER_SECOND = 4
PLAIN_INTERVAL_SECONDS = 2.0
EVENT_LINES = 8
FIXED_LINES = 5
"""Head of the table, blank lines, foot, and the line on which the cursor ends."""

COLUMNS = (
    Column(title="queue"),
    Column(title="polled", number=True),
    Column(title="filtered", number=True),
    Column(title="batches", number=True),
    Column(title="busy", number=True),
    Column(title="handled", number=True),
    Column(title="retried", number=True),
    Column(title="dead", number=True),
    Column(title="queued", number=True),
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
        rows = self._rows()
        room = max(1, min(EVENT_LINES, terminal_height() - FIXED_LINES - len(self._title) - len(rows)))
        lines = list(islice(reversed(self._progress.lines), room))[::-1]
        styles = ["" if status.healthy else "red" for status in self._statuses()]
        return Group(
            *(Text(line, style="bold", no_wrap=True, overflow="ellipsis") for line in self._title),
            rich_table(COLUMNS, rows, width=self._console.width, styles=styles),
            Text(),
            *(Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in lines),
            *(Text() for _ in range(room - len(lines))),
            Text(),
            Text(self.foot, style="bold"),
        )

    async def _run_plain(self) -> None:
        self._console.print(*self._title, sep="\n", markup=False)
        shown: list[str] = []
        while not self._stopping.is_set():
            await self._pause(PLAIN_INTERVAL_SECONDS)
            lines = plain_lines(COLUMNS, self._rows())
            if lines != shown:
                self._console.print(*lines, sep="\n", markup=False)
            shown = lines

    async def _pause(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._stopping.wait()

    def _rows(self) -> list[list[str]]:
        return [self._row(status) for status in self._statuses()]

    def _row(self, status: MappingStatus) -> list[str]:
        queue = queue_name(status.event_source_arn)
        tally = self._progress.tallies[status.uuid]
        depths = self._depths.get(queue, Depths())
        dead = "-" if depths.dead_lettered is None else depths.dead_lettered
        running = status.statistics.in_flight_batches
        counts = (tally.polled, tally.filtered, tally.batches, running, tally.handled, tally.retried)
        return [queue, *map(str, (*counts, dead, depths.queued))]


def queue_name(arn: str) -> str:
    """The queue's name, as people call it."""
    return Arn.parse(arn).resource
