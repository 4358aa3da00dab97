"""One call of a handler, and the five ways in which it can end."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from broker.model.payload import Payload

PAYLOAD_LIMIT_BYTES = 6_291_556
"""Largest event and largest response of a synchronous invocation: the limit that Lambda names in its error text."""


_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
"""How Python's runtime writes a frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What an executor needs to call a handler once."""

    request_id: str
    """Lambda's request id; the same again when an unchanged batch is retried."""
    payload: Payload
    """The event."""
    function_name: str
    """`FunctionName` without qualifier."""
    function_arn: str
    """The ARN invoked, with the qualifier where the mapping has one."""
    function_version: str = "$LATEST"
    """The version that runs."""
    memory_limit_in_mb: int = 128
    """`MemorySize` of the function."""
    timeout_seconds: float = 3.0
    """`Timeout` of the function: the handler's own limit, not a scope around the call."""
    fencing_token: int | None = None
    """The lease's epoch, for a shard's batches: it grows with each change of owner; None for a queue's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded:
    """The handler returned. Whether its response means success is decided elsewhere."""

    response: Payload
    """What it returned; not yet parsed, perhaps not even JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerFailed:
    """The handler ran, or may have run, and failed: a function error."""

    error_type: str
    """`errorType` as Lambda reports it: the exception's class name, or `Runtime.…`."""
    message: str
    """`errorMessage`."""
    stack_trace: tuple[str, ...] = ()
    """`stackTrace`, an entry for each frame, the innermost last."""

    @property
    def location(self) -> str:
        """File and line of the innermost frame, as `shop/handlers.py:12`; empty where it is not known."""
        found = _FRAME.search(self.stack_trace[-1]) if self.stack_trace else None
        return f"{found[1]}:{found[2]}" if found else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedOut:
    """The handler ran into the function's `Timeout`: a function error."""

    message: str
    """Lambda's text: `Task timed out after 3.00 seconds`."""
    wait_returned: Callable[[], Awaitable[None]] | None = None
    """For a call that cannot be stopped (a thread): waits until it has returned; until then its slot is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttled:
    """The handler did not run: no capacity for it now."""

    message: str
    """What the target said."""
    retry_after_seconds: float = 0.0
    """The target's wish; 0 where it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """The handler did not run: the target could not be reached or cannot be invoked."""

    message: str
    """What failed and where."""


InvocationResult = Succeeded | HandlerFailed | TimedOut | Throttled | Unavailable
