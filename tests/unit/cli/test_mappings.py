from dataclasses import asdict
from io import StringIO

from rich.console import Console

from broker.cli.mappings import COLUMNS, problems, rows
from broker.cli.output import rich_table
from broker.model.status import MappingStatus, QueueStatistics

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


def test_the_mappings_fit_into_80_columns_with_what_is_busy_and_what_is_stuck() -> None:
    console = Console(width=80, file=StringIO(), record=True)
    console.print(rich_table(COLUMNS, [[str(cell) for cell in row] for row in rows([STATUS])], width=80))
    head, row = console.export_text().splitlines()
    assert max(len(head), len(row)) <= 80
    assert head.split()[-2:] == ["busy", "stuck"]
    assert row.split()[-7:] == ["Disabling!", "99999", "50000", "40000", "9999", "12", "3"]


def test_a_problem_is_a_line_that_names_its_mapping() -> None:
    assert problems([STATUS, {**STATUS, "problem": ""}]) == [
        "14e0db71  reserve-the-goods:live: the queue does not exist"
    ]
