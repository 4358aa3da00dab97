from collections.abc import Sequence
from io import StringIO

import anyio
import pytest
from rich.console import Console

from broker.cli.progress import Progress
from broker.cli.view import Depths, View
from broker.model.batch import Reason
from broker.model.observation import BatchSettled, PageReceived
from broker.model.status import MappingStatus, QueueStatistics


def status(name: str = "orders", **changes: object) -> MappingStatus:
    fields = {
        "uuid": name,
        "function_name": name,
        "event_source_arn": f"arn:aws:sqs:eu-west-1:123456789012:{name}",
        "state": "Enabled",
        "healthy": True,
        "problem": "",
        "statistics": QueueStatistics(in_flight_batches=2),
    }
    return MappingStatus(**{**fields, **changes})


def view(statuses: Sequence[MappingStatus], *, terminal: bool = True) -> tuple[View, Progress, Console]:
    console = Console(width=80, height=24, record=True, force_terminal=terminal, file=StringIO())
    progress = Progress({each.uuid: each.uuid for each in statuses})
    depths = {"orders": Depths(queued=1_234_567, dead_lettered=3)}
    shown = View(console, title=["broker dev"], statuses=lambda: statuses, progress=progress, depths=depths)
    return shown, progress, console


@pytest.fixture
def busy() -> tuple[View, Progress, Console]:
    made = view([status(), status("a-queue-with-quite-a-long-name.fifo", healthy=False)])
    _, progress, _ = made
    progress.observe("orders", PageReceived(count=9_999_999, filtered_count=123_456))
    for batch in range(50):
        progress.observe(
            "orders",
            BatchSettled(
                batch=batch,
                attempt=1,
                reason=Reason.HANDLER_FAILED,
                acked_count=10,
                retried_count=1,
                duration_seconds=1,
                detail="RuntimeError: [red]" + "x" * 200,
            ),
        )
    return made


def test_the_view_fits_a_terminal_of_80_by_24(busy) -> None:
    shown, _, console = busy
    console.print(shown.draw())
    lines = console.export_text().splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80


def test_numbers_are_never_cut(busy) -> None:
    shown, _, console = busy
    console.print(shown.draw())
    text = console.export_text()
    for number in ("9999999", "123456", "1234567"):
        assert number in text


def test_text_of_handlers_is_no_markup(busy) -> None:
    shown, _, console = busy
    console.print(shown.draw())
    assert "[red]" in console.export_text()


def test_a_queue_without_a_dead_letter_queue_shows_a_dash() -> None:
    shown, _, console = view([status("payments.fifo")])
    console.print(shown.draw())
    assert console.export_text().splitlines()[3].split() == ["payments.fifo", "0", "0", "0", "2", "0", "0", "-", "0"]


@pytest.mark.anyio
async def test_without_a_terminal_lines_are_written_only_when_something_changed() -> None:
    shown, progress, console = view([status()], terminal=False)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(shown.run)
        await anyio.sleep(60)
        progress.observe("orders", PageReceived(count=5, filtered_count=0))
        await anyio.sleep(60)
        shown.stop()
    lines = console.export_text().splitlines()
    assert [line.split()[:2] for line in lines if line.startswith("orders")] == [["orders", "0"], ["orders", "5"]]


@pytest.mark.anyio
async def test_on_a_terminal_the_last_state_stays() -> None:
    shown, progress, console = view([status()])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(shown.run)
        await anyio.sleep(1)
        progress.observe("orders", PageReceived(count=77, filtered_count=0))
        shown.stop()
    rows = [line for line in console.export_text().splitlines() if line.startswith("orders")]
    assert "77" in rows[-1]
