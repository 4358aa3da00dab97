"""Virtual time: an hour of sleeping passes at once, on asyncio and on trio alike.

When every task waits, time jumps to the next instant at which one of them has something to do. It stands still while
a function runs on a worker thread (`VirtualClock.run_sync`), because nobody knows how long that takes.

Example: a task that sleeps for an hour does not keep anybody waiting.

    >>> import anyio
    >>> from broker.testing import VirtualClock, run_in_virtual_time
    >>> async def main() -> float:
    ...     clock = VirtualClock()
    ...     started_at = clock.now()
    ...     await anyio.sleep(3600)
    ...     return clock.now() - started_at
    >>> run_in_virtual_time(main)
    3600.0

In pytest, let the fixture `anyio_backend` return a virtual backend:

    >>> import pytest
    >>> from broker.testing import virtual_backend
    >>> @pytest.fixture(params=["asyncio", "trio"])
    ... def anyio_backend(request: pytest.FixtureRequest) -> object:
    ...     return virtual_backend(request.param)

How it works: on asyncio an event loop whose selector moves the clock instead of sleeping; on trio its `MockClock`,
which jumps when all tasks are blocked.
"""

import asyncio
import contextlib
import contextvars
import math
import selectors
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Literal, Protocol, TypeVar, TypeVarTuple

import anyio
from anyio.lowlevel import RunVar

from broker.errors import VirtualTimeStalled

EPOCH = 1_767_225_600.0
"""What `VirtualClock` calls the beginning: 2026-01-01T00:00:00Z. Whole, so that halves and quarters stay exact."""

RESOLUTION_SECONDS = 2.0**-23
"""Timers closer together fire together. asyncio adds it to the time and must see a sum: for 34 years."""

BackendName = Literal["asyncio", "trio"]

_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")


class _VirtualSelector(selectors.BaseSelector):
    """Moves `now` instead of waiting, unless a worker thread is busy."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self.now = 0.0
        self.busy_thread_count = 0

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        waits = timeout is None or timeout > 0
        if waits and self.busy_thread_count > 0:
            return self._real.select()
        ready = self._real.select(0)
        if ready or not waits:
            return ready
        if timeout is None:
            return self._wait_for_the_world()
        self.now += timeout
        return ready

    def _wait_for_the_world(self) -> list[tuple[selectors.SelectorKey, int]]:
        """Nothing is scheduled: only a file descriptor, other than the loop's own pipe, can wake it."""
        if len(self._real.get_map()) <= 1:
            raise VirtualTimeStalled(
                "Every task waits, no timer is set and no worker thread is busy: nothing can ever happen. Await what "
                "the tasks wait for, and run blocking functions by `VirtualClock.run_sync`."
            )
        return self._real.select()


class VirtualEventLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop in virtual time that starts at 0.

    Raises `VirtualTimeStalled` out of `run_until_complete` where a loop in real time would wait for ever.
    """

    def __init__(self) -> None:
        self._virtual = _VirtualSelector()
        self._sleepers: set[threading.Event] = set()
        super().__init__(self._virtual)
        self._clock_resolution = RESOLUTION_SECONDS

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual.now

    def call_at(
        self,
        when: float,
        callback: Callable[[*_Arguments], object],
        *args: *_Arguments,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """As asyncio's, but an instant that never comes is not waited for: `anyio.sleep_forever` sets such a timer."""
        if when == math.inf:
            return asyncio.TimerHandle(when, callback, args, self, context)
        return super().call_at(when, callback, *args, context=context)

    def hold(self) -> None:
        """Time stands still until `release` was called as often."""
        self._virtual.busy_thread_count += 1

    def release(self) -> None:
        """Takes one `hold` back."""
        self._virtual.busy_thread_count -= 1

    def wake_later(self, seconds: float, sleeper: threading.Event) -> None:
        """Lets time pass for `seconds`, then sets `sleeper` and holds time again."""
        self._sleepers.add(sleeper)
        self.release()
        self.call_later(seconds, self._wake, sleeper)

    def _wake(self, sleeper: threading.Event) -> None:
        self.hold()
        self._sleepers.discard(sleeper)
        sleeper.set()

    def close(self) -> None:
        """Closes the loop; threads that slept by it wake up."""
        super().close()
        for sleeper in self._sleepers:
            sleeper.set()


class RunTime(Protocol):
    """The time of one event loop, as worker threads may use it."""

    def time(self) -> float:
        """What `anyio.current_time()` says; from any thread."""
        ...

    def hold(self) -> None:
        """In the loop: time stands still until `release` was called as often."""
        ...

    def release(self) -> None:
        """In the loop: takes one `hold` back."""
        ...

    def release_from_thread(self) -> None:
        """On a worker thread: takes one `hold` back, soon."""
        ...

    def hold_from_thread(self) -> None:
        """On a worker thread: holds, soon."""
        ...

    def sleep(self, seconds: float) -> None:
        """On a worker thread that holds: lets time pass meanwhile."""
        ...


