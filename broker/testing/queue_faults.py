"""Faults of a queue, as verbs: the next calls are refused, fail in part, or take effect while their reply is lost."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from broker.errors import SourceError
from broker.model.record import Failure
from broker.testing.faults import Fault, Signal, Slowness

Operation = Literal["describe", "receive", "delete", "change_visibility"]
"""The calls of a `QueueSource`."""

NONEXISTENT_QUEUE = "AWS.SimpleQueueService.NonExistentQueue"
_EVERY: tuple[Operation, ...] = ("describe", "receive", "delete", "change_visibility")
_WITH_EFFECT: tuple[Operation, ...] = ("receive", "delete", "change_visibility")


@dataclass(slots=True, kw_only=True)
class _EntryFault(Fault):
    """Single entries of a call that fail."""

    message_ids: frozenset[str]
    failure: Failure


@dataclass(slots=True)
class _Faults:
    throttles: list[Fault] = field(default_factory=list)
    lost_replies: list[Fault] = field(default_factory=list)
    entries: list[_EntryFault] = field(default_factory=list)
    slow: list[Slowness] = field(default_factory=list)


class QueueFaults:
    """The fault verbs of a queue. They strike the calls of its sources, not what a test does to the queue itself.

    Each verb takes the operations it is meant for; none given means all that it makes sense for.
    """

    def __init__(self) -> None:
        self._faults = _Faults()
        self._exists = True
        self._changed = Signal()

    def throttle(self, *operations: Operation, calls: int = 1) -> None:
        """The next calls are refused without effect: `SourceError` with the code `RequestThrottled`."""
        self._faults.throttles.append(Fault(operations=operations or _EVERY, calls=calls))

    def lose_reply(self, *operations: Operation, calls: int = 1) -> None:
        """The next calls take effect, but the caller gets a `SourceError` without code.

        A receive that brings nothing is spared: to lose it would show nothing.
        """
        self._faults.lost_replies.append(Fault(operations=operations or _WITH_EFFECT, calls=calls))

    def fail_deletes(self, *message_ids: str, calls: int = 1, code: str = "InternalError", final: bool = False) -> None:
        """In the next deletes these entries (all, where none is named) fail without effect; the others are deleted.

        Deletes without a named entry do not count.
        """
        self._fail_entries(("delete",), message_ids, calls=calls, code=code, final=final)

    def fail_visibility_changes(
        self, *message_ids: str, calls: int = 1, code: str = "InternalError", final: bool = False
    ) -> None:
        """As `fail_deletes`, for changes of the visibility timeout."""
        self._fail_entries(("change_visibility",), message_ids, calls=calls, code=code, final=final)

    def _fail_entries(
        self, operations: tuple[Operation, ...], message_ids: Sequence[str], *, calls: int, code: str, final: bool
    ) -> None:
        failure = Failure(code=code, message="The request has failed due to an unknown error.", final=final)
        self._faults.entries.append(
            _EntryFault(operations=operations, calls=calls, message_ids=frozenset(message_ids), failure=failure)
        )

    def slow(
        self,
        *operations: Operation,
        request_seconds: float = 0.0,
        reply_seconds: float = 0.0,
        calls: int = 1,
    ) -> None:
        """The next calls take effect `request_seconds` after they were made and are answered `reply_seconds` later."""
        self._faults.slow.append(
            Slowness(
                operations=operations or _EVERY,
                calls=calls,
                request_seconds=request_seconds,
                reply_seconds=reply_seconds,
            )
        )

    def vanish(self) -> None:
        """The queue does not exist: every call fails with AWS's code, waiting receives too. Its messages are kept."""
        self._exists = False
        self._changed.notify()

    def restore(self) -> None:
        """The queue exists again."""
        self._exists = True

    # ---- what a source asks

    def require_existence(self) -> None:
        """Raises `SourceError` while the queue has vanished."""
        if not self._exists:
            raise SourceError("The specified queue does not exist.", code=NONEXISTENT_QUEUE)

    def next_slowness(self, operation: Operation) -> tuple[float, float]:
        """Seconds that the next call takes, before and after its effect."""
        for slowness in self._faults.slow:
            if slowness.strikes(operation):
                return slowness.request_seconds, slowness.reply_seconds
        return 0.0, 0.0

    def require_admission(self, operation: Operation) -> None:
        """Raises `SourceError` where the call is refused."""
        if any(fault.strikes(operation) for fault in self._faults.throttles):
            raise SourceError("The request was denied due to request throttling.", code="RequestThrottled")

    def require_reply(self, operation: Operation) -> None:
        """Raises `SourceError` where the reply of a call that took effect is lost."""
        if any(fault.strikes(operation) for fault in self._faults.lost_replies):
            raise SourceError(
                f"The connection was closed before the reply of {operation} arrived.", may_have_taken_effect=True
            )

    def next_failures(self, operation: Operation, message_ids: Sequence[str]) -> dict[str, Failure]:
        """The entries of this call that are to fail."""
        failures: dict[str, Failure] = {}
        for fault in self._faults.entries:
            struck = [each for each in message_ids if not fault.message_ids or each in fault.message_ids]
            if struck and fault.strikes(operation):
                failures |= dict.fromkeys(struck, fault.failure)
        return failures
