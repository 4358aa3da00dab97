from broker.core.queue_policy import ScalingPolicy
from broker.core.scaling import ConcurrencyScale


def make(**fields) -> ConcurrencyScale:
    return ConcurrencyScale(ScalingPolicy(**fields))


def grown(scale: ConcurrencyScale, *, seconds: int, start: float = 0.0) -> int:
    for second in range(seconds + 1):
        scale.fetched(10, 10, start + second)
    return scale.limit


def test_five_batches_are_in_flight_at_first():
    assert make().limit == 5
    assert make().pollers == 5


def test_a_backlog_adds_three_hundred_a_minute():
    scale = make()
    before = grown(scale, seconds=0)

    assert grown(scale, seconds=60) - before == 300


def test_the_limit_never_exceeds_the_maximum():
    assert grown(make(maximum=12), seconds=100) == 12
    assert make(maximum=3).limit == 3


def test_a_receive_that_is_not_full_adds_nothing():
    scale = make()
    for second in range(10):
        scale.fetched(9, 10, second)

    assert scale.limit == 5


def test_an_idle_hour_earns_no_more_than_a_second():
    scale = make()
    scale.fetched(10, 10, 0.0)
    before = scale.limit
    scale.fetched(10, 10, 3600.0)

    assert scale.limit - before == 5


def test_an_empty_queue_is_polled_by_two_and_falls_back_to_five():
    scale = make()
    grown(scale, seconds=10)
    scale.fetched(0, 10, 11.0)

    assert (scale.limit, scale.pollers) == (5, 2)


def test_a_message_ends_the_idle_polling():
    scale = make()
    scale.fetched(0, 10, 0.0)
    scale.fetched(1, 10, 1.0)

    assert scale.pollers == 5


def test_idle_pollers_never_exceed_the_limit():
    scale = make(initial=1, idle_pollers=2)
    scale.fetched(0, 10, 0.0)

    assert scale.pollers == 1


def test_a_function_error_halves_the_limit_down_to_one():
    scale = make(initial=8)
    limits = []
    for second in range(5):
        scale.failed(second)
        limits.append(scale.limit)

    assert limits == [4, 2, 1, 1, 1]


def test_a_throttle_halves_the_limit_down_to_the_floor():
    scale = make(initial=8, floor=3)
    limits = []
    for second in range(4):
        scale.throttled(second)
        limits.append(scale.limit)

    assert limits == [4, 3, 3, 3]


def test_a_throttle_never_raises_a_limit_that_is_below_the_floor():
    scale = make(initial=1, maximum=1, floor=2)
    scale.throttled(0.0)

    assert scale.limit == 1


def test_failures_of_one_second_count_as_one():
    scale = make(initial=8)
    for _ in range(50):
        scale.failed(0.5)

    assert scale.limit == 4


def test_a_function_error_reduces_nothing_where_partial_failures_are_reported():
    scale = make(initial=8, reduce_on_error=False)
    scale.failed(0.0)

    assert scale.limit == 8


def test_each_success_wins_one_back_up_to_where_it_was():
    scale = make(initial=8)
    scale.failed(0.0)
    limits = []
    for _ in range(6):
        scale.succeeded()
        limits.append(scale.limit)

    assert limits == [5, 6, 7, 8, 8, 8]


def test_a_success_lifts_the_limit_to_the_floor_at_once():
    scale = make(initial=8, floor=3)
    for second in range(4):
        scale.failed(second)
    scale.succeeded()

    assert scale.limit == 3


def test_a_reduced_limit_does_not_grow_before_it_has_recovered():
    scale = make(initial=8)
    scale.fetched(10, 10, 0.0)
    scale.failed(0.0)
    reduced = scale.limit

    assert grown(scale, seconds=5, start=1.0) == reduced
