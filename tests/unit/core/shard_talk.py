"""A conversation with a shard's consumer, event by event."""

import json
from collections.abc import Iterable
from math import inf
from typing import Any, TypeVar

from broker.core.events import Finished, Tell, Woke
from broker.core.shard_consumer import ShardConsumer
from broker.core.stream_events import (
    CheckpointFailed,
    CheckpointSaved,
    Discard,
    Discarded,
    InvokeStream,
    PageRead,
    Read,
    ReadFailed,
    SaveCheckpoint,
    ShardAction,
    ShardEvent,
)
from broker.core.stream_policy import StreamPolicy
from broker.errors import ReadFault
from broker.model.checkpoint import Checkpoint
from broker.model.invocation import HandlerFailed, InvocationResult, Succeeded, Throttled, Unavailable
from broker.model.payload import Payload
from broker.model.stream import AfterSequenceNumber, Page, Position, TrimHorizon

Kind = TypeVar("Kind")
START = 1_000_000.0
FAILED = HandlerFailed(error_type="ValueError", message="no")
THROTTLED = Throttled(message="Rate exceeded")
UNAVAILABLE = Unavailable(message="nobody listens")
MOST_WAKES = 5_000
"""More in one call of `after` are a hot loop."""
LONGEST_SECONDS = 3_000.0
"""Nobody waits longer for the next action."""


class Entry:
    """One record of a shard."""

    __slots__ = ("arrived_at", "event", "identifier", "json", "key", "size_bytes")

    def __init__(self, number: int, *, key: str = "k", at: float = START, size: int = 0) -> None:
        self.identifier = str(number)
        self.arrived_at = at
        self.key = key.encode()
        self.event = {"n": number, "pad": ""}
        least = len(json.dumps(self.event, separators=(",", ":")))
        self.event["pad"] = "x" * max(size - least, 0)
        self.json = json.dumps(self.event, separators=(",", ":")).encode()
        self.size_bytes = len(self.json)

    def __repr__(self) -> str:
        return self.identifier


def entries(*numbers: int, key: str = "k", at: float = START, size: int = 0) -> list[Entry]:
    """A record for each number."""
    return [Entry(number, key=key, at=at, size=size) for number in numbers]


def numbers(records: Iterable[Any]) -> list[int]:
    """The numbers again."""
    return [int(record.identifier) for record in records]


def succeeded(value: object = None) -> Succeeded:
    """The handler returned `value`."""
    return Succeeded(response=Payload.of_value(value))


def reported(*failed: object) -> Succeeded:
    """The handler reported these as failed."""
    return succeeded({"batchItemFailures": [{"itemIdentifier": str(one)} for one in failed]})


def after(number: int, **fields: Any) -> Checkpoint:
    """A checkpoint behind a record."""
    return Checkpoint(position=AfterSequenceNumber(number=str(number)), **fields)


