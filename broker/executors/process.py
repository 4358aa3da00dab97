"""Runs a handler in child processes that can be ended: `Isolation: process`.

Each child runs one invocation at a time and serves the next one when it is done. Past the function's timeout, or when
the invocation is cancelled, it is killed with all processes that it started. A child that ends by itself while it has
an invocation is a function error, `Runtime.ExitError`, as in Lambda; what it had started is killed then too.

Children start ahead: while there may be more of them, one more than is busy. The function's timeout counts from the
call of `invoke`, since the broker starts an invocation with messages that stay hidden for just that long. So an
invocation that finds no child waits a moment for the one that starts, and what it waited is missing from the handler's
time (the context says so); then it answers `Unavailable`, and the child goes on starting for the next one.

`anyio.to_process` does not fit: it discards what a worker prints, runs the broker's own main program in it, cannot say
how a worker died, and its workers outlive a broker that was killed while they work. What is here in its place is one
frame each way (`broker.executors.frames`) and the child's program (`broker.executors.child`).

Invariants: a child is starting, or idle, or runs exactly one invocation, or is being killed; none outlives the
executor, nor a killed broker by more than a moment; what a child started does not outlive the child. The handler is
loaded once when the executor starts, so that a handler that cannot be imported is the user's mistake, at once.

Source: texts as in `broker.executors.user_code`; a child is what Lambda calls an execution environment, and an import
that fails in a later one is reported as by AWS's Python runtime interface client 4.2. POSIX only.
"""

import os
import sys
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import anyio
from anyio import create_task_group
from anyio.abc import TaskGroup

from broker.errors import ConfigurationError, ExecutorError
from broker.executors import frames
from broker.executors.child_process import GONE, ChildProcess
from broker.executors.loading import name_of
from broker.executors.slots import Slots
from broker.executors.user_code import Handler, exit_failure, timed_out_text
from broker.model.invocation import (
    HandlerFailed,
    Invocation,
    InvocationResult,
    Succeeded,
    TimedOut,
    Unavailable,
)
from broker.model.payload import Payload
from broker.ports import Clock

START_SECONDS: Final = 10.0
"""For a child to start and import the handler: what Lambda grants its runtimes."""
_WAIT_SECONDS = 1.0
_WAIT_SHARE = 0.25
"""An invocation waits so long for a child, and no more than this share of the function's timeout."""
_SPARE_COUNT = 1
_CLOSING_SECONDS = 2.0


