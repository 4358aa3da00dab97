"""Rolling restarts under load: every drained broker hands its shards over, and nothing comes twice."""

import pytest

from broker.cli.emulator import Emulator
from tests.acceptance.command import Place
from tests.acceptance.stream_fleet import fleet_on
from tests.acceptance.stream_load import LoadedStream
from tests.acceptance.stream_notes import BRIEF, BUSY
from tests.acceptance.stream_scenarios import roll

pytestmark = pytest.mark.slow
LEASE_SECONDS = 10
"""A hand-over does not wait for a lease to expire, and no lease expires because the machine is slow."""


@pytest.mark.parametrize(("handler", "rounds"), [(BRIEF, 10), (BUSY, 3)], ids=["async", "sync"])
def test_rolling_restarts_of_three_brokers_repeat_nothing(
    place: Place, kinesis_local: Emulator, handler: str, rounds: int
) -> None:
    """Each round restarts all three by SIGTERM."""
    stream = LoadedStream(kinesis_local)
    with fleet_on(place, stream, handler=handler, lease_seconds=LEASE_SECONDS) as fleet:
        roll(fleet, rounds)
