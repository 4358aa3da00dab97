"""Rows as values, and back."""

import pytest

from broker.core.lease_rows import (
    asked_value,
    checkpoint_key,
    checkpoint_of,
    checkpoint_value,
    lease_of,
    lease_value,
    leases_of,
    owned_value,
    pause_note,
    paused_value,
    resumed_value,
    shard_key,
    slot_key,
    worker_of,
    worker_value,
)
from broker.errors import StoreError
from broker.model.checkpoint import Checkpoint
from broker.model.lease import Lease, LeaseKey, Row, Worker
from broker.model.stream import AfterSequenceNumber, Shard

SHARD = Shard(shard_id="shardId-1", parents=("shardId-0",), is_closed=True)
KEY = LeaseKey(mapping="m", key="shard:g:shardId-1")
SLOT = LeaseKey(mapping="m", key="slot:007")


def test_keys_name_what_they_are_for():
    assert shard_key("g", "s") == "shard:g:s"
    assert checkpoint_key("g", "s") == "checkpoint:g:s"
    assert slot_key(7) == "slot:007"


def test_a_worker_survives_its_row():
    worker = Worker(worker_id="w", counter=4, changes=2, mappings=frozenset({"b", "a"}), is_draining=True)

    assert worker_of("w", Row(version=4, value=worker_value(worker))) == worker
    assert worker_of("w", Row(version=1, value={})) == Worker(worker_id="w", counter=1)


@pytest.mark.parametrize(
    "lease",
    [
        Lease(key=KEY, version=3, owner="w", epoch=2, asked_by="v", is_paused=True, shard=SHARD),
        Lease(key=KEY, version=3, shard=Shard(shard_id="shardId-1")),
        Lease(key=SLOT, version=3, owner="w", epoch=2, weight=5),
    ],
)
def test_a_lease_survives_its_row(lease):
    assert lease_of("m", lease.key.key, Row(version=3, value=lease_value(lease))) == lease


def test_only_leases_are_found_among_the_rows():
    rows = {key: Row(version=1, value={"epoch": 1}) for key in ("mapping", "checkpoint:g:s", "slot:001")}

    assert [lease.key.key for lease in leases_of("m", rows)] == ["slot:001"]


def test_a_row_keeps_what_is_not_known_here():
    row = {"owner": "a", "epoch": 1, "asked_by": "b", "newer": 1}

    assert owned_value(row, owner="b", epoch=2) == {"owner": "b", "epoch": 2, "newer": 1}
    assert asked_value(row, asked_by="c") == {"owner": "a", "epoch": 1, "asked_by": "c", "newer": 1}


def test_a_checkpoint_survives_its_row():
    checkpoint = Checkpoint(position=AfterSequenceNumber(number="5"))

    assert checkpoint_of(Row(version=1, value=checkpoint_value(3, checkpoint))) == (3, checkpoint)


def test_a_pause_says_who_and_when_and_a_resume_leaves_the_row_as_it_was():
    value = {"owner": "", "epoch": 2, "unknown": 1}
    paused = paused_value(value, by="ana@desk", at="2026-01-31T09:00:00Z")
    assert lease_of("m", KEY.key, Row(version=1, value=paused)).is_paused
    assert pause_note(paused) == "paused by ana@desk at 2026-01-31T09:00:00Z"
    assert resumed_value(paused) == value
    assert pause_note(value) == ""
    assert pause_note({"paused": True}) == "paused"


@pytest.mark.parametrize(
    "value", [{}, {"epoch": 1}, {"epoch": 1, "checkpoint": []}, {"epoch": 1, "checkpoint": {"position": {"type": "?"}}}]
)
def test_a_row_that_holds_no_checkpoint_is_a_fault_of_the_store(value):
    with pytest.raises(StoreError, match="does not understand"):
        checkpoint_of(Row(version=1, value=value))


@pytest.mark.parametrize("shard", [{}, "shardId-1", {"id": "shardId-1", "parents": 5}])
def test_a_row_that_is_no_lease_is_a_fault_of_the_store(shard):
    with pytest.raises(StoreError, match="shard:g:shardId-1 of mapping m holds what this broker does not understand"):
        lease_of("m", KEY.key, Row(version=1, value={"shard": shard}))
