"""Several brokers on one stream, with real processes and a real server: what becomes of records when some end."""

import time
from collections import Counter
from typing import Any

import pytest

from broker.cli.emulator import Emulator
from broker.core.lanes import lane_of
from tests.acceptance.command import Place
from tests.acceptance.stream_fleet import Member, StreamFleet, fleet_on
from tests.acceptance.stream_load import LoadedStream
from tests.acceptance.stream_notes import BLOCKING, BRIEF, FAILING, FAILING_KEY, Note
from tests.acceptance.stream_scenarios import (
    assert_nothing_lost_and_in_order,
    assert_only_what_was_in_hand_is_repeated,
    finish,
    freeze_at_work,
    kill_one_and_drain_one,
    percentiles,
    wait_until_others_begin,
)

FACTOR = 4

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
            kill = fleet.kill(killed)
            fleet.start()
            fleet.wait_until_each_works(50)
            fleet.stream.merge(2)
            told_ns = fleet.drain(drained)
            fleet.wait_until_each_works(50)
            shards = freeze_at_work(fleet, stopped)
            wait_until_others_begin(fleet, stopped, shards)
            fleet.stream.split(1)
            stopped.thaw()
            fleet.wait_until_each_works(50)
        books = finish(fleet)
        left = books.left()
        print(f"{fleet.stream.sent_count} records, {books.duplicates()} repeated: {left}")
        print("take-over after kill -9:", percentiles(books.take_over_seconds(kill.member, kill.at_ns)))
        print("hand-over:", percentiles(books.hand_over_seconds(drained.name, told_ns)))
        assert_nothing_lost_and_in_order(fleet, books)
        assert_only_what_was_in_hand_is_repeated(books, [kill])
        assert {name for name, each in left.items() if each.in_flight or each.settled} <= {killed.name, stopped.name}


def test_a_handler_that_blocks_the_event_loop_for_longer_than_the_lease_moves_no_lease(
    place: Place, kinesis_local: Emulator
) -> None:
    """Nobody else begins its shards, and its broker's log names the line that blocks."""
    with fleet_on(place, LoadedStream(kinesis_local), handler=BLOCKING, lease_seconds=4, timeout_seconds=60) as fleet:
        block = fleet.folder / "block"
        blocked = fleet.start(BLOCK=str(block), BLOCK_SECONDS="12")
        fleet.start()
        with fleet.stream.steady():
            fleet.wait_until_each_works()
            wait_until_shared_evenly(fleet)
            leases = fleet.leases()
            block.touch()
            fleet.wait_until(lambda: not block.exists(), what="a handler blocks")
            fleet.wait_until_begun(blocked, 1)
            assert fleet.leases() == leases
        books = finish(fleet)
        (line,) = [n for n, text in enumerate(fleet.module.read_text().splitlines(), 1) if "BLOCK_SECONDS" in text]
        assert f'"location":"{fleet.module}:{line}"' in blocked.running.text
        assert "loop.blocked" in blocked.running.text
        assert_nothing_lost_and_in_order(fleet, books)
        assert {note.epoch for note in books.starts if note.member == blocked.name} <= epochs_of(leases)


def test_a_crash_while_one_key_fails_does_not_repeat_what_other_lanes_have_done(
    place: Place, kinesis_local: Emulator
) -> None:
    """Parallelization factor 4, one shard, one key that cannot be handled: three owners are killed meanwhile."""
    stream = LoadedStream(kinesis_local, shards=1)
    with fleet_on(place, stream, handler=FAILING, mapping=f"    ParallelizationFactor: {FACTOR}\n") as fleet:
        fails = fleet.folder / "fail"
        fails.touch()
        kills = []
        fleet.start(FAIL=str(fails))
        with fleet.stream.steady(per_second=100):
            for _ in range(3):
                fleet.start(FAIL=str(fails))
                owner = wait_for_worker(fleet)
                fleet.wait_until_begun(owner, 200)
                kills.append(fleet.kill(owner))
        fleet.wait_until(lambda: others_are_done(fleet), what="all but the lane of the failing key")
        fails.unlink()
        books = finish(fleet)
        print(f"{stream.sent_count} records, left by those that were killed: {books.left()}")
        assert books.missing(stream.sent) == []
        assert books.out_of_order() == []
        assert books.about(is_of_other_lane).epoch_faults(factor=FACTOR) == []
        assert_only_what_was_in_hand_is_repeated(books.about(is_of_other_lane), kills, factor=FACTOR)