class Talk:
    """One consumer, a clock that the test moves, and what was said so far and not yet answered.

    Checkpoints are written at once, unless `saves` is False.
    """

    def __init__(
        self,
        policy: StreamPolicy | None = None,
        *,
        start: Checkpoint | None = None,
        now: float = START,
        lease_until: float = inf,
        start_at: float = -inf,
        saves: bool = True,
        server_ahead: float = 0.0,
    ) -> None:
        self.now = now
        self.saves = saves
        self.server_ahead = server_ahead
        self.policy = policy or StreamPolicy()
        self.consumer = ShardConsumer(
            self.policy,
            shard_id="shard-0",
            start=start or Checkpoint(position=TrimHorizon()),
            lease_until=lease_until,
            start_at=start_at,
            epoch=7,
        )
        self.said: list[ShardAction] = []
        self.saved: list[Checkpoint] = []
        self.hear(Woke())

    def again(self, policy: StreamPolicy | None = None, **fields: Any) -> "Talk":
        """The next owner of the shard, who begins at the last checkpoint that stands."""
        document = json.loads(json.dumps(self.consumer._ledger.saved.to_json()))
        return Talk(policy or self.policy, start=Checkpoint.from_json(document), now=self.now, **fields)

    # ---- to and fro

    def hear(self, event: ShardEvent) -> list[ShardAction]:
        """Lets the consumer hear an event; returns what it says to it."""
        actions = self.consumer.handle(event, self.now)
        self.said += actions
        for action in actions.copy():
            if isinstance(action, SaveCheckpoint) and self.saves:
                self.said.remove(action)
                self.saved.append(action.checkpoint)
                actions += self.hear(CheckpointSaved(number=action.number))
        return actions

    def after(self, seconds: float) -> list[ShardAction]:
        """Lets time pass, waking the consumer at its deadlines."""
        end, actions, wakes = self.now + seconds, [], 0
        while (deadline := self.consumer.deadline) is not None and deadline <= end:
            assert deadline > self.now, "a deadline that has passed is a hot loop"
            wakes += 1
            assert wakes < MOST_WAKES, "woken without end"
            self.now = deadline
            actions += self.hear(Woke())
        self.now = max(end, self.now)
        return actions

    def of(self, kind: type[Kind], actions: Iterable[ShardAction] | None = None) -> list[Kind]:
        """The actions of one kind, or what was told of one kind."""
        said = self.said if actions is None else list(actions)
        told = [action.observation for action in said if isinstance(action, Tell)]
        return [each for each in [*said, *told] if isinstance(each, kind)]

    def take(self, kind: type[Kind]) -> Kind:
        """The oldest action of a kind that was not taken yet."""
        found = next(action for action in self.said if isinstance(action, kind))
        self.said.remove(found)
        return found

    # ---- answers

    def page(self, *records: Entry, **fields: Any) -> list[ShardAction]:
        """Answers the oldest read, when it is made."""
        self.until(Read)
        return self.answer(self.take(Read), *records, **fields)

    def answer(self, read: Read, *records: Entry, **fields: Any) -> list[ShardAction]:
        """Answers one read."""
        made = {"read_at": self.now, "server_at": self.now + self.server_ahead, "behind_ms": 0, **fields}
        return self.hear(PageRead(number=read.number, page=Page(records=records, **made)))

    def fail_read(self, fault: ReadFault, *, chance: float = 0.5) -> list[ShardAction]:
        """Answers the oldest read with a failure."""
        return self.hear(ReadFailed(number=self.take(Read).number, fault=fault, problem=f"it {fault}", chance=chance))

    def finish(self, result: InvocationResult, *, lane: int | None = None, chance: float = 0.0) -> list[ShardAction]:
        """Answers the oldest invocation, of a lane."""
        found = next(each for each in self.of(InvokeStream) if lane is None or each.batch.lane == lane)
        self.said.remove(found)
        return self.hear(Finished(number=found.batch.number, result=result, chance=chance))

    def save(self) -> list[ShardAction]:
        """Answers the outstanding write: it stands."""
        saving = self.take(SaveCheckpoint)
        self.saved.append(saving.checkpoint)
        return self.hear(CheckpointSaved(number=saving.number))

    def fail_save(self, *, chance: float = 0.0) -> list[ShardAction]:
        """Answers the outstanding write: whether it stands is not known."""
        saving = self.take(SaveCheckpoint)
        return self.hear(CheckpointFailed(number=saving.number, problem="no answer", chance=chance))

    def sent(self, problem: str | None = None, *, is_final: bool = False) -> list[ShardAction]:
        """Answers the oldest discard."""
        number = self.take(Discard).discarded.number
        return self.hear(Discarded(number=number, problem=problem, is_final=is_final, chance=0.0))

    # ---- what is there

    @property
    def running(self) -> list[list[int]]:
        """The batches whose handlers run."""
        return [numbers(invoke.batch.records) for invoke in self.of(InvokeStream)]

    @property
    def batch(self) -> list[int]:
        """The batch whose handler runs, the only one."""
        (only,) = self.running
        return only

    @property
    def invocation(self) -> InvokeStream:
        """The invocation that is outstanding, the only one."""
        (only,) = self.of(InvokeStream)
        return only

    @property
    def position(self) -> Position:
        """What stands in the store."""
        return self.consumer._ledger.saved.position

    @property
    def settled_through(self) -> int:
        """The low-water mark that stands in the store."""
        position = self.position
        assert isinstance(position, AfterSequenceNumber)
        return int(position.number)

    def retry(self) -> None:
        """Lets the shortest time pass after which a handler runs again."""
        self.until(InvokeStream)

    def until(self, kind: type[ShardAction]) -> None:
        """Lets time pass, from deadline to deadline, until there is an action of this kind."""
        began = self.now
        while not self.of(kind):
            deadline = self.consumer.deadline
            assert deadline is not None, f"there is no {kind.__name__} any more"
            assert deadline < began + LONGEST_SECONDS, f"there is no {kind.__name__} for too long"
            self.after(deadline - self.now)
