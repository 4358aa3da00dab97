"""An SQS queue as a value: visibility, receipts, redrive, message groups, repeated receives.

It is as strict as SQS may be: a standard queue answers a delete with an old receipt with success and does nothing; a
FIFO queue refuses it.
"""

from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from broker.core.events import Fetch
from broker.model.record import Failure, Record

EXPIRED = Failure(code="ReceiptHandleIsInvalid", message="the receipt handle has expired", final=True)
NOT_IN_FLIGHT = Failure(code="MessageNotInflight", final=True)


@dataclass(slots=True)
class Message:
    """One message, wherever it is."""

    identifier: str
    group: str | None
    position: int
    size: int
    visible_at: float = -inf
    receive_count: int = 0
    change_count: int = 0
    place: str = "queue"
    """`queue`, `deleted` or `dead`."""

    @property
    def receipt(self) -> str:
        return f"{self.identifier}/{self.receive_count}"


class Received(NamedTuple):
    """A message as one receive brings it."""

    identifier: str
    receipt: str
    received_at: float
    visible_until: float
    receive_count: int


class ModelQueue:
    """The queue of a world."""

    def __init__(
        self,
        *,
        fifo: bool,
        maximum_receive_count: int,
        messages: tuple[tuple[str, str | None], ...],
        sizes: tuple[int, ...],
    ) -> None:
        self.fifo = fifo
        self.maximum_receive_count = maximum_receive_count
        self.messages = {
            identifier: Message(identifier, group, position, sizes[position % len(sizes)])
            for position, (identifier, group) in enumerate(messages)
        }
        self.attempts: dict[tuple[int, int], tuple[tuple[str, str, int], ...]] = {}

    def present(self) -> list[Message]:
        """What is in the queue, oldest first."""
        return [message for message in self.messages.values() if message.place == "queue"]

    def _available(self, now: float) -> list[Message]:
        """What a receive may bring."""
        hidden = {message.group for message in self.present() if message.visible_at > now} if self.fifo else ()
        return [m for m in self.present() if m.visible_at <= now and m.group not in hidden]

    def redrive(self, now: float) -> None:
        """Moves what was received too often to the dead letters, as soon as it is visible: nobody can tell."""
        for message in self.present():
            if message.visible_at <= now and message.receive_count >= self.maximum_receive_count:
                message.place = "dead"

    def available_count(self, now: float) -> int:
        """How many messages a receive could bring."""
        return len(self._available(now))

    # ---- calls

    def is_repeat(self, worker: int, fetch: Fetch) -> bool:
        """Whether this very receive brought messages before."""
        return bool(self.attempts.get((worker, fetch.attempt_number)))

    def forget(self, worker: int, fetch: Fetch) -> None:
        """Nobody repeats a receive whose answer was heard."""
        self.attempts.pop((worker, fetch.attempt_number), None)

    def receive(self, worker: int, fetch: Fetch, size: int, now: float) -> tuple[Received, ...] | None:
        """A receive takes effect; None where the attempt cannot be repeated any more."""
        attempt = worker, fetch.attempt_number
        if self.fifo and attempt in self.attempts:
            return self._repeat(attempt, fetch, now)
        chosen = self._available(now)[:size]
        for message in chosen:
            message.receive_count += 1
        if self.fifo and chosen:
            self.attempts[attempt] = tuple((m.identifier, m.receipt, m.change_count) for m in chosen)
        return self._hand_over(chosen, fetch, now)

    def _repeat(self, attempt: tuple[int, int], fetch: Fetch, now: float) -> tuple[Received, ...] | None:
        messages = [self.messages[identifier] for identifier, _, _ in self.attempts[attempt]]
        is_untouched = self.attempts[attempt] == tuple((m.identifier, m.receipt, m.change_count) for m in messages)
        is_there = all(message.place == "queue" for message in messages)
        return self._hand_over(messages, fetch, now) if is_untouched and is_there else None

    def _hand_over(self, chosen: list[Message], fetch: Fetch, now: float) -> tuple[Received, ...]:
        for message in chosen:
            message.visible_at = now + fetch.visibility_timeout_seconds
        return tuple(Received(m.identifier, m.receipt, now, m.visible_at, m.receive_count) for m in chosen)

    def record(self, received: Received) -> Record:
        """The record that a source makes of it."""
        message = self.messages[received.identifier]
        return Record(
            identifier=received.identifier,
            event={},
            json=b"." * message.size,
            receipt=received.receipt,
            received_at=received.received_at,
            visible_until=received.visible_until,
            group=message.group,
            receive_count=received.receive_count,
        )

    def delete(self, record: Record, now: float) -> Failure | None:
        """A delete takes effect, or does not."""
        message = self.messages[record.identifier]
        is_current = message.receipt == record.receipt and (not self.fifo or message.visible_at > now)
        if message.place == "queue" and is_current:
            message.place = "deleted"
        return EXPIRED if message.place == "queue" and self.fifo else None

    def change(self, record: Record, seconds: int, now: float) -> Failure | None:
        """A change of the visibility timeout takes effect, or does not."""
        message = self.messages[record.identifier]
        if message.place != "queue" or message.receipt != record.receipt or message.visible_at <= now:
            return NOT_IN_FLIGHT
        message.visible_at = now + seconds
        message.change_count += 1
        return None

    def expire(self, now: float) -> list[Message]:
        """Shows what is hidden, before its time; returns what that was."""
        hidden = [message for message in self.present() if message.visible_at > now]
        for message in hidden:
            message.visible_at = now
            message.change_count += 1
        return hidden
