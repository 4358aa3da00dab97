"""However a shard's records are dealt out, in one page, one by one or in odd pages, they keep order, limits and set."""

from hypothesis import given
from hypothesis import strategies as st

from broker.core.stream_events import InvokeStream, Read
from broker.core.stream_policy import StreamPolicy
from broker.model.stream import StreamRecord
from tests.unit.core.shard_talk import Entry, Talk, numbers, succeeded

KEYS = "abcex"


def passes(record: StreamRecord) -> bool:
    return record.key != b"x"


@st.composite
def shards(draw) -> list[Entry]:
    drawn = draw(st.lists(st.tuples(st.sampled_from(KEYS), st.integers(20, 120)), max_size=30))
    return [Entry(number, key=key, size=size) for number, (key, size) in enumerate(drawn, 95)]


def dealt(policy: StreamPolicy, records: list[Entry], sizes: list[int]) -> list[list[int]]:
    """The batches that are handed over when pages of these sizes come at one instant, all of which succeed."""
    talk, at, turn = Talk(policy), 0, 0
    batches: list[list[int]] = []
    while talk.of(Read):
        page = records[at : at + sizes[turn % len(sizes)]]
        at, turn = at + len(page), turn + 1
        is_all = at == len(records)
        talk.answer(talk.take(Read), *page, has_more=not is_all, is_last=is_all)
        batches += take(talk)
    assert talk.consumer.is_shard_finished
    return batches


def take(talk: Talk) -> list[list[int]]:
    """Lets everything that runs succeed, and what follows."""
    batches = []
    while talk.of(InvokeStream):
        invoke = talk.of(InvokeStream)[0]
        assert len(invoke.payload.bytes) == invoke.batch.size_bytes
        assert invoke.batch.size_bytes <= talk.policy.payload_limit_bytes
        assert 1 <= len(invoke.batch.records) <= talk.policy.batch_size
        batches.append(numbers(invoke.batch.records))
        talk.finish(succeeded())
    return batches


PAGES = st.lists(st.integers(1, 10), min_size=1, max_size=5)
LIMITS = st.sampled_from([140, 300, 10_000])


@given(records=shards(), sizes=PAGES, batch_size=st.integers(1, 12), limit=LIMITS)
def test_records_that_are_there_at_the_same_instant_make_the_same_batches(records, sizes, batch_size, limit):
    policy = StreamPolicy(batch_size=batch_size, window_seconds=5, payload_limit_bytes=limit, accepts=passes)
    whole, odd, single = (dealt(policy, records, each) for each in ([1_000], sizes, [1]))

    assert whole == odd == single
    assert [number for batch in whole for number in batch] == numbers(filter(passes, records))


@given(records=shards(), sizes=PAGES, batch_size=st.integers(1, 12), limit=LIMITS, factor=st.integers(1, 4))
def test_all_pages_keep_the_set_and_the_order_of_every_key(records, sizes, batch_size, limit, factor):
    policy = StreamPolicy(batch_size=batch_size, payload_limit_bytes=limit, accepts=passes, factor=factor)
    order = [number for batch in dealt(policy, records, sizes) for number in batch]

    assert sorted(order) == numbers(filter(passes, records))
    for key in KEYS[:-1]:
        of_key = [int(record.identifier) for record in records if record.key == key.encode()]
        assert [number for number in order if number in of_key] == of_key
