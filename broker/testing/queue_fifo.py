"""What a FIFO queue adds: deduplication of sends, repeated receives, and the lock of message groups.

Rules: a deduplication id is taken once in five minutes, even where its message is gone. A receive that is repeated
with its attempt id within five minutes brings the same messages and receipt handles and hides them anew, unless one of
them was deleted or had its visibility changed. While a message of a group is in flight, no other message of the group
is given out.

Source: Amazon SQS Developer Guide, "Exactly-once processing in Amazon SQS" and "FIFO delivery logic in Amazon SQS"; API
reference, ReceiveMessage (read November 2026). That a message which somebody else received meanwhile also makes the
attempt id invalid is inferred; the text of that error was reported by users.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from broker.errors import SourceError
from broker.testing.messages import StoredMessage

DEDUPLICATION_SECONDS = 300.0
"""The deduplication interval, and how long an attempt id can be repeated."""


class Deduplication:
    """The deduplication ids of the last five minutes."""

    def __init__(self, *, content_based: bool) -> None:
        self._content_based = content_based
        self._seen: dict[str, tuple[float, str]] = {}

    def identify(self, body: str, deduplication_id: str | None) -> str:
        """The id under which a message counts. Raises `SourceError` where it has none."""
        if deduplication_id is not None:
            return deduplication_id
        if self._content_based:
            return hashlib.sha256(body.encode()).hexdigest()
        raise SourceError(
            "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
            "explicitly",
            code="InvalidParameterValue",
            retryable=False,
        )

    def find(self, deduplication_id: str, now: float) -> str | None:
        """The message that was sent under this id in the last five minutes."""
        seen_at, message_id = self._seen.get(deduplication_id, (float("-inf"), ""))
        return message_id if now - seen_at < DEDUPLICATION_SECONDS else None

    def remember(self, deduplication_id: str, message_id: str, now: float) -> None:
        """A message was sent."""
        self._seen[deduplication_id] = (now, message_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    message: StoredMessage
    receipt: str | None
    change_count: int

    def is_untouched(self) -> bool:
        return self.message.receipt == self.receipt and self.message.change_count == self.change_count


class ReceiveAttempts:
    """The receives of the last five minutes, by `ReceiveRequestAttemptId`."""

    def __init__(self) -> None:
        self._attempts: dict[str, tuple[float, tuple[_Given, ...]]] = {}

    def remember(self, attempt_id: str, messages: Sequence[StoredMessage], now: float) -> None:
        """A receive brought these messages; an attempt that brought none is as good as new."""
        if messages:
            given = (_Given(message=m, receipt=m.receipt, change_count=m.change_count) for m in messages)
            self._attempts[attempt_id] = (now, tuple(given))

    def repeat(self, attempt_id: str, present: Iterable[StoredMessage], now: float) -> list[StoredMessage]:
        """The messages of the first receive, none where the id is new or old. Raises `SourceError` if one changed."""
        attempted_at, given = self._attempts.get(attempt_id, (float("-inf"), ()))
        if now - attempted_at >= DEDUPLICATION_SECONDS:
            return []
        there = set(map(id, present))
        if not all(each.is_untouched() and id(each.message) in there for each in given):
            raise SourceError(
                f"Value {attempt_id} for parameter ReceiveRequestAttemptId is invalid. Reason: The "
                "receiveRequestAttemptId is not valid anymore since the receive call is not retryable.",
                code="InvalidParameterValue",
                retryable=False,
            )
        return [each.message for each in given]


def available_in_groups(messages: Iterable[StoredMessage], now: float) -> list[StoredMessage]:
    """What a FIFO receive may bring, in its order: group by group, the group with the oldest message first.

    A group gives nothing while one of its messages is in flight, and nothing from its first delayed message on.
    """
    groups: dict[str | None, list[StoredMessage]] = {}
    closed: set[str | None] = set()
    for message in messages:
        available = groups.setdefault(message.group, [])
        if message.is_in_flight(now):
            available.clear()
            closed.add(message.group)
        elif message.visible_at > now:
            closed.add(message.group)
        elif message.group not in closed:
            available.append(message)
    return [message for available in groups.values() for message in available]
