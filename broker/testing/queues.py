"""A queue in memory with SQS's contract, standard or FIFO, for tests.

    >>> import anyio
    >>> from broker.testing import InMemoryQueue, InMemoryQueueSource, VirtualClock, run_in_virtual_time
    >>> async def main() -> tuple[int, int]:
    ...     dead_letters = InMemoryQueue("orders-dlq", clock=VirtualClock())
    ...     queue = InMemoryQueue(
    ...         "orders", clock=VirtualClock(), maximum_receive_count=2, dead_letter_queue=dead_letters
    ...     )
    ...     queue.send("poison")
    ...     source = InMemoryQueueSource(queue)
    ...     for _ in range(3):
    ...         await source.receive(
    ...             maximum_count=1, wait_seconds=20, visibility_timeout_seconds=10, attempt_id=None
    ...         )
    ...     return len(queue), len(dead_letters)
    >>> run_in_virtual_time(main)
    (0, 1)

What it keeps: visibility timeouts and long polling, a new receipt handle for each receive, stale receipts (on a
standard queue a delete with one is answered with success and does nothing; on a FIFO queue it fails), redrive to a
dead-letter queue once a message was received more often than `maxReceiveCount`, delays, retention, limits, and on FIFO
queues order, group locks, deduplication and `ReceiveRequestAttemptId`. A standard queue gives messages out in the order
in which they became available unless it is given a `random`: SQS promises no order there.

Source: Amazon SQS Developer Guide and API reference (read November 2026). Inferred: a receipt that is not the newest
can no longer change the visibility on a standard queue; a FIFO dead letter gets a new sequence number; receives in the
queue it came from do not count for the redrive policy of a dead-letter queue.
"""

import random as random_module
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from broker.errors import SourceError
from broker.model.record import Failure, QueueAttributes
from broker.ports import Clock
from broker.testing.messages import MAXIMUM_BYTES, MessageAttribute, StoredMessage, require_sendable, wire_attributes
from broker.testing.queue_faults import QueueFaults
from broker.testing.queue_fifo import Deduplication, ReceiveAttempts, available_in_groups
from broker.testing.queue_history import Account, Happening, QueueHistory
from broker.testing.queue_receipts import UNKNOWN_RECEIPT, make_receipt, refusal, refuse_change, refuse_delete

FIFO_SUFFIX = ".fifo"
MAXIMUM_RECEIVE_COUNT = 10
"""`maxReceiveCount` of a redrive policy that does not say."""
IN_FLIGHT_LIMIT = 120_000
RETENTION_SECONDS = 345_600
_FIRST_SEQUENCE_NUMBER = 18_849_496_460_467_696_128
_SEQUENCE_STEP = 256


