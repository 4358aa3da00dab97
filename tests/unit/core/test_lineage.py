"""Which shards are read, where each begins, and what is forgotten. Named after what other consumers got wrong, too."""

from broker.core.lease_rows import checkpoint_key, shard_key
from broker.core.lineage import Lineage, ShardRow, keys_of_other_generations, named_rows, start_rows, startable
from broker.model.checkpoint import Checkpoint
from broker.model.stream import AfterSequenceNumber, AtTimestamp, Shard, TrimHorizon

BEGINNING = Checkpoint(position=TrimHorizon())
FINISHED = Checkpoint(position=AfterSequenceNumber(number="9"), finished=True)
UNDER_WAY = Checkpoint(position=AfterSequenceNumber(number="5"))


def shard(name: str, *parents: str, closed: bool = False) -> Shard:
    return Shard(shard_id=name, parents=parents, is_closed=closed)


def row(of: Shard, checkpoint: Checkpoint | None = UNDER_WAY, *, is_read: bool = False) -> ShardRow:
    return ShardRow(shard=of, checkpoint=checkpoint, is_read=is_read)


def rows(*each: ShardRow) -> dict[str, ShardRow]:
    return {one.shard.shard_id: one for one in each}


PARENT, LEFT, RIGHT = shard("p", closed=True), shard("l", "p"), shard("r", "p")
SPLIT = (PARENT, LEFT, RIGHT)


def names(start_rows_) -> list[str]:
    return [each.shard_id for each, _ in start_rows_]


# ---- enabling


def test_trim_horizon_begins_every_shard_at_its_oldest_record() -> None:
    assert start_rows(SPLIT, "TRIM_HORIZON", 0.0) == [(each, BEGINNING) for each in SPLIT]


def test_at_timestamp_begins_every_shard_at_the_instant() -> None:
    at = Checkpoint(position=AtTimestamp(at=1000.5))
    assert start_rows(SPLIT, "AT_TIMESTAMP", 1000.5) == [(each, at) for each in SPLIT]


def test_latest_begins_open_shards_at_the_instant_of_enabling_and_leaves_out_closed_ones() -> None:
    begun = dict(start_rows(SPLIT, "LATEST", 1000.0))
    assert begun[PARENT].finished
    assert begun[LEFT] == begun[RIGHT] == Checkpoint(position=AtTimestamp(at=1000.0), settled_at=1000.0)


def test_the_instant_of_enabling_is_rounded_down_as_arrival_times_are() -> None:
    ((_, checkpoint),) = start_rows([LEFT], "LATEST", 1000.0019)
    assert checkpoint.position == AtTimestamp(at=1000.001)


def test_rows_are_made_parents_first_in_whatever_order_the_listing_is() -> None:
    grandchild = shard("g", "l", "r")
    listing = (grandchild, RIGHT, LEFT, PARENT, shard("x", "unlisted"))
    ordered = names(start_rows(listing, "TRIM_HORIZON", 0.0))
    assert ordered == ["p", "l", "r", "g", "x"]


def test_a_recreated_stream_begins_at_its_oldest_record_whatever_the_starting_position_says() -> None:
    for position in ("LATEST", "AT_TIMESTAMP", "TRIM_HORIZON"):
        assert start_rows(SPLIT, position, 1000.0, is_recreated=True) == [(each, BEGINNING) for each in SPLIT]


def test_the_rows_of_the_stream_that_was_deleted_are_told_from_those_of_the_new_one() -> None:
    old, new = "2026-01-01T00:00:00.000", "2026-01-02T00:00:00.000"
    stale = [shard_key(old, "a"), checkpoint_key(old, "a")]
    kept = ["mapping", "slot:1", shard_key(new, "a"), checkpoint_key(new, "a")]
    assert keys_of_other_generations([*stale, *kept], new) == tuple(stale)


# ---- what may be read


def test_a_child_is_read_when_its_parent_is_finished() -> None:
    assert startable(rows(row(PARENT), row(LEFT, BEGINNING))) == {"p"}
    assert startable(rows(row(PARENT, FINISHED), row(LEFT, BEGINNING))) == {"l"}


