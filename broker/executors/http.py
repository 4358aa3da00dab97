"""Invokes a handler by HTTP: the event is the body of a POST, the response is the body of the answer.

What an answer means is in `broker.executors.http_replies`. What there is without one:

| failure | result |
|---|---|
| name not found, refused, unreachable, no connection in time, TLS, a refused address | `Unavailable`: never ran |
| connection lost since the event began to be sent, or in the middle of the answer | `HandlerFailed`: may have run |
| no answer within the function's timeout | `TimedOut`: may have run |

Connections are kept and used again. A server may close an idle one at any instant, and whether an event that was
sent just then was handled cannot be known: it counts as handled (`HandlerFailed`), since a second run by our own doing
is worse than a wait for the visibility timeout. Two things make that rare: idle connections are dropped before common
servers drop them (gunicorn after 2 s, uvicorn and Node after 5 s), and the event loop looks at its sockets once more
before a connection is chosen, so that a closed one is not used. What remains is a close that is under way.

The function's timeout counts from the call of `invoke`: the broker starts an invocation with messages that stay hidden
for that long, and beyond it another consumer may get them. So a connection has at most half of it, and what it took is
missing from the handler's time. At Lambda's path alone one second comes on top: RIE has a timeout of its own, which
begins with the request, and says so in its answer. RIE runs one invocation at a time and breaks under two, so at
Lambda's path concurrency is 1 unless told otherwise.

Nothing of the environment is used: no proxies, no `.netrc`; no cookies are kept, no redirects followed, nothing is
decompressed (and nothing compressed asked for).

Source: RFC 9110 and RFC 9112 (section 9.3.1: a client must not repeat what is not idempotent); AWS Lambda Developer
Guide, "Testing Lambda container images locally"; headers as of the Runtime API (read November 2026).
"""

import io
import re
from dataclasses import dataclass
from types import SimpleNamespace, TracebackType
from typing import Final, Self

import aiohttp
import anyio
import anyio.lowlevel
from yarl import URL

from broker.errors import ConfigurationError, ExecutorError
from broker.executors.addresses import is_refused, open_socket, refusal
from broker.executors.http_replies import Reply, result_of
from broker.executors.slots import Slots
from broker.executors.user_code import timed_out_text
from broker.model.invocation import (
    PAYLOAD_LIMIT_BYTES,
    HandlerFailed,
    Invocation,
    InvocationResult,
    TimedOut,
    Unavailable,
)

CONNECT_TIMEOUT_SECONDS: Final = 5.0
"""For the name, the connection and TLS together: the handler has not run, so there is no reason to wait long."""
IDLE_SECONDS: Final = 1.5
"""How long an unused connection is kept: less than common servers keep it."""
FENCING_HEADER = "Broker-Fencing-Token"
"""Ours: the epoch of the shard's lease, which grows with each change of owner; absent for a queue's batch."""
_CONNECT_SHARE = 0.5
"""Of the function's timeout, at most: what is left is the handler's."""
_MARGIN_SECONDS = 1.0
"""For RIE to tell of its own timeout."""
_CLOSING_SECONDS = 5.0
_CHUNK_BYTES = 65_536
_LARGE_BODY_BYTES = 2**20
_LAMBDA_PATH = re.compile(r"/2015-03-31/functions/[^/]+/invocations/?")


@dataclass(slots=True, kw_only=True)
class _Exchange:
    """One request and what is known of it."""

    is_sent: bool = False
    """Whether there is a connection and the request is being written to it."""


