import pytest

from broker.core.description import Description
from broker.core.events import Describe
from broker.core.queue_policy import QueuePolicy
from broker.model.observation import VisibilityTooShort
from broker.model.record import QueueAttributes


def attributes(visibility: int) -> QueueAttributes:
    return QueueAttributes(visibility_timeout_seconds=visibility)


def make(**fields) -> Description:
    return Description(QueuePolicy(**{"function_timeout_seconds": 10.0, **fields}))


def test_the_queue_is_described_first_and_then_each_minute():
    description = make()
    first = description.due(100.0)
    description.described(attributes(30), 101.0)

    assert first == [Describe()]
    assert description.due(160.9) == []
    assert description.due(161.0) == [Describe()]


def test_at_most_one_read_is_out():
    description = make()
    description.due(100.0)

    assert description.outstanding
    assert description.due(900.0) == []


def test_a_queue_whose_visibility_timeout_is_too_short_is_not_begun_with():
    description = make()
    problem = description.described(attributes(9), 100.0)

    assert problem == "Queue visibility timeout: 9 seconds is less than Function timeout: 10 seconds"
    assert description.attributes is None


def test_a_queue_whose_visibility_timeout_is_mended_is_begun_with():
    description = make()
    description.described(attributes(9), 100.0)

    assert description.described(attributes(10), 160.0) is None
    assert description.visibility_seconds == 10


def test_a_heartbeat_lets_handlers_outlast_the_queues_visibility_timeout():
    description = make(heartbeat=True)

    assert description.described(attributes(5), 100.0) is None
    assert description.visibility_seconds == 5


def test_a_visibility_timeout_that_becomes_too_short_is_warned_of_once():
    description = make()
    description.described(attributes(30), 100.0)
    warning = description.described(attributes(5), 160.0)

    assert warning == VisibilityTooShort(visibility_timeout_seconds=5, function_timeout_seconds=10.0)
    assert description.described(attributes(5), 220.0) is None
    assert description.visibility_seconds == 5


def test_a_changed_visibility_timeout_is_taken_up():
    description = make()
    description.described(attributes(30), 100.0)
    description.described(attributes(60), 160.0)

    assert description.visibility_seconds == 60


def test_a_read_that_failed_is_repeated_with_back_off():
    description = make()
    description.due(100.0)
    delay = description.failed(100.0, 0.0)

    assert (delay, description.is_failing, description.outstanding) == (0.5, True, False)
    assert description.due(100.4) == []
    assert description.due(100.5) == [Describe()]


def test_a_read_that_works_ends_the_failure():
    description = make()
    description.failed(100.0, 0.0)
    description.described(attributes(30), 101.0)

    assert not description.is_failing


@pytest.mark.parametrize(
    ("window", "timeout", "queue", "expected"),
    [(0, 10.0, 30, 30), (5, 10.0, 30, 30), (20, 10.0, 30, 30), (21, 10.0, 30, 61), (300, 2.5, 30, 333)],
)
def test_a_window_that_would_outlast_the_visibility_timeout_enlarges_it(window, timeout, queue, expected):
    description = make(window_seconds=window, function_timeout_seconds=timeout)
    description.described(attributes(queue), 100.0)

    assert description.visibility_seconds == expected


def test_a_queue_that_hides_nothing_is_received_from_with_a_second():
    description = make()
    description.described(attributes(30), 100.0)
    description.described(attributes(0), 160.0)

    assert description.visibility_seconds == 1


def test_nothing_is_known_before_the_first_read():
    assert make().visibility_seconds == 0
