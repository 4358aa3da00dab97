"""`broker mappings`: what the mappings of a running daemon do, asked over its HTTP listener."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import click
import orjson

from broker.cli.arguments import DEFAULT_FILE, file_argument
from broker.cli.output import Column, OutputFormat, output_option, print_json, print_table
from broker.cli.view import queue_name
from broker.config import load
from broker.errors import CommandError
from broker.model.settings import Configuration

TIMEOUT_SECONDS = 5.0
SHOWN_OF_UUID = 8

COLUMNS = (
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
COUNTS = ("polled_count", "filtered_count", "deleted_count", "failed_count", "in_flight_batches", "stuck_batches")
"""Of each mapping's statistics, in the order of the columns. Beside them there is no room for a UUID in 80 columns: the
JSON and the lines of problems have it."""
UNWELL = "!"


@click.group()
def mappings() -> None:
    """Show the mappings of a running daemon."""


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
        print_table(COLUMNS, rows(found))
        for line in problems(found):
            click.echo(line)


def problems(found: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each mapping that is not well."""
    return [
        f"{mapping['uuid'][:SHOWN_OF_UUID]}  {mapping['function_name']}: {mapping['problem']}"
        for mapping in found
        if mapping["problem"]
    ]


def rows(found: Sequence[dict[str, Any]]) -> list[list[object]]:
    """The table's cells."""
    return [_row(mapping) for mapping in found]


def _row(mapping: dict[str, Any]) -> list[object]:
    state = mapping["state"] if mapping["healthy"] else f"{mapping['state']}{UNWELL}"
    names = [mapping["function_name"], queue_name(mapping["event_source_arn"])]
    return [*names, state, *(mapping["statistics"][count] for count in COUNTS)]


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