class _AsyncioTime:
    """An asyncio loop; where it is not virtual, nothing can be held."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.time = loop.time

    def hold(self) -> None:
        if isinstance(self._loop, VirtualEventLoop):
            self._loop.hold()

    def release(self) -> None:
        if isinstance(self._loop, VirtualEventLoop):
            self._loop.release()

    def release_from_thread(self) -> None:
        self._call(self.release)

    def hold_from_thread(self) -> None:
        self._call(self.hold)

    def _call(self, function: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: its time is over
            self._loop.call_soon_threadsafe(function)

    def sleep(self, seconds: float) -> None:
        if not isinstance(self._loop, VirtualEventLoop):
            time.sleep(seconds)
            return
        woken = threading.Event()
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.wake_later, seconds, woken)
            woken.wait()


_run_time: RunVar[RunTime] = RunVar("broker.testing.run_time")
_thread = threading.local()


def _current_time() -> RunTime:
    """The time of the event loop that runs here."""
    try:
        return _run_time.get()
    except LookupError:
        found = _make_time()
        _run_time.set(found)
        return found


def _make_time() -> RunTime:
    try:
        return _AsyncioTime(asyncio.get_running_loop())
    except RuntimeError:
        from broker.testing.trio_time import TrioTime  # noqa: PLC0415 - trio is imported by those who run on it

        return TrioTime()


class VirtualClock:
    """A `Clock` that follows `anyio.current_time()`, and the way to run blocking functions under it.

    Within an event loop, virtual or not, and within functions that `run_sync` runs.
    """

    def __init__(self, *, epoch: float = EPOCH) -> None:
        self._epoch = epoch

    def now(self) -> float:
        """Epoch seconds, UTC: the epoch plus what the event loop's clock says."""
        run_time: RunTime | None = getattr(_thread, "time", None)
        return self._epoch + (anyio.current_time() if run_time is None else run_time.time())

    async def run_sync(
        self,
        func: Callable[[*_Arguments], _Result],
        *args: *_Arguments,
        abandon_on_cancel: bool = False,
        limiter: anyio.CapacityLimiter | None = None,
    ) -> _Result:
        """As `anyio.to_thread.run_sync`, but virtual time stands still until `func` returns, abandoned or not."""
        async with limiter or anyio.to_thread.current_default_thread_limiter():
            with _ThreadCall.begin(_current_time()) as call:
                return await anyio.to_thread.run_sync(
                    call.run, func, args, abandon_on_cancel=abandon_on_cancel, limiter=anyio.CapacityLimiter(1)
                )

    def sleep_in_thread(self, seconds: float) -> None:
        """`time.sleep` for a function that `run_sync` runs: virtual time passes meanwhile. Elsewhere it really sleeps.

        A handler on a worker thread "takes" ten seconds by it. Returns early when the event loop ends.
        """
        run_time: RunTime | None = getattr(_thread, "time", None)
        if run_time is None:
            time.sleep(seconds)
        else:
            run_time.sleep(seconds)


class _ThreadCall:
    """One function on its way through a worker thread: holds time from `begin` until it has really returned."""

    def __init__(self, run_time: RunTime) -> None:
        self._time = run_time
        self._lock = threading.Lock()
        self._running = False
        self._left = False

    @classmethod
    @contextlib.contextmanager
    def begin(cls, run_time: RunTime) -> "Iterator[_ThreadCall]":
        """Holds time; on leaving releases it, or lets the thread do so where the call was abandoned."""
        call = cls(run_time)
        run_time.hold()
        try:
            yield call
        finally:
            call._leave()

    def _leave(self) -> None:
        with self._lock:
            self._left = True
            running = self._running
        if not running:
            self._time.release()

    def run(self, func: Callable[..., _Result], args: tuple[Any, ...]) -> _Result:
        """On the worker thread."""
        self._start()
        _thread.time = self._time
        try:
            return func(*args)
        finally:
            _thread.time = None
            self._stop()

    def _start(self) -> None:
        with self._lock:
            self._running = True
            late = self._left
        if late:
            self._time.hold_from_thread()

    def _stop(self) -> None:
        with self._lock:
            self._running = False
            abandoned = self._left
        if abandoned:
            self._time.release_from_thread()


def virtual_backend(name: BackendName) -> tuple[str, dict[str, Any]]:
    """A backend and its options, as anyio's pytest plugin and `anyio.run` take them, with a clock at its beginning."""
    if name == "asyncio":
        return "asyncio", {"loop_factory": VirtualEventLoop}
    from broker.testing.trio_time import make_clock  # noqa: PLC0415 - trio is imported by those who run on it

    return "trio", {"clock": make_clock()}


def run_in_virtual_time(
    main: Callable[[*_Arguments], Awaitable[_Result]],
    *args: *_Arguments,
    backend: BackendName = "asyncio",
) -> _Result:
    """`anyio.run` in virtual time. Raises `VirtualTimeStalled` (asyncio) where nothing could ever happen."""
    name, options = virtual_backend(backend)
    return anyio.run(main, *args, backend=name, backend_options=options)
