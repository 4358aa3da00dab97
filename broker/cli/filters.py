"""`broker filter test`: which messages would pass a mapping's filters, and which pattern decides."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

import anyio
import click

from broker.aws.clients import Clients
from broker.cli.arguments import file_argument
from broker.cli.events import read_records
from broker.cli.output import Column, OutputFormat, output_option, print_json, print_table
from broker.config import identity_of, load
from broker.core.filtering import compile_queue_filter
from broker.errors import ConfigurationError
from broker.model.arn import Arn
from broker.model.mapping import EventSourceMapping
from broker.model.record import Record
from broker.model.settings import Configuration
from broker.runtime.clock import SystemClock
from broker.sources.sqs import SqsQueueSource

PAGE = 10
PEEK_VISIBILITY_SECONDS = 30
"""For how long peeked messages stay hidden should releasing them fail."""

COLUMNS = (
    Column(title="message", folds=True),
    Column(title="mapping"),
    Column(title="result"),
    Column(title="pattern", folds=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What becomes of one message in one mapping."""

    message: str
    """The message id."""
    mapping: str
    """`EventSourceMappings[0]`."""
    passes: bool
    """False for a message that would be deleted unseen."""
    pattern: str
    """The first pattern that matches; for a dropped message all of those that do not; empty without filters."""


@click.group("filter")
def filter_commands() -> None:
    """Try the filters of a file."""


@filter_commands.command("test")
@file_argument
@click.option("--events", type=click.File("rb"), help="Messages as JSON or JSON lines; - for standard input.")
@click.option("--peek", type=click.IntRange(1, 100), help="Look at this many messages of the queue and release them.")
@click.option("--mapping", "chosen", help="UUID, function or queue; else every mapping of the file.")
@output_option
def test_filters(
    file: Path, *, events: BinaryIO | None, peek: int | None, chosen: str | None, output: OutputFormat
) -> None:
    """Show which messages pass the filters, and which pattern decides.

    A peeked message counts as received once: mind a small maxReceiveCount.
    """
    if (events is None) == (peek is None):
        raise click.UsageError("say where the messages come from: either --events FILE or --peek N")
    records_of = _from_file(events) if events else _from_queue(peek or 0)
    outcomes: list[Outcome] = []
    for path, mapping in chosen_mappings(load(file), chosen):
        outcomes += judge(records_of(mapping.event_source_arn), path, mapping)
    show(outcomes, output)


def chosen_mappings(configuration: Configuration, chosen: str | None) -> list[tuple[str, EventSourceMapping]]:
    """Mappings with their paths. Raises `ConfigurationError` where none is meant."""
    numbered = enumerate(configuration.event_source_mappings)
    mappings = [(f"EventSourceMappings[{index}]", mapping) for index, mapping in numbered]
    found = [(path, mapping) for path, mapping in mappings if chosen is None or chosen in names(mapping)]
    if not found:
        known = sorted({mapping.source.resource for _, mapping in mappings})
        raise ConfigurationError(f"no mapping of the file is called {chosen!r}; it has queues {', '.join(known)}")
    return found


def names(mapping: EventSourceMapping) -> set[str]:
    """All that a person may call a mapping."""
    return {
        identity_of(mapping),
        mapping.event_source_arn,
        mapping.source.resource,
        mapping.function_name,
        mapping.function.name,
    }


def judge(records: Sequence[Record], path: str, mapping: EventSourceMapping) -> list[Outcome]:
    """What becomes of each record."""
    compiled = [(pattern, compile_queue_filter(pattern)) for pattern in mapping.filter_patterns]
    return [_judge_one(record, path, compiled) for record in records]


def _judge_one(record: Record, path: str, compiled: Sequence[tuple[str, Callable[[Record], bool]]]) -> Outcome:
    matching = [pattern for pattern, accepts in compiled if accepts(record)]
    shown = matching[:1] or [pattern for pattern, _ in compiled]
    passes = bool(matching) or not compiled
    return Outcome(message=record.identifier, mapping=path, passes=passes, pattern=" | ".join(shown))


def show(outcomes: Sequence[Outcome], output: OutputFormat) -> None:
    """A row for each message and mapping, and a line that counts."""
    if output == "json":
        print_json([asdict(outcome) for outcome in outcomes])
        return
    print_table(COLUMNS, [_row(outcome) for outcome in outcomes])
    passing = sum(outcome.passes for outcome in outcomes)
    click.echo(f"{passing} pass, {len(outcomes) - passing} would be deleted unseen")


def _row(outcome: Outcome) -> list[str]:
    if outcome.passes:
        return [outcome.message, outcome.mapping, "passes", outcome.pattern or "(no filter)"]
    return [outcome.message, outcome.mapping, "dropped", f"not matched: {outcome.pattern}"]


def _from_file(events: BinaryIO) -> Callable[[str], list[Record]]:
    text, name = events.read(), events.name
    return lambda arn: read_records(text, name=name, arn=arn)


def _from_queue(count: int) -> Callable[[str], list[Record]]:
    return lambda arn: anyio.run(_peek, arn, count)


async def _peek(arn: str, count: int) -> list[Record]:
    async with Clients() as clients:
        source = SqsQueueSource(arn=arn, clients=clients, clock=SystemClock())
        fifo = Arn.parse(arn).resource.endswith(".fifo")
        records: list[Record] = []
        try:
            while len(records) < count:
                page = await source.receive(
                    maximum_count=min(PAGE, count - len(records)),
                    wait_seconds=1,
                    visibility_timeout_seconds=PEEK_VISIBILITY_SECONDS,
                    attempt_id=str(uuid4()) if fifo else None,
                )
                if not page:
                    break
                records += page
        finally:
            with anyio.CancelScope(shield=True):
                await _release(source, records)
        return records


async def _release(source: SqsQueueSource, records: Sequence[Record]) -> None:
    """From the last to the first, so that the order of a message group holds."""
    backwards = records[::-1]
    for start in range(0, len(backwards), PAGE):
        await source.change_visibility(backwards[start : start + PAGE], visibility_timeout_seconds=0)
