"""Keeps one worker's row moving, and says how long its leases may be trusted.

Rule: the row is rewritten every quarter of the lease's duration, and at once when it has something new to say. Trust
counts from the instant before the first sending of the last write that is known to stand (`core.watching` has the
argument). A write whose answer did not come is repeated as it was, with the same nonce, until it is known what became
of it. A row that is gone, or that somebody else has written, means that this worker has been evicted: it has lost all.

How it works: `run` is one loop for one worker id. Under virtual time and with a store in memory it is a task beside
the others (`in_task`); otherwise it runs on a thread with an event loop and a store connection of its own
(`on_thread`), so that a handler that blocks the broker's event loop moves no lease. What crosses between the two
threads are single assignments of immutable values; the thread never waits for the broker's event loop.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any

import anyio
from anyio import CancelScope, CapacityLimiter, Event, create_task_group, fail_after, move_on_after, sleep, to_thread

from broker.core.lease_rows import WORKERS, worker_value
from broker.core.queue_policy import BackoffPolicy
from broker.core.retry import Backoff
from broker.core.watching import POLL_SECONDS, LeaseTiming
from broker.errors import RowConflict, StoreError
from broker.model.lease import Worker
from broker.ports import Clock, StateStore
from broker.runtime.loop_watch import LoopWatch

OpenStore = Callable[[], AbstractAsyncContextManager[StateStore]]
"""Makes a connection to the store, for the event loop in which it is entered."""
NEWS_SECONDS = 0.05
"""How often a heartbeat on a thread looks for news: little against the 1 s in which a lease goes to its next owner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """One write, as often as it takes."""

    value: dict[str, Any]
    version: int
    nonce: str
    sent_at: float
    """Before it was sent for the first time."""


class Heartbeat:
    """One worker's row. Its properties may be read from any thread."""

    def __init__(
        self,
        worker: Worker,
        *,
        clock: Clock,
        timing: LeaseTiming,
        new_id: Callable[[], str],
        chance: Callable[[], float],
    ) -> None:
        """`new_id` makes nonces, `chance` draws jitter from [0, 1); both are used by the heartbeat's own thread."""
        self.worker_id = worker.worker_id
        self.is_registered = False
        """Whether its row has ever stood in the store."""
        self.is_lost = False
        """Whether it was evicted."""
        self.problem = ""
        """Why the last write failed; empty where it did not."""
        self._clock = clock
        self._timing = timing
        self._new_id = new_id
        self._chance = chance
        self._wanted = self._said = worker
        self._version = 0
        self._change: _Change | None = None
        self._trusted_until = -inf
        self._backoff = Backoff(BackoffPolicy(base_seconds=POLL_SECONDS, maximum_seconds=timing.beat_seconds))
        self._due_at = -inf
        self._woken = Event()
        self._is_apart = False

    # ---- for the broker's own event loop

    @property
    def trusted_until(self) -> float:
        """Instant up to which this worker's leases are certain."""
        return -inf if self.is_lost else self._trusted_until

    def announce(self, worker: Worker) -> None:
        """Lets the row say something else, at once."""
        self._wanted = worker
        self._notify()

    def lose(self) -> None:
        """Somebody has seen that the row is gone."""
        self.is_lost = True
        self._notify()

    def set_apart(self) -> None:
        """`run` will be in another thread's event loop, where somebody looks for news and calls `wake`."""
        self._is_apart = True

    def _notify(self) -> None:
        if not self._is_apart:
            self.wake()

    # ---- for the heartbeat's event loop

    @property
    def has_news(self) -> bool:
        """Whether it should do something before the next beat is due."""
        return self.is_lost or (self._wanted is not self._said and self._change is None)

    def wake(self) -> None:
        """Does at once what there is to do."""
        self._woken.set()

    async def run(self, store: StateStore) -> None:
        """Writes until the row is lost."""
        while not self.is_lost:
            self._woken = Event()
            await self._beat(store)
            await self._rest()

    async def _rest(self) -> None:
        if self.has_news:
            return
        with move_on_after(self._due_at - self._clock.now()):
            await self._woken.wait()

    async def _beat(self, store: StateStore) -> None:
        change = self._change = self._change or self._next_change()
        try:
            with fail_after(self._timing.beat_seconds):
                await store.write(WORKERS, self.worker_id, change.value, version=change.version, nonce=change.nonce)
        except RowConflict:
            self.is_lost = True
        except (StoreError, TimeoutError) as error:
            self.problem = str(error) or "the state store did not answer in time"
            now = self._clock.now()
            self._due_at = now + self._backoff.failed(now, self._chance())
        else:
            self._succeeded(change)

    def _next_change(self) -> _Change:
        self._said = self._wanted
        return _Change(
            value=worker_value(self._said), version=self._version, nonce=self._new_id(), sent_at=self._clock.now()
        )

    def _succeeded(self, change: _Change) -> None:
        self._change = None
        self._version = change.version + 1
        self._backoff.reset()
        self._due_at = change.sent_at + self._timing.beat_seconds
        self.problem = ""
        self._trusted_until = self._timing.trusted_until(change.sent_at)
        self.is_registered = True


Beats = Callable[[Heartbeat], AbstractAsyncContextManager[None]]
"""Runs a heartbeat beside the block."""


def in_task(store: StateStore) -> Beats:
    """Beats in a task of the caller's event loop."""

    @asynccontextmanager
    async def beating(heartbeat: Heartbeat) -> AsyncIterator[None]:
        async with create_task_group() as tasks:
            tasks.start_soon(heartbeat.run, store)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()

    return beating


def on_thread(open_store: OpenStore, *, watch: LoopWatch) -> Beats:
    """Beats on a thread with an event loop and a store of its own, which watches the caller's event loop as well."""

    @asynccontextmanager
    async def beating(heartbeat: Heartbeat) -> AsyncIterator[None]:
        heartbeat.set_apart()
        thread = _HeartbeatThread(heartbeat, open_store, watch)
        async with create_task_group() as tasks:
            tasks.start_soon(watch.tick)
            tasks.start_soon(partial(to_thread.run_sync, anyio.run, thread.main, limiter=CapacityLimiter(1)))
            try:
                yield
            finally:
                thread.stop()
                tasks.cancel_scope.cancel()

    return beating


class _HeartbeatThread:
    """What runs in the heartbeat's own event loop. It looks for what the broker's says; neither waits for the other."""

    def __init__(self, heartbeat: Heartbeat, open_store: OpenStore, watch: LoopWatch) -> None:
        self._heartbeat = heartbeat
        self._open_store = open_store
        self._watch = watch
        self._is_stopped = False

    def stop(self) -> None:
        """Lets `main` end soon."""
        self._is_stopped = True

    async def main(self) -> None:
        """Beats until the row is lost or `stop`."""
        async with self._open_store() as store, create_task_group() as tasks:
            tasks.start_soon(self._watch.watch)
            tasks.start_soon(self._listen, tasks.cancel_scope)
            await self._heartbeat.run(store)
            tasks.cancel_scope.cancel()

    async def _listen(self, scope: CancelScope) -> None:
        while not self._is_stopped:
            if self._heartbeat.has_news:
                self._heartbeat.wake()
            await sleep(NEWS_SECONDS)
        scope.cancel()
