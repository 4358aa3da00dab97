"""What a source delivers: records in their wire form."""

from dataclasses import dataclass
from typing import Any


class Record:
    """One message or stream record, made a million times: slots, immutable by convention.

    `event` is the record as Lambda delivers it (an element of `Records`), built from the wire form without decoding;
    `json` is the same, serialised once, so that its size is known and a remote handler's event is a join.
    """

    __slots__ = ("event", "group", "identifier", "json", "receipt", "receive_count", "received_at", "visible_until")

    def __init__(
        self,
        *,
        identifier: str,
        event: dict[str, Any],
        json: bytes,
        receipt: str,
        received_at: float,
        visible_until: float,
        group: str | None = None,
        receive_count: int = 1,
    ) -> None:
        self.identifier = identifier
        """The `itemIdentifier` of partial responses: the message id (SQS)."""
        self.event = event
        self.json = json
        """Compact UTF-8 JSON of `event`; `len(json)` is the record's size in bytes."""
        self.receipt = receipt
        """What the source needs to settle the record: the receipt handle (SQS)."""
        self.received_at = received_at
        """Instant at which the source handed it over, epoch seconds."""
        self.visible_until = visible_until
        """Instant at which the source may hand it to somebody else."""
        self.group = group
        """The message group id of a FIFO queue; None elsewhere."""
        self.receive_count = receive_count
        """How often the source has delivered it, this time included (`ApproximateReceiveCount`)."""

    def newest(self, other: "Record") -> "Record":
        """Of two deliveries of one message the later one, whichever reply was slower: its receipt is the valid one."""
        return self if self.receive_count >= other.receive_count else other

    def __repr__(self) -> str:
        return f"<Record {self.identifier}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueAttributes:
    """What a mapping must know of its queue."""

    visibility_timeout_seconds: int
    """The queue's default visibility timeout, 0-43200."""
    fifo: bool = False
    """Whether the queue is a FIFO queue."""
    maximum_receive_count: int | None = None
    """`maxReceiveCount` of the redrive policy; None without one."""
    dead_letter_target_arn: str | None = None
    """Where the queue itself moves what was received too often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a source refused to settle one record."""

    code: str
    """The service's error code, or ours for a call that failed as a whole."""
    message: str = ""
    """The service's text."""
    final: bool = False
    """True where trying again with the same receipt cannot help (the receipt has expired, say)."""

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else self.code
