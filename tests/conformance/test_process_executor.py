"""What only an executor with child processes promises."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from broker.errors import ConfigurationError, ExecutorError
from broker.executors.process import ProcessExecutor
from broker.model.invocation import HandlerFailed, Invocation, InvocationResult, Succeeded, TimedOut, Unavailable
from broker.model.payload import Payload
from tests.conformance import executor_handlers

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
STARTING = Unavailable(message="a child process is starting")
Open = Callable[..., AbstractAsyncContextManager[ProcessExecutor]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class RealClock:
    def now(self) -> float:
        return time.time()


def an_invocation(timeout_seconds: float = 20.0, **event: Any) -> Invocation:
    return Invocation(
        request_id="r-1",
        payload=Payload.of_value({"Records": [1, 2], **event}),
        function_name="orders",
        function_arn="arn:aws:lambda:eu-west-1:123456789012:function:orders",
        timeout_seconds=timeout_seconds,
    )


@pytest.fixture
def open_executor() -> Open:
    @asynccontextmanager
    async def opened(behaviour: str, **settings: Any) -> AsyncIterator[ProcessExecutor]:
        handler = f"executor_handlers:{behaviour}"
        async with ProcessExecutor(handler=handler, clock=RealClock(), folders=[HERE], **settings) as executor:
            yield executor

    return opened


async def result_of(executor: ProcessExecutor, invocation: Invocation) -> InvocationResult:
    """What comes of it when there is a child for it."""
    while (result := await executor.invoke(invocation)) == STARTING:
        pass
    return result


async def value_of(executor: ProcessExecutor, **event: Any) -> Any:
    result = await result_of(executor, an_invocation(**event))
    assert isinstance(result, Succeeded), result
    return result.response.value


async def wait_until_gone(process_id: int) -> None:
    await until(lambda: not is_alive(process_id))


async def until(condition: Callable[[], bool]) -> None:
    """For what happens in other processes, which tell nobody."""
    with anyio.fail_after(20):
        while not condition():  # noqa: ASYNC110
            await anyio.sleep(0.02)


def has_text(file: Path) -> bool:
    return file.exists() and file.read_text() != ""


def is_alive(process_id: int) -> bool:
    """Not so a zombie: it has ended, though nobody has asked how."""
    try:
        return ") Z " not in Path(f"/proc/{process_id}/stat").read_text()
    except FileNotFoundError:
        return False


async def test_asynchronous_handlers_run_in_a_child_too(open_executor: Open) -> None:
    async with open_executor("count_async") as executor:
        assert await value_of(executor) == 2


async def test_a_child_serves_many_invocations_under_one_log_stream(open_executor: Open) -> None:
    async with open_executor("process_id") as executor:
        first, second = await value_of(executor), await value_of(executor)
    assert first == second
    assert first[0] != os.getpid()


async def test_there_is_one_child_for_each_processor_unless_told_otherwise(open_executor: Open) -> None:
    async with open_executor("nothing") as executor:
        assert executor.concurrency == os.cpu_count()


async def test_invocations_at_once_run_in_children_of_their_own(open_executor: Open, tmp_path: Path) -> None:
    found: list[Any] = []
    async with open_executor("meet", concurrency=3) as executor:

        async def invoke() -> None:
            found.append(await value_of(executor, folder=str(tmp_path), count=3))

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(invoke)
    assert len(set(found)) == 3
    for process_id in found:
        await wait_until_gone(process_id)


async def test_a_child_past_its_timeout_is_killed_with_what_it_started(open_executor: Open, tmp_path: Path) -> None:
    file = tmp_path / "ids"
    async with open_executor("beget", concurrency=1) as executor:
        result = await executor.invoke(an_invocation(1.0, file=str(file)))
        assert result == TimedOut(message="Task timed out after 1.00 seconds")
        for process_id in file.read_text().split():
            await wait_until_gone(int(process_id))


async def test_an_asynchronous_handler_that_cannot_be_cancelled_is_killed(open_executor: Open) -> None:
    async with open_executor("hang_async") as executor:
        result = await executor.invoke(an_invocation(0.3))
    assert result == TimedOut(message="Task timed out after 0.30 seconds")


async def test_the_invocation_after_a_timeout_gets_a_new_child(open_executor: Open, tmp_path: Path) -> None:
    file = str(tmp_path / "marker")
    async with open_executor("slow_only_once", concurrency=1) as executor:
        assert isinstance(await executor.invoke(an_invocation(0.5, file=file)), TimedOut)
        assert await value_of(executor, file=file) == "done"


@pytest.mark.parametrize(
    ("behaviour", "how"),
    [
        ("die", "Runtime exited with error: exit status 3"),
        ("segfault", "Runtime exited with error: signal: segmentation fault"),
    ],
)
async def test_a_child_that_dies_is_a_function_error_in_lambdas_words(
    open_executor: Open, behaviour: str, how: str
) -> None:
    async with open_executor(behaviour) as executor:
        for _ in range(2):
            result = await result_of(executor, an_invocation())
            assert result == HandlerFailed(error_type="Runtime.ExitError", message=f"RequestId: r-1 Error: {how}")


async def test_what_a_child_that_ended_by_itself_had_started_is_killed(open_executor: Open, tmp_path: Path) -> None:
    file = tmp_path / "id"
    async with open_executor("beget_and_die") as executor:
        assert isinstance(await executor.invoke(an_invocation(file=str(file))), HandlerFailed)
        await wait_until_gone(int(file.read_text()))


async def test_what_a_child_that_ended_while_idle_had_started_is_killed(open_executor: Open) -> None:
    async with open_executor("beget_and_return") as executor:
        process_id, grandchild_id = await value_of(executor)
        assert is_alive(grandchild_id)
        os.kill(process_id, signal.SIGKILL)
        await wait_until_gone(grandchild_id)


async def test_what_children_had_started_ends_with_the_executor(open_executor: Open) -> None:
    async with open_executor("beget_and_return") as executor:
        _, grandchild_id = await value_of(executor)
    await wait_until_gone(grandchild_id)


async def test_a_child_that_died_while_idle_is_replaced(open_executor: Open) -> None:
    async with open_executor("process_id") as executor:
        process_id, _ = await value_of(executor)
        os.kill(process_id, signal.SIGKILL)
        await wait_until_gone(process_id)
        await anyio.sleep(0.1)
        assert (await value_of(executor))[0] != process_id


async def test_what_a_child_prints_goes_where_the_broker_prints_and_its_input_is_empty(
    open_executor: Open, capfd: pytest.CaptureFixture[str]
) -> None:
    async with open_executor("speak") as executor:
        assert await value_of(executor) == ""
    printed = capfd.readouterr()
    assert printed.out == "to the output\n"
    assert "to the errors\n" in printed.err


async def test_a_child_that_prints_a_lot_is_not_held_up(open_executor: Open, capfd: pytest.CaptureFixture[str]) -> None:
    async with open_executor("flood") as executor:
        assert await value_of(executor) == 1_048_576
    assert len(capfd.readouterr().out) == 1_048_576


async def test_an_event_of_six_megabytes_reaches_the_child_whole(open_executor: Open) -> None:
    async with open_executor("echo_size") as executor:
        assert await value_of(executor, text="x" * 6_200_000) == 6_200_000


async def test_cancelling_an_invocation_kills_its_child(open_executor: Open, tmp_path: Path) -> None:
    file = tmp_path / "ids"
    async with open_executor("beget") as executor, anyio.create_task_group() as tasks:
        tasks.start_soon(executor.invoke, an_invocation(file=str(file)))
        await until(lambda: has_text(file))
        tasks.cancel_scope.cancel()
    for process_id in file.read_text().split():
        await wait_until_gone(int(process_id))


async def test_children_end_soon_after_a_broker_that_was_killed(tmp_path: Path) -> None:
    """One child is busy, in a broker that gets no chance to say goodbye."""
    file = tmp_path / "ids"
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, time, anyio\n"
        "from broker.executors.process import ProcessExecutor\n"
        "from broker.model.invocation import Invocation\n"
        "from broker.model.payload import Payload\n"
        "class Clock:\n"
        "    now = staticmethod(time.time)\n"
        "async def main():\n"
        f"    payload = Payload.of_value({{'file': {str(file)!r}}})\n"
        "    invocation = Invocation(\n"
        "        request_id='r', payload=payload, function_name='f', function_arn='a', timeout_seconds=60)\n"
        f"    name, folders = 'executor_handlers:beget', [{str(HERE)!r}]\n"
        "    async with ProcessExecutor(handler=name, clock=Clock, folders=folders) as e:\n"
        "        await e.invoke(invocation)\n"
        "anyio.run(main)\n"
    )
    broker = await anyio.open_process([sys.executable, str(program)], stdout=subprocess.DEVNULL)
    async with broker:
        await until(lambda: has_text(file))
        broker.kill()
        await broker.wait()
    for process_id in file.read_text().split():
        await wait_until_gone(int(process_id))


# ---- starting


async def test_a_handler_that_cannot_be_imported_is_a_mistake_at_the_start(open_executor: Open) -> None:
    with pytest.raises(ConfigurationError, match="has no 'absent'"):
        async with open_executor("absent"):
            pass


async def test_a_module_that_ends_the_process_is_a_mistake_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "shop_ends.py").write_text("import os\nos._exit(4)\n")
    with pytest.raises(ConfigurationError, match="ended with status 4 while the module was imported"):
        async with ProcessExecutor(handler="shop_ends:f", clock=RealClock(), folders=[tmp_path]):
            pass


async def test_an_import_that_takes_too_long_is_a_mistake_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "shop_slow.py").write_text("import time\ntime.sleep(60)\n")
    executor = ProcessExecutor(handler="shop_slow:f", clock=RealClock(), folders=[tmp_path], start_seconds=0.5)
    with pytest.raises(ConfigurationError, match=r"shop_slow:f could not be imported within 0.5 seconds"):
        async with executor:
            pass


def a_module_that_loads_once(tmp_path: Path, name: str, then: str) -> None:
    """Its function `f` ends the process, and a later import does what `then` says."""
    (tmp_path / f"{name}.py").write_text(
        "import os, time\n"
        "MARKER = __file__ + '.marker'\n"
        f"if os.path.exists(MARKER):\n    {then}\n"
        "def f(event, context):\n    open(MARKER, 'w').close()\n    os._exit(1)\n"
    )


async def test_an_import_that_fails_later_is_a_function_error(tmp_path: Path) -> None:
    a_module_that_loads_once(tmp_path, "shop_breaks", "raise RuntimeError('half deployed')")
    handler, folders = "shop_breaks:f", [tmp_path]
    async with ProcessExecutor(handler=handler, clock=RealClock(), folders=folders, concurrency=1) as executor:
        assert isinstance(await executor.invoke(an_invocation()), HandlerFailed)
        result = await result_of(executor, an_invocation())
    assert isinstance(result, HandlerFailed)
    assert result.error_type == "Runtime.ImportModuleError"
    assert "half deployed" in result.message


async def test_an_invocation_does_not_wait_for_a_child_that_starts_slowly(tmp_path: Path) -> None:
    a_module_that_loads_once(tmp_path, "shop_slows", "time.sleep(60)")
    async with ProcessExecutor(
        handler="shop_slows:f", clock=RealClock(), folders=[tmp_path], concurrency=1, start_seconds=60
    ) as executor:
        assert isinstance(await executor.invoke(an_invocation()), HandlerFailed)
        with anyio.fail_after(20):
            assert await executor.invoke(an_invocation()) == STARTING
            assert await executor.invoke(an_invocation(timeout_seconds=0.1)) == STARTING


async def test_a_child_is_ready_before_it_is_needed(open_executor: Open, tmp_path: Path) -> None:
    async with open_executor("slow_only_once", concurrency=2) as executor, anyio.create_task_group() as tasks:
        file = tmp_path / "marker"
        tasks.start_soon(executor.invoke, an_invocation(file=str(file)))
        await until(file.exists)
        assert await value_of(executor, file=str(file)) == "done"
        tasks.cancel_scope.cancel()


async def test_what_an_invocation_waited_is_missing_from_the_handlers_time(open_executor: Open) -> None:
    async with open_executor("remaining", concurrency=1) as executor:
        process_id, at_once = await value_of(executor)
        os.kill(process_id, signal.SIGKILL)
        await wait_until_gone(process_id)
        result = await executor.invoke(an_invocation())
        while isinstance(result, HandlerFailed):  # the executor has not heard yet that its child is gone
            result = await executor.invoke(an_invocation())
    assert at_once <= 20_000
    assert result == STARTING or (isinstance(result, Succeeded) and result.response.value[1] < 19_990)


async def test_a_machine_without_processes_makes_the_function_unavailable(
    open_executor: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*arguments: object, **options: object) -> None:
        raise BlockingIOError("Resource temporarily unavailable")

    async with open_executor("die", concurrency=1) as executor:
        monkeypatch.setattr(anyio, "open_process", refuse)
        await executor.invoke(an_invocation())
        result: InvocationResult = await executor.invoke(an_invocation())
    expected = "no process could be started: Resource temporarily unavailable"
    assert result == Unavailable(message=expected)


async def test_an_executor_is_used_inside_of_its_context() -> None:
    executor = ProcessExecutor(handler="executor_handlers:nothing", clock=RealClock())
    with pytest.raises(ExecutorError, match="outside of the executor's `async with`"):
        await executor.invoke(an_invocation())


async def test_a_callable_that_can_be_imported_is_run_by_its_name() -> None:
    async with ProcessExecutor(handler=executor_handlers.process_id, clock=RealClock()) as executor:
        assert (await value_of(executor))[0] != os.getpid()


def test_a_callable_that_cannot_be_imported_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="move it to the top level of a module"):
        ProcessExecutor(handler=lambda event, context: None, clock=RealClock())


async def test_a_service_without_standard_output_can_have_children(
    open_executor: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> int:
        raise OSError("Bad file descriptor")

    with monkeypatch.context() as without_output:
        without_output.setattr(os, "dup", refuse)
        async with open_executor("nothing") as executor:
            assert await value_of(executor) is None
