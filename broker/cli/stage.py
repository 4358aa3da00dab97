"""A broker beside an emulator, with its live view, from start to drain: what both kinds of `broker dev` play on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import anyio
from rich.console import Console

from broker.app import Broker
from broker.cli.emulated_queues import EmulatedQueues, QueuePlan
from broker.cli.leftovers import sentence
from broker.cli.progress import Progress
from broker.cli.signals import Stopping
from broker.cli.view import Depths, View

MEASURING_SECONDS = 1.0


class Sending(Protocol):
    """Something that fills queues."""

    async def run(self) -> None:
        """Sends until stopped."""
        ...

    def stop(self) -> None:
        """Sends no more."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When what ends, in seconds from the start."""

    sending_seconds: float
    """Sending stops, so that what failed can come again."""
    total_seconds: float
    """The drain begins."""

    @classmethod
    def of(cls, total_seconds: float, *, settling_seconds: float) -> "Schedule":
        """Leaves `settling_seconds` after the last message, but sends for half of the time at least."""
        sending = max(total_seconds - settling_seconds, total_seconds / 2)
        return cls(sending_seconds=sending, total_seconds=total_seconds)


class Stage:
    """Plays until drained: by a signal, or by its schedule."""

    def __init__(
        self,
        console: Console,
        *,
        title: Sequence[str],
        broker: Broker,
        progress: Progress,
        queues: Sequence[tuple[QueuePlan, EmulatedQueues]],
        sender: Sending | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        self._broker = broker
        self._progress = progress
        self._queues = queues
        self._sender = sender
        self._schedule = schedule
        self._depths: dict[str, Depths] = {}
        self._ended = anyio.Event()
        self._view = View(console, title=title, statuses=broker.statuses, progress=progress, depths=self._depths)

    def drain(self) -> None:
        """Sends no more and lets the broker finish what it has."""
        self._view.foot = "drains: what is in flight finishes"
        if self._sender:
            self._sender.stop()
        self._broker.drain()

    def cut_short(self) -> None:
        """Ends at once: what is in flight comes again."""
        self.drain()
        self._view.foot = "ends: what is in flight comes again"
        self._broker.cut_short()

    def stopping(self, drain_seconds: float) -> Stopping:
        """What signals do to it."""
        return Stopping(
            drain=self.drain,
            cut_short=self.cut_short,
            say=lambda text: self._progress.note(f"drains: {text}"),
            last_words=self._progress.note,
            drain_seconds=drain_seconds,
        )

    async def play(self) -> None:
        """Runs sender, broker and view until the broker has drained."""
        async with anyio.create_task_group() as showing:
            showing.start_soon(self._view.run)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._measure_steadily)
                if self._sender:
                    tasks.start_soon(self._sender.run)
                if self._schedule:
                    tasks.start_soon(self._follow, self._schedule)
                if not await self._broker.run():
                    self._progress.note(sentence(self._broker.statuses()))
                self._ended.set()
            await self.measure()
            self._view.stop()

    async def measure(self) -> dict[str, Depths]:
        """Asks the emulator what each queue has."""
        for plan, queues in self._queues:
            dead = await queues.depth(plan.dead_letter_name) if plan.dead_letter_name else None
            self._depths[plan.name] = Depths(queued=await queues.depth(plan.name), dead_lettered=dead)
        return self._depths

    async def _measure_steadily(self) -> None:
        while not self._ended.is_set():
            await self.measure()
            await self._pause(MEASURING_SECONDS)

    async def _follow(self, schedule: Schedule) -> None:
        await self._pause(schedule.sending_seconds)
        if self._sender:
            self._sender.stop()
        await self._pause(schedule.total_seconds - schedule.sending_seconds)
        self.drain()

    async def _pause(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._ended.wait()
