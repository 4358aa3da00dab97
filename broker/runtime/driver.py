"""Drives one consumer: what is performed is heard, what is heard is decided, what is decided is performed.

Whoever performs an action hears its answer on the spot and goes on with the first thing that follows from it; the rest
gets tasks of its own, and so does every invocation: what a handler sets in its context stays there. So a poller is one
task from receive to receive, a batch is one from its handler to its settlement, and nothing waits in between. `handle`
never awaits, so the consumer hears one event at a time.
"""

from collections.abc import Sequence
from math import inf
from typing import Generic, Protocol, TypeVar

from anyio import Event, create_task_group, move_on_after
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint_if_cancelled

from broker.core.events import Finished, Invoke, Returned, Stopping, Tell, Woke
from broker.core.stream_events import InvokeStream
from broker.model.invocation import TimedOut
from broker.ports import Clock

EventT = TypeVar("EventT")
ActionT = TypeVar("ActionT")
Heard = TypeVar("Heard", contravariant=True)
Answer = TypeVar("Answer", covariant=True)
Said = TypeVar("Said", covariant=True)
Done = TypeVar("Done", contravariant=True)
_INVOCATIONS = (Invoke, InvokeStream)
Common = Woke | Stopping | Returned
"""What every consumer hears."""


class Consumer(Protocol[Heard, Said]):
    """Decides: `QueueConsumer`, `ShardConsumer`."""

    def handle(self, event: Heard | Common, now: float) -> Sequence[Said | Tell]:
        """Hears one event and says what to do."""
        ...

    @property
    def deadline(self) -> float | None:
        """When it wants to be woken."""
        ...

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do; what is outstanding then may be cancelled."""
        ...


class Performer(Protocol[Answer, Done]):
    """Does: `QueuePerformer`, `ShardPerformer`."""

    def tell(self, action: Tell) -> None:
        """Says to the observers what happened."""
        ...

    async def perform(self, action: Done) -> Answer:
        """Performs one action and returns its answer."""
        ...


class Driver(Generic[EventT, ActionT]):
    """Runs a consumer until it has finished."""

    def __init__(
        self, *, consumer: Consumer[EventT, ActionT], performer: Performer[EventT, ActionT], clock: Clock
    ) -> None:
        self._consumer = consumer
        self._performer = performer
        self._clock = clock
        self._tasks: TaskGroup | None = None
        self._stopping: Stopping | None = None
        self._wake = Event()
        self._wakes_at = -inf
        self._deadline: float | None = None

    def stop(self, deadline_at: float) -> None:
        """Begins to drain; what is not done at `deadline_at` is for the caller to cancel. Nothing once it has ended."""
        self._stopping = Stopping(deadline_at=deadline_at)
        self.hear(self._stopping)

    def hear(self, event: EventT | Common) -> None:
        """Tells the consumer what happened elsewhere. Nothing before it runs, and once it has ended."""
        if self._tasks is not None:
            self._begin(self._hear(event, self._tasks), self._tasks)

    async def run(self) -> None:
        """Performs and hears until the consumer has finished."""
        try:
            async with create_task_group() as tasks:
                self._tasks = tasks
                self._begin(self._hear(self._stopping or Woke(), tasks), tasks)
                while not self._consumer.finished:
                    if not await self._is_woken():
                        self._begin(self._hear(Woke(), tasks), tasks)
                tasks.cancel_scope.cancel()
        finally:
            self._tasks = None

    async def _is_woken(self) -> bool:
        """Waits until the deadline, or until there is an earlier one; False at the deadline."""
        self._wakes_at = inf if self._deadline is None else self._deadline
        self._wake = Event()
        with move_on_after(self._wakes_at - self._clock.now()):
            await self._wake.wait()
        return self._wake.is_set()

    def _begin(self, action: ActionT | None, tasks: TaskGroup) -> None:
        if action is not None:
            tasks.start_soon(self._perform, action, tasks)

    async def _perform(self, action: ActionT, tasks: TaskGroup) -> None:
        """Performs an action, and then the first of each that follows."""
        following: ActionT | None = action
        while following is not None:
            if isinstance(following, InvokeStream):
                await checkpoint_if_cancelled()  # a handler runs up to its first await before it is cancelled
            following = self._hear(await self._performer.perform(following), tasks)

    def _hear(self, event: EventT | Common, tasks: TaskGroup) -> ActionT | None:
        """Lets the consumer decide; begins everything but one action, which is returned."""
        first: ActionT | None = None
        for action in self._consumer.handle(event, self._clock.now()):
            if isinstance(action, Tell):
                self._performer.tell(action)
            elif first is None and not isinstance(action, _INVOCATIONS):
                first = action
            else:
                tasks.start_soon(self._perform, action, tasks)
        if isinstance(event, Finished) and isinstance(event.result, TimedOut) and event.result.wait_returned:
            tasks.start_soon(self._await_return, event.number, event.result, tasks)
        deadline = self._deadline = self._consumer.deadline
        if self._consumer.finished or (deadline is not None and deadline < self._wakes_at):
            self._wake.set()
        return first

    async def _await_return(self, number: int, result: TimedOut, tasks: TaskGroup) -> None:
        """Waits for a call that could not be stopped."""
        if result.wait_returned:
            await result.wait_returned()
        self._begin(self._hear(Returned(number=number), tasks), tasks)
