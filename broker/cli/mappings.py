"""`broker mappings`: `list` asks a running daemon over HTTP; what changes a mapping of a stream writes to the store."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import click
import orjson

from broker.cli.arguments import DEFAULT_FILE, file_argument
from broker.cli.output import Column, OutputFormat, duration_text, output_option, print_json, print_table
from broker.cli.steer import pause, resume, skip
from broker.config import load
from broker.errors import CommandError
from broker.model.arn import Arn
from broker.model.reference import StreamReference, StreamService
from broker.model.settings import Configuration

TIMEOUT_SECONDS = 5.0
SHOWN_OF_UUID = 8

QUEUE_COLUMNS = (
    Column(title="function"),
    Column(title="queue"),
    Column(title="state"),
    Column(title="polled", number=True),
    Column(title="filtered", number=True),
    Column(title="deleted", number=True),
    Column(title="failed", number=True),
    Column(title="busy", number=True),
    Column(title="stuck", number=True),
)
STREAM_COLUMNS = (
    Column(title="function"),
    Column(title="stream"),
    Column(title="state"),
    Column(title="shards", number=True),
    Column(title="lag", number=True),
    Column(title="busy", number=True),
    Column(title="failed", number=True),
    Column(title="dropped", number=True),
    Column(title="last result"),
)
QUEUE_COUNTS = (
    "polled_count", "filtered_count", "deleted_count", "failed_count", "in_flight_batches", "stuck_batches",
)  # fmt: skip
STREAM_COUNTS = ("in_flight_batches", "failed_count", "dropped_count")
"""Of each mapping's statistics, in the order of the columns. Beside them there is no room for a UUID in 80 columns: the
JSON and the lines of problems have it."""
UNWELL = "!"
PAUSED = "paused"


@click.group()
def mappings() -> None:
    """Show the mappings of a running daemon; pause, resume and move those of streams."""


for steering in (pause, resume, skip):
    mappings.add_command(steering)


@mappings.command("list")
@file_argument
@click.option("--url", help="The daemon's control plane; else as the file says.")
@output_option
def list_mappings(file: Path, url: str | None, output: OutputFormat) -> None:
    """List the mappings of a running daemon, with what they have done so far."""
    found = anyio.run(_fetch, url or _url_of(file))
    if output == "json":
        print_json(found)
    else:
        show(found)


def show(found: Sequence[dict[str, Any]]) -> None:
    """A table of queues' mappings, one of streams' mappings, and a line for each thing that is remarkable."""
    streams = [mapping for mapping in found if is_stream(mapping)]
    queues = [mapping for mapping in found if not is_stream(mapping)]
    if queues or not streams:
        print_table(QUEUE_COLUMNS, [queue_row(mapping) for mapping in queues])
    if streams:
        print_table(STREAM_COLUMNS, [stream_row(mapping) for mapping in streams])
    for line in (*problems(found), *pauses(streams)):
        click.echo(line)


def problems(found: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each mapping that is not well."""
    return [
        f"{mapping['uuid'][:SHOWN_OF_UUID]}  {mapping['function_name']}: {mapping['problem']}"
        for mapping in found
        if mapping["problem"]
    ]


def pauses(streams: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each thing that an operator has paused."""
    return [
        f"{mapping['uuid'][:SHOWN_OF_UUID]}  {mapping['function_name']}: {text}"
        for mapping in streams
        for text in mapping["statistics"]["paused"]
    ]


def is_stream(mapping: dict[str, Any]) -> bool:
    """Whether a mapping reads a stream."""
    return Arn.parse(mapping["event_source_arn"]).service in set(StreamService)


def queue_row(mapping: dict[str, Any]) -> list[object]:
    """The cells of a queue's mapping."""
    names = [mapping["function_name"], Arn.parse(mapping["event_source_arn"]).resource]
    return [*names, _state(mapping), *(mapping["statistics"][count] for count in QUEUE_COUNTS)]


def stream_row(mapping: dict[str, Any]) -> list[object]:
    """The cells of a stream's mapping; its lag is that of the shard that is furthest behind."""
    statistics = mapping["statistics"]
    lags = [shard["behind_ms"] for shard in statistics["shards"] if shard["behind_ms"] is not None]
    return [
        mapping["function_name"],
        StreamReference.parse(mapping["event_source_arn"]).name,
        _state(mapping),
        len(statistics["shards"]),
        duration_text(max(lags) / 1000) if lags else "-",
        *(statistics[count] for count in STREAM_COUNTS),
        statistics["last_processing_result"],
    ]


def _state(mapping: dict[str, Any]) -> str:
    is_paused = any(text.startswith(PAUSED) for text in mapping["statistics"].get("paused", ()))
    return f"{PAUSED if is_paused else mapping['state']}{'' if mapping['healthy'] else UNWELL}"


def _url_of(file: Path) -> str:
    configuration = Configuration() if file == DEFAULT_FILE and not file.exists() else load(file)
    return f"http://{configuration.broker.control_plane.listen}"


async def _fetch(url: str) -> list[dict[str, Any]]:
    try:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"{url}/status") as answer:
            return _read(url, answer.status, await answer.read())
    except (aiohttp.ClientError, TimeoutError) as error:
        raise CommandError(
            f"no running broker answers at {url} (Broker.ControlPlane.Listen): start one with `broker run`, or name "
            f"its address with --url http://HOST:PORT"
        ) from error


def _read(url: str, status: int, body: bytes) -> list[dict[str, Any]]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    if isinstance(answer, list) and all(isinstance(item, dict) and "uuid" in item for item in answer):
        return answer
    refusal = answer.get("message") if isinstance(answer, dict) else None
    raise CommandError(
        f"what answers at {url} is no broker, or refuses: HTTP {status}{f': {refusal}' if refusal else ''}"
    )
