"""One child process as its broker sees it: started, asked, ended together with all that it started.

What runs in it is `broker.executors.child`. POSIX only: the child leads a session of its own, whose processes get
signals together.
"""

import os
import signal
import subprocess
import sys
import uuid
from contextlib import suppress
from typing import Final, Self

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, Process
from anyio.streams.buffered import BufferedByteReceiveStream

from broker.errors import ExecutorError
from broker.executors import frames
from broker.executors.context import log_stream_name
from broker.ports import Clock

GONE: Final = (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError)
"""What is raised where a child ends instead of replying."""
_PROGRAM = "broker.executors.child"


class ChildProcess:
    """A child process and the two pipes to it."""

    def __init__(self, process: Process, requests: ByteSendStream, replies: ByteReceiveStream) -> None:
        self._process = process
        self._requests = requests
        self._replies = BufferedByteReceiveStream(replies)
        self._environment = uuid.uuid4().hex
        self._is_ended = False

    @classmethod
    async def start(cls) -> Self:
        """Starts the program; it shares the broker's standard output and error, and no terminal signals.

        Raises:
            ExecutorError: the operating system has no process to give.
        """
        output = _standard_output()
        try:
            with anyio.CancelScope(shield=True):  # a process that was half started would belong to nobody
                process = await anyio.open_process(
                    [sys.executable, "-P", "-u", "-m", _PROGRAM, str(output)],
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
        """Whether it has not ended, as far as was heard."""
        return self._process.returncode is None

    def log_stream_name(self, clock: Clock, version: str) -> str:
        """The same for all its invocations of one version."""
        return log_stream_name(clock, version=version, environment=self._environment)

    async def load(self, handler: str, path: list[str]) -> str:
        """Imports the handler; answers what is wrong, or nothing."""
        try:
            header, _ = await self.ask({"handler": handler, "path": path}, b"")
        except GONE:
            status = await self.wait_ended()
            return f"{handler}: the process ended with status {status} while the module was imported"
        return str(header["problem"])

    async def ask(self, header: dict[str, object], body: bytes) -> frames.Frame:
        """Sends a request and waits for its reply. Raises one of `GONE` where the child ends instead."""
        await self._requests.send(frames.pack(header, body))
        return await frames.receive(self._replies.receive_exactly)

    async def dismiss(self) -> None:
        """Says that there is nothing more to do."""
        with anyio.CancelScope(shield=True):
            await self._requests.aclose()

    async def wait_ended(self) -> int:
        """The exit status, negative for a signal."""
        return await self._process.wait()

    def end(self) -> None:
        """Ends the child and what it started, which may run on where the child has ended by itself.

        Once: later the operating system may have given the number to somebody else.
        """
        if not self._is_ended:
            self._is_ended = True
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def kill(self) -> None:
        """Ends the child and what it started, and waits for its end."""
        self.end()
        with anyio.CancelScope(shield=True):
            await self._process.aclose()


def _standard_output() -> int:
    try:
        return os.dup(1)
    except OSError:  # a service without one
        return os.open(os.devnull, os.O_WRONLY)
