"""What `leases list` says, as JSON and as tables."""

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from broker.cli.lease_report import Report, mapping_report, worker_reports
from broker.cli.leases import SHARD_COLUMNS, position_text, remarks, shard_row, watched, worker_text
from broker.cli.output import duration_text, rich_table
from broker.config import identity_of, parse_mapping
from broker.core.lease_rows import (
    WORKERS,
    checkpoint_key,
    checkpoint_value,
    lease_value,
    paused_value,
    shard_key,
    slot_key,
    worker_value,
)
from broker.model.checkpoint import Checkpoint, HeadBatch, LaneMarks, OpenWindow
from broker.model.lease import Lease, LeaseKey, Row, Worker
from broker.model.stream import AfterSequenceNumber, AtSequenceNumber, AtTimestamp, Position, Shard, TrimHorizon
from broker.stores.memory import MemoryStateStore
from broker.testing import VirtualClock

MAPPING = parse_mapping(
    event_source_arn="arn:aws:kinesis:eu-west-1:123456789012:stream/clicks",
    function_name="orders",
    starting_position="LATEST",
)
UUID, GENERATION = identity_of(MAPPING), "1700000000.0"
ANA, BOB = (f"desk-{number}-14e0db71-5d35-4eb5-b481-8945cf9d10c{number}" for number in (1, 2))
NUMBER = "49590338271490256608559692538361571095921575989136588898"
FULL = Checkpoint(
    position=AfterSequenceNumber(number=NUMBER),
    lanes=(LaneMarks(factor=2, marks=(NUMBER, None)),),
    heads=(HeadBatch(factor=2, lane=1, first="5", last="7", failures=3, invocations=4),),
    window=OpenWindow(start=60, state=b"{}"),
    settled_at=940.0,
    behind_ms=61_000,
)


def rows(
    shard: Shard, checkpoint: Checkpoint | None, *, owner: str = "", asked_by: str = "", paused: bool = False
) -> dict[str, Row]:
    key = shard_key(GENERATION, shard.shard_id)
    lease = Lease(key=LeaseKey(mapping=UUID, key=key), version=0, shard=shard, owner=owner, epoch=3, asked_by=asked_by)
    value = lease_value(lease)
    value = paused_value(value, by="ana@desk", at="noon") if paused else value
    found = {key: Row(version=1, value=value)}
    if checkpoint:
        position = checkpoint_key(GENERATION, shard.shard_id)
        found[position] = Row(version=1, value=checkpoint_value(3, checkpoint))
    return found


def report(*parts: dict[str, Row], live: dict[str, bool | None] | None = None, **mapping: Any) -> Report:
    begun = {"generation": GENERATION, "started": True, "starting_position": "LATEST", **mapping}
    found = {"mapping": Row(version=2, value=begun)}
    for part in parts:
        found |= part
    workers = [{"worker": worker, "live": is_live} for worker, is_live in (live or {}).items()]
    return mapping_report(MAPPING, found, workers, now=1_000.0)


def only(*parts: dict[str, Row], live: dict[str, bool | None] | None = None) -> Report:
    (shard,) = report(*parts, live=live)["shards"]
    return shard


def test_a_shard_tells_its_owner_its_position_and_its_lag() -> None:
    shard = only(rows(Shard(shard_id="s1"), FULL, owner=ANA), live={ANA: True})
    expected = {
        "shard": "s1", "owner": ANA, "owner_live": True, "owner_stands": True, "epoch": 3, "behind_ms": 61_000,
        "age_seconds": 60.0, "finished": False, "position": {"type": "AFTER_SEQUENCE_NUMBER", "number": NUMBER},
    }  # fmt: skip
    assert expected.items() <= shard.items()
    assert shard_row(shard) == ["s1", "desk-1", 3, f"…{NUMBER[-11:]}", "1m", "1m", "owned"]


def test_what_the_table_has_no_room_for_is_a_line() -> None:
    found = report(rows(Shard(shard_id="s1"), FULL, owner=ANA, asked_by=BOB, paused=True), live={ANA: True, BOB: True})
    assert remarks(found) == [
        "s1: paused by ana@desk at noon",
        "s1: desk-2 has asked for it",
        "s1: lane 1 retries 5 to 7, 3 failures",
        "s1: 1 lanes are settled beyond its position",
        "s1: a tumbling window is open since 00:01:00Z",
    ]
    assert remarks(report(paused=True, paused_by="ana@desk", paused_at="noon")) == ["paused by ana@desk at noon"]
    assert remarks(report(started=False)) == ["the store has nothing of it: it begins when a broker runs it"]


@pytest.mark.parametrize(
    ("part", "live", "state"),
    [
        (rows(Shard(shard_id="s"), FULL), {}, "free"),
        (rows(Shard(shard_id="s"), FULL, owner=ANA), {}, "free"),
        (rows(Shard(shard_id="s"), FULL, owner=ANA), {ANA: None}, "owned"),
        (rows(Shard(shard_id="s"), FULL, owner=ANA), {ANA: False}, "still"),
        (rows(Shard(shard_id="s"), FULL, owner=ANA, asked_by=BOB), {ANA: True}, "handing"),
        (rows(Shard(shard_id="s"), FULL, owner=ANA, paused=True), {ANA: True}, "pausing"),
        (rows(Shard(shard_id="s"), FULL, paused=True), {}, "paused"),
        (rows(Shard(shard_id="s"), Checkpoint(position=TrimHorizon(), finished=True)), {}, "finished"),
    ],
)
def test_the_state_of_a_shard(part: dict[str, Row], live: dict[str, bool | None], state: str) -> None:
    assert shard_row(only(part, live=live))[-1] == state


