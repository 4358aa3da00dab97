"""A mapping takes over from an application of the KCL."""

import pytest

from broker.core.kcl_leases import Takeover, leases_of_stream, take_over
from broker.model.checkpoint import Checkpoint
from broker.model.kcl import KclLease, KclStream
from broker.model.stream import AfterSequenceNumber, AtSequenceNumber, AtTimestamp, Position, Shard, TrimHorizon

NOW = 1_700_000_000.0
GRANDPARENT = Shard(shard_id="s0", is_closed=True)
PARENT = Shard(shard_id="s1", parents=("s0",), is_closed=True)
CHILD = Shard(shard_id="s2", parents=("s1", "gone"))
OTHER = Shard(shard_id="s3")


def lease(shard_id: str, checkpoint: str, **rest: int) -> KclLease:
    return KclLease(key=shard_id, shard_id=shard_id, checkpoint=checkpoint, **rest)


def taken(*leases: KclLease, listing: tuple[Shard, ...] = (OTHER,), timestamp: float | None = None) -> Takeover:
    return take_over(listing, leases, timestamp=timestamp, now=NOW)


@pytest.mark.parametrize(
    ("checkpoint", "position"),
    [
        ("4957", AfterSequenceNumber(number="4957")),
        ("TRIM_HORIZON", TrimHorizon()),
        ("LATEST", AtTimestamp(at=NOW)),
        ("AT_TIMESTAMP", TrimHorizon()),
    ],
)
def test_each_checkpoint_is_a_place(checkpoint: str, position: Position) -> None:
    (found,) = taken(lease("s3", checkpoint)).taken
    assert found.checkpoint == Checkpoint(position=position)
    assert bool(found.warning) == (checkpoint in {"LATEST", "AT_TIMESTAMP"})


def test_a_starting_time_is_the_mappings_own() -> None:
    (found,) = taken(lease("s3", "AT_TIMESTAMP"), timestamp=5.0).taken
    assert found.checkpoint.position == AtTimestamp(at=5.0)
    assert "StartingPositionTimestamp" in found.warning


def test_a_record_of_which_only_a_part_was_handled_comes_again() -> None:
    (found,) = taken(lease("s3", "4957", sub_sequence_number=2)).taken
    assert found.checkpoint.position == AtSequenceNumber(number="4957")
    assert "comes again" in found.warning


def test_the_end_of_a_shard_finishes_it() -> None:
    found = taken(lease("s1", "SHARD_END"), lease("s2", "7"), listing=(PARENT, CHILD)).taken
    assert [(each.shard.shard_id, each.checkpoint.finished) for each in found] == [("s1", True), ("s2", False)]


def test_shards_whose_leases_the_kcl_has_removed_are_not_read_again() -> None:
    """The KCL removes the lease of a finished shard while the stream still lists it."""
    found = taken(lease("s2", "7"), listing=(GRANDPARENT, PARENT, CHILD)).taken
    assert [each.checkpoint.finished for each in found] == [True, True, False]


def test_a_shard_that_the_kcl_has_not_found_yet_begins_at_its_oldest_record() -> None:
    found = taken(lease("s1", "7"), listing=(PARENT, CHILD, OTHER)).taken
    assert [each.checkpoint for each in found[1:]] == [Checkpoint(position=TrimHorizon())] * 2
    assert [each.lease for each in found[1:]] == [None, None]


def test_a_shard_that_has_left_the_stream_unfinished_is_named() -> None:
    left = lease("s0", "7")
    assert taken(left, lease("s9", "SHARD_END"), lease("s3", "8")).gone == (left,)


def test_a_lineage_that_runs_in_a_circle_ends() -> None:
    listing = (Shard(shard_id="a", parents=("b",)), Shard(shard_id="b", parents=("a",)))
    assert [each.checkpoint.finished for each in taken(lease("a", "7"), listing=listing).taken] == [False, True]


def test_of_several_streams_only_one_is_taken() -> None:
    mine = KclLease(key="k", shard_id="s", checkpoint="1", stream=KclStream(account="1", name="clicks", created_at=5))
    older = KclLease(key="k", shard_id="s", checkpoint="1", stream=KclStream(account="1", name="clicks", created_at=4))
    other = KclLease(key="k", shard_id="s", checkpoint="1", stream=KclStream(account="1", name="visits", created_at=5))
    single = lease("s3", "1")
    leases = [mine, older, other, single]
    found = leases_of_stream(leases, account="1", name="clicks", created_at=5)
    assert found == ([mine, single], ["1:clicks:4", "1:visits:5"])
    assert leases_of_stream(leases, account="1", name="clicks", created_at=None)[0] == [mine, older, single]
