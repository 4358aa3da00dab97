"""Runs a handler in child processes that can be ended: `Isolation: process`.

Each child runs one invocation at a time and serves the next one when it is done. Past the function's timeout, or when
the invocation is cancelled, it is killed with all processes that it started; the next invocation gets a new one. A
child that ends by itself while it has an invocation is a function error, `Runtime.ExitError`, as in Lambda.

`anyio.to_process` does not fit: it discards what a worker prints, runs the broker's own main program in it, cannot say
how a worker died, and its workers outlive a broker that was killed while they work. What is here in its place is one
frame each way (`broker.executors.frames`) and the child's program (`broker.executors.child`).

Invariants: a child is either idle, or runs exactly one invocation, or is being killed; none outlives the executor, nor
a killed broker by more than a moment. The handler is loaded once when the executor starts, so that a handler that
cannot be imported is the user's mistake, at once.

Source: texts as in `broker.executors.user_code`; a child is what Lambda calls an execution environment, and an import
that fails in a later one is reported as by AWS's Python runtime interface client 4.2. POSIX only.
"""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterable
from contextlib import suppress
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, Process
from anyio.streams.buffered import BufferedByteReceiveStream

from broker.errors import ConfigurationError, ExecutorError
from broker.executors import frames
from broker.executors.context import log_stream_name
from broker.executors.loading import name_of
from broker.executors.slots import ExecutorStatistics, Slots
from broker.executors.user_code import Handler, exit_failure, timed_out_text
from broker.model.invocation import (
    HandlerFailed,
    Invocation,
    InvocationResult,
    Succeeded,
    Throttled,
    TimedOut,
    Unavailable,
)
from broker.model.payload import Payload
from broker.ports import Clock

START_SECONDS: Final = 10.0
"""For a child to start and import the handler: what Lambda grants its runtimes."""
_CLOSING_SECONDS = 2.0
_CHILD = "broker.executors.child"
_GONE = (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError)


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
        self._idle: list[_Child] = []
        self._is_open = False

    @property
    def concurrency(self) -> int | None:
        """How many children there are at most."""
        return self._slots.concurrency

    def statistics(self) -> ExecutorStatistics:
        """Counts at this instant."""
        return self._slots.statistics(self._clock.now())

    async def __aenter__(self) -> Self:
        started = await self._start()
        if isinstance(started, str):
            raise ConfigurationError(started)
        self._idle.append(started)
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open = False
        for child in self._idle:
            await child.dismiss()
        with anyio.move_on_after(_CLOSING_SECONDS, shield=True):
            for child in self._idle:
                await child.wait_ended()
        for child in self._idle:
            await child.kill()
        self._idle.clear()

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        """Calls the handler once; `Throttled` where all children are busy."""
        if not self._is_open:
            raise ExecutorError(f"{self._handler} cannot be invoked outside of the executor's `async with`")
        slot = self._slots.take_nowait(overdue_at=self._clock.now() + invocation.timeout_seconds)
        if isinstance(slot, Throttled):
            return slot
        try:
            child = self._idle_child() or await self._start()
            if isinstance(child, str):
                return HandlerFailed(error_type="Runtime.ImportModuleError", message=child)
            return await self._run(child, invocation)
        except ExecutorError as error:  # this time; perhaps not the next
            return Unavailable(message=str(error))
        finally:
            self._slots.release(slot)

    def _idle_child(self) -> "_Child | None":
        while self._idle:
            child = self._idle.pop()
            if child.is_alive:
                return child
        return None

    async def _start(self) -> "_Child | str":
        """A child that has loaded the handler, or why there is none."""
        child = await _Child.start()
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

    async def _run(self, child: "_Child", invocation: Invocation) -> Succeeded | HandlerFailed | TimedOut:
        header = {
            "now": self._clock.now(),
            "log_stream_name": child.log_stream_name(self._clock, invocation.function_version),
            "invocation": _fields(invocation),
        }
        reply: frames.Frame | None = None
        try:
            with anyio.move_on_after(invocation.timeout_seconds):
                try:
                    reply = await child.ask(header, invocation.payload.bytes)
                except _GONE:
                    return exit_failure(await child.wait_ended(), request_id=invocation.request_id)
        finally:
            if reply is None:
                await child.kill()
            else:
                self._idle.append(child)
        if reply is None:
            return TimedOut(message=timed_out_text(invocation.timeout_seconds))
        return _outcome(reply)


class _Child:
    """A child process and the two pipes to it."""

    def __init__(self, process: Process, requests: ByteSendStream, replies: ByteReceiveStream) -> None:
        self._process = process
        self._requests = requests
        self._replies = BufferedByteReceiveStream(replies)
        self._environment = uuid.uuid4().hex

    @classmethod
    async def start(cls) -> Self:
        """Starts the program; it shares the broker's standard output and error, and no terminal signals.

        Raises:
            ExecutorError: the operating system has no process to give.
        """
        output = _standard_output()
        try:
            process = await anyio.open_process(
                [sys.executable, "-P", "-u", "-m", _CHILD, str(output)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None,
                start_new_session=True,
                pass_fds=(output,),
            )
        except OSError as error:
            raise ExecutorError(f"no process could be started: {error}") from error
        finally:
            os.close(output)
        assert process.stdin is not None  # noqa: S101 - a pipe was asked for
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        return cls(process, process.stdin, process.stdout)

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None

    def log_stream_name(self, clock: Clock, version: str) -> str:
        return log_stream_name(clock, version=version, environment=self._environment)

    async def load(self, handler: str, path: list[str]) -> str:
        """Imports the handler; answers what is wrong, or nothing."""
        try:
            header, _ = await self.ask({"handler": handler, "path": path}, b"")
        except _GONE:
            status = await self.wait_ended()
            return f"{handler}: the process ended with status {status} while the module was imported"
        return str(header["problem"])

    async def ask(self, header: dict[str, object], body: bytes) -> frames.Frame:
        await self._requests.send(frames.pack(header, body))
        return await frames.receive(self._replies.receive_exactly)

    async def dismiss(self) -> None:
        """Says that there is nothing more to do."""
        with anyio.CancelScope(shield=True):
            await self._requests.aclose()

    async def wait_ended(self) -> int:
        """The exit status, negative for a signal."""
        return await self._process.wait()

    async def kill(self) -> None:
        """Ends the child and what it started, at once."""
        if self.is_alive:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        with anyio.CancelScope(shield=True):
            await self._process.aclose()


def _standard_output() -> int:
    try:
        return os.dup(1)
    except OSError:  # a service without one
        return os.open(os.devnull, os.O_WRONLY)


def _fields(invocation: Invocation) -> dict[str, object]:
    return {
        "request_id": invocation.request_id,
        "function_name": invocation.function_name,
        "function_arn": invocation.function_arn,
        "function_version": invocation.function_version,
        "memory_limit_in_mb": invocation.memory_limit_in_mb,
        "timeout_seconds": invocation.timeout_seconds,
    }


def _outcome(reply: frames.Frame) -> Succeeded | HandlerFailed:
    header, body = reply
    if header["succeeded"]:
        return Succeeded(response=Payload.of_bytes(body))
    failure = header["failure"]
    return HandlerFailed(
        error_type=failure["error_type"], message=failure["message"], stack_trace=tuple(failure["stack_trace"])
    )
