"""Faults of a state store, as verbs: calls are refused, lost on their way or on the way back, slow, or find nobody."""

import math
from dataclasses import dataclass, field
from typing import Literal

import anyio

from broker.errors import StoreError

StoreOperation = Literal["read", "get", "write", "delete"]
"""The calls of a `StateStore`."""

THROTTLED = "ThrottlingException"
LOST = "ConnectionClosedError"
UNREACHABLE = "EndpointConnectionError"
_EVERY: tuple[StoreOperation, ...] = ("read", "get", "write", "delete")


@dataclass(slots=True, kw_only=True)
class _Fault:
    """Something that waits for calls."""

    operations: tuple[StoreOperation, ...]
    caller: str | None
    """Whom it strikes; None for everybody."""
    calls: float
    """How many calls it still strikes."""
    until: float
    """When it ends, in the event loop's time."""

    def strikes(self, operation: StoreOperation, caller: str) -> bool:
        """Whether it strikes this call; if so it is used up by one."""
        meant = operation in self.operations and self.caller in (None, caller)
        if not meant or self.calls <= 0 or (self.until < math.inf and anyio.current_time() >= self.until):
            return False
        self.calls -= 1
        return True


@dataclass(slots=True, kw_only=True)
class _Slowness(_Fault):
    """Time that a call takes."""

    request_seconds: float
    reply_seconds: float


@dataclass(slots=True)
class _Faults:
    throttles: list[_Fault] = field(default_factory=list)
    lost_requests: list[_Fault] = field(default_factory=list)
    lost_replies: list[_Fault] = field(default_factory=list)
    slow: list[_Slowness] = field(default_factory=list)
    down: set[str | None] = field(default_factory=set)


class StoreFaults:
    """The fault verbs of a state store.

    Each verb takes the operations it is meant for (none given: all), and one `caller` or everybody. It lasts for
    `calls` calls or for `seconds`, whichever ends first; for one call where neither is given.
    """

    def __init__(self) -> None:
        self._faults = _Faults()

    def throttle(
        self,
        *operations: StoreOperation,
        calls: int | None = None,
        seconds: float | None = None,
        caller: str | None = None,
    ) -> None:
        """Calls are refused without effect: `StoreError` with the code `ThrottlingException`."""
        self._faults.throttles.append(_fault(operations, calls, seconds, caller))

    def lose_request(
        self,
        *operations: StoreOperation,
        calls: int | None = None,
        seconds: float | None = None,
        caller: str | None = None,
    ) -> None:
        """Calls have no effect, and the caller learns only that no answer came."""
        self._faults.lost_requests.append(_fault(operations, calls, seconds, caller))

    def lose_reply(
        self,
        *operations: StoreOperation,
        calls: int | None = None,
        seconds: float | None = None,
        caller: str | None = None,
    ) -> None:
        """Calls take effect (or are refused), and the caller learns only that no answer came."""
        self._faults.lost_replies.append(_fault(operations, calls, seconds, caller))

    def slow(
        self,
        *operations: StoreOperation,
        request_seconds: float = 0.0,
        reply_seconds: float = 0.0,
        calls: int | None = None,
        seconds: float | None = None,
        caller: str | None = None,
    ) -> None:
        """Calls take effect `request_seconds` after they were made and are answered `reply_seconds` later."""
        fault = _fault(operations, calls, seconds, caller)
        self._faults.slow.append(
            _Slowness(
                operations=fault.operations,
                caller=fault.caller,
                calls=fault.calls,
                until=fault.until,
                request_seconds=request_seconds,
                reply_seconds=reply_seconds,
            )
        )

    def take_down(self, *, caller: str | None = None) -> None:
        """The store cannot be reached, by this caller or by anybody, until `restore`."""
        self._faults.down.add(caller)

    def restore(self, *, caller: str | None = None) -> None:
        """It can be reached again: by this caller, or where none is named by everybody."""
        if caller is None:
            self._faults.down.clear()
        self._faults.down.discard(caller)

    def is_down(self, caller: str = "") -> bool:
        """Whether the store cannot be reached, by everybody or by this caller."""
        return not self._faults.down.isdisjoint((None, caller))

    # ---- what a call asks

    def next_slowness(self, operation: StoreOperation, caller: str) -> tuple[float, float]:
        """Seconds that the next call takes, before and after its effect."""
        for slowness in self._faults.slow:
            if slowness.strikes(operation, caller):
                return slowness.request_seconds, slowness.reply_seconds
        return 0.0, 0.0

    def require_request(self, operation: StoreOperation, caller: str) -> None:
        """Raises `StoreError` where the request gets lost."""
        if _any_strikes(self._faults.lost_requests, operation, caller):
            raise _lost(operation)

    def require_admission(self, operation: StoreOperation, caller: str) -> None:
        """Raises `StoreError` where the call finds nobody or is refused."""
        if self.is_down(caller):
            raise StoreError(f"{operation} failed: the state store cannot be reached.", code=UNREACHABLE)
        if _any_strikes(self._faults.throttles, operation, caller):
            raise StoreError(f"{operation} failed: the state store throttles.", code=THROTTLED)

    def require_reply(self, operation: StoreOperation, caller: str) -> None:
        """Raises `StoreError` where the answer gets lost."""
        if _any_strikes(self._faults.lost_replies, operation, caller):
            raise _lost(operation)


def _fault(
    operations: tuple[StoreOperation, ...], calls: int | None, seconds: float | None, caller: str | None
) -> _Fault:
    unlimited = 1.0 if seconds is None else math.inf
    until = math.inf if seconds is None else anyio.current_time() + seconds
    return _Fault(
        operations=operations or _EVERY, caller=caller, calls=unlimited if calls is None else calls, until=until
    )


def _any_strikes(faults: list[_Fault], operation: StoreOperation, caller: str) -> bool:
    return any(fault.strikes(operation, caller) for fault in faults)


def _lost(operation: StoreOperation) -> StoreError:
    return StoreError(f"{operation} failed: the connection was closed before the answer came.", code=LOST)