def test_a_stream_that_is_deleted_and_made_again_while_brokers_run_is_read_from_its_beginning(
    place: Place, kinesis_local: Emulator
) -> None:
    """Although the mapping begins at LATEST: what is put before a broker has seen the new stream is handled, too."""
    stream = LoadedStream(kinesis_local)
    with fleet_on(place, stream, handler=BRIEF, starting_position="LATEST") as fleet:
        for _ in range(2):
            fleet.start().running.wait_for("Enabled")
        stream.put(10, prefix="old")
        fleet.wait_until_all_handled()
        stream.remake()
        stream.put(10, prefix="new")
        fleet.wait_until_all_handled()
        books = finish(fleet)
        assert books.missing(stream.sent) == []
        for prefix in ("old", "new"):
            part = books.about(lambda note, prefix=prefix: note.key.startswith(prefix))
            assert part.out_of_order() == []
            assert part.epoch_faults() == []


def test_a_fleet_that_is_pushed_its_records_loses_nothing_when_a_broker_is_killed_and_one_drained(
    place: Place, kinesis_local: Emulator
) -> None:
    """Enhanced fan-out: the mapping names a consumer, and a shard has one subscription at a time.

    Nothing is split here: this server's subscriptions do not tell the end of a shard.
    """
    with fleet_on(place, LoadedStream(kinesis_local, is_pushed=True)) as fleet:
        kill_one_and_drain_one(fleet)


def test_a_store_that_takes_no_writes_for_longer_than_the_lease_moves_no_lease_and_repeats_nothing(
    place: Place, kinesis_local: Emulator
) -> None:
    """Nobody could show that it lives, so nobody is taken for gone: all pause, and go on where they were."""
    with fleet_on(place, LoadedStream(kinesis_local), handler=BRIEF) as fleet:
        members = [fleet.start() for _ in range(3)]
        with fleet.stream.steady(per_second=100):
            fleet.wait_until_each_works()
            fleet.wait_until(lambda: is_settled(fleet), what="no lease is asked for")
            leases = fleet.leases()
            with fleet.locked_store():
                for member in members:
                    member.running.wait_for("store.failed")
                wait_until_paused(fleet, seconds=3 * fleet.lease_seconds)
            fleet.wait_until_each_works()
            assert fleet.leases() == leases
        books = finish(fleet)
        assert_nothing_lost_and_in_order(fleet, books)
        assert books.repetitions == []


def is_settled(fleet: StreamFleet[Any]) -> bool:
    """Whether every shard has an owner and nobody else wants it."""
    return all(row["owner"] and "asked_by" not in row for row in fleet.by_shard("shard").values())


def wait_until_paused(fleet: StreamFleet[Any], *, seconds: float) -> None:
    """Waits until nothing has begun for so long."""
    last = (0, 0.0)

    def is_quiet() -> bool:
        nonlocal last
        count, now = len(fleet.books().starts), time.monotonic()
        last = last if last[0] == count else (count, now)
        return now - last[1] > seconds

    fleet.wait_until(is_quiet, what="no batch begins")


def wait_until_shared_evenly(fleet: StreamFleet[Any]) -> None:
    """Waits until each broker has as many shards as the other and nobody asks for one."""

    def is_shared() -> bool:
        rows = fleet.by_shard("shard").values()
        counts = Counter(row["owner"] for row in rows)
        return set(counts.values()) == {2} and "" not in counts and not any("asked_by" in row for row in rows)

    fleet.wait_until(is_shared, what="two shards each")


def epochs_of(leases: dict[str, tuple[str, int]]) -> set[int]:
    return {epoch for _, epoch in leases.values()}


def wait_for_worker(fleet: StreamFleet[Any]) -> Member:
    """The live broker that works on the only shard."""

    def owner() -> Member | None:
        names = fleet.books().owners().values()
        return next((member for member in fleet.members if member.name in names), None)

    fleet.wait_until(owner, what="somebody works")
    found = owner()
    assert found
    return found


def is_of_other_lane(note: Note) -> bool:
    """Whether a record is in another lane than the key that fails."""
    return lane_of(note.key.encode(), FACTOR) != lane_of(FAILING_KEY.encode(), FACTOR)


def others_are_done(fleet: StreamFleet[Any]) -> bool:
    missing = fleet.books().missing(fleet.stream.sent)
    return all(
        lane_of(text.partition("/")[0].encode(), FACTOR) == lane_of(FAILING_KEY.encode(), FACTOR) for text in missing
    )
