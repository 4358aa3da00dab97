"""Fleets of brokers, as the installed command, on streams of servers in containers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.cli.emulator import Emulator
from tests.acceptance.command import Place
from tests.acceptance.stream_fleet import fleet_on
from tests.acceptance.stream_items import LoadedTable
from tests.acceptance.stream_load import LoadedStream
from tests.acceptance.stream_notes import BRIEF, BUSY
from tests.acceptance.stream_scenarios import (
    assert_nothing_lost_and_in_order,
    finish,
    kill_again_and_again,
    kill_one_and_drain_one,
    percentiles,
    roll,
)
from tests.emulator import ACCOUNT_ID, REGION
from tests.integration import images
from tests.integration.containers import running_container

pytestmark = [pytest.mark.containers, pytest.mark.timeout(600)]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture(scope="module")
def kinesis_mock() -> Iterator[Emulator]:
    with running_container(images.KINESIS_MOCK, port=4568, account_id=ACCOUNT_ID, AWS_ACCOUNT_ID=ACCOUNT_ID) as server:
        yield server


@pytest.fixture(scope="module")
def ministack() -> Iterator[Emulator]:
    names = {"MINISTACK_ACCOUNT_ID": ACCOUNT_ID, "MINISTACK_REGION": REGION}
    with running_container(images.MINISTACK, port=4566, account_id=ACCOUNT_ID, **names) as server:
        yield server


@pytest.fixture(scope="module")
def dynamodb_local() -> Iterator[Emulator]:
    with running_container(images.DYNAMODB_LOCAL, port=8000, account_id=ACCOUNT_ID) as server:
        yield server


def test_eight_times_kill_9_in_a_fleet_of_three_loses_nothing(place: Place, kinesis_mock: Emulator) -> None:
    """Each kill repeats at most what was in hand; each killed broker is replaced at once."""
    with fleet_on(place, LoadedStream(kinesis_mock)) as fleet:
        kill_again_and_again(fleet, 8)


def test_a_rolling_restart_of_three_brokers_repeats_nothing(place: Place, kinesis_mock: Emulator) -> None:
    """One restarts after the other, by SIGTERM, under load."""
    with fleet_on(place, LoadedStream(kinesis_mock), handler=BRIEF, lease_seconds=10) as fleet:
        roll(fleet, 1)


def test_a_fleet_that_is_pushed_its_records_loses_nothing_when_a_broker_is_killed_and_one_drained(
    place: Place, ministack: Emulator
) -> None:
    """Enhanced fan-out: the mapping names a consumer. This server cannot split shards."""
    with fleet_on(place, LoadedStream(ministack, is_pushed=True)) as fleet:
        kill_one_and_drain_one(fleet)


def test_changes_of_items_come_once_and_in_the_order_of_each_item_while_a_broker_drains(
    place: Place, dynamodb_local: Emulator
) -> None:
    """Items are put, updated and deleted; the stream has one shard, which goes from the one broker to the other."""
    table = LoadedTable(dynamodb_local)
    with fleet_on(place, table, handler=table.handler(BUSY)) as fleet:
        members = [fleet.start(), fleet.start()]
        with table.steady(per_second=100):
            for member in members:
                member.running.wait_for("mapping.state_changed")
            fleet.wait_until(lambda: fleet.books().starts, what="somebody works")
            first = next(each for each in members if each.name in fleet.books().owners().values())
            fleet.wait_until_begun(first, 50)
            told_ns = fleet.drain(first)
            (second,) = fleet.members
            fleet.wait_until_begun(second, 50)
        books = finish(fleet)
        print(f"\n{table.sent_count} changes; hand-over: {percentiles(books.hand_over_seconds(first.name, told_ns))}")
        assert_nothing_lost_and_in_order(fleet, books)
        assert books.repetitions == []