class ProcessExecutor:
    """Calls `handler(event, context)` in child processes. An asynchronous context manager that owns them."""

    def __init__(
        self,
        *,
        handler: str | Handler,
        clock: Clock,
        concurrency: int | None = None,
        folders: Iterable[str | PathLike[str]] = (),
        start_seconds: float = START_SECONDS,
    ) -> None:
        """`handler` is `"module:function"`, or a callable that can be imported by such a name.

        `concurrency` is how many children there are at most, 1 or more; None is one for each processor. `folders` are
        where the handler's modules may lie, besides this process's `sys.path`.

        Raises:
            ConfigurationError: another process could not import the callable.
        """
        self._handler = handler if isinstance(handler, str) else name_of(handler)
        self._clock = clock
        self._slots = Slots(concurrency or os.cpu_count() or 1)
        self._path = [*(str(Path(folder).resolve()) for folder in folders), *sys.path]
        self._start_seconds = start_seconds
        self._idle: list[ChildProcess] = []
        self._count = 0
        """Of all children, those that start or are being killed included."""
        self._starting_count = 0
        self._waiting_count = 0
        self._failures: list[InvocationResult] = []
        """Starts that failed, for those who wait."""
        self._changed = anyio.Event()
        """There is an idle child or a failure."""
        self._tasks: TaskGroup | None = None

    @property
    def concurrency(self) -> int | None:
        """How many children there are at most."""
        return self._slots.concurrency

    async def __aenter__(self) -> Self:
        started = await self._start()
        if isinstance(started, str):
            raise ConfigurationError(started)
        self._tasks = create_task_group()
        await self._tasks.__aenter__()
        self._count += 1
        self._idle.append(started)
        self._tasks.start_soon(self._watch, started)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks, self._tasks = self._tasks, None
        children, self._idle = self._idle, []
        for child in children:
            await child.dismiss()
        with anyio.move_on_after(_CLOSING_SECONDS, shield=True):
            for child in children:
                await child.wait_ended()
        if tasks is not None:
            tasks.cancel_scope.cancel()
            await tasks.__aexit__(None, None, None)

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        """Calls the handler once; `Throttled` where all children are busy, `Unavailable` where one only starts."""
        if self._tasks is None:
            raise ExecutorError(f"{self._handler} cannot be invoked outside of the executor's `async with`")
        if refusal := self._slots.take_nowait():
            return refusal
        ends_at = anyio.current_time() + invocation.timeout_seconds
        try:
            child = self._idle_child() or await self._wait_for_child(invocation)
            self._start_ahead(self._tasks)
            return await self._run(child, invocation, ends_at) if isinstance(child, ChildProcess) else child
        finally:
            self._slots.release()

    # ---- children

    def _idle_child(self) -> ChildProcess | None:
        """The one that was used last. Those that have ended are left to their watchers."""
        for child in reversed(self._idle):
            if child.is_alive:
                self._idle.remove(child)
                return child
        return None

    async def _wait_for_child(self, invocation: Invocation) -> ChildProcess | InvocationResult:
        """A child, or why its start failed, or that it goes on."""
        self._waiting_count += 1
        try:
            with anyio.move_on_after(min(_WAIT_SECONDS, invocation.timeout_seconds * _WAIT_SHARE)):
                while self._tasks is not None:
                    self._start_ahead(self._tasks)
                    await self._changed.wait()
                    if found := self._idle_child() or self._failure():
                        return found
            return Unavailable(message="a child process is starting")
        finally:
            self._waiting_count -= 1
            if self._waiting_count == 0:
                self._failures.clear()

    def _failure(self) -> InvocationResult | None:
        return self._failures.pop() if self._failures else None

    def _tell(self) -> None:
        """Wakes those who wait."""
        if self._waiting_count:
            self._changed.set()
            self._changed = anyio.Event()

    def _start_ahead(self, tasks: TaskGroup) -> None:
        """Starts a child for each that waits, and the spare one, as far as there may be more."""
        wanted = self._waiting_count + _SPARE_COUNT - len(self._idle) - self._starting_count
        for _ in range(min(wanted, (self._slots.concurrency or 1) - self._count)):
            self._count += 1
            self._starting_count += 1
            tasks.start_soon(self._start_and_watch)

    async def _start_and_watch(self) -> None:
        try:
            started = await self._start()
        except ExecutorError as error:  # this time; perhaps not the next
            return self._failed(Unavailable(message=str(error)))
        finally:
            self._starting_count -= 1
        if isinstance(started, str):
            return self._failed(HandlerFailed(error_type="Runtime.ImportModuleError", message=started))
        self._idle.append(started)
        self._tell()
        return await self._watch(started)

    def _failed(self, failure: InvocationResult) -> None:
        """A start failed; it is told to one who waits, and tried again for the next."""
        self._count -= 1
        if self._waiting_count:
            self._failures.append(failure)
        self._tell()

    async def _watch(self, child: ChildProcess) -> None:
        """Leaves nothing of a child that has ended, by itself or killed, and sees to the next one.

        The pipes of a busy child are its invocation's: its last reply may still be on the way.
        """
        try:
            await child.wait_ended()
        except anyio.get_cancelled_exc_class():
            await child.kill()
            raise
        child.end()
        self._count -= 1
        if child in self._idle:
            self._idle.remove(child)
            await child.kill()
        if self._tasks is not None:
            self._start_ahead(self._tasks)

    async def _start(self) -> ChildProcess | str:
        """A child that has loaded the handler, or why there is none."""
        child = await ChildProcess.start()
        problem: str | None = None
        try:
            with anyio.move_on_after(self._start_seconds):
                problem = await child.load(self._handler, self._path)
                if not problem:
                    return child
        finally:
            if problem != "":
                await child.kill()
        return problem or f"{self._handler} could not be imported within {self._start_seconds:g} seconds"

    async def _run(
        self, child: ChildProcess, invocation: Invocation, ends_at: float
    ) -> Succeeded | HandlerFailed | TimedOut:
        header = {
            "now": self._clock.now(),
            "log_stream_name": child.log_stream_name(self._clock, invocation.function_version),
            "invocation": _fields(invocation, timeout_seconds=ends_at - anyio.current_time()),
        }
        reply: frames.Frame | None = None
        try:
            with anyio.CancelScope(deadline=ends_at):
                try:
                    reply = await child.ask(header, invocation.payload.bytes)
                except GONE:
                    return exit_failure(await child.wait_ended(), request_id=invocation.request_id)
        finally:
            if reply is None or not child.is_alive:
                await child.kill()
            else:
                self._idle.append(child)
                self._tell()
        if reply is None:
            return TimedOut(message=timed_out_text(invocation.timeout_seconds))
        return _outcome(reply)


def _fields(invocation: Invocation, *, timeout_seconds: float) -> dict[str, object]:
    return {
        "request_id": invocation.request_id,
        "function_name": invocation.function_name,
        "function_arn": invocation.function_arn,
        "function_version": invocation.function_version,
        "memory_limit_in_mb": invocation.memory_limit_in_mb,
        "timeout_seconds": timeout_seconds,
        "fencing_token": invocation.fencing_token,
    }


def _outcome(reply: frames.Frame) -> Succeeded | HandlerFailed:
    header, body = reply
    if header["succeeded"]:
        return Succeeded(response=Payload.of_bytes(body))
    failure = header["failure"]
    return HandlerFailed(
        error_type=failure["error_type"], message=failure["message"], stack_trace=tuple(failure["stack_trace"])
    )
