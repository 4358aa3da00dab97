"""Runs a handler in the broker's own process: asynchronous ones directly, the others on worker threads.

| the handler | runs | past its timeout |
|---|---|---|
| `async def` | in the task that called `invoke` | is cancelled; `TimedOut` once it has ended |
| any other callable | on a worker thread | `TimedOut` at once, with `wait_returned`; the slot stays taken |
| a plain function whose result can be awaited | on a worker thread, then in the task | as the part that runs |

Who is late. The event loop may be late itself, because another handler blocks it; a handler that has done its work must
not be taken for one that has not, or its messages are handled twice. So, with the time counting from the call of
`invoke`:

* A plain handler is late if it ended at its timeout or after, by the clock that its own thread reads at that instant.
* An asynchronous one is late if its cancellation was called before it ended, whatever it returned: it was told, and
  nobody can know whether it noticed. One that ended without having been told is in time, even where it blocked the
  loop past its timeout: it has done all of its work.

A handler that catches its cancellation and goes on cannot be stopped by anybody, nor can `invoke` return before it: it
runs in the same task, since a task of its own would cost more than all else here does. Until it ends, its batch counts
as running, not as stuck; it keeps its slot and its message groups, and its messages show again in the queue when their
visibility ends. For such code there is isolation in a process (`broker.executors.process`).

Invariants: only the handler's own code is guarded, the broker's cancellation always passes; a slot is free only when
the handler's code has ended, and a handler whose call was given up before its thread began never runs; what a handler
sets in context variables stays in its thread, or in the task that called `invoke`.

Source: limits and texts as `broker.executors.user_code`; `Throttled` is what a synchronous `Invoke` answers when the
function's reserved concurrency is used up (AWS Lambda API, Invoke). Threads and cancellation are ours.
"""

import inspect
import math
import threading
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread

from broker.executors.context import LambdaContext, log_stream_name
from broker.executors.slots import Slots
from broker.executors.user_code import Handler, Outcome, call, call_async, is_async, timed_out_text
from broker.model.invocation import (
    HandlerFailed,
    Invocation,
    InvocationResult,
    Succeeded,
    TimedOut,
    Unavailable,
)
from broker.ports import Clock

DEFAULT_THREADS = 40
"""Concurrency of a plain function where none is given: threads are not free, and anyio's own default is the same."""


RunSync = Callable[..., Awaitable[Any]]
"""Calls a function on a worker thread, and when cancelled leaves the thread to itself: `anyio.to_thread.run_sync`."""


