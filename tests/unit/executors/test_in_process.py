"""Handlers in the broker's process, in virtual time on both backends."""

import asyncio
import contextvars
import functools
import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest

from broker.executors.in_process import DEFAULT_THREADS, InProcessExecutor
from broker.executors.user_code import Handler, failure_of
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
from broker.runtime.clock import SystemClock
from broker.testing import VirtualClock, run_in_virtual_time

pytestmark = pytest.mark.anyio

LATE = TimedOut(message="Task timed out after 3.00 seconds")


def an_invocation(timeout_seconds: float = 3.0) -> Invocation:
    return Invocation(
        request_id="r-1",
        payload=Payload.of_value({"Records": [1, 2]}),
        function_name="orders",
        function_arn="arn:aws:lambda:eu-west-1:123456789012:function:orders",
        timeout_seconds=timeout_seconds,
    )


@pytest.fixture
def make_executor(virtual_clock: VirtualClock) -> Callable[..., InProcessExecutor]:
    def make(handler: Handler, **settings: Any) -> InProcessExecutor:
        return InProcessExecutor(handler=handler, clock=virtual_clock, run_sync=virtual_clock.run_sync, **settings)

    return make


Make = Callable[..., InProcessExecutor]


async def value_of(executor: InProcessExecutor) -> Any:
    result = await executor.invoke(an_invocation())
    assert isinstance(result, Succeeded), result
    return result.response.value


class Handlers:
    """Everything that can be called with an event and a context."""

    async def async_method(self, event: Any, context: Any) -> int:
        return len(event["Records"])

    def method(self, event: Any, context: Any) -> int:
        return len(event["Records"])

    @staticmethod
    async def static(event: Any, context: Any) -> int:
        return len(event["Records"])


class AsyncCallable:
    async def __call__(self, event: Any, context: Any) -> int:
        return len(event["Records"])


class PlainCallable:
    def __call__(self, event: Any, context: Any) -> int:
        return len(event["Records"])


async def with_more(extra: int, event: Any, context: Any) -> int:
    return len(event["Records"]) + extra


def wraps_async(event: Any, context: Any) -> Awaitable[int]:
    return with_more(0, event, context)


@functools.wraps(with_more)
def bridges_to_async(event: Any, context: Any) -> int:
    """As decorators do that make an asynchronous handler one that Lambda can call."""
    return asyncio.run(with_more(0, event, context))


@pytest.mark.parametrize(
    "handler",
    [
        Handlers().async_method, Handlers.static, AsyncCallable(), functools.partial(with_more, 0),
        functools.partial(functools.partial(Handlers.async_method, Handlers())),
    ],
)  # fmt: skip
async def test_asynchronous_handlers_run_in_the_event_loop_without_a_limit(
    make_executor: Make, handler: Handler
) -> None:
    executor = make_executor(handler)
    assert executor.concurrency is None
    assert await value_of(executor) == 2


@pytest.mark.parametrize(
    "handler",
    [
        Handlers().method, PlainCallable(), lambda event, context: 2, functools.partial(Handlers.method, Handlers()),
        wraps_async, bridges_to_async,
    ],
)  # fmt: skip
async def test_other_handlers_run_on_threads_and_what_they_return_is_awaited(
    make_executor: Make, handler: Handler
) -> None:
    executor = make_executor(handler)
    assert executor.concurrency == DEFAULT_THREADS
    assert await value_of(executor) == 2


async def test_a_plain_handler_does_not_hold_up_the_event_loop(make_executor: Make) -> None:
    threads: list[int] = []
    await make_executor(lambda event, context: threads.append(threading.get_ident())).invoke(an_invocation())
    assert threads != [threading.get_ident()]


@pytest.mark.parametrize("awaits", [True, False])
async def test_the_context_counts_down_to_the_functions_timeout(
    make_executor: Make, virtual_clock: VirtualClock, awaits: bool
) -> None:
    async def async_handler(event: Any, context: Any) -> list[int]:
        first = context.get_remaining_time_in_millis()
        await anyio.sleep(1.5)
        return [first, context.get_remaining_time_in_millis()]

    def handler(event: Any, context: Any) -> list[int]:
        first = context.get_remaining_time_in_millis()
        virtual_clock.sleep_in_thread(1.5)
        return [first, context.get_remaining_time_in_millis()]

    assert await value_of(make_executor(async_handler if awaits else handler)) == [3000, 1500]


