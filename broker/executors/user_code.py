"""The edge between the broker and a handler written in Python: whatever the handler does becomes a result.

This is the boundary "user code" for which a blanket `except` is allowed: a handler may raise anything, and so may the
methods of what it returns and of what it raises. What the broker's own code raises is never caught here.

Source: texts and types are those of AWS's Python runtime interface client 4.2 and of Lambda itself (read November
2026): an exception is a function error of the exception's class name with the handler's own frames; one that is no
`Exception` ends Lambda's runtime, hence `Runtime.ExitError`.
"""

import functools
import inspect
import signal
import traceback
from collections.abc import Awaitable, Callable

import anyio.lowlevel

from broker.executors.marshalling import marshal
from broker.model.invocation import PAYLOAD_LIMIT_BYTES, HandlerFailed, Succeeded
from broker.model.payload import Payload

Handler = Callable[..., object]
"""Takes `event` and `context`; returns a value, or an awaitable of one."""
Outcome = Succeeded | HandlerFailed
"""What a handler that ended in time can come to."""

EXIT_ERROR = "Runtime.ExitError"
MARSHAL_ERROR = "Runtime.MarshalError"
RESPONSE_TOO_LARGE = "Function.ResponseSizeTooLarge"
_OWN_FRAMES = "broker.executors."


def is_async(handler: Handler) -> bool:
    """Whether calling the handler gives a coroutine without running any of its code.

    True for `async def`, its bound methods and partial applications, and objects whose `__call__` is one. A plain
    function around an asynchronous one counts as plain, since it may block (`asyncio.run`, say); what it returns is
    awaited if it can be.
    """
    while isinstance(handler, functools.partial) or inspect.ismethod(handler):
        handler = handler.func if isinstance(handler, functools.partial) else handler.__func__
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__)


def call(handler: Handler, event: object, context: object, *, request_id: str) -> Outcome | Awaitable[object]:
    """Calls a plain handler, outside of the event loop's thread; what it returned is to be awaited where it can be."""
    try:
        value = handler(event, context)
    except BaseException as error:  # noqa: BLE001 - user code; no cancellation reaches this thread
        return failure_of(error, request_id=request_id)
    return value if inspect.isawaitable(value) else response_of(value)


async def call_async(start: Callable[[], Awaitable[object]], *, request_id: str) -> Outcome:
    """Awaits an asynchronous handler. Cancellation from outside and Ctrl-C pass; all else is the handler's."""
    try:
        value = await start()
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except Exception as error:  # noqa: BLE001 - user code
        return failure_of(error, request_id=request_id)
    except BaseException as error:  # noqa: BLE001 - user code, unless the next line knows better
        await anyio.lowlevel.checkpoint_if_cancelled()
        return failure_of(error, request_id=request_id)
    return response_of(value)


def timed_out_text(timeout_seconds: float) -> str:
    """Lambda's words, without the request id that Lambda puts before them."""
    return f"Task timed out after {timeout_seconds:.2f} seconds"


def response_of(value: object) -> Outcome:
    """What the handler returned, as it would travel back from Lambda."""
    try:
        data = marshal(value)
    except Exception as error:  # noqa: BLE001 - user code: the value's own methods run here
        return HandlerFailed(error_type=MARSHAL_ERROR, message=f"Unable to marshal response: {_text(error)}")
    return bounded(data)


def bounded(data: bytes) -> Outcome:
    """A response, unless it is larger than Lambda allows."""
    return response_too_large() if len(data) > PAYLOAD_LIMIT_BYTES else Succeeded(response=Payload.of_bytes(data))


def response_too_large() -> HandlerFailed:
    """Lambda's words for a response of more than 6 MB."""
    limit = f"({PAYLOAD_LIMIT_BYTES} bytes)"
    message = f"Response payload size exceeded maximum allowed payload size {limit}."
    return HandlerFailed(error_type=RESPONSE_TOO_LARGE, message=message)


def failure_of(error: BaseException, *, request_id: str) -> HandlerFailed:
    """What the handler raised, as Lambda reports it."""
    if isinstance(error, SystemExit):
        return exit_failure(_exit_status(error), request_id=request_id)
    if isinstance(error, KeyboardInterrupt):
        return exit_failure(-signal.SIGINT, request_id=request_id)
    trace = tuple(_stack_trace(error))
    return HandlerFailed(error_type=type(error).__name__, message=_text(error), stack_trace=trace)


def exit_failure(status: int, *, request_id: str) -> HandlerFailed:
    """A runtime that ended while it had an invocation: with an exit status, or by signal `-status`."""
    if status < 0:
        how = f"Runtime exited with error: signal: {(signal.strsignal(-status) or str(-status)).lower()}"
    elif status > 0:
        how = f"Runtime exited with error: exit status {status}"
    else:
        how = "Runtime exited without providing a reason"
    return HandlerFailed(error_type=EXIT_ERROR, message=f"RequestId: {request_id} Error: {how}")


def _exit_status(error: SystemExit) -> int:
    """As the interpreter does: no code is success, a text is an error."""
    if error.code is None:
        return 0
    return error.code & 0xFF if isinstance(error.code, int) else 1


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - user code: the exception's own __str__
        return f"<{type(error).__name__} without a readable message>"


def _stack_trace(error: BaseException) -> list[str]:
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith(_OWN_FRAMES):
        trace = trace.tb_next
    return traceback.format_list(traceback.extract_tb(trace))
