"""What every executor promises: one suite for handlers in the process, in a child process and behind HTTP."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from broker.executors.http import HttpExecutor
from broker.executors.in_process import InProcessExecutor
from broker.executors.process import ProcessExecutor
from broker.executors.user_code import call
from broker.model.invocation import HandlerFailed, Invocation, InvocationResult, Succeeded, Throttled, TimedOut
from broker.model.payload import Payload
from broker.ports import Executor
from broker.testing import VirtualClock, virtual_backend
from tests.conformance import executor_handlers

pytestmark = pytest.mark.anyio

Open = Callable[..., AbstractAsyncContextManager[Executor]]
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:orders:live"


def an_invocation(timeout_seconds: float = 20.0) -> Invocation:
    return Invocation(
        request_id="r-1",
        payload=Payload.of_value({"Records": [1, 2]}),
        function_name="orders",
        function_arn=ARN,
        timeout_seconds=timeout_seconds,
    )


# ---- how each is opened around the handler of a name


@asynccontextmanager
async def in_process(behaviour: str, concurrency: int | None = None) -> AsyncIterator[Executor]:
    clock = VirtualClock()

    def hang(event: Any, context: Any) -> None:
        clock.sleep_in_thread(60)

    handler = hang if behaviour == "hang" else getattr(executor_handlers, behaviour)
    yield InProcessExecutor(handler=handler, clock=clock, concurrency=concurrency, run_sync=clock.run_sync)


@asynccontextmanager
async def in_process_async(behaviour: str, concurrency: int | None = None) -> AsyncIterator[Executor]:
    async def handler(event: Any, context: Any) -> Any:
        if behaviour == "hang":
            await anyio.sleep(60)
        return getattr(executor_handlers, behaviour)(event, context)

    yield InProcessExecutor(handler=handler, clock=VirtualClock(), concurrency=concurrency)


@asynccontextmanager
async def in_child(behaviour: str, concurrency: int | None = None) -> AsyncIterator[Executor]:
    async with ProcessExecutor(
        handler=f"executor_handlers:{behaviour}",
        clock=VirtualClock(),
        concurrency=concurrency,
        folders=[Path(__file__).parent],
    ) as executor:
        yield executor


@asynccontextmanager
async def behind_emulator(behaviour: str, concurrency: int | None = None) -> AsyncIterator[Executor]:
    path = "/2015-03-31/functions/function/invocations"
    async with _server(path, behaviour) as url, HttpExecutor(url=url, concurrency=concurrency) as executor:
        yield executor


@asynccontextmanager
async def behind_web_service(behaviour: str, concurrency: int | None = None) -> AsyncIterator[Executor]:
    async with _server("/orders", behaviour) as url, HttpExecutor(url=url, concurrency=concurrency) as executor:
        yield executor


@asynccontextmanager
async def _server(path: str, behaviour: str) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_post(path, _Service(behaviour).answer)
    server = TestServer(application)
    await server.start_server(shutdown_timeout=0.0)
    try:
        yield str(server.make_url(path))
    finally:
        await server.close()


class _Service:
    """Answers as AWS does: 200 with the response, or with the error and its header."""

    def __init__(self, behaviour: str) -> None:
        self._behaviour = behaviour

    async def answer(self, request: web.Request) -> web.Response:
        if self._behaviour == "hang":
            await anyio.sleep(60)
        if self._behaviour == "oversize":
            return web.Response(body=b"x" * 6_291_557)
        context = _Context(request)
        outcome = call(
            getattr(executor_handlers, self._behaviour),
            await request.json(),
            context,
            request_id=context.aws_request_id,
        )
        if isinstance(outcome, Succeeded):
            return web.Response(body=outcome.response.bytes, content_type="application/json")
        assert isinstance(outcome, HandlerFailed)
        error = {"errorType": outcome.error_type, "errorMessage": outcome.message, "stackTrace": outcome.stack_trace}
        return web.json_response(error, headers={"X-Amz-Function-Error": "Unhandled"})


class _Context:
    def __init__(self, request: web.Request) -> None:
        self.aws_request_id = request.headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn = request.headers["Lambda-Runtime-Invoked-Function-Arn"]


VIRTUAL: list[Open] = [in_process, in_process_async]
REAL: list[Open] = [in_child, behind_emulator, behind_web_service]


@pytest.fixture(
    params=[(opened, backend) for opened in VIRTUAL for backend in ("asyncio", "trio")]
    + [(opened, "") for opened in REAL],
    ids=lambda param: "-".join(filter(None, (param[0].__name__, param[1]))),
)
def target(request: pytest.FixtureRequest) -> tuple[Open, str]:
    """How the executor is opened, and the backend in virtual time, or none where processes and sockets are real."""
    return request.param


@pytest.fixture
def open_executor(target: tuple[Open, str]) -> Open:
    return target[0]


@pytest.fixture
def anyio_backend(target: tuple[Open, str]) -> object:
    return virtual_backend(target[1]) if target[1] else "asyncio"  # type: ignore[arg-type]


@pytest.fixture
def short_seconds(target: tuple[Open, str]) -> float:
    return 3.0 if target[1] else 0.3


async def test_what_the_handler_returns_is_the_response(open_executor: Open) -> None:
    async with open_executor("succeed") as executor:
        result = await executor.invoke(an_invocation())
    assert isinstance(result, Succeeded)
    assert result.response.value == {"count": 2, "id": "r-1", "arn": ARN}


async def test_a_handler_that_returns_nothing_returns_null(open_executor: Open) -> None:
    async with open_executor("nothing") as executor:
        result = await executor.invoke(an_invocation())
    assert isinstance(result, Succeeded)
    assert result.response.bytes == b"null"


async def test_what_the_handler_raises_is_a_function_error_with_its_frames(open_executor: Open) -> None:
    async with open_executor("fail") as executor:
        result = await executor.invoke(an_invocation())
    assert isinstance(result, HandlerFailed)
    assert (result.error_type, result.message) == ("ValueError", "bad order")
    assert "in fail" in result.stack_trace[-1]
    assert not any("broker/executors" in line for line in result.stack_trace)


async def test_a_value_that_cannot_be_marshalled_is_a_function_error(open_executor: Open) -> None:
    async with open_executor("unmarshallable") as executor:
        result = await executor.invoke(an_invocation())
    assert result == HandlerFailed(
        error_type="Runtime.MarshalError",
        message="Unable to marshal response: Object of type set is not JSON serializable",
    )


async def test_a_response_that_is_too_large_is_a_function_error(open_executor: Open) -> None:
    async with open_executor("oversize") as executor:
        result = await executor.invoke(an_invocation())
    assert result == HandlerFailed(
        error_type="Function.ResponseSizeTooLarge",
        message="Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    )


async def test_a_handler_that_exits_is_a_function_error(open_executor: Open) -> None:
    async with open_executor("leave") as executor:
        result = await executor.invoke(an_invocation())
    message = "RequestId: r-1 Error: Runtime exited with error: exit status 3"
    assert result == HandlerFailed(error_type="Runtime.ExitError", message=message)


async def test_a_handler_past_its_time_has_timed_out_in_lambdas_words(
    open_executor: Open, short_seconds: float
) -> None:
    async with open_executor("hang") as executor:
        result = await executor.invoke(an_invocation(short_seconds))
        assert isinstance(result, TimedOut)
        assert result.message == f"Task timed out after {short_seconds:.2f} seconds"
        if result.wait_returned is not None:
            await result.wait_returned()


async def test_an_invocation_beyond_the_concurrency_is_throttled(open_executor: Open, short_seconds: float) -> None:
    results: list[InvocationResult] = []
    async with open_executor("hang", concurrency=1) as executor:

        async def invoke() -> None:
            results.append(await executor.invoke(an_invocation(short_seconds)))

        assert executor.concurrency == 1
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(invoke)
            await anyio.sleep(short_seconds / 3)
            tasks.start_soon(invoke)
        assert isinstance(results[0], Throttled)
        assert isinstance(results[1], TimedOut)
        if results[1].wait_returned is not None:
            await results[1].wait_returned()


async def test_an_executor_serves_one_invocation_after_the_other(open_executor: Open) -> None:
    async with open_executor("succeed", concurrency=1) as executor:
        for _ in range(3):
            assert isinstance(await executor.invoke(an_invocation()), Succeeded)


async def test_cancelling_an_invocation_leaves_at_once(open_executor: Open, short_seconds: float) -> None:
    async with open_executor("hang") as executor:
        with anyio.fail_after(40), anyio.move_on_after(short_seconds / 3) as scope:
            await executor.invoke(an_invocation())
        assert scope.cancelled_caught
    await anyio.lowlevel.checkpoint()
