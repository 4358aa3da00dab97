"""`broker dev` without a file: the demonstration from its first order to the account of all that was sent."""

from collections.abc import Sequence

from broker.app import Broker
from broker.cli import demo, demo_streams
from broker.cli.accounts import queue_accounts, stream_accounts
from broker.cli.daemon import listening
from broker.cli.demo_traffic import Sender
from broker.cli.demo_world import World, demo_world
from broker.cli.embedded import for_development, leaving, logging_to_file, progress_on, title_of
from broker.cli.exits import ExitCode
from broker.cli.output import console, print_lines, print_table
from broker.cli.signals import run_until_drained
from broker.cli.stage import Schedule, Stage
from broker.cli.summary import Account, adds_up, columns, rows, sentences
from broker.model.settings import BrokerSettings, ControlPlane, Health

ANY_PORT = "127.0.0.1:0"
DRAIN_SECONDS = 10.0


async def demonstrate(settings: BrokerSettings, seconds: float | None, port: int) -> int:
    """Plays until `seconds` have passed or a signal comes, and returns the exit code: 1 where counts do not add up."""
    settings, screen = for_development(demo_settings(settings)), console()
    async with demo_world(settings, port=port) as world:
        progress = progress_on(screen, world.names)
        with logging_to_file(settings, ()) as log:
            broker = Broker(settings=settings, observers=[progress, log], store=world.store)
            demo.register_handlers(broker, world.queues, world.ledger)
            demo_streams.register_handlers(broker, world.sources, world.ledger)
            async with listening(broker, settings) as listeners:
                stage = Stage(
                    screen,
                    title=[title_of(world.emulator, listeners), demo.ABOUT, demo_streams.ABOUT],
                    broker=broker,
                    progress=progress,
                    queues=[(plan, world.queues) for plan in demo.PLANS],
                    sender=sender_of(world),
                    schedule=Schedule.of(seconds, settling_seconds=demo.SETTLING_SECONDS) if seconds else None,
                )
                stopping = stage.stopping(settings.drain_timeout_in_seconds)
                code = await run_until_drained(stage.play, stopping, leave=leaving(screen))
        if code:
            return code
        return conclude(
            {
                "queue": queue_accounts(world, progress, await stage.measure()),
                "stream": await stream_accounts(world, progress),
            }
        )


def demo_settings(settings: BrokerSettings) -> BrokerSettings:
    """The settings of the environment; ports that are not set are free ones, so that nothing else is in the way."""
    ours = {
        "control_plane": ControlPlane(listen=ANY_PORT),
        "health": Health(listen=ANY_PORT),
        "drain_timeout_in_seconds": DRAIN_SECONDS,
    }
    return settings.model_copy(
        update={name: value for name, value in ours.items() if name not in settings.model_fields_set}
    )


def sender_of(world: World) -> Sender:
    """What fills all queues and streams."""
    return Sender(
        demo.QueueTraffic(world.queues, world.ledger).send,
        demo_streams.StreamTraffic(world.streams, world.ledger).send,
    )


def conclude(kinds: dict[str, Sequence[Account]]) -> int:
    """Shows the accounts of each kind of source, and whether they add up."""
    for kind, accounts in kinds.items():
        print_lines("")
        print_table(columns(kind, accounts), rows(accounts))
    print_lines("", *sentences(list(kinds.values())))
    every = [account for accounts in kinds.values() for account in accounts]
    return ExitCode.OK if adds_up(every) else ExitCode.WORLD
