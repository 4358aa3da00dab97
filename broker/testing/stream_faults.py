"""Faults of a stream, as verbs: the next calls are refused, are slow, or lose their reply; iterators expire."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Literal

from broker.errors import ReadFault, ShardReadError
from broker.testing.faults import Fault, Signal, Slowness

StreamOperation = Literal["describe", "list_shards", "open", "read"]
"""The calls behind a `StreamSource`: `open` gets an iterator or subscribes, `read` gets records."""

NOT_FOUND = "ResourceNotFoundException"
EXCEEDED = "ProvisionedThroughputExceededException"
_LIMITED = "LimitExceededException"
_EVERY: tuple[StreamOperation, ...] = ("describe", "list_shards", "open", "read")
_OF_A_SHARD = ("open", "read")


@dataclass(slots=True, kw_only=True)
class _HiddenShards(Fault):
    """Shards that a listing leaves out."""

    shard_ids: frozenset[str]


@dataclass(slots=True)
class _Faults:
    throttles: list[Fault] = field(default_factory=list)
    lost_replies: list[Fault] = field(default_factory=list)
    slow: list[Slowness] = field(default_factory=list)
    hidden: list[_HiddenShards] = field(default_factory=list)


class StreamFaults:
    """The fault verbs of a stream. They strike the calls of its sources, not what a test does to the stream itself.

    Each verb takes the operations it is meant for; none given means all.
    """

    def __init__(self) -> None:
        self._faults = _Faults()
        self._exists = True
        self._changed = Signal()
        self._expiries = 0

    def throttle(self, *operations: StreamOperation, calls: int = 1) -> None:
        """The next calls are refused: `ShardReadError` with the fault `THROTTLED`."""
        self._faults.throttles.append(Fault(operations=operations or _EVERY, calls=calls))

    def lose_reply(self, *operations: StreamOperation, calls: int = 1) -> None:
        """The next calls reach the stream, use up its throughput, and are not answered: the fault `OTHER`, no code."""
        self._faults.lost_replies.append(Fault(operations=operations or _EVERY, calls=calls))

    def slow(
        self,
        *operations: StreamOperation,
        request_seconds: float = 0.0,
        reply_seconds: float = 0.0,
        calls: int = 1,
    ) -> None:
        """The next calls read `request_seconds` after they were made and are answered `reply_seconds` later."""
        self._faults.slow.append(
            Slowness(
                operations=operations or _EVERY,
                calls=calls,
                request_seconds=request_seconds,
                reply_seconds=reply_seconds,
            )
        )

    def expire_iterators(self) -> None:
        """No iterator that was given out is good any more, and every subscription ends."""
        self._expiries += 1
        self._changed.notify()

    def hide_shards(self, *shard_ids: str, listings: int = 1) -> None:
        """The next listings leave these shards out, though they are there and can be read."""
        self._faults.hidden.append(
            _HiddenShards(operations=("list_shards",), calls=listings, shard_ids=frozenset(shard_ids))
        )

    def vanish(self) -> None:
        """The stream does not exist: every call fails with AWS's code. Its records are kept."""
        self._exists = False
        self._changed.notify()

    def restore(self) -> None:
        """The stream exists again."""
        self._exists = True

    # ---- what a source asks

    @property
    def expiry_count(self) -> int:
        """How often `expire_iterators` was called: iterators and subscriptions from before are not good any more."""
        return self._expiries

    def require_existence(self) -> None:
        """Raises `ShardReadError` while the stream has vanished."""
        if not self._exists:
            raise ShardReadError("The stream does not exist.", fault=ReadFault.STREAM_GONE, code=NOT_FOUND)

    def next_slowness(self, operation: StreamOperation) -> tuple[float, float]:
        """Seconds that the next call takes, before and after its effect."""
        for slowness in self._faults.slow:
            if slowness.strikes(operation):
                return slowness.request_seconds, slowness.reply_seconds
        return 0.0, 0.0

    def require_admission(self, operation: StreamOperation) -> None:
        """Raises `ShardReadError` where the call is refused."""
        if any(fault.strikes(operation) for fault in self._faults.throttles):
            raise throttled(EXCEEDED if operation in _OF_A_SHARD else _LIMITED)

    def require_reply(self, operation: StreamOperation) -> None:
        """Raises `ShardReadError` where the reply of a call is lost."""
        if any(fault.strikes(operation) for fault in self._faults.lost_replies):
            raise ShardReadError(
                f"The connection was closed before the reply of {operation} arrived.", fault=ReadFault.OTHER
            )

    def next_hidden(self) -> Collection[str]:
        """The shards that the listing which begins now leaves out."""
        struck: Iterable[_HiddenShards] = [fault for fault in self._faults.hidden if fault.strikes("list_shards")]
        return frozenset().union(*(fault.shard_ids for fault in struck))


def throttled(code: str = EXCEEDED) -> ShardReadError:
    """The refusal of a call that is one too many."""
    return ShardReadError("Rate exceeded.", fault=ReadFault.THROTTLED, code=code)
