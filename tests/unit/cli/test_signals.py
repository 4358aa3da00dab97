"""What signals do to what runs."""

import signal
import threading
from collections.abc import Iterator
from math import inf

import anyio
import pytest
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from broker.cli.interrupts import Interrupts, Watchdog, heard_signals
from broker.cli.signals import START_SECONDS, Stopping, conduct
from broker.runtime.supervisor import SETTLEMENT_GRACE_SECONDS


class ScriptedSignals:
    def __init__(self, heard: MemoryObjectReceiveStream[int]) -> None:
        self._heard = heard

    async def next(self) -> int:
        return await self._heard.receive()


class Work:
    """Ends by a drain or by being cut short, as it is told to."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.ends_at = {"drain", "cut short"}
        self._ended = anyio.Event()

    async def run(self) -> None:
        try:
            await self._ended.wait()
        except BaseException:
            self.log.append("cancelled")
            raise

    def hear(self, word: str) -> None:
        self.log.append(word)
        if word in self.ends_at:
            self._ended.set()

    @property
    def stopping(self) -> Stopping:
        return Stopping(
            drain=lambda: self.hear("drain"),
            cut_short=lambda: self.hear("cut short"),
            say=lambda _: None,
            last_words=lambda _: None,
            drain_seconds=inf,
        )


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def streams() -> Iterator[tuple[MemoryObjectSendStream[int], ScriptedSignals]]:
    send, receive = anyio.create_memory_object_stream[int](10)
    with send, receive:
        yield send, ScriptedSignals(receive)


@pytest.mark.anyio
async def test_the_first_signal_drains_and_the_exit_code_is_0(work: Work, streams) -> None:
    send, signals = streams
    send.send_nowait(signal.SIGTERM)
    assert await conduct(work.run, work.stopping, signals) == 0
    assert work.log == ["drain"]


@pytest.mark.anyio
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_the_second_signal_cuts_short_without_cancelling(work: Work, streams, number: int, code: int) -> None:
    send, signals = streams
    work.ends_at = {"cut short"}
    send.send_nowait(signal.SIGTERM)
    send.send_nowait(number)
    assert await conduct(work.run, work.stopping, signals) == code
    assert work.log == ["drain", "cut short"]


@pytest.mark.anyio
async def test_work_that_cannot_be_cut_short_yet_is_cancelled(work: Work, streams) -> None:
    send, signals = streams
    work.ends_at = set()
    send.send_nowait(signal.SIGTERM)
    send.send_nowait(signal.SIGTERM)
    began_at = anyio.current_time()
    assert await conduct(work.run, work.stopping, signals) == 143
    assert work.log == ["drain", "cut short", "cancelled"]
    assert anyio.current_time() - began_at == SETTLEMENT_GRACE_SECONDS + START_SECONDS


@pytest.mark.anyio
async def test_work_that_ends_by_itself_needs_no_signal(streams) -> None:
    _, signals = streams
    assert await conduct(anyio.lowlevel.checkpoint, Work().stopping, signals) == 0


class RecordingWatchdog(Watchdog):
    def __init__(self) -> None:
        self.orders: list[tuple[float, int]] = []

    def expect_end(self, seconds: float, code: int) -> None:
        self.orders.append((seconds, code))


def test_the_third_signal_leaves_at_once_and_those_before_wind_the_watchdog() -> None:
    left: list[int] = []
    watchdog = RecordingWatchdog()
    interrupts = Interrupts(watchdog, drain_seconds=60, leave=left.append)
    with interrupts.installed():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
        assert left == []
        signal.raise_signal(signal.SIGTERM)
    assert left == [143]
    assert watchdog.orders == [(70, 0), (15, 130)]


def test_the_handlers_of_before_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with heard_signals(say=print, drain_seconds=1, leave=print):
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_the_event_loop_hears_of_a_signal(anyio_backend: str) -> None:
    heard = []
    interrupts = Interrupts(RecordingWatchdog(), drain_seconds=60, leave=print)
    with interrupts.installed():
        async with anyio.create_task_group() as tasks:

            async def listen() -> None:
                heard.append(await interrupts.next())

            tasks.start_soon(listen)
            await anyio.lowlevel.checkpoint()
            signal.raise_signal(signal.SIGTERM)
    assert heard == [signal.SIGTERM]


def test_the_watchdog_says_so_and_leaves_even_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    left: list[int] = []
    never, ended = threading.Event(), threading.Event()
    monkeypatch.setattr("broker.cli.interrupts.SAYING_SECONDS", 0.01)

    def say(text: str) -> None:
        said.append(text)
        never.wait(30)

    def leave(code: int) -> None:
        left.append(code)
        ended.set()

    watchdog = Watchdog(say=say, leave=leave)
    watchdog.expect_end(60, 0)
    watchdog.expect_end(0, 143)
    assert ended.wait(30)
    never.set()
    assert (left, len(said)) == ([143], 1)
