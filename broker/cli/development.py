"""`broker dev FILE`: the file's queues in an emulator, its functions behind them, shown live."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from broker.app import Broker
from broker.cli.daemon import listening, surroundings
from broker.cli.embedded import embedded_emulator, for_development, leaving, logging_to_file, progress_on, title_of
from broker.cli.emulated_queues import EmulatedQueues, QueuePlan, emulated_queues
from broker.cli.emulator import Emulator
from broker.cli.live import RECOMMENDED_VISIBILITY_FACTOR, timeout_seconds
from broker.cli.output import Column, console, print_lines, print_table
from broker.cli.progress import Progress
from broker.cli.signals import run_until_drained
from broker.cli.stage import Schedule, Stage
from broker.cli.view import Depths
from broker.config import identity_of, notices
from broker.model.mapping import EventSourceMapping
from broker.model.queue_mapping import QueueMapping
from broker.model.settings import Configuration

DEFAULT_VISIBILITY_SECONDS = 30
"""SQS's own."""

COLUMNS = (
    Column(title="queue"),
    Column(title="polled", number=True),
    Column(title="filtered", number=True),
    Column(title="handled", number=True),
    Column(title="retried", number=True),
    Column(title="still queued", number=True),
)

LONG_POLL_SECONDS = 2
"""At most, so that a drain is short."""

MadeQueues = list[tuple[QueuePlan, EmulatedQueues]]


async def develop(configuration: Configuration, seconds: float | None, port: int) -> int:
    """Plays until `seconds` have passed or a signal comes, and returns the exit code."""
    configuration = with_short_polls(configuration)
    settings, screen, mappings = for_development(configuration.broker), console(), configuration.event_source_mappings
    progress = progress_on(screen, {identity_of(mapping): mapping.source.resource for mapping in mappings})
    async with (
        embedded_emulator(settings, mappings, port=port) as emulator,
        _made_queues(configuration, emulator) as queues,
    ):
        for notice in notices(configuration):
            progress.note(notice)
        with logging_to_file(settings, mappings) as log:
            broker = Broker.from_configuration(configuration, observers=[progress, log], surroundings=surroundings())
            async with listening(broker, settings) as listeners:
                stage = Stage(
                    screen,
                    title=[title_of(emulator, listeners), *credentials_lines(emulator)],
                    broker=broker,
                    progress=progress,
                    queues=queues,
                    schedule=Schedule.of(seconds, settling_seconds=0.0) if seconds else None,
                )
                stopping = stage.stopping(settings.drain_timeout_in_seconds)
                code = await run_until_drained(stage.play, stopping, leave=leaving(screen))
        if code == 0:
            _conclude(mappings, progress, await stage.measure())
        return code


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
    """What other programs need to reach the queues, to be copied before a command."""
    names = (("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"), ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    environment = emulator.environment
    lines = [" ".join(f"{name}={environment[name]}" for name in line) for line in names]
    return ["to send, set", *lines]


def queue_plan(configuration: Configuration, mapping: EventSourceMapping) -> QueuePlan:
    """The queue of a mapping, hiding messages for as long as AWS recommends for its function."""
    recommended = RECOMMENDED_VISIBILITY_FACTOR * timeout_seconds(configuration, mapping)
    return QueuePlan(
        name=mapping.source.resource, visibility_timeout_seconds=max(DEFAULT_VISIBILITY_SECONDS, recommended)
    )


@asynccontextmanager
async def _made_queues(configuration: Configuration, emulator: Emulator) -> AsyncIterator[MadeQueues]:
    """Makes each queue in the account and region of its ARN."""
    made: MadeQueues = []
    async with AsyncExitStack() as stack:
        for mapping in configuration.event_source_mappings:
            there = replace(emulator, account_id=mapping.source.account, region=mapping.source.region)
            queues = await stack.enter_async_context(emulated_queues(there))
            plan = queue_plan(configuration, mapping)
            await queues.create(plan)
            made.append((plan, queues))
        yield made


def _conclude(mappings: Sequence[EventSourceMapping], progress: Progress, depths: dict[str, Depths]) -> None:
    rows = []
    for mapping in mappings:
        tally, queue = progress.tallies[identity_of(mapping)], mapping.source.resource
        rows.append([queue, tally.polled, tally.filtered, tally.handled, tally.retried, depths[queue].queued])
    print_lines("")
    print_table(COLUMNS, rows)