class HttpExecutor:
    """POSTs events to one URL. An asynchronous context manager that owns its connections; asyncio only."""

    def __init__(
        self,
        *,
        url: str,
        concurrency: int | None = None,
        allow_link_local: bool = False,
        connect_timeout_seconds: float = CONNECT_TIMEOUT_SECONDS,
    ) -> None:
        """`concurrency` is 1 or more; None is 1 at Lambda's path and no limit elsewhere.

        `allow_link_local` permits link-local and cloud metadata addresses.

        Raises:
            ConfigurationError: the URL's host is an address that is refused.
        """
        self._url = URL(url)
        self._where = str(self._url.with_user(None).with_query(None).with_fragment(None))
        self._speaks_lambda = _LAMBDA_PATH.fullmatch(self._url.path) is not None
        self._slots = Slots(concurrency or (1 if self._speaks_lambda else None))
        self._allow_link_local = allow_link_local
        self._connect_timeout_seconds = connect_timeout_seconds
        self._session: aiohttp.ClientSession | None = None
        if not allow_link_local and is_refused(self._url.host or ""):
            raise ConfigurationError(f"{self._where}: {refusal(self._url.host or '')}")

    @property
    def concurrency(self) -> int | None:
        """How many invocations run at once; None for as many as asked."""
        return self._slots.concurrency

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                keepalive_timeout=IDLE_SECONDS,
                socket_factory=None if self._allow_link_local else open_socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(),
            headers={
                "Content-Type": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": "event-source-broker",
            },
            auto_decompress=False,
            trust_env=False,
            trace_configs=[_tracing()],
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        with anyio.move_on_after(_CLOSING_SECONDS, shield=True):
            if session is not None:
                await session.close()

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        """POSTs the event once; `Throttled` where all slots are taken."""
        if self._session is None:
            raise ExecutorError(f"{self._where} cannot be invoked outside of the executor's `async with`")
        if refusal := self._slots.take_nowait():
            return refusal
        try:
            await _see_closed_connections()
            return await self._post(self._session, invocation)
        finally:
            self._slots.release()

    async def _post(self, session: aiohttp.ClientSession, invocation: Invocation) -> InvocationResult:
        margin = _MARGIN_SECONDS if self._speaks_lambda else 0.0
        exchange = _Exchange()
        with anyio.move_on_after(invocation.timeout_seconds + margin):
            try:
                reply = await self._reply(session, invocation, exchange)
            except (aiohttp.ClientError, OSError) as error:
                return self._without_answer(exchange, error)
            return result_of(reply, where=self._where, speaks_lambda=self._speaks_lambda)
        if not exchange.is_sent:
            return Unavailable(message=f"{self._where} cannot be reached: no connection within the function's timeout")
        return TimedOut(message=timed_out_text(invocation.timeout_seconds))

    async def _reply(self, session: aiohttp.ClientSession, invocation: Invocation, exchange: _Exchange) -> Reply:
        async with session.post(
            self._url,
            data=_body(invocation.payload.bytes),
            headers=_headers(invocation),
            allow_redirects=False,
            timeout=self._timeout(invocation),
            trace_request_ctx=exchange,
        ) as response:
            return Reply(status=response.status, headers=response.headers, body=await _read(response))

    def _timeout(self, invocation: Invocation) -> aiohttp.ClientTimeout:
        share = invocation.timeout_seconds * _CONNECT_SHARE
        return aiohttp.ClientTimeout(connect=min(self._connect_timeout_seconds, share))

    def _without_answer(self, exchange: _Exchange, error: Exception) -> HandlerFailed | Unavailable:
        why = str(error) or type(error).__name__
        if not exchange.is_sent:
            return Unavailable(message=f"{self._where} cannot be reached: {why}")
        message = f"{self._where} did not answer to the end, the handler may have run: {why}"
        return HandlerFailed(error_type="Http.ConnectionLost", message=message)


async def _see_closed_connections() -> None:
    """Lets the event loop look at its sockets, so that a connection that has been closed is not taken for a live one.

    It takes two turns: what the first finds is acted upon in the second.
    """
    await anyio.lowlevel.checkpoint()
    await anyio.lowlevel.checkpoint()


def _headers(invocation: Invocation) -> dict[str, str]:
    headers = {
        "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
        "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
    }
    if invocation.fencing_token is not None:
        headers[FENCING_HEADER] = str(invocation.fencing_token)
    return headers


def _body(event: bytes) -> bytes | io.BytesIO:
    """A large event is written in pieces, so that the event loop is not held up."""
    return io.BytesIO(event) if len(event) > _LARGE_BODY_BYTES else event


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    """The body; None, and no more read, where it is larger than Lambda allows."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        body += chunk
        if len(body) > PAYLOAD_LIMIT_BYTES:
            response.close()
            return None
    return bytes(body)


def _tracing() -> aiohttp.TraceConfig:
    """Tells each exchange that its request is being sent."""
    tracing = aiohttp.TraceConfig()
    tracing.on_request_headers_sent.append(_on_sent)
    return tracing


async def _on_sent(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _: aiohttp.TraceRequestHeadersSentParams
) -> None:
    exchange: _Exchange = context.trace_request_ctx
    exchange.is_sent = True
