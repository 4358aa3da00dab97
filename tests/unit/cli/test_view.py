from collections.abc import Sequence
from io import StringIO

import anyio
import pytest
from rich.console import Console

from broker.cli.progress import Progress
from broker.cli.shard_rows import ShardRow
from broker.cli.view import Depths, View, fitting, source_name
from broker.model.batch import Reason
from broker.model.observation import BatchSettled, PageReceived
from broker.model.status import (
    LaneStatistics,
    MappingStatus,
    QueueStatistics,
    ShardStatistics,
    StreamStatistics,
)


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


# ---- streams


def shard(number: int, *lanes: LaneStatistics) -> ShardStatistics:
    return ShardStatistics(
        shard=f"shardId-{number:012d}",
        succeeded_count=1_234_567,
        behind_ms=12_345_678,
        checkpoint="49590338271490256608559692540925702759324208523137515618",
        lanes=lanes or (LaneStatistics(),),
    )


def stream(*shards: ShardStatistics) -> MappingStatus:
    arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks"
    statistics = StreamStatistics(shards=shards, in_flight_batches=2, in_flight_records=5, buffered_records=7)
    return status("clicks", event_source_arn=arn, statistics=statistics)


FAILING = LaneStatistics(state="backing off", in_flight_records=10, batch_records=3, failures=2)


def test_a_stream_shows_what_its_broker_gave_up_and_holds() -> None:
    shown, progress, console = view([stream(shard(0))])
    progress.tallies["clicks"].delivered, progress.tallies["clicks"].dropped = 3, 1
    console.print(shown.draw())
    row = console.export_text().splitlines()[3]
    assert row.split() == ["clicks", "0", "0", "0", "2", "0", "0", "4", "12"]


def test_each_shard_shows_its_lanes() -> None:
    shown, _, console = view([stream(shard(0, FAILING, LaneStatistics()), shard(1))])
    console.print(shown.draw())
    head, first, second = console.export_text().splitlines()[5:8]
    assert head.split() == ["shard", "handled", "lag", "position", "lanes"]
    assert first.split() == [
        "clicks", "0", "1234567", "12345.7", "s", "…515618", "backing", "off", "3", "(failed", "2x)", "|", "idle",
    ]  # fmt: skip
    assert second.split()[-1] == "idle"


def test_the_view_of_many_shards_fits_a_terminal_of_80_by_24() -> None:
    shards = [shard(number, *[FAILING] * (number % 10 + 1)) for number in range(50)]
    shown, progress, console = view([stream(*shards), status()])
    for number in range(50):
        progress.note(f"line {number}")
    console.print(shown.draw())
    lines = console.export_text().splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert "line 49" in lines[-3]


def test_where_not_all_shards_fit_those_in_trouble_come_first_and_the_others_are_counted() -> None:
    rows = [ShardRow(cells=[str(number)], is_troubled=number == 8) for number in range(9)]
    assert [row.cells[0] for row in fitting(rows, 4)] == ["8", "0", "1", "6 more"]
    assert fitting(rows, 9) == rows


@pytest.mark.anyio
async def test_without_a_terminal_shards_are_lines_too() -> None:
    shown, _, console = view([stream(shard(0), shard(1))], terminal=False)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(shown.run)
        await anyio.sleep(10)
        shown.stop()
    lines = console.export_text().splitlines()
    assert [line.split()[:2] for line in lines if line.startswith("clicks ")][1:] == [["clicks", "0"], ["clicks", "1"]]


@pytest.mark.parametrize(
    ("arn", "name"),
    [
        ("arn:aws:sqs:eu-west-1:123456789012:orders", "orders"),
        ("arn:aws:kinesis:eu-west-1:123456789012:stream/clicks/consumer/shop:1700000000", "clicks"),
        ("arn:aws:dynamodb:eu-west-1:123456789012:table/stock/stream/2026-01-31T09:00:00.000", "stock"),
    ],
)
def test_a_source_is_known_by_its_name(arn: str, name: str) -> None:
    assert source_name(arn) == name
