"""A conversation with a queue consumer, event by event."""

from collections.abc import Iterable
from typing import Any, TypeVar

from broker.core.events import (
    Described,
    Fetch,
    Fetched,
    Finished,
    Invoke,
    QueueAction,
    QueueEvent,
    Tell,
    Woke,
)
from broker.core.queue_consumer import QueueConsumer
from broker.core.queue_policy import QueuePolicy, ScalingPolicy
from broker.model.invocation import InvocationResult, Succeeded
from broker.model.payload import Payload
from broker.model.record import QueueAttributes, Record

Kind = TypeVar("Kind")
START = 1_000.0


def policy(*, slots: int = 1, **fields: Any) -> QueuePolicy:
    """A policy with a fixed number of slots."""
    return QueuePolicy(scaling=ScalingPolicy(initial=slots, maximum=slots, idle_pollers=slots), **fields)


def succeeded(value: object = None) -> Succeeded:
    """The handler returned `value`."""
    return Succeeded(response=Payload.of_value(value))


class Talk:
    """One consumer, a clock that the test moves, and what was said so far and not yet answered."""

    def __init__(self, policy: QueuePolicy, *, visibility: int = 30) -> None:
        self.now = START
        self.visibility = visibility
        self.consumer = QueueConsumer(policy)
        self.said: list[QueueAction] = []
        self.hear(Woke())
        self.hear(Described(attributes=QueueAttributes(visibility_timeout_seconds=visibility, fifo=policy.fifo)))

    def hear(self, event: QueueEvent) -> list[QueueAction]:
        """Lets the consumer hear an event; returns what it says to it."""
        actions = self.consumer.handle(event, self.now)
        self.said += actions
        return actions

    def after(self, seconds: float) -> list[QueueAction]:
        """Lets time pass, waking the consumer at its deadlines."""
        end, actions = self.now + seconds, []
        while (deadline := self.consumer.deadline) is not None and deadline <= end:
            self.now = deadline
            actions += self.hear(Woke())
        self.now = end
        return actions

    def of(self, kind: type[Kind], actions: Iterable[QueueAction] | None = None) -> list[Kind]:
        """The actions of one kind, or what was told of one kind."""
        said = self.said if actions is None else list(actions)
        told = [action.observation for action in said if isinstance(action, Tell)]
        return [each for each in [*said, *told] if isinstance(each, kind)]

    def take(self, kind: type[Kind]) -> Kind:
        """The oldest action of a kind that was not taken yet."""
        found = next(action for action in self.said if isinstance(action, kind))
        self.said.remove(found)
        return found

    def record(self, name: str, *, group: str | None = None, receives: int = 1) -> Record:
        """A message that the queue hands over now."""
        return Record(
            identifier=name,
            event={"body": name},
            json=b"{}",
            receipt=f"{name}/{receives}",
            received_at=self.now,
            visible_until=self.now + self.visibility,
            group=group,
            receive_count=receives,
        )

    def receive(self, *records: Record) -> list[QueueAction]:
        """Answers the oldest receive."""
        return self.hear(Fetched(number=self.take(Fetch).number, records=records))

    def finish(self, result: InvocationResult, *, chance: float = 0.5) -> list[QueueAction]:
        """Answers the oldest invocation."""
        return self.hear(Finished(number=self.take(Invoke).batch.number, result=result, chance=chance))
