"""What must hold of every consumer in every world, checked at every step."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from broker.core.events import ChangeVisibility, Delete, Fetch, Invoke, QueueAction
from broker.core.queue_consumer import QueueConsumer
from broker.core.queue_policy import QueuePolicy
from broker.core.response import followers
from broker.model import observation as seen
from broker.model.batch import Batch
from broker.model.record import Record
from tests.property.queue_model import Message, ModelQueue


class SomeRunning(Protocol):
    batch: Batch
    started_at: float
    is_stuck: bool


class SomeCall(Protocol):
    action: object


class SomeWorker(Protocol):
    name: int
    consumer: QueueConsumer
    calls: dict[tuple[str, int], SomeCall]
    running: dict[int, SomeRunning]
    stop_at: float | None


class Promises:
    """The books of one world. Every method raises `AssertionError` where a promise is broken."""

    def __init__(self, policy: QueuePolicy, queue: ModelQueue) -> None:
        self._policy = policy
        self._queue = queue
        self.handled: set[str] = set()
        """Messages that a handler handled and reported as such."""
        self._handled_by: dict[int, set[str]] = {}
        self._last: dict[str | None, int] = {}
        self._exempt: set[str] = set()
        self._broken_groups: set[str | None] = set()
        self._settled: dict[int, int] = {}

    def began(self, worker: int) -> None:
        """A process begins, and remembers nothing."""
        self._handled_by[worker] = set()
        self._settled[worker] = 0

    def exempt(self, messages: Iterable[Message]) -> None:
        """The queue broke its word about these: they may be handled twice, and their groups out of order."""
        for message in messages:
            self._exempt.add(message.identifier)
            self._broken_groups.add(message.group)

    # ---- handlers

    def ended(self, worker: int, batch: Batch, outcome: str) -> None:
        """An invocation ended."""
        acked = self._acked(batch, outcome)
        for record in acked:
            self._handled_by[worker].add(record.identifier)
            if record.group is not None and record.identifier not in self.handled:
                self._in_order(record)
            self.handled.add(record.identifier)

    def _acked(self, batch: Batch, outcome: str) -> Sequence[Record]:
        """What the handler handled; a partial failure may break the order of a group, as on AWS."""
        if outcome == "success" or (outcome in {"first", "last", "malformed"} and not self._reports):
            return batch.records
        if outcome not in {"first", "last"}:
            return ()
        failed = batch.records[0 if outcome == "first" else -1].identifier
        following = followers(batch.records, frozenset([failed]))
        if self._policy.hold_group:
            return [r for r in batch.records if r.identifier != failed and r not in following]
        self._broken_groups.update(record.group for record in following)
        return [record for record in batch.records if record.identifier != failed]

    @property
    def _reports(self) -> bool:
        return self._policy.report_batch_item_failures

    def _in_order(self, record: Record) -> None:
        last = self._last.get(record.group, -1)
        position = self._queue.messages[record.identifier].position
        if record.group not in self._broken_groups:
            assert position > last, f"{record.identifier} came after a later one of its group"
        self._last[record.group] = max(position, last)

    # ---- what a consumer said

    def told(self, worker: int, observation: seen.Observation) -> None:
        """It told of something."""
        if isinstance(observation, seen.BatchSettled):
            self._settled[worker] += observation.acked_count + observation.retried_count

    def said(self, worker: SomeWorker, actions: Sequence[QueueAction], now: float) -> None:
        """It answered an event."""
        for action in actions:
            match action:
                case Invoke():
                    self._may_start(worker, action.batch, now)
                case Delete():
                    self._may_delete(worker, action)
                case ChangeVisibility():
                    assert 1 <= len(action.records) <= 10
                    assert 0 <= action.visibility_timeout_seconds <= 43_200
        if any(isinstance(action, Fetch) for action in actions):
            self._may_receive(worker)
        deadline = worker.consumer.deadline
        assert deadline is None or deadline > now, "a deadline that has passed is a hot loop"
        self._keeps_count(worker)

    def _may_start(self, worker: SomeWorker, batch: Batch, now: float) -> None:
        policy = self._policy
        assert 1 <= len(batch.records) <= policy.batch_size
        assert len(batch.records) == 1 or batch.size_bytes <= policy.payload_limit_bytes
        assert len({record.identifier for record in batch.records}) == len(batch.records)
        others = [one.batch for number, one in worker.running.items() if number != batch.number]
        taken = {record.identifier for other in others for record in other.records}
        groups = {record.group for other in others for record in other.records if record.group is not None}
        for record in batch.records:
            self._may_hand_over(worker, record, now)
            assert record.identifier not in taken, f"{record.identifier} is in two batches"
            assert record.group not in groups, f"{record.group} has two batches in flight"

    def _may_hand_over(self, worker: SomeWorker, record: Record, now: float) -> None:
        policy = self._policy
        needed = 0.0 if policy.heartbeat else policy.function_timeout_seconds
        assert record.visible_until > now, f"{record.identifier} may be with another worker"
        assert record.visible_until >= now + needed or now - record.received_at < policy.fresh_seconds
        assert policy.accepts is None or policy.accepts(record)
        if record.identifier in self._exempt:
            return
        assert record.identifier not in self._handled_by[worker.name], f"{record.identifier} is handled twice"
        message = self._queue.messages[record.identifier]
        if message.place == "queue":
            assert record.receipt == message.receipt
            assert record.visible_until <= message.visible_at

    def _may_delete(self, worker: SomeWorker, delete: Delete) -> None:
        assert 1 <= len(delete.records) <= 10
        others = {
            record.identifier
            for (kind, number), call in worker.calls.items()
            if kind == "delete" and number != delete.number and isinstance(call.action, Delete)
            for record in call.action.records
        }
        for record in delete.records:
            assert self._is_done(record, worker.name), f"{record.identifier} was neither handled nor filtered"
            assert record.identifier not in others, f"{record.identifier} is in two deletes"

    def _is_done(self, record: Record, worker: int) -> bool:
        accepts = self._policy.accepts
        return record.identifier in self._handled_by[worker] or (accepts is not None and not accepts(record))

    def _may_receive(self, worker: SomeWorker) -> None:
        assert worker.stop_at is None, "a receive began after the drain"
        asked = [call.action.maximum_count for call in worker.calls.values() if isinstance(call.action, Fetch)]
        assert all(1 <= count <= 10 for count in asked)
        statistics, size = worker.consumer.statistics(), self._policy.batch_size
        running = statistics.in_flight_batches - statistics.stuck_batches
        slots = min(statistics.concurrency_limit - running, self._policy.scaling.maximum - statistics.in_flight_batches)
        waiting = 0 if self._policy.fifo else statistics.buffered_records
        if self._policy.window_seconds:
            assert sum(asked) + waiting <= slots * size, "more was asked for than can start"
        else:
            assert sum(-(-count // size) for count in [*asked, waiting]) <= slots, "more was asked for than can start"

    def _keeps_count(self, worker: SomeWorker) -> None:
        """No record is forgotten: what came in and did not go out is here."""
        now = worker.consumer.statistics()
        out = now.known_count + now.filtered_count + now.let_go_count + self._settled[worker.name]
        stuck = sum(len(one.batch.records) for one in worker.running.values() if one.is_stuck)
        assert now.polled_count - out == now.buffered_records + now.in_flight_records - stuck

    # ---- the world

    def check_world(self, now: float, workers: Sequence[SomeWorker]) -> None:
        """What holds between events."""
        for message in self._queue.messages.values():
            assert message.place != "deleted" or message.identifier in self.handled or self._is_filtered(message)
        self._nothing_runs_twice(now, workers)
        for worker in workers:
            self._has_drained(now, worker)

    def _is_filtered(self, message: Message) -> bool:
        return self._policy.accepts is not None and message.identifier.startswith("x")

    def _nothing_runs_twice(self, now: float, workers: Sequence[SomeWorker]) -> None:
        if self._policy.heartbeat:
            return  # it may come too late
        running: set[str] = set()
        for worker in workers:
            for one in worker.running.values():
                if not one.is_stuck and now < one.started_at + self._policy.function_timeout_seconds:
                    ours = {record.identifier for record in one.batch.records} - self._exempt
                    assert not running & ours, "a message is with two handlers"
                    running |= ours

    def _has_drained(self, now: float, worker: SomeWorker) -> None:
        if worker.consumer.finished:
            assert worker.stop_at is not None
            assert not worker.calls
            assert not worker.running
        if worker.stop_at is None or now < worker.stop_at:
            return
        statistics = worker.consumer.statistics()
        assert statistics.buffered_records == 0
        assert statistics.in_flight_batches == len(worker.running)
