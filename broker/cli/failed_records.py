"""Reads the records of a failed batch from their stream again."""

from collections.abc import Callable, Sequence

import anyio

from broker.cli.failure_records import FailedRange
from broker.cli.patience import read_patiently
from broker.core.lanes import lane_of
from broker.errors import CommandError, ReadFault, ShardReadError
from broker.model.stream import AfterSequenceNumber, AtSequenceNumber, Page, Position, StreamRecord
from broker.ports import ShardReader, StreamSource

PAGE = 1_000
EMPTY_READS = 20
"""Pages without records in a row, after which what is missing is not there: a shard may have such before its tip."""
PACE_SECONDS = 0.25
"""Between reads: Kinesis allows five a second, of all consumers together."""
GONE = (ReadFault.TRIMMED, ReadFault.SHARD_GONE, ReadFault.STREAM_GONE)


async def failed_records(
    source: StreamSource, failed: FailedRange, *, accepts: Callable[[StreamRecord], bool] | None, factor: int
) -> list[StreamRecord]:
    """The records that the batch had: those of the range that pass the filters and are of the first one's lane.

    Raises:
        CommandError: they have left the stream, or cannot be read.
    """
    records = await _records_between(source.reader(failed.shard_id), failed)
    if not records or int(records[0].identifier) != int(failed.first):
        raise _trimmed(failed)
    lane = lane_of(records[0].key, factor)
    return [
        record for record in records if lane_of(record.key, factor) == lane and (accepts is None or accepts(record))
    ]


async def _records_between(reader: ShardReader, failed: FailedRange) -> list[StreamRecord]:
    records: list[StreamRecord] = []
    begin = AtSequenceNumber(number=failed.first)
    position: Position | None = begin
    empty = 0
    try:
        while empty < EMPTY_READS:
            otherwise = AfterSequenceNumber(number=records[-1].identifier) if records else begin
            page = await read_patiently(reader, position, otherwise=otherwise, maximum_count=PAGE)
            position = None
            empty = 0 if page.records else empty + 1
            records += _up_to(page.records, failed.last)
            if _is_end(page, failed.last):
                break
            await anyio.sleep(PACE_SECONDS)
    except ShardReadError as error:
        if error.fault in GONE:
            raise _trimmed(failed) from error
        raise CommandError(f"the records cannot be read again: {error}") from error
    finally:
        await reader.aclose()
    return records


def _up_to(records: Sequence[StreamRecord], last: str) -> list[StreamRecord]:
    return [record for record in records if int(record.identifier) <= int(last)]


def _is_end(page: Page, last: str) -> bool:
    is_tip = page.behind_ms == 0 and not page.has_more
    return page.is_last or is_tip or bool(page.records and int(page.records[-1].identifier) >= int(last))


def _trimmed(failed: FailedRange) -> CommandError:
    return CommandError(
        f"the records {failed.first} to {failed.last} of {failed.shard_id} have left the stream: only a failure record "
        "with its payload (from S3) can be replayed now"
    )
