"""`broker leases`: who owns what, and how far each shard is, as the state store says."""

import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import click

from broker.cli.arguments import file_argument
from broker.cli.kcl import import_kcl
from broker.cli.lease_report import Report, mapping_report, worker_reports
from broker.cli.operating import one_mapping, opened_store
from broker.cli.output import Column, OutputFormat, duration_text, output_option, print_json, print_table
from broker.config import identity_of, load
from broker.core.lease_rows import WORKERS
from broker.core.watching import LeaseTiming
from broker.errors import StoreError
from broker.model.lease import Row
from broker.model.mapping import EventSourceMapping
from broker.model.settings import Configuration
from broker.ports import StateStore

POLL_SECONDS = 0.25
BEATS_WATCHED = 1.5
"""For how many heartbeats a row is watched before it is said to stand still."""
SHOWN_DIGITS = 12
"""Of a sequence number: those that differ."""
_ID = re.compile(r"-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")

SHARD_COLUMNS = (
    Column(title="shard", folds=True),
    Column(title="owner", folds=True),
    Column(title="epoch", number=True),
    Column(title="position"),
    Column(title="lag", number=True),
    Column(title="age", number=True),
    Column(title="state"),
)
SLOT_COLUMNS = (
    Column(title="share"),
    Column(title="owner"),
    Column(title="epoch", number=True),
    Column(title="invocations", number=True),
    Column(title="state"),
)
WORKER_COLUMNS = (Column(title="worker", folds=True), Column(title="mappings", number=True), Column(title="state"))


@click.group()
def leases() -> None:
    """Show and take over positions of streams, as the state store has them."""


@leases.command("list")
@file_argument
@click.option("--mapping", "chosen", metavar="MAPPING", help="UUID, function or source; else every mapping.")
@click.option("--all", "with_finished", is_flag=True, help="Show the shards that are finished, too.")
@click.option("--once", is_flag=True, help="Look once: whether the workers live is not known then.")
@output_option
def list_leases(file: Path, *, chosen: str | None, with_finished: bool, once: bool, output: OutputFormat) -> None:
    """Show who owns which shard, how far it is, and its lag.

    Reads the store of the file's settings twice, a heartbeat apart, and changes nothing. "lag" is how far the last
    checkpoint was behind the shard's tip, "age" how long ago everything that had arrived was settled; a shard without
    news says so once an hour.
    """
    found = anyio.run(_read, load(file), chosen, with_finished, once)
    if output == "json":
        print_json(found)
    else:
        show(found)


async def _read(configuration: Configuration, chosen: str | None, with_finished: bool, once: bool) -> Report:  # noqa: FBT001
    mappings = [one_mapping(configuration, chosen)] if chosen else _sharing(configuration)
    timing = LeaseTiming(lease_seconds=configuration.broker.lease_duration_in_seconds)
    async with opened_store(configuration) as store:
        before = await store.read(WORKERS)
        workers = before if once else await watched(store, before, seconds=BEATS_WATCHED * timing.beat_seconds)
        reports = worker_reports(before, workers, looked_twice=not once)
        found = [await _report(store, mapping, reports) for mapping in mappings]
    for mapping in found:
        mapping["shards"] = [shard for shard in mapping["shards"] if with_finished or not shard["finished"]]
    return {"store": configuration.broker.state_store, "workers": reports, "mappings": found}


def _sharing(configuration: Configuration) -> list[EventSourceMapping]:
    """The mappings that keep or share anything: streams, and queues with a limit."""
    return [mapping for mapping in configuration.event_source_mappings if mapping.needs_store]


async def _report(store: StateStore, mapping: EventSourceMapping, workers: Sequence[Report]) -> Report:
    rows = await store.read(identity_of(mapping))
    try:
        return mapping_report(mapping, rows, workers, now=time.time())
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(f"A row of {identity_of(mapping)} is not a broker's: {error!r}", retryable=False) from error


async def watched(store: StateStore, before: Mapping[str, Row], *, seconds: float) -> Mapping[str, Row]:
    """The workers' rows once all of them have moved, or after so many seconds."""
    workers = before
    with anyio.move_on_after(seconds):
        while any(workers[worker] == row for worker, row in before.items() if worker in workers):
            await anyio.sleep(POLL_SECONDS)
            workers = await store.read(WORKERS)
    return workers


