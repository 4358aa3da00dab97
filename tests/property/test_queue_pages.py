"""However a queue deals its messages out, in one page, one by one or in odd pages, they keep order, limits and set."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from broker.core.events import Delete, Deleted, Fetch, Fetched, Finished, Invoke
from broker.core.queue_policy import QueuePolicy, ScalingPolicy
from broker.model.batch import event_bytes
from broker.model.invocation import Succeeded
from broker.model.payload import Payload
from broker.model.record import Record
from tests.unit.core.talk import Talk

SLOTS = ScalingPolicy(initial=50, maximum=50, idle_pollers=50)


@dataclass(frozen=True)
class Sent:
    """A message that waits in the queue."""

    name: str
    size: int
    group: str | None


@st.composite
def queues(draw, *, fifo: bool = False) -> list[Sent]:
    sizes = draw(st.lists(st.tuples(st.integers(1, 12), st.sampled_from("abc"), st.booleans()), max_size=30))
    return [
        Sent(f"{'x' if is_filtered else 'm'}{number}", size, group if fifo else None)
        for number, (size, group, is_filtered) in enumerate(sizes)
    ]


def cut(messages: list[Sent], sizes: list[int]) -> list[list[Sent]]:
    """Pages of these sizes, in turns."""
    pages, start, turn = [], 0, 0
    while start < len(messages):
        pages.append(messages[start : start + sizes[turn % len(sizes)]])
        start, turn = start + len(pages[-1]), turn + 1
    return pages


def passes(record: Record) -> bool:
    return not record.identifier.startswith("x")


class Dealt:
    """A consumer that was dealt pages, all at one instant."""

    def __init__(self, policy: QueuePolicy, pages: list[list[Sent]]) -> None:
        self.talk = Talk(policy, visibility=60)
        self._fifo = policy.fifo
        self.batches: list[list[str]] = []
        for page in pages:
            self._deal(page)

    def _deal(self, page: list[Sent]) -> None:
        while page:
            fetch = self.talk.take(Fetch)
            here, page = page[: fetch.maximum_count], page[fetch.maximum_count :]
            self.talk.hear(Fetched(number=fetch.number, records=tuple(self._record(sent) for sent in here)))
            self._settle()
            self._look()

    def _record(self, sent: Sent) -> Record:
        record = self.talk.record(sent.name, group=sent.group)
        record.json = b"." * sent.size
        return record

    def _look(self) -> None:
        """Notes what was handed over; on a FIFO queue it succeeds at once, so that what waits behind it goes on."""
        while invokes := self.talk.of(Invoke):
            self.talk.said.remove(invokes[0])
            self.batches.append([record.identifier for record in invokes[0].batch.records])
            if self._fifo:
                result = Succeeded(response=Payload.of_value(None))
                self.talk.hear(Finished(number=invokes[0].batch.number, result=result, chance=0.5))
                self._settle()

    def _settle(self) -> None:
        for delete in self.talk.of(Delete):
            self.talk.said.remove(delete)
            self.talk.hear(Deleted(number=delete.number, failures={}, chance=0.5))

    def wait(self, seconds: float) -> "Dealt":
        """Lets a window end."""
        self.talk.after(seconds)
        self._look()
        return self

    @property
    def order(self) -> list[str]:
        """The messages as they were handed over."""
        return [name for batch in self.batches for name in batch]


def fits(batch: list[str], sizes: dict[str, int], policy: QueuePolicy) -> bool:
    size = event_bytes(sum(sizes[name] for name in batch), len(batch))
    return 1 <= len(batch) <= policy.batch_size and (len(batch) == 1 or size <= policy.payload_limit_bytes)


PAGES = st.lists(st.integers(1, 10), min_size=1, max_size=5)
LIMITS = st.sampled_from([30, 45, 10_000])


@given(messages=queues(), sizes=PAGES, batch_size=st.integers(1, 12), limit=LIMITS)
def test_messages_that_are_there_at_the_same_instant_make_the_same_batches(messages, sizes, batch_size, limit):
    policy = QueuePolicy(
        batch_size=batch_size, window_seconds=5, payload_limit_bytes=limit, accepts=passes, scaling=SLOTS
    )
    whole, odd, single = (Dealt(policy, cut(messages, each)).wait(5).batches for each in ([10], sizes, [1]))

    assert whole == odd == single
    assert [name for batch in whole for name in batch] == [m.name for m in messages if m.name.startswith("m")]
    assert all(fits(batch, {message.name: message.size for message in messages}, policy) for batch in whole)


@given(messages=queues(), sizes=PAGES, batch_size=st.integers(1, 10), limit=LIMITS)
def test_without_a_window_all_pages_keep_order_limits_and_set(messages, sizes, batch_size, limit):
    policy = QueuePolicy(batch_size=batch_size, payload_limit_bytes=limit, accepts=passes, scaling=SLOTS)
    dealt = Dealt(policy, cut(messages, sizes))

    assert dealt.order == [message.name for message in messages if message.name.startswith("m")]
    assert all(fits(batch, {message.name: message.size for message in messages}, policy) for batch in dealt.batches)


@given(messages=queues(fifo=True), sizes=PAGES, batch_size=st.integers(1, 10), limit=LIMITS)
def test_all_pages_keep_the_order_of_every_group(messages, sizes, batch_size, limit):
    policy = QueuePolicy(fifo=True, batch_size=batch_size, payload_limit_bytes=limit, accepts=passes, scaling=SLOTS)
    dealt = Dealt(policy, cut(messages, sizes))
    passing = [message for message in messages if message.name.startswith("m")]

    assert sorted(dealt.order) == sorted(message.name for message in passing)
    for group in "abc":
        of_group = [message.name for message in passing if message.group == group]
        assert [name for name in dealt.order if name in of_group] == of_group
