"""The service's time is the local clock's where that agrees with `Date`, else what `Date` names."""

import pytest

from broker.sources.server_time import server_time


@pytest.mark.parametrize(
    ("now", "sent_at", "told"),
    [
        (1000.4, 1000.0, 1000.4),
        (1000.0, 1000.0, 1000.0),
        (999.5, 1000.0, 1000.0),
        (1060.0, 1000.0, 1000.999),
        (1001.0, 1000.0, 1000.999),
        (1234.5, None, 1234.5),
    ],
)
def test_the_local_clock_refines_the_second_that_the_service_names(now: float, sent_at: float | None, told: float):
    assert server_time(sent_at=sent_at, now=now) == told
