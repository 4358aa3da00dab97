"""The decisions of one shard: what to read, what to hand over, when to try again, what to give up.

Rule: records are handed over in order, lane by lane; a batch that fails is tried again, or split, before anything that
follows it, until it succeeds, its records are too old, or its retries are used up; then it goes to the on-failure
destination. Progress is written as it is made, and the shard is finished when it is closed and everything in it is
settled.

How it works: `handle(event, now)` hears one event and returns what to do. Whoever performs an action answers it once
(see `stream_events`). The parts: `reading` (when, and from where), `lanes` (order), `attempts` (what becomes of a batch
that is tried), `windows` (tumbling windows), `checkpointing` (what is settled and written).

Invariants:
* One batch of each lane is in flight; nothing of a lane starts before what precedes it is settled.
* No checkpoint passes a record that is neither handled nor filtered nor given up, and none that was given up before its
  destination has its record, or that has finally failed.
* Nothing starts when the lease is no longer certain, and nothing new after `Stopping`.
* What is held is bounded in records and bytes, and so is how far lanes run ahead of one that is blocked.

Source: AWS Lambda Developer Guide, "How Lambda processes records from Amazon Kinesis Data Streams", "Retain discarded
records", "Using AWS Lambda with Amazon DynamoDB" (read November 2026).
"""

from collections.abc import Sequence
from typing import assert_never

from broker.core.attempts import Attempts
from broker.core.checkpointing import Ledger
from broker.core.events import Finished, Returned, Stopping, Woke
from broker.core.lanes import Lane, lane_of
from broker.core.reading import Reading
from broker.core.shard_journal import ShardJournal
from broker.core.stream_events import (
    CheckpointFailed,
    CheckpointSaved,
    Discarded,
    LeaseExtended,
    NotStarted,
    PageRead,
    ReadFailed,
    ShardAction,
    ShardEvent,
)
from broker.core.stream_policy import StreamPolicy
from broker.errors import ReadFault
from broker.model.checkpoint import Checkpoint
from broker.model.status import ShardStatistics
from broker.model.stream import AfterSequenceNumber, Page, Shard, StreamRecord


