"""kill -9 under load, again and again: nothing is lost, and what comes twice was in hand."""

import pytest

from broker.cli.emulator import Emulator
from tests.acceptance.command import Place
from tests.acceptance.stream_fleet import fleet_on
from tests.acceptance.stream_load import LoadedStream
from tests.acceptance.stream_scenarios import kill_again_and_again

pytestmark = pytest.mark.slow


def test_fifty_times_kill_9_in_a_fleet_of_three_loses_nothing(place: Place, kinesis_local: Emulator) -> None:
    """Each kill repeats at most what was in hand; each killed broker is replaced at once."""
    with fleet_on(place, LoadedStream(kinesis_local)) as fleet:
        kill_again_and_again(fleet, 50)
