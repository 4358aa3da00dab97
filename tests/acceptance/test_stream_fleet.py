"""Several brokers on one stream, with real processes and a real server: what becomes of records when some of them end."""

import time

import pytest

from broker.cli.emulator import Emulator
from tests.acceptance.command import Place
from tests.acceptance.stream_fleet import StreamFleet, fleet_on
from tests.acceptance.stream_load import LoadedStream
from tests.acceptance.stream_scenarios import (
    assert_nothing_lost_and_in_order,
    finish,
    freeze_at_work,
    percentiles,
    wait_until_others_begin,
)

pytestmark = pytest.mark.slow


def test_three_brokers_of_which_one_is_killed_one_drained_and_one_stopped_lose_nothing_and_keep_order(
    place: Place, kinesis_local: Emulator
) -> None:
    """Shards split and merge meanwhile. What is repeated is what the killed and the stopped process had in hand."""
    with fleet_on(place, LoadedStream(kinesis_local)) as fleet:
        killed, drained, stopped = (fleet.start() for _ in range(3))
        with fleet.stream.steady():
            fleet.wait_until_each_works(100)
            fleet.stream.split()
            fleet.wait_until_each_works(50)
            fleet.kill(killed)
            killed_ns = time.time_ns()
            fleet.start()
            fleet.wait_until_each_works(50)
            fleet.stream.merge(2)
            fleet.drain(drained)
            fleet.wait_until_each_works(50)
            shards = freeze_at_work(fleet, stopped)
            wait_until_others_begin(fleet, stopped, shards)
            fleet.stream.split(1)
            stopped.thaw()
            fleet.wait_until_each_works(50)
        books = finish(fleet)
        left = books.left()
        print(f"{fleet.stream.sent_count} records, {books.duplicates()} repeated: {left}")
        print("take-over after kill -9:", percentiles(books.take_over_seconds(killed.name, killed_ns)))
        print("hand-over:", percentiles(books.hand_over_seconds(drained.name)))
        assert_nothing_lost_and_in_order(fleet, books)
        assert {name for name, each in left.items() if each.in_flight or each.settled} <= {killed.name, stopped.name}