async def test_the_context_names_one_log_stream_for_all_invocations(make_executor: Make) -> None:
    async def handler(event: Any, context: Any) -> str:
        return context.log_stream_name

    executor = make_executor(handler, environment="0a1b")
    assert await value_of(executor) == "2026/01/01/[$LATEST]0a1b"
    assert await value_of(executor) == "2026/01/01/[$LATEST]0a1b"


async def test_the_log_stream_of_another_executor_is_another(make_executor: Make) -> None:
    async def handler(event: Any, context: Any) -> str:
        return context.log_stream_name

    assert await value_of(make_executor(handler)) != await value_of(make_executor(handler))


# ---- errors


class OrderRefused(Exception):
    pass


def refuse(number: int) -> None:
    raise OrderRefused(f"order {number}")


@pytest.mark.parametrize("awaits", [True, False])
async def test_an_exception_is_a_function_error_with_the_handlers_own_frames(make_executor: Make, awaits: bool) -> None:
    async def async_handler(event: Any, context: Any) -> None:
        refuse(7)

    def handler(event: Any, context: Any) -> None:
        refuse(7)

    result = await make_executor(async_handler if awaits else handler).invoke(an_invocation())
    assert isinstance(result, HandlerFailed)
    assert (result.error_type, result.message) == ("OrderRefused", "order 7")
    assert len(result.stack_trace) == 2
    assert "handler\n    refuse(7)\n" in result.stack_trace[0]
    assert 'in refuse\n    raise OrderRefused(f"order {number}")\n' in result.stack_trace[1]
    assert all(line.startswith('  File "') and line.endswith("\n") for line in result.stack_trace)


async def test_a_handler_that_cannot_be_called_so_has_no_frames(make_executor: Make) -> None:
    for handler in (lambda: None, no_arguments):
        result = await make_executor(handler).invoke(an_invocation())
        assert isinstance(result, HandlerFailed)
        assert result.error_type == "TypeError"
        assert result.stack_trace == ()


async def no_arguments() -> None: ...


async def test_an_exception_group_is_one_failure(make_executor: Make) -> None:
    async def handler(event: Any, context: Any) -> None:
        raise ExceptionGroup("two orders", [ValueError("a"), KeyError("b")])

    result = await make_executor(handler).invoke(an_invocation())
    assert isinstance(result, HandlerFailed)
    assert (result.error_type, result.message) == ("ExceptionGroup", "two orders (2 sub-exceptions)")


async def test_an_exception_whose_text_raises_is_still_a_function_error(make_executor: Make) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    async def handler(event: Any, context: Any) -> None:
        raise Mute

    result = await make_executor(handler).invoke(an_invocation())
    assert isinstance(result, HandlerFailed)
    assert (result.error_type, result.message) == ("Mute", "<Mute without a readable message>")


@pytest.mark.parametrize(
    ("code", "how"),
    [
        (None, "Runtime exited without providing a reason"),
        (0, "Runtime exited without providing a reason"),
        (3, "Runtime exited with error: exit status 3"),
        (-1, "Runtime exited with error: exit status 255"),
        ("sorry", "Runtime exited with error: exit status 1"),
    ],
)
@pytest.mark.parametrize("awaits", [True, False])
async def test_an_exit_is_a_function_error_in_lambdas_words(
    make_executor: Make, awaits: bool, code: object, how: str
) -> None:
    async def async_handler(event: Any, context: Any) -> None:
        raise SystemExit(code)

    def handler(event: Any, context: Any) -> None:
        raise SystemExit(code)

    result = await make_executor(async_handler if awaits else handler).invoke(an_invocation())
    assert result == HandlerFailed(error_type="Runtime.ExitError", message=f"RequestId: r-1 Error: {how}")


async def test_an_interrupt_raised_on_a_thread_is_the_handlers_own(make_executor: Make) -> None:
    def handler(event: Any, context: Any) -> None:
        raise KeyboardInterrupt

    result = await make_executor(handler).invoke(an_invocation())
    message = "RequestId: r-1 Error: Runtime exited with error: signal: interrupt"
    assert result == HandlerFailed(error_type="Runtime.ExitError", message=message)


async def test_an_interrupt_in_the_event_loop_is_the_users(make_executor: Make) -> None:
    class Interrupting:
        def __await__(self) -> Iterator[None]:
            raise KeyboardInterrupt
            yield

    async def handler(event: Any, context: Any) -> None:
        await Interrupting()

    executor = make_executor(handler, concurrency=1)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            await executor.invoke(an_invocation())


def test_a_failure_without_a_traceback_has_no_frames() -> None:
    assert failure_of(ValueError("x"), request_id="r-1") == HandlerFailed(error_type="ValueError", message="x")


