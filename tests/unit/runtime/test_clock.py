"""Leases are judged by elapsed time: somebody may set the wall clock at any moment."""

import time

import pytest

from broker.core.watching import LeaseTiming, Watch
from broker.runtime.clock import SystemClock


@pytest.mark.parametrize("seconds", [-3600.0, 3600.0])
def test_a_wall_clock_that_is_set_expires_nobody_and_extends_no_trust(monkeypatch, seconds):
    clock, watch, timing, wall = SystemClock(), Watch(LeaseTiming()), LeaseTiming(), time.time
    began_at = clock.now()
    watch.saw({"a": 1}, asked_at=began_at, answered_at=began_at)
    monkeypatch.setattr(time, "time", lambda: wall() + seconds)
    now = clock.now()
    watch.saw({"a": 1}, asked_at=now, answered_at=now)

    assert watch.expired() == ()
    assert began_at <= now < timing.trusted_until(began_at)