def test_a_shard_waits_for_its_unfinished_parents() -> None:
    beginning = Checkpoint(position=TrimHorizon())
    over = Checkpoint(position=TrimHorizon(), finished=True)
    parents = (rows(Shard(shard_id="a"), beginning), rows(Shard(shard_id="b"), over))
    found = report(*parents, rows(Shard(shard_id="c", parents=("a", "b", "gone")), beginning))
    child = found["shards"][-1]
    assert (child["waits_for"], shard_row(child)[-1]) == (["a"], "waits")
    assert "c: waits for a" in remarks(found)


def test_a_lease_without_a_checkpoint_and_one_of_an_older_stream() -> None:
    shard = only(
        rows(Shard(shard_id="s"), None), {shard_key("1.0", "old"): Row(version=1, value={"shard": {"id": "old"}})}
    )
    assert (shard["position"], shard_row(shard)[3:6]) == (None, ["-", "-", "-"])


def test_a_mapping_that_has_not_begun_has_nothing() -> None:
    found = mapping_report(MAPPING, {}, [], now=0.0)
    assert (found["started"], found["shards"], found["generation"]) == (False, [], "")


def test_shares_of_concurrency_are_told_with_their_weight() -> None:
    key = slot_key(0)
    lease = Lease(key=LeaseKey(mapping=UUID, key=key), version=0, owner=ANA, epoch=2, weight=5)
    found = mapping_report(MAPPING, {key: Row(version=1, value=lease_value(lease))}, [], now=0.0)
    (slot,) = found["slots"]
    assert (slot["key"], slot["owner"], slot["weight"]) == ("slot:000", ANA, 5)


@pytest.mark.parametrize(
    ("position", "shown"),
    [
        (AfterSequenceNumber(number="4957"), "4957"),
        (AtSequenceNumber(number="4957"), "at 4957"),
        (AtTimestamp(at=1_769_850_000.0), "2026-01-31T09:00:00Z"),
        (TrimHorizon(), "TRIM_HORIZON"),
    ],
)
def test_positions_are_short(position: Position, shown: str) -> None:
    assert position_text(Checkpoint(position=position).to_json()["position"]) == shown


def test_a_shard_fits_into_80_columns() -> None:
    shard = only(rows(Shard(shard_id="shardId-000000000001"), FULL, owner=ANA, paused=True), live={ANA: True})
    console = Console(width=80, file=StringIO(), record=True)
    console.print(rich_table(SHARD_COLUMNS, [[str(cell) for cell in shard_row(shard)]], width=80))
    head, line = console.export_text().splitlines()
    assert max(len(head), len(line)) <= 80
    assert line.split() == ["shardId-000000000001", "desk-1", "3", f"…{NUMBER[-11:]}", "1m", "1m", "pausing"]


def test_a_worker_is_known_by_host_and_process() -> None:
    assert worker_text(ANA) == "desk-1"
    assert worker_text("somebody") == "somebody"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0s"), (59.9, "59s"), (60, "1m"), (7_199, "1h"), (86_400 * 2.5, "2d")]
)
def test_durations_are_short_and_not_rounded_up(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


# ---- who lives


def worker_rows(**versions: int) -> dict[str, Row]:
    value = worker_value(Worker(worker_id="", counter=0, mappings=frozenset({"m"})))
    return {name: Row(version=version, value=value) for name, version in versions.items()}


def test_a_worker_lives_where_its_row_moves_between_two_looks() -> None:
    before, now = worker_rows(a=1, b=1, gone=1), worker_rows(a=2, b=1, new=1)
    now["operator-ana"] = Row(version=1, value={})
    found = worker_reports(before, now, looked_twice=True)
    assert [(each["worker"], each["live"]) for each in found] == [("a", True), ("b", False), ("new", None)]
    assert found[0]["mappings"] == ["m"]
    assert [each["live"] for each in worker_reports(before, before, looked_twice=False)] == [None] * 3


@pytest.fixture
def anyio_backend(virtual_backend: tuple[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    return virtual_backend


@pytest.mark.anyio
async def test_looking_ends_when_all_have_moved_or_the_time_is_over(virtual_clock: VirtualClock) -> None:
    store = MemoryStateStore()
    await store.write(WORKERS, "a", {}, version=0, nonce="1")
    before = await store.read(WORKERS)
    began_at = virtual_clock.now()
    assert await watched(store, before, seconds=3.0) == before
    assert virtual_clock.now() - began_at == pytest.approx(3.0)
    await store.write(WORKERS, "a", {}, version=1, nonce="2")
    began_at = virtual_clock.now()
    assert (await watched(store, before, seconds=3.0))["a"].version == 2
    assert virtual_clock.now() - began_at <= 0.25
    assert await watched(store, {}, seconds=3.0) == {}
