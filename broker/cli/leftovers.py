"""What a drain that was cut short leaves behind."""

from collections.abc import Iterable, Sequence

from broker.model.arn import Arn
from broker.model.status import MappingStatus


def in_flight(statuses: Iterable[MappingStatus]) -> list[dict[str, str | int]]:
    """For each mapping that had not finished: its names, and the batches and messages that come again."""
    return [
        {
            "function": status.function_name,
            "queue": Arn.parse(status.event_source_arn).resource,
            "batches": status.statistics.in_flight_batches,
            "records": status.statistics.in_flight_records,
            "stuck_batches": status.statistics.stuck_batches,
            "buffered_records": status.statistics.buffered_records,
        }
        for status in statuses
        if any(_held(status))
    ]


def sentence(statuses: Sequence[MappingStatus]) -> str:
    """The same for people: `the drain was cut short; in flight: orders 2 batches, payments 1 batch`."""
    counts = [
        f"{each['queue']} {each['batches']} batches, {each['stuck_batches']} stuck" for each in in_flight(statuses)
    ]
    return f"the drain was cut short; in flight: {'; '.join(counts) or 'nothing that is known'}"


def _held(status: MappingStatus) -> tuple[int, int, int]:
    counts = status.statistics
    return counts.in_flight_batches, counts.stuck_batches, counts.buffered_records
