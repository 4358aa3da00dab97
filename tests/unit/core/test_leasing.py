"""The plan: even, few moves, the same for everybody; and what one worker does about it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.leasing import LAG_GRAIN_MS, Step, next_step, plan
from broker.model.lease import Lease, LeaseKey, Worker
from broker.model.stream import Shard

MAPPINGS = ("m0", "m1", "m2")
IDS = tuple(f"w{number}" for number in range(8))


def worker(worker_id: str, *mappings: str, draining: bool = False) -> Worker:
    return Worker(worker_id=worker_id, counter=1, mappings=frozenset(mappings or MAPPINGS), is_draining=draining)


def lease(number: int, owner: str = "", *, mapping: str = "m0", lag: int = 0, asked_by: str = "") -> Lease:
    return Lease(
        key=LeaseKey(mapping=mapping, key=f"shard:1:{number:04d}"),
        version=1,
        owner=owner,
        asked_by=asked_by,
        shard=Shard(shard_id=str(number)),
        lag_ms=lag * LAG_GRAIN_MS,
    )


def slot(number: int, owner: str = "", *, mapping: str = "m0") -> Lease:
    return Lease(key=LeaseKey(mapping=mapping, key=f"slot:{number:03d}"), version=1, owner=owner)


def counts(targets: dict[LeaseKey, str], workers: Iterable[Worker]) -> dict[str, int]:
    found = Counter(targets.values())
    return {each.worker_id: found[each.worker_id] for each in workers}


def carried_out(leases: list[Lease], targets: dict[LeaseKey, str]) -> list[Lease]:
    return [replace(each, owner=targets.get(each.key, each.owner), asked_by="") for each in leases]


@st.composite
def equal_workers(draw):
    return [worker(each) for each in draw(st.lists(st.sampled_from(IDS), min_size=1, unique=True))]


@st.composite
def any_workers(draw):
    ids = draw(st.lists(st.sampled_from(IDS), unique=True))
    served = st.sets(st.sampled_from(MAPPINGS))
    return [replace(worker(each), mappings=frozenset(draw(served)), is_draining=draw(st.booleans())) for each in ids]


@st.composite
def any_leases(draw):
    rows = st.tuples(st.sampled_from(MAPPINGS), st.sampled_from(["", *IDS]), st.integers(0, 9), st.integers(0, 20))
    found = []
    for number, (mapping, owner, asked, lag) in enumerate(draw(st.lists(rows, max_size=40))):
        asked_by = IDS[asked] if asked < len(IDS) else ""
        found.append(lease(number, owner, mapping=mapping, lag=lag, asked_by=asked_by))
    return found


# ---- properties


@given(any_leases(), any_workers())
def test_the_plan_of_a_plan_is_the_same_plan(leases, workers):
    targets = plan(leases, workers)

    assert plan(carried_out(leases, targets), workers) == targets


@given(any_leases(), any_workers())
def test_each_lease_goes_to_a_worker_that_serves_it_and_is_left_out_only_where_there_is_none(leases, workers):
    targets = plan(leases, workers)
    for each in leases:
        able = {w.worker_id for w in workers if each.key.mapping in w.mappings and not w.is_draining}
        assert (targets.get(each.key) in able) if able else (each.key not in targets)


@given(any_leases(), any_workers())
def test_no_lease_could_go_to_a_worker_that_has_two_less(leases, workers):
    targets = plan(leases, workers)
    count = counts(targets, workers)
    for each in workers:
        for key, owner in targets.items():
            if key.mapping in each.mappings and not each.is_draining:
                assert count[each.worker_id] >= count[owner] - 1


@given(any_leases(), equal_workers())
def test_counts_of_workers_that_serve_the_same_differ_by_at_most_one(leases, workers):
    count = counts(plan(leases, workers), workers)

    assert max(count.values()) - min(count.values()) <= 1


@given(any_leases(), equal_workers())
def test_no_fewer_moves_would_do(leases, workers):
    leases = [replace(each, asked_by="") for each in leases]
    targets = plan(leases, workers)
    ids = {each.worker_id for each in workers}
    owned = Counter(each.owner for each in leases if each.owner in ids)
    moves = sum(each.owner in ids and targets[each.key] != each.owner for each in leases)
    low, rest = divmod(len(leases), len(ids))
    loads = sorted((owned[each] for each in ids), reverse=True)
    goals = [low + (place < rest) for place in range(len(ids))]

    assert moves == sum(max(load - goal, 0) for load, goal in zip(loads, goals, strict=True))


@given(any_leases(), any_workers(), st.randoms(use_true_random=False))
def test_the_plan_does_not_depend_on_the_order_of_rows(leases, workers, random):
    expected = plan(leases, workers)
    random.shuffle(leases)
    random.shuffle(workers)

    assert plan(leases, workers) == expected


@given(st.integers(0, 60), equal_workers())
def test_a_worker_that_comes_moves_no_more_than_its_share(count, workers):
    before = carried_out([lease(n) for n in range(count)], plan([lease(n) for n in range(count)], workers))
    targets = plan(before, [*workers, worker("new")])
    moved = [each for each in before if targets[each.key] != each.owner]

    assert {targets[each.key] for each in moved} <= {"new"}
    assert len(moved) == count // (len(workers) + 1)


@given(st.integers(0, 60), equal_workers())
def test_a_worker_that_goes_moves_only_its_own(count, workers):
    before = carried_out([lease(n) for n in range(count)], plan([lease(n) for n in range(count)], workers))
    gone, *rest = workers
    targets = plan(before, rest)

    assert all(targets.get(each.key) == each.owner for each in before if each.owner != gone.worker_id)
    assert all(each.key in targets for each in before) or not rest


# ---- single decisions


def test_the_furthest_behind_are_spread_first():
    targets = plan([lease(1, lag=50), lease(2, lag=40), lease(3), lease(4)], [worker("a"), worker("b")])

    assert targets[lease(1).key] != targets[lease(2).key]


def test_lags_even_out_where_a_lease_moves_anyway():
    leases = [lease(1, "a", lag=50), lease(2, "a", lag=20), lease(3, "a", lag=1), lease(4, "b", lag=20)]
    targets = plan([*leases, lease(5, "a", lag=0)], [worker("a"), worker("b")])

    assert [each.key.key for each in leases if targets[each.key] == "b"] == [lease(2).key.key, lease(4).key.key]


def test_lags_alone_move_nothing():
    leases = [lease(1, "a", lag=900), lease(2, "a", lag=900), lease(3, "b"), lease(4, "b")]

    assert carried_out(leases, plan(leases, [worker("a"), worker("b")])) == leases


def test_a_lease_that_is_on_its_way_counts_as_arrived():
    leases = [lease(1, "a"), lease(2, "a", asked_by="b")]

    assert plan(leases, [worker("a"), worker("b")]) == {leases[0].key: "a", leases[1].key: "b"}


def test_an_asker_that_is_gone_is_forgotten():
    assert plan([lease(1, "a", asked_by="gone")], [worker("a")]) == {lease(1).key: "a"}


def test_what_a_draining_worker_has_goes_to_the_others():
    leases = [lease(1, "a"), lease(2, "b")]

    assert set(plan(leases, [worker("a", draining=True), worker("b")]).values()) == {"b"}


def test_each_queue_is_read_by_as_many_workers_as_there_are():
    workers = [worker(each) for each in IDS[:4]]
    leases = [slot(number, mapping=mapping) for mapping in MAPPINGS for number in range(4)]
    leases += [lease(number) for number in range(8)]
    targets = plan(leases, workers)

    for mapping in MAPPINGS:
        assert sorted(targets[slot(number, mapping=mapping).key] for number in range(4)) == list(IDS[:4])
    assert set(Counter(targets[lease(number).key] for number in range(8)).values()) == {2}


def test_what_does_not_divide_falls_to_different_workers_for_different_queues():
    workers = [worker(each, *[f"q{number}" for number in range(40)]) for each in IDS[:2]]
    targets = plan([slot(0, mapping=f"q{number}") for number in range(40)], workers)

    assert set(targets.values()) == set(IDS[:2])


@pytest.mark.parametrize(
    ("row", "target", "step"),
    [
        (lease(1), "me", Step.TAKE),
        (lease(1, "gone"), "me", Step.TAKE),
        (lease(1, "gone", asked_by="you"), "me", Step.TAKE),
        (lease(1, "you"), "me", Step.ASK),
        (lease(1, "you", asked_by="gone"), "me", Step.ASK),
        (lease(1, "you", asked_by="drains"), "me", Step.ASK),
        (lease(1, "drains"), "me", Step.ASK),
        (lease(1, "you", asked_by="me"), "me", Step.NOTHING),
        (lease(1, "you", asked_by="other"), "me", Step.NOTHING),
        (lease(1, "me"), "me", Step.NOTHING),
        (lease(1), "you", Step.NOTHING),
        (lease(1), None, Step.NOTHING),
    ],
)
def test_only_the_planned_owner_acts(row, target, step):
    workers = {each: worker(each, draining=each == "drains") for each in ("me", "you", "other", "drains")}

    assert next_step(row, worker_id="me", target=target, workers=workers) is step