leases.add_command(import_kcl)

# ---- for people


def show(found: Report) -> None:
    """A table for each mapping, what is remarkable below it, and the workers."""
    for mapping in found["mappings"]:
        click.echo(f"{mapping['function']} <- {mapping['source']}  {mapping['uuid']}")
        if mapping["shards"]:
            print_table(SHARD_COLUMNS, [shard_row(shard) for shard in mapping["shards"]])
        if mapping["slots"]:
            print_table(SLOT_COLUMNS, [_slot_row(slot) for slot in mapping["slots"]])
        for line in remarks(mapping):
            click.echo(line)
        click.echo("")
    if found["workers"]:
        print_table(WORKER_COLUMNS, [_worker_row(worker) for worker in found["workers"]])
    else:
        click.echo("no broker runs")


def shard_row(shard: Report) -> list[object]:
    """The cells of one shard."""
    return [
        shard["shard"],
        worker_text(shard["owner"]) or "-",
        shard["epoch"],
        position_text(shard["position"]),
        duration_text((shard.get("behind_ms") or 0) / 1000) if shard["position"] else "-",
        "-" if shard.get("age_seconds") is None else duration_text(shard["age_seconds"]),
        _shard_state(shard),
    ]


def _slot_row(slot: Report) -> list[object]:
    return [slot["key"], worker_text(slot["owner"]) or "-", slot["epoch"], slot["weight"], _owner_state(slot)]


def _worker_row(worker: Report) -> list[object]:
    state = {True: "lives", False: "stands still", None: "not known"}[worker["live"]]
    return [worker["worker"], len(worker["mappings"]), f"{state}, drains" if worker["draining"] else state]


def _shard_state(shard: Report) -> str:
    if shard["finished"]:
        return "finished"
    if shard["paused"]:
        return "paused" if not shard["owner_stands"] else "pausing"
    if shard["waits_for"]:
        return "waits"
    return _owner_state(shard)


def _owner_state(lease: Report) -> str:
    if not lease["owner_stands"]:
        return "free"
    if lease["owner_live"] is False:
        return "still"
    return "handing" if lease["asked_by"] else "owned"


def worker_text(worker_id: str) -> str:
    """Host and process; the id that makes it unique is in the JSON."""
    return _ID.sub("", worker_id)


def position_text(position: Mapping[str, Any] | None) -> str:
    """A checkpoint's place, short."""
    match position:
        case {"type": "AFTER_SEQUENCE_NUMBER", "number": number}:
            return _short(number)
        case {"type": "AT_SEQUENCE_NUMBER", "number": number}:
            return f"at {_short(number)}"
        case {"type": "AT_TIMESTAMP", "at": at}:
            return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
        case None:
            return "-"
        case _:
            return str(position["type"])


def _short(number: str) -> str:
    return number if len(number) <= SHOWN_DIGITS else f"…{number[-SHOWN_DIGITS + 1 :]}"


def remarks(mapping: Report) -> list[str]:
    """A line for each thing that the table has no room for."""
    has_begun = mapping["started"] or mapping["slots"]
    lines = [] if has_begun else ["the store has nothing of it: it begins when a broker runs it"]
    lines += [mapping["paused"]] if mapping["paused"] else []
    return lines + [f"{shard['shard']}: {text}" for shard in mapping["shards"] for text in _shard_remarks(shard)]


def _shard_remarks(shard: Report) -> list[str]:
    texts = [shard["paused"]] if shard["paused"] else []
    if shard["waits_for"] and not shard["finished"]:
        texts.append(f"waits for {', '.join(shard['waits_for'])}")
    if shard["asked_by"]:
        texts.append(f"{worker_text(shard['asked_by'])} has asked for it")
    texts += [_head_text(head) for head in shard.get("heads", ())]
    ahead = sum(mark is not None for lane in shard.get("lanes", ()) for mark in lane["marks"])
    if ahead:
        texts.append(f"{ahead} lanes are settled beyond its position")
    if shard.get("window"):
        texts.append(
            f"a tumbling window is open since {datetime.fromtimestamp(shard['window']['start'], UTC):%H:%M:%SZ}"
        )
    return texts


def _head_text(head: Mapping[str, Any]) -> str:
    return f"lane {head['lane']} retries {_short(head['first'])} to {_short(head['last'])}, {head['failures']} failures"
