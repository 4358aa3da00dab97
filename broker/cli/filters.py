"""`broker filter test`: which records would pass a mapping's filters, and which pattern decides."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar, assert_never

import click

from broker.cli.arguments import file_argument
from broker.cli.events import read_records, read_stream_records
from broker.cli.output import Column, OutputFormat, output_option, print_json, print_table
from broker.cli.peeking import Feed, peeking
from broker.config import identity_of, load
from broker.core.filtering import compile_queue_filter
from broker.core.filtering_streams import compile_stream_filter
from broker.errors import ConfigurationError
from broker.model.mapping import EventSourceMapping
from broker.model.queue_mapping import QueueMapping
from broker.model.record import Record
from broker.model.settings import Configuration
from broker.model.stream import StreamRecord
from broker.model.stream_mapping import StreamMapping

AnyRecord = TypeVar("AnyRecord", Record, StreamRecord)

COLUMNS = (
    Column(title="record", folds=True),
    Column(title="mapping"),
    Column(title="result"),
    Column(title="pattern", folds=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What becomes of one record in one mapping."""

    message: str
    """The message id; the sequence number for a stream's record."""
    mapping: str
    """`EventSourceMappings[0]`."""
    passes: bool
    """False for a record that the handler would never see."""
    pattern: str
    """The first pattern that matches; for a dropped record all of those that do not; empty without filters."""


@click.group("filter")
def filter_commands() -> None:
    """Try the filters of a file."""


@filter_commands.command("test")
@file_argument
@click.option("--events", type=click.File("rb"), help="Records as JSON or JSON lines; - for standard input.")
@click.option(
    "--peek",
    type=click.IntRange(1, 100),
    help="Look at this many messages of the queue and release them; or at the oldest records of the stream.",
)
@click.option("--mapping", "chosen", help="UUID, function, queue or stream; else every mapping of the file.")
@output_option
def test_filters(
    file: Path, *, events: BinaryIO | None, peek: int | None, chosen: str | None, output: OutputFormat
) -> None:
    """Show which records pass the filters, and which pattern decides.

    A peeked message counts as received once: mind a small maxReceiveCount.
    """
    if (events is None) == (peek is None):
        raise click.UsageError("say where the records come from: either --events FILE or --peek N")
    feed = _from_file(events) if events else peeking(peek or 0)
    outcomes: list[Outcome] = []
    for path, mapping in chosen_mappings(load(file), chosen):
        outcomes += judge(feed, path, mapping)
    show(outcomes, output)


def chosen_mappings(configuration: Configuration, chosen: str | None) -> list[tuple[str, EventSourceMapping]]:
    """Mappings with their paths. Raises `ConfigurationError` where none is meant."""
    numbered = enumerate(configuration.event_source_mappings)
    mappings = [(f"EventSourceMappings[{index}]", mapping) for index, mapping in numbered]
    found = [(path, mapping) for path, mapping in mappings if chosen is None or chosen in names(mapping)]
    if not found:
        known = sorted({mapping.source.resource for _, mapping in mappings})
        raise ConfigurationError(f"no mapping of the file is called {chosen!r}; it has {', '.join(known)}")
    return found


def names(mapping: EventSourceMapping) -> set[str]:
    """All that a person may call a mapping."""
    return {
        *([mapping.stream.name] if isinstance(mapping, StreamMapping) else []),
        identity_of(mapping),
        mapping.event_source_arn,
        mapping.source.resource,
        mapping.function_name,
        mapping.function.name,
    }


def judge(feed: Feed, path: str, mapping: EventSourceMapping) -> list[Outcome]:
    """What becomes of each record that the feed has for a mapping."""
    patterns = mapping.filter_patterns
    match mapping:
        case QueueMapping():
            of_queue = [(pattern, compile_queue_filter(pattern)) for pattern in patterns]
            return [_judge_one(record, path, of_queue) for record in feed.messages(mapping)]
        case StreamMapping():
            service = mapping.stream.service
            of_stream = [(pattern, compile_stream_filter(pattern, service)) for pattern in patterns]
            return [_judge_one(record, path, of_stream) for record in feed.records(mapping)]
        case _:
            assert_never(mapping)


def _judge_one(record: AnyRecord, path: str, compiled: Sequence[tuple[str, Callable[[AnyRecord], bool]]]) -> Outcome:
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
    click.echo(f"{passing} pass, {len(outcomes) - passing} would be dropped unseen")


def _row(outcome: Outcome) -> list[str]:
    if outcome.passes:
        return [outcome.message, outcome.mapping, "passes", outcome.pattern or "(no filter)"]
    return [outcome.message, outcome.mapping, "dropped", f"not matched: {outcome.pattern}"]


def _from_file(events: BinaryIO) -> Feed:
    text, name = events.read(), events.name
    return Feed(
        messages=lambda mapping: read_records(text, name=name, arn=mapping.event_source_arn),
        records=lambda mapping: read_stream_records(text, name=name, arn=mapping.event_source_arn),
    )