async def test_a_base_exception_of_the_handlers_own_is_a_function_error(make_executor: Make) -> None:
    class Fatal(BaseException):
        pass

    async def handler(event: Any, context: Any) -> None:
        raise Fatal("worse")

    result = await make_executor(handler).invoke(an_invocation())
    assert isinstance(result, HandlerFailed)
    assert (result.error_type, result.message) == ("Fatal", "worse")


def test_a_cancellation_of_the_handlers_own_making_is_a_function_error() -> None:
    async def handler(event: Any, context: Any) -> None:
        task = asyncio.ensure_future(asyncio.sleep(10))
        task.cancel()
        await task

    async def main() -> InvocationResult:
        return await InProcessExecutor(handler=handler, clock=VirtualClock()).invoke(an_invocation())

    result = run_in_virtual_time(main)
    assert isinstance(result, HandlerFailed)
    assert result.error_type == "CancelledError"


# ---- responses


@pytest.mark.parametrize("awaits", [True, False])
async def test_a_value_that_lambda_could_not_marshal_fails_as_there(make_executor: Make, awaits: bool) -> None:
    async def async_handler(event: Any, context: Any) -> set[int]:
        return {1}

    result = await make_executor(async_handler if awaits else lambda event, context: {1}).invoke(an_invocation())
    assert result == HandlerFailed(
        error_type="Runtime.MarshalError",
        message="Unable to marshal response: Object of type set is not JSON serializable",
    )


