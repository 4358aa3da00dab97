"""What happens to fleets, on whichever server."""

from collections.abc import Sequence

from tests.acceptance.stream_fleet import Member, StreamFleet
from tests.acceptance.stream_load import wait_until
from tests.acceptance.stream_notes import Books


def freeze_at_work(fleet: StreamFleet, member: Member) -> set[str]:
    """Stops a process while it works on a batch of each of its shards; these."""
    busy: set[str] = set()

    def is_caught() -> bool:
        nonlocal busy
        member.freeze()
        books = fleet.books()
        busy = books.open_shards_of(member.name)
        if busy and busy == {shard for shard, owner in books.owners().items() if owner == member.name} - closed:
            return True
        member.thaw()
        return False

    closed = {shard for shard, row in fleet.by_shard("checkpoint").items() if row["checkpoint"].get("finished")}
    wait_until(is_caught, what=f"{member.name} works on all its shards")
    return busy


def wait_until_others_begin(fleet: StreamFleet, member: Member, shards: set[str]) -> None:
    """Waits until these shards of a member are worked on by others."""

    def is_done() -> bool:
        owners = fleet.books().owners()
        return all(owners[shard] != member.name for shard in shards)

    wait_until(is_done, what=f"others work on {shards} of {member.name}")


def finish(fleet: StreamFleet) -> Books:
    """Waits until all is handled, ends the fleet, and looks at what it leaves behind."""
    fleet.wait_until_all_handled()
    fleet.drain(*fleet.members)
    assert_left_clean(fleet)
    return fleet.books()


def assert_left_clean(fleet: StreamFleet) -> None:
    """No worker is left and no lease is owned; every closed shard is finished, every other one settled to its end."""
    assert fleet.workers() == []
    assert {row["owner"] for row in fleet.by_shard("shard").values()} == {""}
    handled = {note.shard: note.number for note in sorted(fleet.books().starts, key=lambda note: note.number)}
    open_shards = {shard["ShardId"] for shard in fleet.stream.open_shards()}
    for shard, row in fleet.by_shard("checkpoint").items():
        checkpoint = row["checkpoint"]
        if shard in open_shards:
            assert int(checkpoint["position"].get("number", 0)) >= handled.get(shard, 0), (shard, checkpoint)
        else:
            assert checkpoint["finished"], (shard, checkpoint)


def assert_nothing_lost_and_in_order(fleet: StreamFleet, books: Books, *, factor: int = 1) -> None:
    assert books.missing(fleet.stream.sent) == []
    assert books.out_of_order() == []
    assert books.epoch_faults(factor=factor) == []


def percentiles(seconds: Sequence[float]) -> str:
    """For people."""
    if not seconds:
        return "none"
    ordered = sorted(seconds)
    at = [ordered[min(int(len(ordered) * part), len(ordered) - 1)] for part in (0.5, 0.99)]
    return f"{len(ordered)}: p50 {at[0]:.2f} s, p99 {at[1]:.2f} s, most {ordered[-1]:.2f} s"
