"""What Kinesis sent at once, as pages that the consumer can take.

An answer has up to 10,000 records; a page has 1,000, so that nothing holds up the event loop. The records of a page are
made when it is asked for. Parts of one aggregated record stay in one page: whoever goes on after a page goes on after a
sequence number, and the parts share theirs. An aggregate of more than 1,000 parts is a page of its own.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from broker.model.stream import Page, Shard
from broker.sources.kinesis_record import ShardOrigin, kinesis_records

SLICE_COUNT = 1_000


class Slices:
    """One answer of GetRecords or one event of a subscription, taken page by page."""

    def __init__(self, wire: Sequence[dict[str, Any]], origin: ShardOrigin, whole: Page) -> None:
        """`whole` is the page but for its records; `wire` are elements of `Records`."""
        self._wire = wire
        self._origin = origin
        self._whole = whole
        self._start = 0

    def next(self) -> Page:
        """The next page, which may be the only one, and empty. Raises what `kinesis_records` raises."""
        start, end = self._start, self._end()
        records = kinesis_records(self._wire[start:end], self._origin)
        self._start = end
        whole = self._whole
        if start:
            whole = replace(whole, size_bytes=0)
        if end < len(self._wire):
            return replace(whole, records=records, has_more=True, is_last=False, read_through=None, children=())
        return replace(whole, records=records)

    @property
    def is_used_up(self) -> bool:
        """Whether the last page has been taken."""
        return self._start >= len(self._wire)

    def _end(self) -> int:
        wire, start = self._wire, self._start
        end = start + SLICE_COUNT
        if end >= len(wire):
            return len(wire)
        number = wire[end]["SequenceNumber"]
        while end > start and wire[end - 1]["SequenceNumber"] == number:
            end -= 1
        if end > start:
            return end
        return next((at for at in range(start, len(wire)) if wire[at]["SequenceNumber"] != number), len(wire))


def children_of(answer: dict[str, Any]) -> tuple[Shard, ...]:
    """The shards that follow a shard that has ended. Raises `KeyError`, `TypeError` or `AttributeError`."""
    return tuple(
        Shard(shard_id=child["ShardId"], parents=tuple(child["ParentShards"]))
        for child in answer.get("ChildShards") or ()
    )
