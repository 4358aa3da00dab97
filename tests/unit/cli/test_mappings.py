from collections.abc import Sequence
from dataclasses import asdict
from io import StringIO

from rich.console import Console

from broker.cli.mappings import QUEUE_COLUMNS, STREAM_COLUMNS, pauses, problems, queue_row, stream_row
from broker.cli.output import Column, rich_table
from broker.model.status import MappingStatus, QueueStatistics, ShardStatistics, StreamStatistics

STATUS = asdict(
    MappingStatus(
        uuid="14e0db71-5d35-4eb5-b481-8945cf9d10c2",
        function_name="reserve-the-goods:live",
        event_source_arn="arn:aws:sqs:eu-west-1:123456789012:orders-of-all-customers.fifo",
        state="Disabling",
        healthy=False,
        problem="the queue does not exist",
        statistics=QueueStatistics(
            polled_count=99_999,
            filtered_count=50_000,
            deleted_count=40_000,
            failed_count=9_999,
            in_flight_batches=12,
            stuck_batches=3,
        ),
    )
)


STREAM = asdict(
    MappingStatus(
        uuid="24e0db71-5d35-4eb5-b481-8945cf9d10c2",
        function_name="reserve-the-goods:live",
        event_source_arn="arn:aws:kinesis:eu-west-1:123456789012:stream/clicks-of-all-customers",
        state="Enabled",
        healthy=True,
        problem="",
        statistics=StreamStatistics(
            shards=(
                ShardStatistics(shard="shardId-1", behind_ms=125_000),
                ShardStatistics(shard="shardId-2", behind_ms=None),
                ShardStatistics(shard="shardId-3", behind_ms=0),
            ),
            in_flight_batches=12,
            failed_count=999,
            dropped_count=3,
            last_processing_result="PROBLEM: Function call failed",
            paused=("shardId-1: paused by ana@desk at 2026-01-31T09:00:00Z",),
        ),
    )
)


def drawn(columns: Sequence[Column], row: Sequence[object]) -> list[str]:
    console = Console(width=80, file=StringIO(), record=True)
    console.print(rich_table(columns, [[str(cell) for cell in row]], width=80))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    return lines


def test_mappings_of_queues_fit_into_80_columns_with_what_is_busy_and_what_is_stuck() -> None:
    head, row = drawn(QUEUE_COLUMNS, queue_row(STATUS))
    assert head.split()[-2:] == ["busy", "stuck"]
    assert row.split()[-7:] == ["Disabling!", "99999", "50000", "40000", "9999", "12", "3"]


def test_mappings_of_streams_fit_into_80_columns_with_their_shards_lag_and_last_result() -> None:
    head, row = drawn(STREAM_COLUMNS, stream_row(STREAM))
    assert head.split() == [
        "function",
        "stream",
        "state",
        "shards",
        "lag",
        "busy",
        "failed",
        "dropped",
        "last",
        "result",
    ]
    assert row.split()[2:8] == ["Enabled", "3", "2m", "12", "999", "3"]
    assert stream_row(STREAM)[1] == "clicks-of-all-customers"
    assert stream_row(STREAM)[-1] == "PROBLEM: Function call failed"


def test_a_stream_of_which_no_shard_has_been_read_has_no_lag() -> None:
    status = {**STREAM, "statistics": {**STREAM["statistics"], "shards": [], "paused": ["paused by ana@desk at noon"]}}
    assert stream_row(status)[2:5] == ["paused", 0, "-"]


def test_what_is_paused_is_a_line_that_says_by_whom() -> None:
    assert pauses([STREAM]) == [
        "24e0db71  reserve-the-goods:live: shardId-1: paused by ana@desk at 2026-01-31T09:00:00Z"
    ]


def test_a_problem_is_a_line_that_names_its_mapping() -> None:
    assert problems([STATUS, {**STATUS, "problem": ""}]) == [
        "14e0db71  reserve-the-goods:live: the queue does not exist"
    ]