class InProcessExecutor:
    """Calls `handler(event, context)` in this process."""

    def __init__(
        self,
        *,
        handler: Handler,
        clock: Clock,
        concurrency: int | None = None,
        run_sync: RunSync = anyio.to_thread.run_sync,
        environment: str | None = None,
    ) -> None:
        """`concurrency` is 1 or more; None is no limit for an asynchronous handler, `DEFAULT_THREADS` for others.

        `clock` is read on worker threads too. `environment` ends the name of the log stream: 32 hexadecimal digits,
        drawn at random if absent.
        """
        self._handler = handler
        self._clock = clock
        self._is_async = is_async(handler)
        self._slots = Slots(concurrency or (None if self._is_async else DEFAULT_THREADS))
        self._limiter = anyio.CapacityLimiter(self._slots.concurrency or math.inf)
        self._run_sync = run_sync
        self._environment = environment or uuid.uuid4().hex
        self._log_streams: dict[str, str] = {}

    @property
    def concurrency(self) -> int | None:
        """How many invocations run at once; None for as many as asked."""
        return self._slots.concurrency

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        """Calls the handler once; `Throttled` where all slots are taken."""
        event, context = invocation.payload.value, self._context(invocation)
        if refusal := self._slots.take_nowait():
            return refusal
        if self._is_async:
            return await self._invoke_in_task(invocation, partial(self._handler, event, context))
        function = partial(call, self._handler, event, context, request_id=invocation.request_id)
        return await self._invoke_on_thread(invocation, _ThreadCall(function, self._clock))

    async def _invoke_in_task(self, invocation: Invocation, start: Callable[[], Any]) -> Outcome | TimedOut:
        try:
            with anyio.move_on_after(invocation.timeout_seconds) as scope:
                outcome = await call_async(start, request_id=invocation.request_id)
        finally:
            self._slots.release()
        return _timed_out(invocation) if scope.cancel_called else outcome

    async def _invoke_on_thread(
        self, invocation: Invocation, thread: "_ThreadCall"
    ) -> Outcome | TimedOut | Unavailable:
        late_at = self._clock.now() + invocation.timeout_seconds
        returned = anyio.Event()

        def end() -> None:
            self._slots.release()
            returned.set()

        awaited: Outcome | None = None
        try:
            with anyio.move_on_after(invocation.timeout_seconds) as scope:
                await self._run_sync(thread, abandon_on_cancel=True, limiter=self._limiter)
                awaited = await _awaited(thread.result, request_id=invocation.request_id)
        finally:
            runs_on = thread.leave(end)
            if not runs_on:
                end()
        if runs_on:
            return _timed_out(invocation, wait_returned=returned.wait)
        if not thread.has_begun:
            return Unavailable(message="no worker thread was free within the function's timeout")
        outcome = thread.outcome or (None if scope.cancel_called else awaited)
        return _timed_out(invocation) if outcome is None or thread.ended_at >= late_at else outcome

    def _context(self, invocation: Invocation) -> LambdaContext:
        version = invocation.function_version
        if version not in self._log_streams:
            self._log_streams[version] = log_stream_name(self._clock, version=version, environment=self._environment)
        return LambdaContext(invocation, clock=self._clock, log_stream_name=self._log_streams[version])


class _ThreadCall:
    """One call on a worker thread that can be left to itself: it then says when it has ended."""

    def __init__(self, function: Callable[[], Outcome | Awaitable[object]], clock: Clock) -> None:
        self.result: Outcome | Awaitable[object] | None = None
        """What the function returned, once it has."""
        self.ended_at = math.inf
        """When it returned, epoch seconds."""
        self.has_begun = False
        self._function = function
        self._clock = clock
        self._token = anyio.lowlevel.current_token()
        self._lock = threading.Lock()
        self._is_running = False
        self._is_left = False
        self._on_end: Callable[[], None] | None = None

    def __call__(self) -> None:
        """The thread's part."""
        with self._lock:
            if self._is_left:
                return
            self.has_begun = self._is_running = True
        self.result = self._function()
        self.ended_at = self._clock.now()
        with self._lock:
            self._is_running = False
            on_end = self._on_end
        if on_end is not None:
            _drop(self.result)
            with suppress(anyio.RunFinishedError):
                anyio.from_thread.run_sync(on_end, token=self._token)

    @property
    def outcome(self) -> Outcome | None:
        """What came of the function, where there is nothing left to await."""
        return self.result if isinstance(self.result, Succeeded | HandlerFailed) else None

    def leave(self, on_end: Callable[[], None]) -> bool:
        """The caller's part: True where the function runs on, and `on_end` is called when it has ended.

        A function that has not begun never will.
        """
        with self._lock:
            self._is_left = True
            if self._is_running:
                self._on_end = on_end
                return True
        _drop(self.result)
        return False


async def _awaited(result: Outcome | Awaitable[object] | None, *, request_id: str) -> Outcome:
    if isinstance(result, Succeeded | HandlerFailed):
        return result
    assert result is not None  # noqa: S101 - the thread has returned
    return await call_async(lambda: result, request_id=request_id)


def _drop(result: object) -> None:
    """Closes a coroutine that may not have been awaited to its end; Python warns of it otherwise."""
    if inspect.iscoroutine(result):
        result.close()


def _timed_out(invocation: Invocation, wait_returned: Callable[[], Awaitable[None]] | None = None) -> TimedOut:
    return TimedOut(message=timed_out_text(invocation.timeout_seconds), wait_returned=wait_returned)
