"""Parts of the runtime on fakes."""

from collections.abc import Awaitable, Callable
from itertools import count
from uuid import UUID

from broker.core.queue_policy import QueuePolicy
from broker.model.invocation import Invocation, InvocationResult, Succeeded
from broker.model.observation import Observation
from broker.model.payload import Payload
from broker.ports import QueueSource
from broker.runtime.performer import QueuePerformer
from broker.runtime.queue_run import QueuePlan
from broker.runtime.target import Target
from broker.testing import InMemoryQueue, InMemoryQueueSource

Handle = Callable[[Invocation], Awaitable[InvocationResult | None]]
RUN_ID = UUID("00000000-0000-4000-8000-000000000001")


class ScriptedExecutor:
    """Calls a coroutine function; None means success."""

    concurrency = None

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self.invocations: list[Invocation] = []

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        self.invocations.append(invocation)
        return await self._handle(invocation) or Succeeded(response=Payload.of_value(None))

    @property
    def bodies(self) -> list[str]:
        return [record["body"] for each in self.invocations for record in each.payload.value["Records"]]


async def succeed(_invocation: Invocation) -> None:
    """A handler that does nothing."""


def make_plan(
    queue: InMemoryQueue,
    executor: ScriptedExecutor,
    *,
    source: QueueSource | None = None,
    policy: QueuePolicy | None = None,
    enabled: bool = True,
    seen: list[Observation] | None = None,
    settlement_seconds: float = 30.0,
) -> QueuePlan:
    """One mapping of `queue` to `executor`."""
    policy = policy or QueuePolicy(fifo=queue.fifo, long_poll_seconds=2)
    used = source or InMemoryQueueSource(queue)
    observe = (seen if seen is not None else []).append
    chances = count()
    performer = QueuePerformer(
        source=used,
        executor=executor,
        target=Target(
            function_name="orders",
            function_arn="arn:aws:lambda:eu-west-1:123456789012:function:orders",
            timeout_seconds=policy.function_timeout_seconds,
        ),
        run_id=RUN_ID,
        chance=lambda: next(chances) % 10 / 10,
        observe=observe,
        fifo=queue.fifo,
        settlement_seconds=settlement_seconds,
    )
    return QueuePlan(
        uuid="11111111-1111-4111-8111-111111111111",
        function_name="orders",
        event_source_arn=queue.arn,
        enabled=enabled,
        policy=policy,
        performer=performer,
        source=used,
        observe=observe,
    )