class ShardConsumer:
    """Consumes one shard under one lease. Its first event is `Woke`, its last actions come before `finished`."""

    def __init__(
        self,
        policy: StreamPolicy,
        *,
        shard_id: str,
        start: Checkpoint,
        lease_until: float,
        start_at: float = float("-inf"),
        epoch: int = 0,
    ) -> None:
        """`start` is how far the shard is settled; `epoch` is the lease's.

        No invocation starts before `start_at`, nor from `lease_until` on, unless the lease is extended.
        """
        self._policy = policy
        self._shard_id = shard_id
        self._epoch = epoch
        self._start = start
        self._actions: list[ShardAction] = []
        self._journal = ShardJournal(shard_id, self._actions)
        self._lanes = [_lane(start, index, policy) for index in range(policy.factor)]
        self._reading = Reading(policy, start.position)
        self._ledger = Ledger(policy, start, self._lanes)
        self._attempts = Attempts(
            policy,
            shard_id=shard_id,
            start=start,
            lanes=self._lanes,
            journal=self._journal,
            press=self._ledger.press,
            actions=self._actions,
            lease_until=lease_until,
            start_at=start_at,
        )
        self._known_at: float | None = start.settled_at or None
        self._is_overdue = False
        self._trimmed_after: str | None = None
        self._server_offset: float | None = None
        self._now = float("-inf")
        self._is_stopping = False
        self.children: tuple[Shard, ...] = ()
        """The shards that follow, where the end of the shard named them."""

    # ---- what is asked of it

    def handle(self, event: ShardEvent, now: float) -> list[ShardAction]:
        """Hears one event at the instant `now` and says what to do, in order."""
        self._now = max(self._now, now)
        self._hear(event)
        self._attempts.advance(
            self._now, self._server_now, has_ended=self._reading.has_ended, is_stopping=self._is_stopping
        )
        self._ledger.advance(self._reading.read_through, self._reading.tip_at)
        self._read()
        self._save()
        actions = self._actions.copy()
        self._actions.clear()
        return actions

    @property
    def finished(self) -> bool:
        """Whether the shard's last checkpoint stands, or it was asked to stop and nothing is outstanding."""
        if self._ledger.saved.finished:
            return True
        return self._is_stopping and not self._attempts.is_running and self._ledger.is_written

    @property
    def is_shard_finished(self) -> bool:
        """Whether the shard is closed and everything in it is settled, and that is written."""
        return self._ledger.saved.finished

    @property
    def deadline(self) -> float | None:
        """The next instant at which it wants to hear `Woke`; later than the last event, None without one."""
        return min([at for at in self._deadlines() if at is not None and at > self._now], default=None)

    def statistics(self) -> ShardStatistics:
        """Counts so far, and what it holds now."""
        counts, saved = self._journal.counts, self._ledger.saved.position
        firsts = [first.arrived_at for lane in self._lanes if (first := lane.first_unsettled)]
        return ShardStatistics(
            shard=self._shard_id,
            epoch=self._epoch,
            polled_count=counts.polled,
            filtered_count=counts.filtered,
            invoked_count=counts.invoked,
            failed_count=counts.failed,
            succeeded_count=counts.succeeded,
            dropped_count=counts.dropped,
            delivered_count=counts.delivered,
            lost_count=counts.lost,
            batch_count=self._attempts.batch_count,
            behind_ms=self._reading.behind_ms,
            oldest_age_seconds=max(self._server_now - min(firsts), 0.0) if firsts else 0.0,
            checkpoint=saved.number if isinstance(saved, AfterSequenceNumber) else "",
            finished=self.is_shard_finished,
            lanes=tuple(self._attempts.statistics_of(lane) for lane in self._lanes),
            problem=self._journal.problem,
            last_result=self._journal.last_result,
        )

    @property
    def _server_now(self) -> float:
        """The service's time: that of the last page, and what has elapsed since."""
        return self._now + (self._server_offset or 0.0)

    def _deadlines(self) -> list[float | None]:
        if self._is_stopping:
            return [self._ledger.deadline, *self._attempts.discard_deadlines]
        return [
            self._reading.deadline if self._has_room else None,
            self._ledger.deadline,
            *self._attempts.deadlines(self._now, self._server_now),
        ]

    # ---- what it hears

    def _hear(self, event: ShardEvent) -> None:
        match event:
            case PageRead():
                self._page(event.page)
            case Finished():
                self._attempts.finished(event, self._now)
            case CheckpointSaved():
                self._ledger.stands()
                self._journal.checkpoint_saved()
            case CheckpointFailed():
                self._journal.checkpoint_failed(event.problem, self._ledger.failed(self._now, event.chance))
            case ReadFailed():
                self._read_failed(event)
            case Discarded():
                self._attempts.discarded(event, self._now)
            case NotStarted():
                self._attempts.not_started(event.number)
            case Returned():
                self._attempts.returned(event.number, self._now)
            case LeaseExtended():
                self._attempts.lease_until = event.until_at
            case Stopping():
                self._is_stopping = True
                self._ledger.press()
            case Woke():
                pass
            case _:
                assert_never(event)

    def _page(self, page: Page) -> None:
        before = self._reading.read_through or self._ledger.low
        self._server_offset = page.server_at - page.read_at
        self._reading.hear(page, self._now)
        self._report_loss(page, before or "")
        self._ledger.read(page)
        self.children = page.children or self.children
        fresh = self._ledger.unsettled(page.records)
        accepts = self._policy.accepts
        passing = fresh if accepts is None else [record for record in fresh if accepts(record)]
        self._sort(passing, before)
        known = len(page.records) - len(fresh)
        self._journal.read(page, filtered=len(fresh) - len(passing), known=known)
        for lane in self._lanes:
            lane.read(self._reading.read_through)
        if not page.records and not page.has_more and not page.behind_ms:
            self._attempts.empty_at = page.server_at

    def _sort(self, records: Sequence[StreamRecord], before: str | None) -> None:
        """Hands the records of a page to their lanes; `before` precedes the page."""
        if len(self._lanes) == 1:
            if records:
                self._lanes[0].add(records, before, self._now)
            return
        sorted_records: list[list[StreamRecord]] = [[] for _ in self._lanes]
        for record in records:
            sorted_records[lane_of(record.key, len(self._lanes))].append(record)
        for lane, mine in zip(self._lanes, sorted_records, strict=True):
            if mine:
                lane.add(mine, before, self._now)

    def _report_loss(self, page: Page, after: str) -> None:
        """Says once what may have left the stream before it was read; `after` precedes the page."""
        first = page.records[0].identifier if page.records else ""
        age = page.server_at - (page.server_at if self._known_at is None else self._known_at)
        was_overdue, self._is_overdue = self._is_overdue, age > self._policy.retention_seconds
        if self._trimmed_after is not None and (page.records or page.is_last):
            detail = "the stream no longer has what follows the checkpoint"
            self._journal.lost(after=self._trimmed_after, before=first, is_certain=True, detail=detail)
            self._trimmed_after = None
        elif self._is_overdue and not was_overdue and self._trimmed_after is None:
            kept = f"and the stream keeps {self._policy.retention_seconds:.0f}"
            detail = f"what follows was not read for {age:.0f} s, {kept}"
            self._journal.lost(after=after, before=first, is_certain=False, detail=detail)
        self._known_at = self._reading.tip_at

    def _read_failed(self, event: ReadFailed) -> None:
        if event.fault is ReadFault.SHARD_GONE:
            self._journal.lost(
                after=self._reading.read_through or self._ledger.low or "",
                before="",
                is_certain=True,
                detail=f"the stream no longer has the shard: {event.problem}",
            )
            self._reading.end()
            return
        if event.fault is ReadFault.TRIMMED:
            self._trimmed_after = self._reading.read_through or self._ledger.low or ""
        delay = self._reading.failed(event.fault, self._now, event.chance)
        if delay:
            self._journal.read_failed(event.problem, delay, event.fault)

    # ---- what follows from it

    @property
    def _has_room(self) -> bool:
        """Whether more may be read: what is held, and how far lanes are ahead of a blocked one, is bounded."""
        policy = self._policy
        if any(lane.is_awaiting for lane in self._lanes):
            return True  # an earlier owner has held as much
        held = sum(lane.held_count for lane in self._lanes)
        if held >= max(policy.buffered_count, 2 * policy.batch_size * policy.factor):
            return False
        if sum(lane.held_bytes for lane in self._lanes) >= policy.buffered_bytes:
            return False
        ahead_count, ahead_bytes = self._ledger.ahead
        return ahead_count < policy.ahead_count and ahead_bytes < policy.ahead_bytes

    def _read(self) -> None:
        if not self._is_stopping and self._has_room and (read := self._reading.due(self._now)):
            self._actions.append(read)

    def _save(self) -> None:
        if self._reading.has_ended and self._attempts.is_empty:
            save = self._ledger.finish(self._now)
        else:
            window, behind_ms = self._attempts.open_window, self._reading.behind_ms
            save = self._ledger.due(window, behind_ms, self._now, at_once=self._is_stopping)
        if save:
            self._actions.append(save)


def _lane(start: Checkpoint, index: int, policy: StreamPolicy) -> Lane:
    """A lane as an earlier owner of the shard has left it."""
    marks = next((partition.marks for partition in start.lanes if partition.factor == policy.factor), None)
    heads = [head for head in start.heads if head.factor == policy.factor and head.lane == index]
    head = heads[0] if heads and (heads[0].last or policy.tumbling_window_seconds) else None
    low = start.position.number if isinstance(start.position, AfterSequenceNumber) else None
    return Lane(index, mark=(marks[index] if marks else None) or low, restored=head)
