"""`broker dev FILE`: the file's sources in an emulator, its functions behind them, shown live."""

from collections.abc import Mapping, Sequence

from broker.app import Broker
from broker.aws.clients import Clients
from broker.cli.daemon import listening, surroundings
from broker.cli.embedded import (
    embedded_emulator,
    for_development,
    leaving,
    logging_to_file,
    open_development_store,
    progress_on,
    title_of,
)
from broker.cli.emulator import Emulator
from broker.cli.made_sources import made_sources
from broker.cli.output import Column, console, print_lines, print_table
from broker.cli.progress import Progress, Tally
from broker.cli.remains import stream_source, unsettled
from broker.cli.signals import run_until_drained
from broker.cli.stage import Schedule, Stage
from broker.cli.view import Depths, source_name
from broker.config import identity_of, notices
from broker.model.mapping import EventSourceMapping
from broker.model.queue_mapping import QueueMapping
from broker.model.settings import Configuration
from broker.model.stream_mapping import StreamMapping
from broker.stores.opening import OpenStateStore

QUEUE_COLUMNS = (
    Column(title="queue"),
    Column(title="polled", number=True),
    Column(title="filtered", number=True),
    Column(title="handled", number=True),
    Column(title="retried", number=True),
    Column(title="still queued", number=True),
)
STREAM_COLUMNS = (
    Column(title="stream"),
    Column(title="polled", number=True),
    Column(title="filtered", number=True),
    Column(title="handled", number=True),
    Column(title="retried", number=True),
    Column(title="in destination", number=True),
    Column(title="dropped", number=True),
    Column(title="left", number=True),
)

LONG_POLL_SECONDS = 2
"""At most, so that a drain is short."""


async def develop(configuration: Configuration, seconds: float | None, port: int) -> int:
    """Plays until `seconds` have passed or a signal comes, and returns the exit code."""
    configuration = with_short_polls(configuration)
    settings, screen = for_development(configuration.broker), console()
    async with (
        embedded_emulator(settings, configuration.event_source_mappings, port=port) as emulator,
        made_sources(configuration, emulator) as made,
        open_development_store(settings, emulator) as store,
    ):
        mappings = made.configuration.event_source_mappings
        progress = progress_on(screen, names_of(mappings))
        for notice in (*notices(configuration), *made.notes):
            progress.note(notice)
        with logging_to_file(settings, mappings) as log:
            broker = Broker.from_configuration(
                made.configuration.model_copy(update={"broker": settings}),
                observers=[progress, log],
                store=store,
                surroundings=surroundings(),
            )
            async with listening(broker, settings) as listeners:
                stage = Stage(
                    screen,
                    title=[title_of(emulator, listeners), *credentials_lines(emulator)],
                    broker=broker,
                    progress=progress,
                    queues=made.queues,
                    schedule=Schedule.of(seconds, settling_seconds=0.0) if seconds else None,
                )
                stopping = stage.stopping(settings.drain_timeout_in_seconds)
                code = await run_until_drained(stage.play, stopping, leave=leaving(screen))
        if code == 0:
            _conclude_queues(mappings, progress, await stage.measure())
            await _conclude_streams(mappings, progress, store)
        return code


def names_of(mappings: Sequence[EventSourceMapping]) -> dict[str, str]:
    """What people know the mappings by, by UUID: the source, and where several read it the function too."""
    sources = [source_name(mapping.event_source_arn) for mapping in mappings]
    return {
        identity_of(mapping): source if sources.count(source) == 1 else f"{source} ({mapping.function.qualified_name})"
        for mapping, source in zip(mappings, sources, strict=True)
    }


def with_short_polls(configuration: Configuration) -> Configuration:
    """The same mappings, whose receives return soon."""
    return configuration.model_copy(
        update={"event_source_mappings": tuple(map(_with_short_polls, configuration.event_source_mappings))}
    )


def _with_short_polls(mapping: EventSourceMapping) -> EventSourceMapping:
    if not isinstance(mapping, QueueMapping):
        return mapping
    seconds = min(mapping.broker.long_poll_seconds, LONG_POLL_SECONDS)
    return mapping.model_copy(update={"broker": mapping.broker.model_copy(update={"long_poll_seconds": seconds})})


def credentials_lines(emulator: Emulator) -> list[str]:
    """What other programs need to reach the sources, to be copied before a command."""
    names = (("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"), ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    environment = emulator.environment
    lines = [" ".join(f"{name}={environment[name]}" for name in line) for line in names]
    return ["to send, set", *lines]


def _conclude_queues(mappings: Sequence[EventSourceMapping], progress: Progress, depths: Mapping[str, Depths]) -> None:
    rows = []
    for mapping in mappings:
        if isinstance(mapping, QueueMapping):
            tally, queue = progress.tallies[identity_of(mapping)], mapping.source.resource
            rows.append([queue, tally.polled, tally.filtered, tally.handled, tally.retried, depths[queue].queued])
    _show(QUEUE_COLUMNS, rows)


async def _conclude_streams(mappings: Sequence[EventSourceMapping], progress: Progress, store: OpenStateStore) -> None:
    rows = []
    async with Clients() as clients:
        for uuid, mapping in {identity_of(mapping): mapping for mapping in mappings}.items():
            if isinstance(mapping, StreamMapping):
                left = await unsettled(stream_source(mapping.event_source_arn, clients), store, uuid)
                rows.append(stream_row(progress.name_of(uuid), progress.tallies[uuid], len(left)))
    _show(STREAM_COLUMNS, rows)


def stream_row(name: str, tally: Tally, left: int) -> list[object]:
    """What became of the records of one mapping."""
    counts = (tally.polled, tally.filtered, tally.handled, tally.retried, tally.delivered, tally.dropped, left)
    return [name, *counts]


def _show(columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> None:
    if rows:
        print_lines("")
        print_table(columns, rows)
