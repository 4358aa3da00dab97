"""The HTTP listeners: health for probes, the control plane for the command line. Both are read-only."""

import errno
import os
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import orjson
from aiohttp import web

from broker.api.health import Reporting, readiness, status_list
from broker.api.hosts import is_trusted_host
from broker.errors import ListenerError

CLOSING_SECONDS = 2.0
"""How long a request that is being answered may take to end when the listener closes."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def health_application(broker: Reporting) -> web.Application:
    """`GET /livez` and `GET /readyz`: what a probe may ask, from any host."""
    application = web.Application()
    application.add_routes([web.get("/livez", _livez), web.get("/readyz", _readyz_of(broker))])
    return application


def control_plane_application(broker: Reporting, *, host: str, with_error_messages: bool = False) -> web.Application:
    """Health, and `GET /status`: a JSON list of `MappingStatus`.

    `host` is the configured host; `with_error_messages` shows what handlers' errors say, which may quote a body.
    """
    application = health_application(broker)
    status = _status_of(broker, with_error_messages=with_error_messages)
    application.add_routes([web.get("/status", _guarded(status, host))])
    return application


class HttpListener:
    """Serves one application while the block is open. Opening raises `ListenerError`."""

    def __init__(self, *, host: str, port: int, application: web.Application, setting: str, variable: str = "") -> None:
        self._host = host
        self._requested_port = port
        self._setting = setting
        self._variable = variable
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=CLOSING_SECONDS)
        self.port = port
        """The port that is listened at; chosen by the machine where 0 was asked for."""

    @property
    def url(self) -> str:
        """`http://127.0.0.1:3001`."""
        return f"http://{_bracketed(self._host)}:{self.port}"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._requested_port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise ListenerError(self._explain(error)) from error
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    def _explain(self, error: OSError) -> str:
        where = f"{self._setting} {_bracketed(self._host)}:{self._requested_port}"
        another = f"choose another with {self._variable}" if self._variable else "choose another"
        if error.errno == errno.EADDRINUSE:
            return f"{where}: address in use; {another} or stop the other process"
        if error.errno == errno.EACCES:
            return f"{where}: not permitted to listen there; {another} (ports below 1024 need a privilege)"
        return f"{where}: cannot listen there: {_reason(error)}; {another}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror or error)


async def _livez(_request: web.Request) -> web.Response:
    return _json({"alive": True})


def _readyz_of(broker: Reporting) -> _Handler:
    async def readyz(_request: web.Request) -> web.Response:
        answer = readiness(broker)
        return _json(answer, status=200 if answer["ready"] else 503)

    return readyz


def _status_of(broker: Reporting, *, with_error_messages: bool) -> _Handler:
    async def status(_request: web.Request) -> web.Response:
        return _json(status_list(broker.statuses(), with_error_messages=with_error_messages))

    return status


def _guarded(handler: _Handler, configured: str) -> _Handler:
    async def guarded(request: web.Request) -> web.StreamResponse:
        if is_trusted_host(request.host, configured=configured, arrived_at=_arrived_at(request)):
            return await handler(request)
        return _json({"message": "this Host is not answered: ask by address, or as localhost"}, status=403)

    return guarded


def _arrived_at(request: web.Request) -> str:
    transport = request.transport
    return str(transport.get_extra_info("sockname")[0]) if transport else ""


def _json(value: Any, *, status: int = 200) -> web.Response:
    return web.Response(
        body=orjson.dumps(value), status=status, content_type="application/json", headers={"Cache-Control": "no-store"}
    )