def test_a_merged_shard_waits_for_both_parents() -> None:
    merged = shard("m", "l", "r")
    assert startable(rows(row(LEFT, FINISHED), row(RIGHT), row(merged, BEGINNING))) == {"r"}
    assert startable(rows(row(LEFT, FINISHED), row(RIGHT, FINISHED), row(merged, BEGINNING))) == {"m"}


def test_a_parent_whose_row_is_gone_is_over() -> None:
    assert startable(rows(row(LEFT, BEGINNING))) == {"l"}


def test_a_shard_is_not_read_before_lease_and_checkpoint_stand() -> None:
    assert startable({"l": ShardRow(shard=LEFT, checkpoint=None)}) == set()
    assert startable({"l": ShardRow(shard=None, checkpoint=BEGINNING)}) == set()


def test_a_child_waits_for_a_parent_whose_row_is_only_half_written() -> None:
    half = {"p": ShardRow(shard=PARENT, checkpoint=None), "l": row(LEFT, BEGINNING)}
    assert startable(half) == set()


# ---- children that the end of a shard names


def test_children_named_at_the_end_of_a_shard_get_rows_without_a_listing() -> None:
    assert named_rows([LEFT, RIGHT], rows(row(PARENT))) == [(LEFT, BEGINNING), (RIGHT, BEGINNING)]


def test_a_named_child_that_has_its_row_keeps_it() -> None:
    assert named_rows([LEFT], rows(row(PARENT), row(LEFT))) == []


def test_a_named_child_whose_other_parent_has_no_row_is_left_to_the_next_listing() -> None:
    merged = shard("m", "l", "r")
    assert named_rows([merged], rows(row(LEFT))) == []
    assert named_rows([merged], rows(row(LEFT), row(RIGHT))) == [(merged, BEGINNING)]


# ---- listings


def test_a_shard_that_is_found_later_is_as_old_as_what_its_parents_have_settled() -> None:
    merged = shard("m", "l", "r")
    known = rows(row(LEFT, Checkpoint(position=TrimHorizon(), settled_at=70.0)), row(RIGHT, FINISHED))
    older = rows(*known.values(), row(RIGHT, Checkpoint(position=TrimHorizon(), settled_at=60.0)))

    assert named_rows([merged], older) == [(merged, Checkpoint(position=TrimHorizon(), settled_at=60.0))]
    assert named_rows([merged], known) == [(merged, BEGINNING)]
    assert named_rows([merged], rows(*known.values(), row(RIGHT, None))) == [(merged, BEGINNING)]


def test_a_shard_that_is_found_later_is_no_older_than_the_mapping() -> None:
    beginning = Checkpoint(position=TrimHorizon(), settled_at=100.0)

    assert named_rows([LEFT], rows(row(PARENT)), born_after=100.0) == [(LEFT, beginning)]
    assert Lineage().survey(rows(row(PARENT)), SPLIT, born_after=100.0).create[0] == (LEFT, beginning)


def test_a_shard_that_is_found_later_begins_at_its_oldest_record() -> None:
    survey = Lineage().survey(rows(row(PARENT)), SPLIT)
    assert survey.create == ((LEFT, BEGINNING), (RIGHT, BEGINNING))
    assert (survey.forget, survey.lost, survey.waiting) == ((), (), ())


def test_a_row_that_was_half_written_is_completed_and_its_checkpoint_wins() -> None:
    half = {"p": ShardRow(shard=PARENT, checkpoint=None), "l": ShardRow(shard=None, checkpoint=UNDER_WAY)}
    assert Lineage().survey(half, (PARENT, LEFT)).create == ((PARENT, BEGINNING), (LEFT, UNDER_WAY))


def test_generations_of_shards_that_are_found_together_get_rows_together() -> None:
    merged = shard("m", "l", "r")
    assert names(Lineage().survey({}, (merged, *SPLIT)).create) == ["p", "l", "r", "m"]


def test_a_child_whose_parent_was_never_seen_starts_when_two_listings_miss_the_parent() -> None:
    lineage = Lineage()
    first = lineage.survey({}, (LEFT,))
    assert (first.create, first.waiting) == ((), ("l",))
    second = lineage.survey({}, (LEFT,))
    assert (second.create, second.waiting) == (((LEFT, BEGINNING),), ())


