"""What only the executor for HTTP promises, against servers on loopback."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from typing import Any

import anyio
import anyio.abc
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from anyio.streams.buffered import BufferedByteReceiveStream

from broker.errors import ConfigurationError, ExecutorError
from broker.executors import addresses
from broker.executors.http import HttpExecutor
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

pytestmark = pytest.mark.anyio

EMULATOR = "/2015-03-31/functions/function/invocations"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def an_invocation(timeout_seconds: float = 5.0, **event: Any) -> Invocation:
    return Invocation(
        request_id="r-1",
        payload=Payload.of_value({"Records": [], **event}),
        function_name="orders",
        function_arn="arn:aws:lambda:eu-west-1:123456789012:function:orders",
        timeout_seconds=timeout_seconds,
    )


async def invoke(url: str, **settings: Any) -> InvocationResult:
    async with HttpExecutor(url=url, **settings) as executor:
        return await executor.invoke(an_invocation())


@asynccontextmanager
async def web_service(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]], path: str = "/orders"
) -> AsyncIterator[str]:
    application = web.Application(client_max_size=8_000_000)
    application.router.add_post(path, answer)
    server = TestServer(application)
    await server.start_server(shutdown_timeout=0.0)
    try:
        yield str(server.make_url(path))
    finally:
        await server.close()


@dataclass
class RawServer:
    """A server that does with each connection what the test says."""

    url: str = ""
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)

    async def read_request(self, stream: anyio.abc.ByteStream) -> BufferedByteReceiveStream:
        """Reads one request with a `Content-Length`."""
        buffered = BufferedByteReceiveStream(stream)
        head = await buffered.receive_until(b"\r\n\r\n", 65_536)
        length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        self.requests.append(await buffered.receive_exactly(int(length.split(b":")[1])))
        return buffered


@asynccontextmanager
async def raw_server(
    serve: Callable[[RawServer, anyio.abc.SocketStream], Awaitable[None]],
) -> AsyncIterator[RawServer]:
    server = RawServer()

    async def handle(stream: anyio.abc.SocketStream) -> None:
        server.connections += 1
        async with stream:
            await serve(server, stream)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    server.url = f"http://127.0.0.1:{port}/orders"
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        yield server
        tasks.cancel_scope.cancel()


# ---- the request


async def test_the_event_is_the_body_and_the_headers_are_the_runtimes() -> None:
    seen: dict[str, Any] = {}

    async def answer(request: web.Request) -> web.Response:
        seen.update(body=await request.read(), headers=dict(request.headers), method=request.method)
        return web.Response(body=b"{}", headers={"Set-Cookie": "a=b"})

    async with web_service(answer) as url, HttpExecutor(url=url) as executor:
        for _ in range(2):
            assert isinstance(await executor.invoke(an_invocation()), Succeeded)
    assert seen["method"] == "POST"
    assert seen["body"] == b'{"Records":[]}'
    assert seen["headers"].pop("Host").startswith("127.0.0.1:")
    assert seen["headers"] == {
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Content-Length": "14",
        "Content-Type": "application/json",
        "Lambda-Runtime-Aws-Request-Id": "r-1",
        "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:123456789012:function:orders",
        "User-Agent": "event-source-broker",
    }


async def test_a_shards_batch_carries_its_leases_epoch_in_a_header() -> None:
    seen: dict[str, Any] = {}

    async def answer(request: web.Request) -> web.Response:
        seen.update(request.headers)
        return web.Response(body=b"{}")

    async with web_service(answer) as url, HttpExecutor(url=url) as executor:
        await executor.invoke(replace(an_invocation(), fencing_token=7))
    assert seen["Broker-Fencing-Token"] == "7"


async def test_an_event_of_six_megabytes_arrives_whole() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response(len((await request.json())["text"]))

    async with web_service(answer) as url, HttpExecutor(url=url) as executor:
        result = await executor.invoke(an_invocation(text="x" * 6_200_000))
    assert isinstance(result, Succeeded)
    assert result.response.value == 6_200_000


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=b"{}")

    async with web_service(answer) as url:
        assert isinstance(await invoke(url), Succeeded)


async def test_connections_are_used_again() -> None:
    ports: set[object] = set()

    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername"))
        return web.Response(body=b"{}")

    async with web_service(answer) as url, HttpExecutor(url=url) as executor:
        for _ in range(5):
            assert isinstance(await executor.invoke(an_invocation()), Succeeded)
    assert len(ports) == 1


# ---- the answer


async def test_redirects_are_not_followed() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        raise web.HTTPTemporaryRedirect("/elsewhere")

    async with web_service(answer) as url:
        result = await invoke(url)
    assert isinstance(result, Unavailable)
    assert asked == ["/orders"]


async def test_no_more_is_read_than_a_response_may_have() -> None:
    sent: list[int] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65_536)
                sent.append(65_536)
        except ConnectionError:
            return response

    async with web_service(answer) as url:
        result = await invoke(url)
    assert isinstance(result, HandlerFailed)
    assert result.error_type == "Function.ResponseSizeTooLarge"
    assert sum(sent) < 40_000_000


async def test_a_compressed_answer_is_left_as_it_is() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=b"not really gzip", headers={"Content-Encoding": "gzip"})

    async with web_service(answer) as url:
        result = await invoke(url)
    assert isinstance(result, Succeeded)
    assert result.response.bytes == b"not really gzip"


async def test_a_second_invocation_of_a_busy_emulator_is_throttled() -> None:
    running, release = anyio.Event(), anyio.Event()

    async def answer(request: web.Request) -> web.Response:
        if running.is_set():
            return web.Response(status=400)
        running.set()
        await release.wait()
        return web.Response(body=b"{}")

    async with (
        web_service(answer, EMULATOR) as url,
        HttpExecutor(url=url, concurrency=2) as executor,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(executor.invoke, an_invocation())
        await running.wait()
        result = await executor.invoke(an_invocation())
        release.set()
    assert isinstance(result, Throttled)


def test_an_emulator_runs_one_invocation_at_a_time_unless_told_otherwise() -> None:
    assert HttpExecutor(url=f"http://localhost:8080{EMULATOR}").concurrency == 1
    assert HttpExecutor(url=f"http://localhost:8080{EMULATOR}/", concurrency=4).concurrency == 4
    assert HttpExecutor(url="http://localhost:8080/2015-03-31/functions").concurrency is None


async def test_the_emulators_own_timeout_has_a_moment_to_arrive() -> None:
    async def answer(request: web.Request) -> web.Response:
        await anyio.sleep(0.3)
        return web.Response(text="Task timed out after 7.00 seconds")

    async with web_service(answer, EMULATOR) as url, HttpExecutor(url=url) as executor:
        result = await executor.invoke(an_invocation(timeout_seconds=0.1))
    assert result == TimedOut(message="Task timed out after 7.00 seconds")


# ---- no answer


async def test_a_refused_connection_means_that_the_handler_did_not_run(free_tcp_port: int) -> None:
    result = await invoke(f"http://127.0.0.1:{free_tcp_port}/orders?token=secret")
    assert isinstance(result, Unavailable)
    assert result.message.startswith(f"http://127.0.0.1:{free_tcp_port}/orders cannot be reached: ")
    assert "secret" not in result.message


async def test_an_unknown_name_means_that_the_handler_did_not_run() -> None:
    result = await invoke("http://no-such-host.invalid/orders")
    assert isinstance(result, Unavailable)


async def test_a_failed_handshake_means_that_the_handler_did_not_run() -> None:
    async def serve(server: RawServer, stream: anyio.abc.SocketStream) -> None:
        await stream.receive()
        await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with raw_server(serve) as server:
        result = await invoke(server.url.replace("http:", "https:"))
    assert isinstance(result, Unavailable)


async def test_a_connection_that_takes_too_long_means_that_the_handler_did_not_run() -> None:
    async def serve(server: RawServer, stream: anyio.abc.SocketStream) -> None:
        await anyio.sleep_forever()

    async with raw_server(serve) as server:
        result = await invoke(server.url.replace("http:", "https:"), connect_timeout_seconds=0.2)
    assert isinstance(result, Unavailable)
    assert "Connection timeout" in result.message


async def test_a_connection_has_half_of_the_functions_timeout_which_is_the_handlers_time_as_well() -> None:
    async def serve(server: RawServer, stream: anyio.abc.SocketStream) -> None:
        await anyio.sleep_forever()

    async with raw_server(serve) as server:
        url = server.url.replace("http:", "https:")
        async with HttpExecutor(url=url, connect_timeout_seconds=60.0) as executor:
            with anyio.fail_after(20):
                result = await executor.invoke(an_invocation(timeout_seconds=0.4))
    assert isinstance(result, Unavailable)
    assert "Connection timeout" in result.message


async def test_a_request_that_was_not_sent_in_time_did_not_run_the_handler(free_tcp_port: int) -> None:
    async with HttpExecutor(url=f"http://127.0.0.1:{free_tcp_port}/orders") as executor:
        result = await executor.invoke(an_invocation(timeout_seconds=0.0))
    assert isinstance(result, Unavailable)


async def test_a_connection_lost_before_the_answer_may_have_run_the_handler() -> None:
    async def serve(server: RawServer, stream: anyio.abc.SocketStream) -> None:
        await server.read_request(stream)

    async with raw_server(serve) as server:
        result = await invoke(server.url)
    assert isinstance(result, HandlerFailed)
    assert result.error_type == "Http.ConnectionLost"
    assert len(server.requests) == 1


async def test_an_answer_that_is_cut_off_may_have_run_the_handler() -> None:
    async def serve(server: RawServer, stream: anyio.abc.SocketStream) -> None:
        await server.read_request(stream)
        await stream.send(OK[:-1])

    async with raw_server(serve) as server:
        result = await invoke(server.url)
    assert isinstance(result, HandlerFailed)
    assert result.error_type == "Http.ConnectionLost"


async def test_an_answer_that_is_not_http_may_have_run_the_handler() -> None:
    async def serve(server: RawServer, stream: anyio.abc.SocketStream) -> None:
        await server.read_request(stream)
        await stream.send(b"220 smtp.example.com ESMTP\r\n\r\n")

    async with raw_server(serve) as server:
        result = await invoke(server.url)
    assert isinstance(result, HandlerFailed)


async def test_no_answer_in_time_is_a_timeout() -> None:
    async def serve(server: RawServer, stream: anyio.abc.SocketStream) -> None:
        await server.read_request(stream)
        await anyio.sleep_forever()

    async with raw_server(serve) as server, HttpExecutor(url=server.url) as executor:
        result = await executor.invoke(an_invocation(timeout_seconds=0.2))
        assert result == TimedOut(message="Task timed out after 0.20 seconds")


async def test_a_body_that_does_not_end_in_time_is_a_timeout() -> None:
    async def serve(server: RawServer, stream: anyio.abc.SocketStream) -> None:
        await server.read_request(stream)
        await stream.send(OK[:-1])
        await anyio.sleep_forever()

    async with raw_server(serve) as server, HttpExecutor(url=server.url) as executor:
        assert isinstance(await executor.invoke(an_invocation(timeout_seconds=0.2)), TimedOut)


# ---- connections that the server closed


async def test_a_connection_closed_between_two_requests_is_no_failure() -> None:
    hang_up, closed = anyio.Event(), anyio.Event()

    async def serve(server: RawServer, stream: anyio.abc.SocketStream) -> None:
        await server.read_request(stream)
        await stream.send(OK)
        await hang_up.wait()
        await stream.aclose()
        closed.set()

    async with raw_server(serve) as server, HttpExecutor(url=server.url) as executor:
        assert isinstance(await executor.invoke(an_invocation()), Succeeded)
        hang_up.set()
        await closed.wait()
        assert isinstance(await executor.invoke(an_invocation()), Succeeded)
    assert len(server.requests) == server.connections == 2


async def test_a_connection_closed_as_the_event_is_sent_may_have_run_the_handler_and_it_is_not_sent_again() -> None:
    async def serve(server: RawServer, stream: anyio.abc.SocketStream) -> None:
        await server.read_request(stream)
        if server.connections == len(server.requests) == 1:
            await stream.send(OK)
            await server.read_request(stream)

    async with raw_server(serve) as server, HttpExecutor(url=server.url) as executor:
        assert isinstance(await executor.invoke(an_invocation()), Succeeded)
        assert isinstance(await executor.invoke(an_invocation()), HandlerFailed)
    assert len(server.requests) == 2
    assert server.connections == 1


# ---- addresses


async def test_a_link_local_address_in_the_url_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match=r"http://169.254.169.254/latest: 169.254.169.254 is a link-local"):
        HttpExecutor(url="http://169.254.169.254/latest")
    with pytest.raises(ConfigurationError):
        HttpExecutor(url="http://[::ffff:169.254.169.254]/latest")


async def test_a_name_that_leads_to_a_refused_address_is_refused_after_its_resolution(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With loopback in the place of link-local, so that there is something to connect to."""
    monkeypatch.setattr(addresses, "_REFUSED", (ip_network("127.0.0.0/8"), ip_network("::1/128")))

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=b"{}")

    async with web_service(answer) as url:
        named = url.replace("127.0.0.1", "localhost")
        refused = await invoke(named)
        allowed = await invoke(named, allow_link_local=True)
    assert isinstance(refused, Unavailable)
    assert "127.0.0.1 is a link-local or cloud metadata address" in refused.message
    assert isinstance(allowed, Succeeded)


# ---- the executor itself


async def test_an_executor_is_used_inside_of_its_context() -> None:
    executor = HttpExecutor(url="http://localhost:8080/orders")
    with pytest.raises(ExecutorError, match="http://localhost:8080/orders cannot be invoked outside of"):
        await executor.invoke(an_invocation())
    await executor.__aexit__(None, None, None)
