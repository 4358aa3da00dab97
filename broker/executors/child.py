"""The program of a child process that runs one handler for the broker, one invocation at a time.

Requests come on what was its standard input, replies go to what was its standard output; both are moved out of the
handler's way first: its input is empty, and what it prints goes where the broker's own output goes, unbuffered.

A plain handler runs on the main thread, as in Lambda; an asynchronous one on an event loop that lives as long as the
process, so that connections it keeps stay usable.

When the broker is gone, by whatever end, the requests end: an idle child then leaves, a busy one is given a moment and
ends itself with all processes that it started.
"""

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from anyio.from_thread import BlockingPortal, start_blocking_portal

from broker.errors import ConfigurationError
from broker.executors import frames
from broker.executors.context import LambdaContext
from broker.executors.loading import load_callable
from broker.executors.user_code import Handler, Outcome, call, call_async, is_async
from broker.model.invocation import HandlerFailed, Invocation, Succeeded
from broker.model.payload import Payload

ORPHAN_SECONDS = 1.0
"""What a child has after its broker's end."""


class SteadyClock:
    """Goes on from the broker's time, in this process."""

    def __init__(self, now: float) -> None:
        self._offset = now - time.monotonic()

    def now(self) -> float:
        """Epoch seconds."""
        return self._offset + time.monotonic()


def main() -> None:
    """Takes over the standard streams and serves; the argument is the descriptor of the broker's standard output."""
    requests, replies = take_streams(output=int(sys.argv[1]))
    inbox: queue.SimpleQueue[frames.Frame | None] = queue.SimpleQueue()
    threading.Thread(target=read_requests, args=(requests, inbox, end_group), daemon=True).start()
    try:
        serve(inbox.get, replies)
    except BrokenPipeError:  # the broker is gone
        sys.exit(1)


def take_streams(*, output: int) -> tuple[BinaryIO, BinaryIO]:
    """Requests and replies; standard input and output are then the handler's."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(output, 1)
    os.close(output)
    return requests, replies


def read_requests(requests: BinaryIO, inbox: "queue.SimpleQueue[frames.Frame | None]", end: Callable[[], None]) -> None:
    """The reader's thread: it notices the broker's end even while the handler runs."""
    while (request := frames.read(requests)) is not None:
        inbox.put(request)
    inbox.put(None)
    time.sleep(ORPHAN_SECONDS)
    end()


def end_group() -> None:
    """Ends this process and those that it started."""
    os.killpg(os.getpgrp(), signal.SIGKILL)


def serve(receive: Callable[[], frames.Frame | None], replies: BinaryIO) -> None:
    """Loads the handler that the first request names, then answers one request after the other."""
    handler: Handler | None = None
    with start_blocking_portal() as portal:
        while (request := receive()) is not None:
            header, body = request
            if handler is None:
                handler, reply = _load(header)
            else:
                reply = _reply(_outcome(handler, header, body, portal))
            replies.write(reply)
            replies.flush()


def _load(header: dict[str, Any]) -> tuple[Handler | None, bytes]:
    sys.path[:] = header["path"]
    try:
        return load_callable(header["handler"]), frames.pack({"problem": ""})
    except ConfigurationError as error:
        return None, frames.pack({"problem": str(error)})


def _outcome(handler: Handler, header: dict[str, Any], body: bytes, portal: BlockingPortal) -> Outcome:
    invocation = Invocation(payload=Payload.of_bytes(body), **header["invocation"])
    event = invocation.payload.value
    context = LambdaContext(invocation, clock=SteadyClock(header["now"]), log_stream_name=header["log_stream_name"])
    start: Callable[[], Any] = partial(handler, event, context)
    if not is_async(handler):
        outcome = call(handler, event, context, request_id=invocation.request_id)
        if isinstance(outcome, Succeeded | HandlerFailed):
            return outcome
        start = partial(_itself, outcome)
    awaited: Outcome = portal.call(_call_async, start, invocation.request_id)
    return awaited


def _itself(value: object) -> object:
    return value


async def _call_async(start: Callable[[], Any], request_id: str) -> Outcome:
    return await call_async(start, request_id=request_id)


def _reply(outcome: Outcome) -> bytes:
    if isinstance(outcome, Succeeded):
        return frames.pack({"succeeded": True}, outcome.response.bytes)
    failure = {
        "error_type": outcome.error_type,
        "message": outcome.message,
        "stack_trace": outcome.stack_trace,
    }
    return frames.pack({"succeeded": False, "failure": failure})


if __name__ == "__main__":
    main()
