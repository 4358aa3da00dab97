"""What happens to fleets, on whichever server."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from broker.stores.sqlite_file import BUSY_SECONDS
from tests.acceptance.stream_fleet import BATCH_SIZE, Kill, Member, StreamFleet
from tests.acceptance.stream_load import wait_until
from tests.acceptance.stream_notes import Books, Left

RECORDS_PER_KILL = 40
KILLS_PER_CROWD = 5
LONGEST_WRITES_NS = 2 * BUSY_SECONDS * 1e9
"""One write that is under way, and the one before it, which did not know yet."""


def freeze_at_work(fleet: StreamFleet[Any], member: Member) -> set[str]:
    """Stops a process while it works on a batch of each of its shards; these.

    Not while it writes to the store: who stops with SQLite's lock in hand stops the others, too, until it goes on.
    """
    busy: set[str] = set()

    def is_caught() -> bool:
        nonlocal busy
        finished = {shard for shard, row in fleet.by_shard("checkpoint").items() if row["checkpoint"].get("finished")}
        member.freeze()
        books = fleet.books()
        busy = books.open_shards_of(member.name)
        owned = {shard for shard, owner in books.owners().items() if owner == member.name} - finished
        if busy and busy == owned and fleet.is_store_free():
            return True
        member.thaw()
        return False

    wait_until(is_caught, what=f"{member.name} works on all its shards")
    return busy


def wait_until_others_begin(fleet: StreamFleet[Any], member: Member, shards: set[str]) -> None:
    """Waits until these shards of a member are worked on by others."""

    def is_done() -> bool:
        owners = fleet.books().owners()
        return all(owners[shard] != member.name for shard in shards)

    wait_until(is_done, what=f"others work on {shards} of {member.name}")


def kill_again_and_again(fleet: StreamFleet[Any], times: int, *, brokers: int = 3) -> None:
    """Kills one broker after the other while it is busy, each replaced at once; then checks what became of it all.

    Every fifth falls while the one before it has not been replaced yet.
    """
    chance = random.Random(times)
    kills: list[Kill] = []
    calm: list[Kill] = []
    for _ in range(brokers):
        fleet.start()
    with fleet.stream.steady(per_second=100):
        for number in range(times):
            if not is_crowded(number):
                fleet.wait_until_each_works()
            victim = chance.choice([each for each in fleet.members if fleet.books().started_by(each.name)])
            fleet.wait_until_begun(victim, chance.randrange(1, RECORDS_PER_KILL))
            kills.append(fleet.kill(victim))
            fleet.start()
            if not is_crowded(number) and not is_crowded(number + 1):
                calm.append(kills[-1])
    books = finish(fleet)
    report_kills(fleet, books, kills, calm)
    assert_nothing_lost_and_in_order(fleet, books)
    assert_only_what_was_in_hand_is_repeated(books, kills)


def kill_one_and_drain_one(fleet: StreamFleet[Any]) -> None:
    """Two brokers under load: the first is killed and replaced, then the second drained."""
    killed, drained = fleet.start(), fleet.start()
    with fleet.stream.steady(per_second=100):
        fleet.wait_until_each_works(20)
        kill = fleet.kill(killed)
        fleet.start()
        fleet.wait_until_each_works(20)
        told_ns = fleet.drain(drained)
        fleet.wait_until_each_works(20)
    books = finish(fleet)
    print(f"\n{fleet.stream.sent_count} records, left by the killed: {books.left()[kill.member]}")
    print("take-over after kill -9:", percentiles(books.take_over_seconds(kill.member, kill.at_ns)))
    print("hand-over:", percentiles(books.hand_over_seconds(drained.name, told_ns)))
    assert_nothing_lost_and_in_order(fleet, books)
    assert_only_what_was_in_hand_is_repeated(books, [kill])
    assert {each.before.member for each in books.repetitions} <= {killed.name}


def is_crowded(number: int) -> bool:
    """Whether a kill is to come before the broker that was killed last has been replaced."""
    return number % KILLS_PER_CROWD == KILLS_PER_CROWD - 1


def roll(fleet: StreamFleet[Any], rounds: int, *, brokers: int = 3) -> None:
    """Replaces every broker by SIGTERM, round after round: in every other round the new one starts before."""
    drained: dict[str, int] = {}
    for _ in range(brokers):
        fleet.start()
    with fleet.stream.steady(per_second=100):
        for number in range(rounds):
            for member in tuple(fleet.members):
                fleet.wait_until_each_works()
                if number % 2:
                    fleet.start()
                    fleet.wait_until_each_works()
                drained[member.name] = fleet.drain(member)
                if not number % 2:
                    fleet.start()
    books = finish(fleet)
    seconds = [each for name, told_ns in drained.items() for each in books.hand_over_seconds(name, told_ns)]
    print(f"\n{fleet.stream.sent_count} records, {len(drained)} restarts, {books.duplicates()} repeated")
    print(f"hand-over, from SIGTERM or the end of the last batch to the start of the next: {percentiles(seconds)}")
    assert_nothing_lost_and_in_order(fleet, books)
    assert books.repetitions == []


def report_kills(fleet: StreamFleet[Any], books: Books, kills: Sequence[Kill], calm: Sequence[Kill]) -> None:
    """Of take-over times only those with two others alive all the while."""
    left = [books.left().get(kill.member, Left(0, 0)) for kill in kills]
    in_flight, settled = ([getattr(each, name) for each in left] for name in ("in_flight", "settled"))
    seconds = [each for kill in calm for each in books.take_over_seconds(kill.member, kill.at_ns)]
    print(f"\n{fleet.stream.sent_count} records put, {len(books.missing(fleet.stream.sent))} lost, {len(kills)} kills")
    print(f"repeated by kill: in flight {in_flight}, settled {settled}, in all {books.duplicates()}")
    print(f"take-over after kill -9, by shard: {percentiles(seconds)} (lease {fleet.lease_seconds:g} s)")


def finish(fleet: StreamFleet[Any]) -> Books:
    """Waits until all is handled, ends the fleet, and looks at what it leaves behind."""
    fleet.wait_until_all_handled()
    fleet.drain(*fleet.members)
    assert_left_clean(fleet)
    return fleet.books()


def assert_left_clean(fleet: StreamFleet[Any]) -> None:
    """No worker is left and no lease is owned; every closed shard is finished, every other one settled to its end."""
    assert fleet.workers() == []
    assert {row["owner"] for row in fleet.by_shard("shard").values()} == {""}
    handled = {note.shard: note.number for note in sorted(fleet.books().starts, key=lambda note: note.number)}
    open_shards = fleet.stream.open_shard_ids()
    for shard, row in fleet.by_shard("checkpoint").items():
        checkpoint = row["checkpoint"]
        if shard in open_shards:
            assert int(checkpoint["position"].get("number", 0)) >= handled.get(shard, 0), (shard, checkpoint)
        else:
            assert checkpoint["finished"], (shard, checkpoint)


def assert_nothing_lost_and_in_order(fleet: StreamFleet[Any], books: Books, *, factor: int = 1) -> None:
    assert books.missing(fleet.stream.sent) == []
    assert books.out_of_order() == []
    assert books.epoch_faults(factor=factor) == []


def assert_only_what_was_in_hand_is_repeated(books: Books, kills: Sequence[Kill], *, factor: int = 1) -> None:
    """What the killed had not finished is a batch of each lane at most; what it had, its checkpoint did not cover.

    And a checkpoint is never long in coming: what was finished longer before the kill than a write may take, and one
    that waits for it, is not repeated.
    """
    by_name = {kill.member: kill for kill in kills}
    open_: dict[tuple[str, str], int] = Counter()
    for each in books.repetitions:
        kill, shard = by_name.get(each.before.member), each.note.shard
        if kill is None:
            continue
        if each.ended is None:
            open_[kill.member, shard] += 1
        else:
            assert kill.at_ns - each.ended.at_ns < LONGEST_WRITES_NS, each
        assert not kill.had_written(each.note), each
    assert max(open_.values(), default=0) <= BATCH_SIZE * factor, open_


def percentiles(seconds: Sequence[float]) -> str:
    """For people."""
    if not seconds:
        return "none"
    ordered = sorted(seconds)
    at = [ordered[min(int(len(ordered) * part), len(ordered) - 1)] for part in (0.5, 0.99)]
    return f"{len(ordered)}: p50 {at[0]:.2f} s, p99 {at[1]:.2f} s, most {ordered[-1]:.2f} s"
