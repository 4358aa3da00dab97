"""Random histories of splits, merges, rolls, trims, glitches of listings and crashes: what lineage promises holds."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.lineage import Lineage, ShardRow, named_rows, start_rows, startable
from broker.model.checkpoint import Checkpoint
from broker.model.stream import AtTimestamp, Shard, TrimHorizon

FINISHED = Checkpoint(position=TrimHorizon(), finished=True)
ENABLED_AT = 1000.0
ACTIONS = ("split", "merge", "roll", "trim", "survey", "start", "finish", "finish", "crash")


class World:
    """A stream that changes, the rows of one mapping, and workers that read what they may."""

    def __init__(self, chance: random.Random, starting_position: str, shard_count: int) -> None:
        self.chance = chance
        self.ids = map(str, itertools.count())
        self.all: dict[str, Shard] = {}
        self.there: list[str] = []
        """Shards that the stream has, oldest first."""
        self.hidden: str | None = None
        """What the last listing missed."""
        self.rows: dict[str, ShardRow] = {}
        self.reading: set[str] = set()
        self.read: list[str] = []
        """Shards in the order in which somebody began to read them."""
        self.finished: set[str] = set()
        self.lost: set[str] = set()
        self.lineage = Lineage()
        for _ in range(shard_count):
            self.open()
        self.change(chance.randrange(4))
        for shard, checkpoint in start_rows(self.listed(), starting_position, ENABLED_AT):
            self.rows[shard.shard_id] = ShardRow(shard=shard, checkpoint=checkpoint)
            if checkpoint.finished:
                self.finished.add(shard.shard_id)
        self.enabled_with = set(self.rows)

    # ---- the stream

    def open(self, *parents: str) -> None:
        shard_id = next(self.ids)
        self.all[shard_id] = Shard(shard_id=shard_id, parents=parents)
        self.there.append(shard_id)
        for parent in parents:
            self.all[parent] = Shard(shard_id=parent, parents=self.all[parent].parents, is_closed=True)

    def open_ids(self) -> list[str]:
        return [each for each in self.there if not self.all[each].is_closed]

    def change(self, count: int) -> None:
        for _ in range(count):
            getattr(self, self.chance.choice(["split", "merge", "roll"]))()

    def split(self) -> None:
        parent = self.chance.choice(self.open_ids())
        self.open(parent)
        self.open(parent)

    def merge(self) -> None:
        if len(self.open_ids()) > 1:
            self.open(*self.chance.sample(self.open_ids(), 2))

    def roll(self) -> None:
        self.open(self.chance.choice(self.open_ids()))

    def trim(self) -> None:
        """The oldest shard leaves, if it is closed."""
        if self.all[self.there[0]].is_closed:
            del self.there[0]

    def listed(self) -> list[Shard]:
        return [self.all[each] for each in self.there]

    def children(self, shard_id: str) -> list[Shard]:
        return [self.all[each] for each in self.there if shard_id in self.all[each].parents]

    # ---- the mapping

    def survey(self, *, glitch: bool = True) -> None:
        rows = {key: self.seen(key) for key in self.rows}
        if glitch:
            self.meanwhile()
        listing = self.listed()
        missed = self.chance.choice([None, None, *self.there]) if glitch else None
        self.hidden = missed if missed != self.hidden else None
        shown = [shard for shard in listing if shard.shard_id != self.hidden]
        survey = self.lineage.survey(rows, shown)
        done = len(survey.create) if not glitch else self.chance.randrange(len(survey.create) + 1)
        for shard, checkpoint in survey.create[:done]:
            assert checkpoint.position == TrimHorizon(), "found later, begun elsewhere"
            if shard.shard_id in self.rows and self.rows[shard.shard_id].is_complete:
                continue  # somebody has made the row meanwhile: what stands is kept
            assert shard.shard_id not in self.read, "read twice"
            self.rows[shard.shard_id] = ShardRow(shard=shard, checkpoint=checkpoint)
        if done < len(survey.create):  # the lister has crashed, perhaps between checkpoint and lease
            shard, checkpoint = survey.create[done]
            if self.chance.random() < 0.5:
                self.rows.setdefault(shard.shard_id, ShardRow(shard=None, checkpoint=checkpoint))
            return
        for shard_id in survey.lost:
            assert shard_id not in self.there, "lost while it was there"
            if shard_id not in self.reading:
                self.lost.add(shard_id)
                self.rows.pop(shard_id, None)
        for shard_id in survey.forget:
            assert shard_id in self.finished, "forgotten unfinished"
            self.rows.pop(shard_id, None)

    def seen(self, shard_id: str) -> ShardRow:
        row = self.rows[shard_id]
        return ShardRow(shard=row.shard, checkpoint=row.checkpoint, is_read=shard_id in self.reading)

    def meanwhile(self) -> None:
        """Between reading the rows and listing the shards the world goes on."""
        for _ in range(self.chance.randrange(3)):
            self.do(self.chance.choice(["split", "roll", "finish", "start"]))

    def start(self) -> None:
        ready = sorted(startable(self.rows) - self.reading)
        if not ready:
            return
        shard_id = self.chance.choice(ready)
        for parent in self.all[shard_id].parents:
            assert parent in self.finished or parent not in self.there, "started before its parent"
        self.reading.add(shard_id)
        self.read.append(shard_id)

    def finish(self) -> None:
        """A shard is settled to its end, or its end is that the stream does not know it any more."""
        closed = sorted(each for each in self.reading if each not in self.there or self.all[each].is_closed)
        if not closed:
            return
        shard_id = self.chance.choice(closed)
        self.reading.discard(shard_id)
        if shard_id not in self.there:
            self.lost.add(shard_id)
        self.finished.add(shard_id)
        if self.chance.random() < 0.5:
            for child, checkpoint in named_rows(self.children(shard_id), self.rows):
                self.rows[child.shard_id] = ShardRow(shard=child, checkpoint=checkpoint)
        if shard_id in self.rows:
            self.rows[shard_id] = ShardRow(shard=self.rows[shard_id].shard, checkpoint=FINISHED)

    def crash(self) -> None:
        """Another worker lists from now on."""
        self.lineage = Lineage()

    def do(self, action: str) -> None:
        getattr(self, action)()

    def come_to_rest(self) -> None:
        """Nothing goes wrong any more: a few listings, and whatever may be read is read."""
        for _ in range(4 * len(self.all) + 8):
            self.survey(glitch=False)
            while startable(self.rows) - self.reading:
                self.start()
            while any(each not in self.there or self.all[each].is_closed for each in self.reading):
                self.finish()


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    starting_position=st.sampled_from(["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"]),
    shard_count=st.integers(1, 3),
    length=st.integers(0, 80),
)
def test_every_shard_is_read_once_and_after_its_parents(seed, starting_position, shard_count, length) -> None:
    world = World(random.Random(seed), starting_position, shard_count)
    for _ in range(length):
        world.do(world.chance.choice(ACTIONS))
    world.come_to_rest()
    assert len(world.read) == len(set(world.read)), "read twice"
    for shard_id in world.there:
        assert shard_id in world.finished or shard_id in world.reading, f"{shard_id} is stuck"
    unread = world.all.keys() - set(world.read) - world.finished
    assert not unread & set(world.there)
    assert unread >= world.lost - set(world.read)
    assert set(world.rows) <= set(world.there) | world.reading, "a row is never forgotten"


@pytest.mark.parametrize("starting_position", ["LATEST", "AT_TIMESTAMP"])
def test_only_shards_of_the_first_listing_begin_at_an_instant(starting_position) -> None:
    world = World(random.Random(7), starting_position, 2)
    world.split()
    world.come_to_rest()
    by_instant = {
        key for key, row in world.rows.items() if row.checkpoint and isinstance(row.checkpoint.position, AtTimestamp)
    }
    assert by_instant <= world.enabled_with