def test_a_parent_that_one_listing_missed_is_not_trimmed() -> None:
    lineage = Lineage()
    assert lineage.survey({}, (LEFT,)).create == ()
    assert names(lineage.survey({}, (PARENT, LEFT)).create) == ["p", "l"]
    lineage.survey({}, (LEFT,))
    assert lineage.survey({}, (PARENT, LEFT)).lost == ()


def test_an_unfinished_shard_that_two_listings_miss_is_lost_by_name_and_its_children_start() -> None:
    lineage = Lineage()
    known = rows(row(PARENT), row(LEFT, BEGINNING))
    assert lineage.survey(known, (LEFT,)).lost == ()
    assert lineage.survey(known, (LEFT,)).lost == ("p",)
    del known["p"]
    assert startable(known) == {"l"}


def test_a_shard_that_a_worker_reads_is_not_given_up_by_a_listing() -> None:
    lineage = Lineage()
    known = rows(row(PARENT, is_read=True))
    lineage.survey(known, (LEFT,))
    assert lineage.survey(known, (LEFT,)).lost == ()


def test_an_empty_listing_proves_nothing() -> None:
    lineage = Lineage()
    for _ in range(3):
        assert lineage.survey(rows(row(PARENT)), ()).lost == ()


def test_a_row_that_was_written_after_the_rows_were_read_is_not_missed() -> None:
    lineage = Lineage()
    lineage.survey(rows(row(PARENT)), (PARENT,))
    lineage.survey(rows(row(PARENT)), (PARENT,))
    survey = lineage.survey(rows(row(PARENT, FINISHED), row(LEFT, BEGINNING)), (PARENT,))
    assert survey.lost == ()


def test_the_row_of_a_finished_shard_stays_while_the_shard_is_listed() -> None:
    lineage = Lineage()
    known = rows(row(PARENT, FINISHED), row(LEFT), row(RIGHT))
    for _ in range(9):
        assert lineage.survey(known, SPLIT).forget == ()
    assert lineage.survey(known, (LEFT, RIGHT)).forget == ()
    assert lineage.survey(known, (LEFT, RIGHT)).forget == ("p",)


def test_the_row_of_a_finished_shard_stays_until_its_children_have_checkpoints() -> None:
    lineage = Lineage()
    half = {"p": row(PARENT, FINISHED), "l": row(LEFT), "r": ShardRow(shard=RIGHT, checkpoint=None)}
    for _ in range(3):
        assert lineage.survey(half, (LEFT, RIGHT)).forget == ()
    without = {"p": row(PARENT, FINISHED), "l": row(LEFT)}
    assert lineage.survey(without, (LEFT, RIGHT)).forget == ()
    assert lineage.survey({**without, "r": row(RIGHT)}, (LEFT, RIGHT)).forget == ("p",)


def test_a_half_written_row_of_an_unlisted_child_keeps_its_parents_row() -> None:
    lineage = Lineage()
    known = {"p": row(PARENT, FINISHED), "l": ShardRow(shard=LEFT, checkpoint=None, is_read=True), "x": row(RIGHT)}
    for _ in range(3):
        survey = lineage.survey(known, (shard("other"),))
        assert "p" not in survey.forget


def test_shards_that_roll_every_four_hours_are_read_and_forgotten_unattended() -> None:
    lineage, known, read = Lineage(), {}, []
    alive = 6
    for number in range(40):
        shards = [
            shard(str(n), *((str(n - 1),) if n else ()), closed=n < number)
            for n in range(max(0, number - alive), number + 1)
        ]
        for _ in range(2):
            survey = lineage.survey(known, shards)
            known |= {each.shard_id: row(each, checkpoint) for each, checkpoint in survey.create}
            for shard_id in survey.forget:
                del known[shard_id]
            assert survey.lost == ()
        for shard_id in [each for each in startable(known) if int(each) < number]:
            read.append(int(shard_id))
            known[shard_id] = row(known[shard_id].shard, FINISHED)
    assert read == list(range(39))
    assert len(known) <= alive + 2