class InMemoryQueue(QueueFaults):
    """One queue. Its methods take effect at once; `InMemoryQueueSource` is how a consumer sees it."""

    def __init__(
        self,
        name: str,
        *,
        clock: Clock,
        fifo: bool | None = None,
        visibility_timeout_seconds: int = 30,
        maximum_receive_count: int | None = None,
        dead_letter_queue: "InMemoryQueue | None" = None,
        delay_seconds: float = 0,
        content_based_deduplication: bool = False,
        retention_seconds: float = RETENTION_SECONDS,
        in_flight_limit: int = IN_FLIGHT_LIMIT,
        random: random_module.Random | None = None,
        region: str = "eu-west-1",
        account_id: str = "123456789012",
    ) -> None:
        """`fifo` follows from the name unless given."""
        super().__init__()
        fifo = name.endswith(FIFO_SUFFIX) if fifo is None else fifo
        if fifo != name.endswith(FIFO_SUFFIX):
            raise ValueError(f"{name!r}: the name of a FIFO queue, and of no other, ends with {FIFO_SUFFIX}")
        if dead_letter_queue is not None and dead_letter_queue.fifo != fifo:
            raise ValueError(f"The dead-letter queue of {name!r} must be of the same kind: both FIFO or both standard")
        if maximum_receive_count is not None and dead_letter_queue is None:
            raise ValueError(f"{name!r} has a maximum_receive_count but no dead_letter_queue")
        self.name = name
        self.fifo: bool = fifo
        self.region = region
        self.arn = f"arn:aws:sqs:{region}:{account_id}:{name}"
        self.clock = clock
        self.visibility_timeout_seconds = visibility_timeout_seconds
        """The queue's default; may be changed at any time."""
        self.history = QueueHistory()
        self.in_flight_limit = in_flight_limit
        self._dead_letter_queue = dead_letter_queue
        self._maximum_receive_count = maximum_receive_count or MAXIMUM_RECEIVE_COUNT
        self._delay_seconds = delay_seconds
        self._retention_seconds = retention_seconds
        self._random = random
        self._messages: dict[str, StoredMessage] = {}
        self._receipts: dict[str, str] = {}
        self._deduplication = Deduplication(content_based=content_based_deduplication)
        self._attempts = ReceiveAttempts()
        self._sent_count = 0

    def __repr__(self) -> str:
        return f"<InMemoryQueue {self.name}: {len(self)} messages>"

    # ---- what is in it

    def __len__(self) -> int:
        """Messages in the queue: visible, in flight and delayed."""
        return len(self._messages)

    def __iter__(self) -> Iterator[str]:
        """The bodies of the messages in the queue, oldest first."""
        return iter([message.body for message in self._messages.values()])

    def __contains__(self, message_id: object) -> bool:
        return message_id in self._messages

    @property
    def visible_count(self) -> int:
        """`ApproximateNumberOfMessages`, here exact."""
        return len(self) - self.in_flight_count - self.delayed_count

    @property
    def in_flight_count(self) -> int:
        """`ApproximateNumberOfMessagesNotVisible`, here exact."""
        now = self.clock.now()
        return sum(message.is_in_flight(now) for message in self._messages.values())

    @property
    def delayed_count(self) -> int:
        """`ApproximateNumberOfMessagesDelayed`, here exact."""
        now = self.clock.now()
        return sum(message.is_delayed(now) for message in self._messages.values())

    @property
    def attributes(self) -> QueueAttributes:
        """What a mapping must know of the queue."""
        target = self._dead_letter_queue
        return QueueAttributes(
            visibility_timeout_seconds=self.visibility_timeout_seconds,
            fifo=self.fifo,
            maximum_receive_count=None if target is None else self._maximum_receive_count,
            dead_letter_target_arn=None if target is None else target.arn,
        )

    def every_message_accounted(self, *, handled: Iterable[str] | None = None) -> Account:
        """Each message that entered is deleted, dead-lettered, expired or still there, exactly once.

        With `handled` (message ids) no message was deleted that is not among them. Raises `AssertionError`.
        """
        return self.history.account(list(self._messages), handled=handled)

    # ---- sending

    def send(
        self,
        body: str,
        *,
        attributes: Mapping[str, MessageAttribute] | None = None,
        group: str | None = None,
        deduplication_id: str | None = None,
        delay_seconds: float | None = None,
        trace_header: str | None = None,
    ) -> str:
        """Sends a message and returns its id; on a FIFO queue the id of the first one where it is a duplicate.

        `group` is needed by FIFO queues only; `delay_seconds` is the queue's unless given. Raises `SourceError`.
        """
        now = self.clock.now()
        wire = wire_attributes(attributes or {})
        require_sendable(body, wire, MAXIMUM_BYTES)
        if self.fifo:
            deduplication_id = self._require_fifo(body, group, deduplication_id, delay_seconds)
            if (first := self._deduplication.find(deduplication_id, now)) is not None:
                self.history.add(now, Happening.DEDUPLICATED, first)
                return first
        self._sent_count += 1
        message = StoredMessage(
            identifier=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.arn}/{self._sent_count}")),
            body=body,
            attributes=wire,
            sent_at=now,
            visible_at=now + (self._delay_seconds if delay_seconds is None else delay_seconds),
            group=group,
            deduplication_id=deduplication_id,
            sequence_number=self._next_sequence_number(),
            trace_header=trace_header,
        )
        if deduplication_id is not None:
            self._deduplication.remember(deduplication_id, message.identifier, now)
        self._add(message, Happening.SENT, now)
        return message.identifier

    def _require_fifo(
        self, body: str, group: str | None, deduplication_id: str | None, delay_seconds: float | None
    ) -> str:
        if group is None:
            raise refusal("The request must contain the parameter MessageGroupId.", code="MissingParameter")
        if delay_seconds is not None:
            raise refusal(
                f"Value {delay_seconds} for parameter DelaySeconds is invalid. Reason: The request include parameter "
                "that is not valid for this queue type."
            )
        return self._deduplication.identify(body, deduplication_id)

    def _next_sequence_number(self) -> str | None:
        return str(_FIRST_SEQUENCE_NUMBER + self._sent_count * _SEQUENCE_STEP) if self.fifo else None

    def _add(self, message: StoredMessage, what: Happening, now: float) -> None:
        self._messages[message.identifier] = message
        self.history.add(now, what, message.identifier)
        self._changed.notify()

    # ---- receiving

    async def receive(
        self,
        *,
        maximum_count: int,
        wait_seconds: float,
        visibility_timeout_seconds: int | None = None,
        attempt_id: str | None = None,
    ) -> list[dict[str, Any]]:
        """Long-polls: returns as soon as there is a message, at the latest after `wait_seconds`; else as `take`."""
        deadline = self.clock.now() + wait_seconds
        while True:
            messages = self.take(
                maximum_count=maximum_count,
                visibility_timeout_seconds=visibility_timeout_seconds,
                attempt_id=attempt_id,
            )
            now = self.clock.now()
            if messages or now >= deadline:
                return messages
            await self._changed.wait(min(deadline, self._next_visible_at(now)) - now)

    def take(
        self, *, maximum_count: int, visibility_timeout_seconds: int | None = None, attempt_id: str | None = None
    ) -> list[dict[str, Any]]:
        """Receives what is visible now, at most `maximum_count` messages, each in AWS's wire form.

        The visibility timeout is the queue's unless given. Raises `SourceError` as SQS refuses.
        """
        self.require_existence()
        now = self.clock.now()
        self._drop_expired(now)
        seconds = self.visibility_timeout_seconds if visibility_timeout_seconds is None else visibility_timeout_seconds
        repeated = self._repeat(attempt_id, now, seconds) if attempt_id is not None else []
        if repeated:
            return [message.wire() for message in repeated]
        chosen = self._choose(min(maximum_count, self._room(now)), now)
        for message in chosen:
            self._hand_over(message, now, seconds)
        if attempt_id is not None:
            self._attempts.remember(attempt_id, chosen, now)
        return [message.wire() for message in chosen]

    def _repeat(self, attempt_id: str, now: float, seconds: int) -> list[StoredMessage]:
        if not self.fifo:
            raise refusal(
                f"Value {attempt_id} for parameter ReceiveRequestAttemptId is invalid. Reason: The request include "
                "parameter that is not valid for this queue type."
            )
        repeated = self._attempts.repeat(attempt_id, self._messages.values(), now)
        for message in repeated:
            message.visible_at = now + seconds
            self.history.add(now, Happening.REPLAYED, message.identifier, message.receipt or "")
        return repeated

    def _room(self, now: float) -> int:
        """How many more messages may be in flight."""
        if len(self._messages) <= self.in_flight_limit:
            return self.in_flight_limit
        room = self.in_flight_limit - sum(message.is_in_flight(now) for message in self._messages.values())
        if room <= 0 and not self.fifo:
            raise SourceError("Too many messages in flight.", code="OverLimit")
        return room

    def _choose(self, count: int, now: float) -> list[StoredMessage]:
        chosen: list[StoredMessage] = []
        for message in self._available(now):
            if len(chosen) >= count:
                break
            if self._dead_letter_queue is not None and message.receives_here >= self._maximum_receive_count:
                self._move(message, self._dead_letter_queue, now)
            else:
                chosen.append(message)
        return chosen

    def _available(self, now: float) -> list[StoredMessage]:
        if self.fifo:
            return available_in_groups(self._messages.values(), now)
        available = [message for message in self._messages.values() if message.visible_at <= now]
        if self._random is not None:
            self._random.shuffle(available)
        return available

    def _hand_over(self, message: StoredMessage, now: float, seconds: int) -> None:
        message.receive_count += 1
        message.receives_here += 1
        message.received_at = now
        message.first_received_at = now if message.first_received_at is None else message.first_received_at
        message.visible_at = now + seconds
        message.receipt = make_receipt(self.arn, message)
        self._receipts[message.receipt] = message.identifier
        self.history.add(now, Happening.RECEIVED, message.identifier, message.receipt)

    def _move(self, message: StoredMessage, target: "InMemoryQueue", now: float) -> None:
        del self._messages[message.identifier]
        self.history.add(now, Happening.DEAD_LETTERED, message.identifier)
        target.accept_dead_letter(message, self.arn)

    def accept_dead_letter(self, message: StoredMessage, source_arn: str) -> None:
        """Takes a message over from the queue `source_arn`. Its retention goes on (standard) or begins anew (FIFO)."""
        now = self.clock.now()
        self._sent_count += 1
        message.source_arn = source_arn
        message.sequence_number = self._next_sequence_number()
        message.retained_from = now if self.fifo else message.retained_from
        message.visible_at = now
        message.receipt = None
        message.receives_here = 0
        self._add(message, Happening.ARRIVED, now)

    def _drop_expired(self, now: float) -> None:
        horizon = now - self._retention_seconds
        for message in [m for m in self._messages.values() if m.retained_from <= horizon]:
            del self._messages[message.identifier]
            self.history.add(now, Happening.EXPIRED, message.identifier)

    # ---- settling

    def delete(self, receipt: str) -> Failure | None:
        """Deletes by receipt handle; returns why not. A stale receipt deletes nothing, on a standard queue silently."""
        self.require_existence()
        if receipt not in self._receipts:
            return UNKNOWN_RECEIPT
        now, identifier = self.clock.now(), self._receipts[receipt]
        message = self._messages.get(identifier)
        if message is not None and (failure := refuse_delete(message, receipt, now, fifo=self.fifo)):
            return failure
        if message is None or message.receipt != receipt:
            self.history.add(now, Happening.DELETE_IGNORED, identifier, receipt)
            return None
        del self._messages[identifier]
        self.history.add(now, Happening.DELETED, identifier, receipt)
        self._changed.notify()
        return None

    def change_visibility(self, receipt: str, seconds: int) -> Failure | None:
        """Hides a message for `seconds` from now, 0 gives it back at once; returns why not."""
        self.require_existence()
        if receipt not in self._receipts:
            return UNKNOWN_RECEIPT
        now, identifier = self.clock.now(), self._receipts[receipt]
        message = self._messages.get(identifier)
        if failure := refuse_change(message, receipt, seconds, now, fifo=self.fifo):
            return failure
        self._hide(identifier, now + seconds)
        self._messages[identifier].change_count += 1
        self.history.add(now, Happening.VISIBILITY_CHANGED, identifier, receipt)
        return None

    def _hide(self, identifier: str, until: float) -> None:
        self._messages[identifier].visible_at = until
        self._changed.notify()

    def expire_visibility(self, *message_ids: str) -> None:
        """The visibility timeout of these messages (all that are in flight, where none is named) is over now."""
        now = self.clock.now()
        for identifier, message in self._messages.items():
            if message.is_in_flight(now) and (not message_ids or identifier in message_ids):
                self._hide(identifier, now)

    def _next_visible_at(self, now: float) -> float:
        return min((m.visible_at for m in self._messages.values() if m.visible_at > now), default=float("inf"))
