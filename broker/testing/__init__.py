"""Fakes, faults and virtual time for tests of what runs on the broker.

* `InMemoryQueue` keeps SQS's contract, standard or FIFO; `InMemoryQueueSource` is how a consumer sees it.
* Fault verbs of a queue: `throttle`, `lose_reply`, `fail_deletes`, `fail_visibility_changes`, `slow`, `vanish` and
  `restore`, `expire_visibility`. `Process` is a broker's process that can `crash`, also at a chosen call.
* `queue.history` tells what each message went through; `queue.every_message_accounted()` adds it up.
* `VirtualClock`, `virtual_backend` and `run_in_virtual_time`: hours pass at once, on asyncio and on trio.
* For pytest the fixtures `make_queue`, `virtual_clock` and `virtual_backend`, without any set-up.

A message whose handler was slow, so that its delete came too late:

    >>> import anyio
    >>> from broker.testing import InMemoryQueue, InMemoryQueueSource, VirtualClock, run_in_virtual_time
    >>> async def main() -> list[str]:
    ...     queue = InMemoryQueue("orders", clock=VirtualClock())
    ...     message_id = queue.send("hello")
    ...     source = InMemoryQueueSource(queue)
    ...     poll = {
    ...         "maximum_count": 10, "wait_seconds": 20, "visibility_timeout_seconds": 30, "attempt_id": None
    ...     }
    ...     (record,) = await source.receive(**poll)
    ...     await anyio.sleep(31)
    ...     await source.receive(**poll)
    ...     await source.delete([record])
    ...     queue.every_message_accounted()
    ...     return [str(happening) for happening in queue.history.of(message_id)]
    >>> run_in_virtual_time(main)
    ['sent', 'received', 'received', 'delete_ignored']

Nothing is imported before it is asked for: a pytest run that does not use these pays nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from broker.testing.messages import MessageAttribute
    from broker.testing.process import Process
    from broker.testing.queue_faults import Operation
    from broker.testing.queue_history import Account, Happening, HistoryEntry, QueueHistory
    from broker.testing.queue_source import InMemoryQueueSource
    from broker.testing.queues import InMemoryQueue
    from broker.testing.virtual_time import (
        EPOCH,
        BackendName,
        VirtualClock,
        VirtualEventLoop,
        run_in_virtual_time,
        virtual_backend,
    )

_MODULES = {
    "EPOCH": "virtual_time",
    "Account": "queue_history",
    "BackendName": "virtual_time",
    "Happening": "queue_history",
    "HistoryEntry": "queue_history",
    "InMemoryQueue": "queues",
    "InMemoryQueueSource": "queue_source",
    "MessageAttribute": "messages",
    "Operation": "queue_faults",
    "Process": "process",
    "QueueHistory": "queue_history",
    "VirtualClock": "virtual_time",
    "VirtualEventLoop": "virtual_time",
    "run_in_virtual_time": "virtual_time",
    "virtual_backend": "virtual_time",
}

__all__ = [
    "EPOCH",
    "Account",
    "BackendName",
    "Happening",
    "HistoryEntry",
    "InMemoryQueue",
    "InMemoryQueueSource",
    "MessageAttribute",
    "Operation",
    "Process",
    "QueueHistory",
    "VirtualClock",
    "VirtualEventLoop",
    "run_in_virtual_time",
    "virtual_backend",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
