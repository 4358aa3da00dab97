"""Tumbling windows: which records belong together, and the state that the handler passes from batch to batch.

Rule: a window of `TumblingWindowInSeconds` begins at a multiple of its length since the epoch, by the time at which
records arrived. Every batch lies within one window and carries the state that the handler returned for the batch
before, `{}` at first. When a record of a later window is next, or the shard ends, or the window's end has passed while
nothing comes, the handler is invoked once more, without records: the final invocation, whose returned state is not
used. A state of more than 1 MB ends the window early, in an invocation of its own; what follows begins with `{}`.

Invariants: the state changes only when an invocation of the window has succeeded · a window that has state or had
records gets its final invocation before the next one opens · the state of one shard never reaches another.

Source: AWS Lambda Developer Guide, "Implementing stateful Kinesis stream processing in Lambda", tumbling windows (read
November 2026). That the final event has no records, and how a state that is too large ends a window, was observed on
AWS. Inferred: a record that arrives late belongs to the window that is open; an idle shard's window is closed
`window_grace_seconds` after its end.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any, Final

import orjson

from broker.core.lanes import Closing
from broker.core.stream_policy import MAXIMUM_STATE_BYTES, StreamPolicy
from broker.model.checkpoint import OpenWindow
from broker.model.discard import TimeWindow
from broker.model.payload import Payload
from broker.model.stream import StreamRecord

EMPTY_STATE: Final = b"{}"


class TumblingWindow:
    """The window of one shard that is open, if any."""

    __slots__ = ("_grace_seconds", "_length", "_source_arn", "shard_id", "start", "state")

    def __init__(self, policy: StreamPolicy, shard_id: str, restored: OpenWindow | None) -> None:
        self._length = policy.tumbling_window_seconds
        self._grace_seconds = policy.window_grace_seconds
        self.shard_id = shard_id
        self._source_arn = policy.stream_arn
        fits = restored is not None and restored.start % self._length == 0
        self.start = restored.start if restored and fits else None
        """Epoch seconds; None while no window is open."""
        self.state = restored.state if restored and fits else EMPTY_STATE
        """A JSON object."""

    @property
    def end(self) -> int | None:
        """When the window is over, by the service's clock; None while none is open."""
        return None if self.start is None else self.start + self._length

    @property
    def as_restorable(self) -> OpenWindow | None:
        """What the next owner of the shard needs."""
        return None if self.start is None else OpenWindow(start=self.start, state=self.state)

    @property
    def is_oversized(self) -> bool:
        """Whether the state has outgrown its limit."""
        return len(self.state) > MAXIMUM_STATE_BYTES

    def prefix(self, records: Sequence[StreamRecord]) -> int:
        """How many of the first records belong to the open window; opens one where none is."""
        if self.start is None:
            arrived = int(records[0].arrived_at)
            self.start = arrived - arrived % self._length
        end = self.start + self._length
        return sum(1 for _ in takewhile(lambda record: record.arrived_at < end, records))

    def has_lapsed(self, empty_at: float | None) -> bool:
        """Whether the shard was empty long enough after the window's end, by the service's clock."""
        return self.end is not None and empty_at is not None and empty_at >= self.end + self._grace_seconds

    def event_keys(self, closing: Closing | None) -> dict[str, Any]:
        """What the event has besides its records, in AWS's order."""
        start = self.start or 0
        return {
            "window": {"start": _timestamp(start), "end": _timestamp(start + self._length)},
            "state": orjson.Fragment(self.state),
            "shardId": self.shard_id,
            "eventSourceARN": self._source_arn,
            "isFinalInvokeForWindow": closing is not None,
            "isWindowTerminatedEarly": closing is Closing.EARLY,
        }

    def described(self, closing: Closing) -> TimeWindow:
        """The window of an invocation that was given up."""
        start = self.start or 0
        return TimeWindow(
            start=start,
            end=start + self._length,
            is_final_invoke=True,
            is_terminated_early=closing is Closing.EARLY,
        )

    def closed(self, closing: Closing) -> None:
        """The invocation without records is over, one way or the other."""
        self.state = EMPTY_STATE
        if closing is Closing.FINAL:
            self.start = None


def state_of(response: Payload) -> bytes | None:
    """The state in a handler's response, as JSON; None where there is none."""
    try:
        value = response.value
    except ValueError:
        return None
    state = value.get("state") if isinstance(value, dict) else None
    return orjson.dumps(state) if isinstance(state, dict) else None


def _timestamp(epoch_seconds: int) -> str:
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