async def test_a_response_of_more_than_six_megabytes_fails_as_in_lambda(make_executor: Make) -> None:
    limit = 6_291_556
    fits = await make_executor(lambda event, context: "x" * (limit - 2)).invoke(an_invocation())
    assert isinstance(fits, Succeeded)
    result = await make_executor(lambda event, context: "x" * (limit - 1)).invoke(an_invocation())
    assert result == HandlerFailed(
        error_type="Function.ResponseSizeTooLarge",
        message="Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    )


async def test_a_handler_that_returns_nothing_returns_null(make_executor: Make) -> None:
    result = await make_executor(lambda event, context: None).invoke(an_invocation())
    assert isinstance(result, Succeeded)
    assert result.response.bytes == b"null"


# ---- time


async def test_an_asynchronous_handler_past_its_timeout_is_cancelled(make_executor: Make) -> None:
    ended_at: list[float] = []

    async def handler(event: Any, context: Any) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended_at.append(anyio.current_time())

    started_at = anyio.current_time()
    executor = make_executor(handler, concurrency=1)
    assert await executor.invoke(an_invocation()) == LATE
    assert ended_at == [started_at + 3.0]
    assert await executor.invoke(an_invocation()) == LATE


async def test_a_timeout_is_told_with_two_decimals(make_executor: Make) -> None:
    async def handler(event: Any, context: Any) -> None:
        await anyio.sleep_forever()

    result = await make_executor(handler).invoke(an_invocation(timeout_seconds=0.25))
    assert result == TimedOut(message="Task timed out after 0.25 seconds")


async def test_a_handler_that_swallows_its_cancellation_has_timed_out_all_the_same(make_executor: Make) -> None:
    async def handler(event: Any, context: Any) -> str:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            return "never mind"

    assert await make_executor(handler).invoke(an_invocation()) == LATE


async def test_a_handler_that_turns_its_cancellation_into_an_error_has_timed_out(make_executor: Make) -> None:
    async def handler(event: Any, context: Any) -> None:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            raise ValueError("interrupted") from None

    assert await make_executor(handler).invoke(an_invocation()) == LATE


async def test_a_thread_that_ended_in_time_succeeded_though_the_event_loop_was_late(
    virtual_clock: VirtualClock,
) -> None:
    """The loop hears of the thread's end only after the timeout, and is cancelled first."""

    async def run_sync(function: Callable[[], None], **options: Any) -> None:
        await anyio.sleep(0.3)
        function()
        await anyio.sleep_forever()

    executor = InProcessExecutor(handler=lambda event, context: 7, clock=virtual_clock, run_sync=run_sync)
    result = await executor.invoke(an_invocation(timeout_seconds=1.0))
    assert isinstance(result, Succeeded)


async def test_a_thread_that_ended_late_has_timed_out_though_nobody_looked_in_time(virtual_clock: VirtualClock) -> None:
    async def run_sync(function: Callable[[], None], **options: Any) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(1.2)
        function()

    executor = InProcessExecutor(handler=lambda event, context: 7, clock=virtual_clock, run_sync=run_sync)
    result = await executor.invoke(an_invocation(timeout_seconds=1.0))
    assert result == TimedOut(message="Task timed out after 1.00 seconds")


def test_a_thread_that_ended_in_time_succeeded_though_another_handler_blocked_the_loop() -> None:
    """In real time, with a real thread that ends while the loop is blocked until after the timeout."""
    began, blocked, timeout_seconds = threading.Event(), threading.Event(), 0.5

    def handler(event: Any, context: Any) -> str:
        began.set()
        blocked.wait(10)
        return "done"

    async def block() -> None:
        while not began.is_set():  # noqa: ASYNC110 - a thread tells
            await anyio.sleep(0.001)
        blocked.set()
        time.sleep(timeout_seconds)  # noqa: ASYNC251 - it is to block the loop

    async def main() -> InvocationResult:
        executor, results = InProcessExecutor(handler=handler, clock=SystemClock()), list[InvocationResult]()

        async def invoke() -> None:
            results.append(await executor.invoke(an_invocation(timeout_seconds)))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(invoke)
            tasks.start_soon(block)
        return results[0]

    assert isinstance(anyio.run(main), Succeeded)


def test_an_asynchronous_handler_that_was_not_told_of_its_end_is_in_time() -> None:
    """It has done all of its work, though it blocked the loop itself."""

    async def handler(event: Any, context: Any) -> str:
        time.sleep(0.02)  # noqa: ASYNC251 - it is to block the loop
        return "done"

    async def main() -> InvocationResult:
        return await InProcessExecutor(handler=handler, clock=SystemClock()).invoke(an_invocation(0.01))

    assert isinstance(anyio.run(main), Succeeded)


async def test_what_a_plain_handler_returned_is_not_awaited_once_the_time_is_over(virtual_clock: VirtualClock) -> None:
    made: list[Any] = []

    def handler(event: Any, context: Any) -> Awaitable[int]:
        made.append(with_more(0, event, context))
        return made[0]

    async def run_sync(function: Callable[[], None], **options: Any) -> None:
        function()
        await anyio.sleep_forever()

    result = await InProcessExecutor(handler=handler, clock=virtual_clock, run_sync=run_sync).invoke(an_invocation())
    assert result == LATE
    assert inspect.getcoroutinestate(made[0]) == inspect.CORO_CLOSED


async def test_a_handler_that_got_no_thread_in_time_did_not_run(virtual_clock: VirtualClock) -> None:
    async def run_sync(function: Callable[[], None], **options: Any) -> None:
        await anyio.sleep_forever()

    executor = InProcessExecutor(handler=lambda event, context: 7, clock=virtual_clock, run_sync=run_sync)
    result = await executor.invoke(an_invocation())
    assert result == Unavailable(message="no worker thread was free within the function's timeout")


async def test_an_asynchronous_handler_that_does_not_end_keeps_its_slot_until_it_does(make_executor: Make) -> None:
    async def handler(event: Any, context: Any) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(10)

    executor, results = make_executor(handler, concurrency=1), list[InvocationResult]()

    async def invoke() -> None:
        results.append(await executor.invoke(an_invocation()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(invoke)
        await anyio.sleep(4)
        assert isinstance(await executor.invoke(an_invocation()), Throttled)
    assert results == [LATE]
    assert await executor.invoke(an_invocation()) == LATE


async def test_a_plain_handler_past_its_timeout_keeps_its_slot_until_it_returns(
    make_executor: Make, virtual_clock: VirtualClock
) -> None:
    executor = make_executor(lambda event, context: virtual_clock.sleep_in_thread(60), concurrency=1)
    started_at = anyio.current_time()
    result = await executor.invoke(an_invocation())
    assert anyio.current_time() - started_at == 3.0
    assert isinstance(result, TimedOut)
    assert result.message == LATE.message
    assert isinstance(await executor.invoke(an_invocation()), Throttled)
    assert result.wait_returned is not None
    await result.wait_returned()
    assert anyio.current_time() - started_at == 60.0
    await result.wait_returned()


async def test_a_slot_that_came_free_late_serves_the_next_invocation(
    make_executor: Make, virtual_clock: VirtualClock
) -> None:
    durations = iter([60, 0])
    executor = make_executor(lambda event, context: virtual_clock.sleep_in_thread(next(durations)), concurrency=1)
    result = await executor.invoke(an_invocation())
    assert isinstance(result, TimedOut)
    assert result.wait_returned is not None
    await result.wait_returned()
    assert isinstance(await executor.invoke(an_invocation()), Succeeded)


async def test_what_a_plain_handler_returned_too_late_is_not_awaited(
    make_executor: Make, virtual_clock: VirtualClock
) -> None:
    made: list[Any] = []

    def handler(event: Any, context: Any) -> Awaitable[int]:
        virtual_clock.sleep_in_thread(60)
        made.append(with_more(0, event, context))
        return made[0]

    result = await make_executor(handler).invoke(an_invocation())
    assert isinstance(result, TimedOut)
    assert result.wait_returned is not None
    await result.wait_returned()
    assert inspect.getcoroutinestate(made[0]) == inspect.CORO_CLOSED


async def test_an_awaitable_of_a_plain_handler_is_cancelled_at_the_timeout(make_executor: Make) -> None:
    def handler(event: Any, context: Any) -> Awaitable[None]:
        return anyio.sleep_forever()

    executor = make_executor(handler, concurrency=1)
    assert await executor.invoke(an_invocation()) == LATE
    assert await executor.invoke(an_invocation()) == LATE


# ---- limits


async def test_no_more_run_at_once_than_allowed(make_executor: Make) -> None:
    async def handler(event: Any, context: Any) -> None:
        await anyio.sleep(1)

    executor, results = make_executor(handler, concurrency=2), list[InvocationResult]()

    async def invoke() -> None:
        results.append(await executor.invoke(an_invocation()))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(invoke)
    assert sorted(type(result).__name__ for result in results) == ["Succeeded", "Succeeded", "Throttled"]
    assert executor.concurrency == 2


# ---- cancellation of the broker


async def test_the_brokers_cancellation_passes_and_frees_the_slot(make_executor: Make) -> None:
    async def handler(event: Any, context: Any) -> None:
        await anyio.sleep_forever()

    executor = make_executor(handler, concurrency=1)
    for _ in range(2):
        with anyio.move_on_after(1) as scope:
            await executor.invoke(an_invocation())
        assert scope.cancelled_caught


async def test_a_plain_handler_keeps_its_slot_when_the_broker_is_cancelled(
    make_executor: Make, virtual_clock: VirtualClock
) -> None:
    executor = make_executor(lambda event, context: virtual_clock.sleep_in_thread(2), concurrency=1)
    with anyio.move_on_after(1) as scope:
        await executor.invoke(an_invocation())
    assert scope.cancelled_caught
    assert isinstance(await executor.invoke(an_invocation()), Throttled)
    await anyio.sleep(5)
    assert isinstance(await executor.invoke(an_invocation()), Succeeded)


async def test_a_handler_whose_thread_had_not_begun_when_the_broker_was_cancelled_never_runs(
    virtual_clock: VirtualClock,
) -> None:
    ran: list[str] = []
    late: list[Callable[[], None]] = []

    async def run_sync(function: Callable[[], None], **options: Any) -> None:
        late.append(function)
        await anyio.sleep_forever()

    executor = InProcessExecutor(
        handler=lambda event, context: ran.append("ran"), clock=virtual_clock, run_sync=run_sync, concurrency=1
    )
    for attempt in range(2):
        with anyio.move_on_after(1) as scope:
            await executor.invoke(an_invocation())
        assert scope.cancelled_caught
        late[attempt]()
    assert ran == []


def test_a_plain_handler_may_outlive_its_event_loop() -> None:
    release, ended = threading.Event(), threading.Event()

    def handler(event: Any, context: Any) -> None:
        release.wait()

    async def main() -> None:
        executor = InProcessExecutor(handler=handler, clock=SystemClock(), run_sync=run_on_a_thread_of_its_own)
        result = await executor.invoke(an_invocation(timeout_seconds=0.01))
        assert isinstance(result, TimedOut)

    async def run_on_a_thread_of_its_own(function: Callable[[], None], **options: Any) -> None:
        def run() -> None:
            function()
            ended.set()

        threading.Thread(target=run, daemon=True).start()
        await anyio.sleep_forever()

    anyio.run(main)
    release.set()
    assert ended.wait(10)


# ---- context variables

request: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="unset")


async def test_a_plain_handler_sees_a_copy_of_the_context_variables(make_executor: Make) -> None:
    seen: list[str] = []

    def handler(event: Any, context: Any) -> None:
        seen.append(request.get())
        request.set("changed by the handler")

    request.set("set by the caller")
    await make_executor(handler).invoke(an_invocation())
    assert seen == ["set by the caller"]
    assert request.get() == "set by the caller"
