"""A limit that several processes share: what is ours of it, and until when."""

from math import inf

from broker.core.events import ChangeVisibility, Fetch, FetchFailed, Invoke, LimitChanged, Woke
from broker.core.queue_policy import CircuitBreakerPolicy, QueuePolicy, ScalingPolicy
from broker.core.scaling import ConcurrencyScale
from broker.model.invocation import HandlerFailed, Unavailable
from broker.model.observation import RecordsLetGo
from tests.unit.core.talk import Talk, succeeded


def shared(**fields) -> ConcurrencyScale:
    return ConcurrencyScale(ScalingPolicy(**{"maximum": 20, "is_shared": True, **fields}))


def share(talk: Talk, limit: int, until_at: float = inf):
    return talk.hear(LimitChanged(limit=limit, until_at=until_at))


def talk(**fields) -> Talk:
    return Talk(QueuePolicy(scaling=ScalingPolicy(maximum=20, is_shared=True), batch_size=1, **fields))


def test_nothing_may_start_before_the_share_is_known():
    assert (shared().limit, shared().pollers) == (0, 0)


def test_a_share_begins_as_a_limit_does():
    scale = shared()
    scale.share(12, inf)

    assert scale.limit == 5


def test_a_share_never_exceeds_what_the_mapping_may():
    scale = shared(maximum=4)
    scale.share(12, inf)

    assert scale.limit == scale.maximum == 4


def test_a_smaller_share_holds_at_once_and_a_larger_one_is_grown_into():
    scale = shared()
    scale.share(12, inf)
    for second in range(10):
        scale.fetched(10, 10, second)
    grown = scale.limit
    scale.share(3, inf)
    small = scale.limit
    scale.share(20, inf)

    assert (grown, small, scale.limit) == (12, 3, 5)


def test_a_share_that_is_said_again_changes_nothing():
    scale = shared(initial=8)
    scale.share(8, 10.0)
    scale.failed(1.0)
    scale.share(8, 20.0)

    assert scale.limit == 4


def test_a_reduced_limit_is_not_restored_by_a_larger_share():
    scale = shared(initial=8)
    scale.share(8, inf)
    scale.failed(1.0)
    scale.share(12, inf)

    assert scale.limit == 4


def test_a_share_that_is_no_longer_certain_is_none():
    scale = shared()
    scale.share(5, 10.0)
    scale.pass_time(9.9)
    before = scale.limit
    scale.pass_time(10.0)

    assert (before, scale.limit) == (5, 0)


def test_a_consumer_without_a_share_receives_nothing():
    consumer = talk()

    assert consumer.of(Fetch) == []
    assert consumer.consumer.statistics().concurrency_limit == 0


def test_a_consumer_receives_as_much_as_its_share_can_start():
    consumer = talk()
    share(consumer, 3)

    assert sum(fetch.maximum_count for fetch in consumer.of(Fetch)) == 3


def test_a_share_that_was_certain_too_short_when_it_was_heard_is_none():
    consumer = talk()
    share(consumer, 3, until_at=consumer.now)

    assert consumer.of(Fetch) == []


def test_a_consumer_starts_nothing_after_its_share_has_ended_though_nobody_told_it():
    consumer = talk()
    share(consumer, 3, until_at=consumer.now + 7.5)
    consumer.now += 60

    assert consumer.of(Invoke, consumer.receive(consumer.record("a"))) == []
    assert [change.visibility_timeout_seconds for change in consumer.of(ChangeVisibility)] == [0]
    assert [(told.count, told.why) for told in consumer.of(RecordsLetGo)] == [(1, "no share")]


def test_a_consumer_wants_to_be_woken_when_its_share_ends():
    consumer = talk()
    share(consumer, 3, until_at=consumer.now + 0.5)

    assert consumer.consumer.deadline == consumer.now + 0.5


def test_what_waits_is_released_when_the_share_is_gone_and_what_runs_goes_on():
    consumer = talk()
    share(consumer, 1)
    consumer.receive(consumer.record("a"), consumer.record("b"))
    actions = share(consumer, 0)

    assert [record.identifier for change in consumer.of(ChangeVisibility, actions) for record in change.records] == [
        "b"
    ]
    assert consumer.consumer.statistics().in_flight_batches == 1
    assert consumer.of(Fetch, consumer.finish(succeeded())) == []


def test_a_queue_that_cannot_be_read_is_not_tried_without_a_share():
    consumer = talk()
    share(consumer, 1)
    consumer.hear(FetchFailed(number=consumer.take(Fetch).number, problem="no", chance=0.5))
    share(consumer, 0)

    assert consumer.of(Fetch, consumer.after(120)) == []


def test_an_open_circuit_tries_nothing_without_a_share():
    consumer = talk(circuit_breaker=CircuitBreakerPolicy(consecutive_failures=1, pause_seconds=1.0))
    share(consumer, 1)
    consumer.receive(consumer.record("a"))
    consumer.finish(Unavailable(message="down"))
    share(consumer, 0)
    consumer.after(2)
    consumer.said.clear()

    assert consumer.of(Fetch, consumer.hear(Woke())) == []


def test_a_failed_function_reduces_a_share_too():
    consumer = talk()
    share(consumer, 4)
    for letter in "abcd":
        consumer.receive(consumer.record(letter))
    consumer.finish(HandlerFailed(error_type="ValueError", message="no"))

    assert consumer.consumer.statistics().concurrency_limit == 2
