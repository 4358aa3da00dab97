"""A stream as a value: shards that end and have children, and rows that hold their checkpoints under an epoch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from broker.core.lanes import lane_of
from broker.model.checkpoint import Checkpoint
from broker.model.stream import AfterSequenceNumber, Page, Position, StreamRecord, TrimHorizon
from tests.unit.core.shard_talk import Entry

Accepts = Callable[[StreamRecord], bool] | None


@dataclass(slots=True)
class ModelShard:
    """One shard and its row."""

    name: str
    parents: tuple[str, ...] = ()
    records: list[Entry] = field(default_factory=list)
    to_come: list[tuple[int, str, int]] = field(default_factory=list)
    """Number, key and size of the records that are not written yet."""
    closes: bool = True
    """Whether it ends when all its records are written."""
    epoch: int = 0
    checkpoint: Checkpoint = field(default_factory=lambda: Checkpoint(position=TrimHorizon()))
    trusted_until: float = -inf
    """Until when its owner may start something."""

    @property
    def is_closed(self) -> bool:
        return self.closes and not self.to_come

    def put(self, now: float) -> None:
        """The next record is written, with all its parts if it is an aggregate."""
        first = self.to_come[0][0]
        while self.to_come and self.to_come[0][0] == first:
            number, key, size = self.to_come.pop(0)
            self.records.append(Entry(number, key=key, at=now, size=size))

    def index_after(self, position: Position) -> int:
        """Where reading begins."""
        if not isinstance(position, AfterSequenceNumber):
            return 0
        number = int(position.number)
        return sum(1 for record in self.records if int(record.identifier) <= number)

    def page(self, start: int, size: int, now: float) -> Page:
        """What a read brings; parts of an aggregate stay together."""
        records = self.records[start : start + size]
        end = start + len(records)
        while end < len(self.records) and self.records[end].identifier == records[-1].identifier:
            records.append(self.records[end])
            end += 1
        is_all = end == len(self.records)
        return Page(
            records=records,
            read_at=now,
            server_at=now,
            behind_ms=0 if is_all else 1_000,
            is_last=is_all and self.is_closed,
        )


def is_covered(record: StreamRecord, checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint says that a record is settled."""
    number, position = int(record.identifier), checkpoint.position
    if isinstance(position, AfterSequenceNumber) and number <= int(position.number):
        return True
    marks = [partition.marks[lane_of(record.key, partition.factor)] for partition in checkpoint.lanes]
    return any(mark is not None and number <= int(mark) for mark in marks)


def place(checkpoint: Checkpoint) -> int:
    """The position as a number."""
    position = checkpoint.position
    return int(position.number) if isinstance(position, AfterSequenceNumber) else -1
