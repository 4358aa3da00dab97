"""What an HTTP answer to an invocation means.

One question decides what is not success: *may the handler have run?* If so, the failure is the function's
(`HandlerFailed`, `TimedOut`), and the source's retries apply. If surely not, the same batch may be tried again at once
(`Throttled`, `Unavailable`), and nothing is handled twice by our own doing.

A path `/2015-03-31/functions/NAME/invocations` is Lambda's own: the Runtime Interface Emulator (RIE) or whatever else
speaks Lambda's API.

| answer | at Lambda's path | at any other URL |
|---|---|---|
| 2xx | success, unless one of the next three | success, unless one of the next two |
| … of more than 6 MB | failed, `Function.ResponseSizeTooLarge` | the same |
| … with `X-Amz-Function-Error` | failed; timed out where the body says so | the same |
| 200 with `errorType` and `errorMessage`, or RIE's text `Task timed out after …` | failed; timed out | success |
| 301, 307, 308 | unavailable: redirects are not followed | the same |
| other 3xx | as the line before | failed: a handler that worked may say where its result is |
| 400 without body | throttled: RIE runs another one | failed |
| 400 | unavailable: the invocation was refused | failed |
| 401, 403, 404, 405, 408, 415 | unavailable: no function was reached | failed: the handler may say so after its work |
| 407, 421, 425, 426 | unavailable: no handler was reached | the same |
| 413 | failed: the same event can never succeed | failed |
| 429 | throttled, after `Retry-After` | the same |
| 500 | unavailable: Lambda's service, not the function | failed |
| 502 | failed where the body is a runtime's error, else unavailable | unavailable: a proxy without a server |
| 503 | throttled where it has `Retry-After`, else unavailable | the same |
| 504 | failed: the environment was reset while it ran | failed: the proxy gave up, the handler may not |
| every other | as at any other URL | failed |

The four that no handler sends: 407 is a proxy's (RFC 9110, 15.5.8); 421, 425 and 426 say that the request was not
processed over this connection, this early, in this protocol (RFC 9110, 15.5.20 and 15.5.22; RFC 8470, 5.2). 408 says so
too, yet web services send it when something behind the handler was too slow.

A timeout at Lambda's path is the text alone, or the text as Lambda logs it, with instant and request id, anywhere in
what is no JSON object or array: text may have been written before the environment was reset.

Source: AWS Lambda API, Invoke; the emulator's source, `internal/lambda/rie` (read November 2026). That an object with
both error keys is an error, and the right-hand column, are inferred.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import orjson

from broker.executors.user_code import response_too_large
from broker.model.invocation import HandlerFailed, InvocationResult, Succeeded, Throttled, TimedOut, Unavailable
from broker.model.payload import Payload

_WORDS = r"(Task timed out after \d+(?:\.\d+)? seconds)"
_LOGGED = re.compile(rf"(?:\d{{4}}-\d\d-\d\dT[\d:.]+Z \S+|RequestId: \S+ Error:) {_WORDS}")
"""Lambda puts instant and request id before it."""
_TIMED_OUT = re.compile(rf"(?:{_LOGGED.pattern}|{_WORDS})\s*")
_TIMEOUT_TYPES = frozenset({"", "Sandbox.Timedout", "Sandbox.Timeout"})
_NOT_REACHED = frozenset({407, 421, 425, 426})
_NO_FUNCTION = frozenset({401, 403, 404, 405, 408, 415})
"""Lambda and its emulators send these before they run anything."""
_REDIRECTED = frozenset({301, 307, 308})
"""Those that ask to send the same request elsewhere; 301 is one in practice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP answer, read to its end or to its limit."""

    status: int
    headers: Mapping[str, str]
    """Case-insensitive."""
    body: bytes | None
    """None where it is larger than Lambda allows."""


def result_of(reply: Reply, *, where: str, speaks_lambda: bool) -> InvocationResult:
    """What the answer means. `where` names the URL in messages, without secrets."""
    if HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        return _success(reply, speaks_lambda=speaks_lambda)
    said = f"{where} answered {reply.status}{_phrase(reply.status)}"
    if reply.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        return _refused_for_now(reply, said)
    if reply.status in _REDIRECTED or (speaks_lambda and reply.status < HTTPStatus.BAD_REQUEST):
        return Unavailable(message=f"{said}, which is not followed: give the function the Url that it leads to")
    if reply.status in _NOT_REACHED or (speaks_lambda and reply.status in _NO_FUNCTION):
        return Unavailable(message=said)
    return _lambda_failure(reply, said) if speaks_lambda else _web_failure(reply, said)


def _success(reply: Reply, *, speaks_lambda: bool) -> InvocationResult:
    if reply.body is None:
        return response_too_large()
    if "X-Amz-Function-Error" in reply.headers:
        kind = reply.headers["X-Amz-Function-Error"]
        return _function_error(reply.body) or HandlerFailed(error_type=kind, message="the body does not say why")
    if speaks_lambda and reply.status == HTTPStatus.OK:
        return _emulated_error(reply.body) or Succeeded(response=Payload.of_bytes(reply.body))
    return Succeeded(response=Payload.of_bytes(reply.body))


def _emulated_error(body: bytes) -> HandlerFailed | TimedOut | None:
    """RIE answers 200 whatever happened."""
    if b"Task timed out after " in body or b"errorType" in body:
        return _function_error(body, needs_both=True)
    return None


def _refused_for_now(reply: Reply, said: str) -> Throttled | Unavailable:
    seconds = retry_after_seconds(reply.headers)
    if seconds is None and reply.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return Unavailable(message=said)
    return Throttled(message=said, retry_after_seconds=seconds or 0.0)


def _lambda_failure(reply: Reply, said: str) -> InvocationResult:
    match reply.status:
        case HTTPStatus.BAD_REQUEST if reply.body == b"":
            return Throttled(message=f"{said} without a body: it is running another invocation")
        case HTTPStatus.BAD_REQUEST | HTTPStatus.INTERNAL_SERVER_ERROR:
            return Unavailable(message=said)
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return HandlerFailed(error_type="RequestTooLargeException", message=f"{said}: the event is too large")
        case HTTPStatus.BAD_GATEWAY:
            return _function_error(reply.body or b"", needs_both=True) or Unavailable(message=said)
        case HTTPStatus.GATEWAY_TIMEOUT:
            message = f"{said}: the environment was reset while the handler ran"
            return HandlerFailed(error_type="Sandbox.Failure", message=message)
        case _:
            return _web_failure(reply, said)


def _web_failure(reply: Reply, said: str) -> InvocationResult:
    if reply.status == HTTPStatus.BAD_GATEWAY:
        return Unavailable(message=said)
    failure = _function_error(reply.body or b"", needs_both=True)
    return failure or HandlerFailed(error_type=f"Http.{reply.status}", message=said)


def _function_error(body: bytes, *, needs_both: bool = False) -> HandlerFailed | TimedOut | None:
    """The error that a body describes, in any of Lambda's forms."""
    value = _json(body)
    if not isinstance(value, dict | list):
        return _timeout_in(body.decode(errors="replace"))
    error = value if isinstance(value, dict) else {}
    kind, message = error.get("errorType"), error.get("errorMessage")
    if not isinstance(message, str) or (needs_both and not isinstance(kind, str)):
        return None
    kind = kind if isinstance(kind, str) else ""
    if kind in _TIMEOUT_TYPES and (timed_out := _TIMED_OUT.fullmatch(message)):
        return TimedOut(message=timed_out[1] or timed_out[2])
    return HandlerFailed(error_type=kind or "Unhandled", message=message, stack_trace=_lines(error.get("stackTrace")))


def _timeout_in(text: str) -> TimedOut | None:
    if found := _LOGGED.search(text):
        return TimedOut(message=found[1])
    if found := _TIMED_OUT.fullmatch(text):
        return TimedOut(message=found[2])
    return None


def _json(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _lines(trace: object) -> tuple[str, ...]:
    return tuple(str(line) for line in trace) if isinstance(trace, list) else ()


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """`Retry-After`, in seconds or as a date, which is compared with the answer's own; None where there is none."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        later, now = parsedate_to_datetime(value), parsedate_to_datetime(headers.get("Date", ""))
        return max(0.0, (later - now).total_seconds())
    except (ValueError, TypeError):  # no date, or one with a zone and one without
        return None


def _phrase(status: int) -> str:
    try:
        return f" {HTTPStatus(status).phrase}"
    except ValueError:
        return ""
