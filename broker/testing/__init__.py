"""Fakes, faults and virtual time for tests of what runs on the broker.

* `InMemoryQueue` keeps SQS's contract, standard or FIFO; `InMemoryQueueSource` is how a consumer sees it.
* Fault verbs of a queue: `throttle`, `lose_reply`, `fail_deletes`, `fail_visibility_changes`, `slow`, `vanish` and
  `restore`, `expire_visibility`.
* `InMemoryStream` keeps the contract of Kinesis or, with `kind=DYNAMODB`, of a table's stream; `InMemoryStreamSource`
  is how a consumer sees it, by polling or by enhanced fan-out.
* Verbs of a stream: `split`, `merge`, `roll`, `reshard`, `trim`, `recreate`; faults: `throttle`, `lose_reply`, `slow`,
  `expire_iterators`, `hide_shards`, `vanish` and `restore`. `steal_lease` gives a shard's lease to somebody else.
* `Process` is a broker's process that can `crash`, also at a chosen call, or stop for a while (`pause_process`).
* `queue.history` and `stream.history` tell what records went through; `every_message_accounted` and
  `every_record_accounted` add it up; `HandlerLog` says whether handlers saw the records of each key in order.
* `VirtualClock`, `virtual_backend` and `run_in_virtual_time`: hours pass at once, on asyncio and on trio.
* For pytest the fixtures `make_queue`, `make_stream`, `virtual_clock` and `virtual_backend`, without any set-up.

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
    from broker.testing.leases import steal_lease
    from broker.testing.messages import MessageAttribute
    from broker.testing.process import Process
    from broker.testing.queue_faults import Operation
    from broker.testing.queue_history import Account, Happening, HistoryEntry, QueueHistory
    from broker.testing.queue_source import InMemoryQueueSource
    from broker.testing.queues import InMemoryQueue
    from broker.testing.stream_faults import StreamOperation
    from broker.testing.stream_history import StreamAccount, StreamHappening, StreamHistory, StreamHistoryEntry
    from broker.testing.stream_kinds import DYNAMODB, KINESIS, StreamKind
    from broker.testing.stream_order import HandlerLog
    from broker.testing.stream_records import keyed_records
    from broker.testing.stream_source import InMemoryStreamSource
    from broker.testing.streams import InMemoryStream
    from broker.testing.virtual_time import (
        EPOCH,
        BackendName,
        VirtualClock,
        VirtualEventLoop,
        run_in_virtual_time,
        virtual_backend,
    )

_MODULES = {
    "DYNAMODB": "stream_kinds",
    "EPOCH": "virtual_time",
    "KINESIS": "stream_kinds",
    "Account": "queue_history",
    "BackendName": "virtual_time",
    "HandlerLog": "stream_order",
    "Happening": "queue_history",
    "HistoryEntry": "queue_history",
    "InMemoryQueue": "queues",
    "InMemoryQueueSource": "queue_source",
    "InMemoryStream": "streams",
    "InMemoryStreamSource": "stream_source",
    "MessageAttribute": "messages",
    "Operation": "queue_faults",
    "Process": "process",
    "QueueHistory": "queue_history",
    "StreamAccount": "stream_history",
    "StreamHappening": "stream_history",
    "StreamHistory": "stream_history",
    "StreamHistoryEntry": "stream_history",
    "StreamKind": "stream_kinds",
    "StreamOperation": "stream_faults",
    "VirtualClock": "virtual_time",
    "VirtualEventLoop": "virtual_time",
    "keyed_records": "stream_records",
    "run_in_virtual_time": "virtual_time",
    "steal_lease": "leases",
    "virtual_backend": "virtual_time",
}

__all__ = [
    "DYNAMODB",
    "EPOCH",
    "KINESIS",
    "Account",
    "BackendName",
    "HandlerLog",
    "Happening",
    "HistoryEntry",
    "InMemoryQueue",
    "InMemoryQueueSource",
    "InMemoryStream",
    "InMemoryStreamSource",
    "MessageAttribute",
    "Operation",
    "Process",
    "QueueHistory",
    "StreamAccount",
    "StreamHappening",
    "StreamHistory",
    "StreamHistoryEntry",
    "StreamKind",
    "StreamOperation",
    "VirtualClock",
    "VirtualEventLoop",
    "keyed_records",
    "run_in_virtual_time",
    "steal_lease",
    "virtual_backend",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
