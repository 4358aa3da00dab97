"""Whatever is done to a queue in memory, its contract holds."""

from collections import defaultdict
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from broker.errors import SourceError
from broker.testing import Happening, InMemoryQueue
from tests.unit.testing.clocks import HandClock

DEEDS = st.one_of(
    st.tuples(st.just("send"), st.sampled_from("abc")),
    st.tuples(st.just("take"), st.integers(1, 10)),
    st.tuples(st.just("delete"), st.integers(0, 30)),
    st.tuples(st.just("change"), st.integers(0, 30), st.sampled_from([0, 5, 60])),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 10, 31])),
    st.tuples(st.just("repeat"), st.sampled_from("xyz")),
    st.tuples(st.just("expire")),
)


class World:
    """A queue with a dead-letter queue, and every receipt that it ever gave."""

    def __init__(self, *, fifo: bool) -> None:
        suffix = ".fifo" if fifo else ""
        self.clock = HandClock()
        self.dead_letters = InMemoryQueue(f"dlq{suffix}", clock=self.clock, fifo=fifo)
        self.queue = InMemoryQueue(
            f"q{suffix}",
            clock=self.clock,
            fifo=fifo,
            maximum_receive_count=3,
            dead_letter_queue=self.dead_letters,
            in_flight_limit=8,
        )
        self.sent: dict[str, list[str]] = defaultdict(list)
        self.group_of: dict[str, str] = {}
        self.receipts: list[str] = []

    def do(self, deed) -> None:
        """A receive may meet the in-flight limit, and a repeated one may have become impossible."""
        with suppress(SourceError):
            getattr(self, deed[0])(*deed[1:])

    def send(self, group) -> None:
        fifo = {"group": group, "deduplication_id": str(len(self.group_of))} if self.queue.fifo else {}
        identifier = self.queue.send("x", **fifo)
        self.sent[group].append(identifier)
        self.group_of[identifier] = group

    def take(self, count, **options) -> None:
        flying = self.queue.in_flight_count
        messages = self.queue.take(maximum_count=count, **options)
        assert len(messages) <= count
        assert flying + len(messages) <= 8
        self.receipts += [message["ReceiptHandle"] for message in messages]

    def repeat(self, attempt_id) -> None:
        if self.queue.fifo:
            self.queue.take(maximum_count=10, attempt_id=attempt_id)

    def delete(self, index) -> None:
        if index < len(self.receipts):
            self.queue.delete(self.receipts[index])

    def change(self, index, seconds) -> None:
        if index < len(self.receipts):
            self.queue.change_visibility(self.receipts[index], seconds)

    def wait(self, seconds) -> None:
        self.clock.move(seconds)

    def expire(self) -> None:
        self.queue.expire_visibility()

    def check(self) -> None:
        self.queue.every_message_accounted()
        self.dead_letters.every_message_accounted()
        moved = self.queue.history.identifiers(Happening.DEAD_LETTERED)
        assert moved == self.dead_letters.history.identifiers(Happening.ARRIVED)
        for identifier in self.group_of:
            assert self.queue.history.of(identifier).count(Happening.RECEIVED) <= 3


@given(st.booleans(), st.lists(DEEDS, max_size=60))
def test_nothing_is_lost_and_nothing_is_received_too_often(fifo, deeds) -> None:
    world = World(fifo=fifo)
    for deed in deeds:
        world.do(deed)
        world.check()


@given(st.lists(DEEDS, max_size=60))
def test_no_message_of_a_group_is_first_received_before_an_older_one(deeds) -> None:
    world = World(fifo=True)
    for deed in deeds:
        world.do(deed)
    first_received = dict.fromkeys(world.queue.history.identifiers(Happening.RECEIVED))
    for identifiers in world.sent.values():
        seen = [identifier for identifier in first_received if identifier in identifiers]
        assert seen == identifiers[: len(seen)]
