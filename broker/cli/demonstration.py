"""`broker dev` without a file: the demonstration from its first order to the account of all of them."""

from broker.app import Broker
from broker.cli import demo
from broker.cli.daemon import listening
from broker.cli.embedded import embedded_emulator, for_development, leaving, logging_to_file, progress_on, title_of
from broker.cli.emulated_queues import EmulatedQueues, emulated_queues
from broker.cli.exits import ExitCode
from broker.cli.output import console, print_lines, print_table
from broker.cli.progress import Progress, Tally
from broker.cli.signals import run_until_drained
from broker.cli.stage import Schedule, Stage
from broker.cli.summary import COLUMNS, Account, adds_up, rows, sentences
from broker.cli.view import Depths
from broker.config import mapping_identity
from broker.model.settings import BrokerSettings, ControlPlane, Health

ANY_PORT = "127.0.0.1:0"
DRAIN_SECONDS = 10.0


async def demonstrate(settings: BrokerSettings, seconds: float | None, port: int) -> int:
    """Plays until `seconds` have passed or a signal comes, and returns the exit code: 1 where counts do not add up."""
    settings, screen, ledger = for_development(demo_settings(settings)), console(), demo.Ledger()
    async with embedded_emulator(settings, (), port=port) as emulator, emulated_queues(emulator) as queues:
        for plan in demo.PLANS:
            await queues.create(plan)
        progress = progress_on(screen, {uuid: name for name, uuid in identities(queues).items()})
        with logging_to_file(settings, ()) as log:
            broker = Broker(settings=settings, observers=[progress, log])
            demo.register_handlers(broker, queues, ledger)
            async with listening(broker, settings) as listeners:
                stage = Stage(
                    screen,
                    title=[title_of(emulator, listeners), *demo.ABOUT],
                    broker=broker,
                    progress=progress,
                    queues=[(plan, queues) for plan in demo.PLANS],
                    sender=demo.Sender(queues, ledger),
                    schedule=Schedule.of(seconds, settling_seconds=demo.SETTLING_SECONDS) if seconds else None,
                )
                stopping = stage.stopping(settings.drain_timeout_in_seconds)
                code = await run_until_drained(stage.play, stopping, leave=leaving(screen))
        return code or conclude(accounts(ledger, progress, identities(queues), await stage.measure()))


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


def identities(queues: EmulatedQueues) -> dict[str, str]:
    """The mappings' UUIDs by the queues' names."""
    return {plan.name: mapping_identity(queues.arn(plan.name), function) for plan, function in demo.FUNCTIONS.items()}


def accounts(
    ledger: demo.Ledger, progress: Progress, uuids: dict[str, str], depths: dict[str, Depths]
) -> list[Account]:
    """The account of each queue, each count from whoever knows it first hand."""
    return [
        _account(queue, ledger, progress.tallies.get(uuid, Tally()), depths[queue]) for queue, uuid in uuids.items()
    ]


def _account(queue: str, ledger: demo.Ledger, tally: Tally, depths: Depths) -> Account:
    handled = ledger.handled[queue]
    return Account(
        queue=queue,
        sent=ledger.sent[queue],
        handled=len(set(handled)),
        handled_again=len(handled) - len(set(handled)),
        filtered=tally.filtered,
        dead_lettered=depths.dead_lettered or 0,
        queued=depths.queued,
    )


def conclude(found: list[Account]) -> int:
    """Shows the accounts and whether they add up."""
    print_lines("")
    print_table(COLUMNS, rows(found))
    print_lines("", *sentences(found))
    return ExitCode.OK if adds_up(found) else ExitCode.WORLD
