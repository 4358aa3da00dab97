"""Drives one consumer: one inbox, events in, actions out."""

from math import inf

from anyio import WouldBlock, create_memory_object_stream, create_task_group, move_on_after

from broker.core.events import QueueEvent, Stopping, Tell, Woke
from broker.core.queue_consumer import QueueConsumer
from broker.ports import Clock
from broker.runtime.performer import QueuePerformer


class Driver:
    """Runs a consumer until it has finished."""

    def __init__(self, *, consumer: QueueConsumer, performer: QueuePerformer, clock: Clock) -> None:
        self._consumer = consumer
        self._performer = performer
        self._clock = clock
        self._sender, self._inbox = create_memory_object_stream[QueueEvent](inf)

    def stop(self, deadline_at: float) -> None:
        """Begins to drain; what is not done at `deadline_at` is for the caller to cancel."""
        self._sender.send_nowait(Stopping(deadline_at=deadline_at))

    async def run(self) -> None:
        """Hears, decides, does, until the consumer has finished."""
        with self._sender, self._inbox:
            async with create_task_group() as tasks:
                event: QueueEvent = Woke()
                while True:
                    for action in self._consumer.handle(event, self._clock.now()):
                        if isinstance(action, Tell):
                            self._performer.tell(action)
                        else:
                            tasks.start_soon(self._performer.perform, action, self._sender.send_nowait)
                    if self._consumer.finished:
                        return
                    event = await self._next_event()

    async def _next_event(self) -> QueueEvent:
        try:
            return self._inbox.receive_nowait()
        except WouldBlock:
            deadline = self._consumer.deadline
        with move_on_after(None if deadline is None else max(deadline - self._clock.now(), 0.0)):
            return await self._inbox.receive()
        return Woke()
