"""What a drain that was cut short leaves behind."""

from collections.abc import Iterable, Sequence

from broker.model.arn import Arn
from broker.model.reference import StreamReference
from broker.model.status import MappingStatus, StreamStatistics


def in_flight(statuses: Iterable[MappingStatus]) -> list[dict[str, str | int]]:
    """For each mapping that had not finished: its names, and the batches and records that come again.

    What a queue handed over and no batch had yet counts too, because it comes again as received once more. A stream's
    records are only read again.
    """
    return [_entry(status) for status in statuses if any(_held(status))]


def _entry(status: MappingStatus) -> dict[str, str | int]:
    counts = status.statistics
    entry: dict[str, str | int] = {
        "function": status.function_name,
        _kind(status): source_of(status),
        "batches": counts.in_flight_batches,
        "records": counts.in_flight_records,
        "stuck_batches": counts.stuck_batches,
    }
    if isinstance(counts, StreamStatistics):
        return {**entry, "shards": ", ".join(shard.shard for shard in counts.shards)}
    return {**entry, "buffered_records": counts.buffered_records}


def sentence(statuses: Sequence[MappingStatus]) -> str:
    """The same for people: `the drain was cut short; in flight: orders 2 batches, 0 stuck`."""
    counts = [
        f"{each.get('queue') or each['stream']} {each['batches']} batches, {each['stuck_batches']} stuck"
        for each in in_flight(statuses)
    ]
    return f"the drain was cut short; in flight: {'; '.join(counts) or 'nothing that is known'}"


def _kind(status: MappingStatus) -> str:
    return "stream" if isinstance(status.statistics, StreamStatistics) else "queue"


def source_of(status: MappingStatus) -> str:
    """The name of the queue, the stream or the table."""
    if isinstance(status.statistics, StreamStatistics):
        return StreamReference.parse(status.event_source_arn).name
    return Arn.parse(status.event_source_arn).resource


def _held(status: MappingStatus) -> tuple[int, ...]:
    counts = status.statistics
    if isinstance(counts, StreamStatistics):
        return counts.in_flight_batches, counts.in_flight_records, counts.stuck_batches
    return counts.in_flight_batches, counts.stuck_batches, counts.buffered_records
