"""What must hold of every shard's consumer in every world, checked at every step."""

from collections.abc import Sequence
from typing import Protocol

from broker.core.shard_consumer import ShardConsumer
from broker.core.stream_events import Discard, InvokeStream, Read, SaveCheckpoint, ShardAction, StreamBatch
from broker.core.stream_policy import StreamPolicy
from broker.model.checkpoint import Checkpoint
from broker.model.stream import StreamRecord
from tests.property.shard_model import ModelShard, is_covered, place


class SomeLife(Protocol):
    name: int
    policy: StreamPolicy
    shard: ModelShard
    consumer: ShardConsumer
    start: Checkpoint
    start_epoch: int
    running: dict[int, StreamBatch]
    discards: dict[int, Discard]
    is_stopping: bool
    settled: set[int]
    """By identity: the records that this life has settled."""
    failures: dict[tuple[int, ...], int]
    last_place: int


class Promises:
    """The books of one world. Every method raises `AssertionError` where a promise is broken."""

    def __init__(self, shards: dict[str, ModelShard], retries: int) -> None:
        self._shards = shards
        self._retries = retries
        self.settled: set[tuple[str, int]] = set()
        """Shard and index of all that some life has handled, or given up for good."""

    # ---- what happened

    def settle(self, life: SomeLife, records: Sequence[StreamRecord]) -> None:
        """Records were handled, or given up and it is certain what became of them."""
        for record in records:
            index = index_of(life.shard, record)
            life.settled.add(index)
            self.settled.add((life.shard.name, index))

    def failed(self, life: SomeLife, batch: StreamBatch) -> None:
        """An attempt that counts has failed."""
        key = self._key(life, batch)
        life.failures[key] = life.failures.get(key, self._restored(life, batch)) + 1

    def _key(self, life: SomeLife, batch: StreamBatch) -> tuple[int, ...]:
        return tuple(index_of(life.shard, record) for record in batch.records)

    def _restored(self, life: SomeLife, batch: StreamBatch) -> int:
        numbers = [record.identifier for record in life.shard.records]
        if any(numbers.count(record.identifier) > 1 for record in batch.records):
            return 0  # parts of an aggregate cannot be told apart
        found = [
            head.failures
            for head in life.start.heads
            if (head.factor, head.lane) == (life.policy.factor, batch.lane)
            and (head.first, head.last) == (batch.records[0].identifier, batch.records[-1].identifier)
        ]
        return found[0] if found else 0

    # ---- what is said

    def said(self, life: SomeLife, actions: Sequence[ShardAction], now: float) -> None:
        """A consumer answered an event."""
        for action in actions:
            match action:
                case InvokeStream():
                    self._may_start(life, action, now)
                case Read():
                    assert not life.is_stopping, "a read began after stopping"
                case SaveCheckpoint():
                    self._may_write(life, action.checkpoint)
                case Discard():
                    assert self._retries >= 0 or life.policy.maximum_record_age_seconds > 0
        deadline = life.consumer.deadline
        assert deadline is None or deadline > now, "a deadline that has passed is a hot loop"
        self._is_bounded(life)

    def _may_start(self, life: SomeLife, invoke: InvokeStream, now: float) -> None:
        batch, policy = invoke.batch, life.policy
        assert not life.is_stopping, "an invocation began after stopping"
        assert now < invoke.start_before, "an invocation began without a lease that is certain"
        assert life.shard.epoch != life.start_epoch or invoke.start_before <= life.shard.trusted_until, (
            "trusted too long"
        )
        assert len(batch.records) <= policy.batch_size
        assert len(invoke.payload.bytes) == batch.size_bytes <= policy.payload_limit_bytes
        assert batch.lane not in {other.lane for other in life.running.values()}, "two batches of a lane are in flight"
        assert all(policy.accepts is None or policy.accepts(record) for record in batch.records)
        if batch.records:
            failures = life.failures.get(self._key(life, batch), self._restored(life, batch))
            assert self._retries < 0 or failures <= self._retries, "more attempts than the policy allows"
        with_it: set[int] = set()
        for record in batch.records:
            self._may_hand_over(life, record, with_it)
            with_it.add(index_of(life.shard, record))

    def _may_hand_over(self, life: SomeLife, record: StreamRecord, with_it: set[int]) -> None:
        shard, index = life.shard, index_of(life.shard, record)
        assert not is_covered(record, life.start), f"{record} was settled before this life began"
        assert index not in life.settled, f"{record} starts though it is settled"
        for at, earlier in enumerate(shard.records[:index]):
            if earlier.key == record.key and self._passes(life, earlier) and at not in with_it:
                known = at in life.settled or is_covered(earlier, life.start)
                assert known, f"{record} starts before {earlier} is settled"
        for parent in shard.parents:
            for at, earlier in enumerate(self._shards[parent].records):
                if earlier.key == record.key and self._passes(life, earlier):
                    assert (parent, at) in self.settled, f"{record} starts before {earlier} of {parent} is settled"

    def _passes(self, life: SomeLife, record: StreamRecord) -> bool:
        return life.policy.accepts is None or life.policy.accepts(record)

    def _may_write(self, life: SomeLife, checkpoint: Checkpoint) -> None:
        shard = life.shard
        for index, record in enumerate(shard.records):
            if checkpoint.finished or is_covered(record, checkpoint):
                is_done = (shard.name, index) in self.settled or not self._passes(life, record)
                assert is_done, f"a checkpoint passes {record}, which is not settled"
        assert not checkpoint.finished or shard.is_closed
        assert place(checkpoint) >= life.last_place, "a position goes back"
        life.last_place = place(checkpoint)
        assert Checkpoint.from_json(checkpoint.to_json()) == checkpoint

    def _is_bounded(self, life: SomeLife) -> None:
        statistics, policy = life.consumer.statistics(), life.policy
        held = sum(lane.buffered_records + lane.in_flight_records for lane in statistics.lanes)
        most = max(policy.buffered_count, 2 * policy.batch_size * policy.factor)
        assert life.start.heads or held < most + len(life.shard.records)

    def stands(self, shard: ModelShard, checkpoint: Checkpoint) -> None:
        """A write takes effect."""
        assert place(checkpoint) >= place(shard.checkpoint), "a position goes back"
        assert not shard.checkpoint.finished or checkpoint.finished, "a finished shard begins again"


def index_of(shard: ModelShard, record: StreamRecord) -> int:
    """Where it is in its shard: parts of an aggregate share a number."""
    return next(index for index, each in enumerate(shard.records) if each is record)
