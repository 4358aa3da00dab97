"""`broker run`: the daemon."""

from functools import partial
from pathlib import Path

import anyio
import click
import structlog

from broker.app import Broker
from broker.cli.arguments import file_argument
from broker.cli.daemon import Listeners, listening, log_observer, surroundings
from broker.cli.heap import HeapFreezer
from broker.cli.leftovers import in_flight
from broker.cli.logs import is_for_people
from broker.cli.operating import source_name
from broker.cli.signals import Stopping, run_until_drained
from broker.cli.streams import LossyStream, lossy_output
from broker.config import load, notices
from broker.model.reference import StoreKind
from broker.model.settings import BrokerSettings, Configuration
from broker.stores.opening import FILE_NAME


@click.command()
@file_argument
@click.option("--strict", is_flag=True, help="Refuse to start while a queue cannot be read.")
def run(file: Path, *, strict: bool) -> int:
    """Run the broker until SIGTERM or Ctrl-C.

    The first signal drains: what is in flight finishes, for at most Broker.DrainTimeoutInSeconds. The second ends at
    once. A queue that cannot be read is tried again and again, unless --strict.
    """
    configuration = load(file)
    with lossy_output() as errors:
        return anyio.run(partial(_serve, configuration, strict=strict, errors=errors))


async def _serve(configuration: Configuration, *, strict: bool, errors: LossyStream) -> int:
    settings = configuration.broker
    observer = log_observer(settings, configuration.event_source_mappings, stream=errors)
    log = structlog.get_logger("broker")
    broker = Broker.from_configuration(
        configuration, observers=[observer, HeapFreezer()], surroundings=surroundings(), strict=strict
    )
    async with listening(broker, settings) as listeners:
        facts = facts_of(broker, configuration, listeners)
        if is_for_people(settings.log_format, errors):
            click.echo("\n".join(f"{name:<9} {value}" for name, value in facts.items()), err=True)
        else:
            log.info("broker.started", **facts)
        for notice in notices(configuration):
            log.warning("configuration.noticed", notice=notice)
        stopping = Stopping(
            drain=broker.drain,
            cut_short=broker.cut_short,
            say=lambda text: log.info("drain.begun", advice=text),
            last_words=lambda text: log.error("broker.ended_by_force", advice=text),
            drain_seconds=settings.drain_timeout_in_seconds,
        )
        code = await run_until_drained(partial(_consume, broker), stopping)
    log.info("broker.stopped", exit_code=int(code))
    return code


async def _consume(broker: Broker) -> None:
    """Runs the broker, and names what a drain that was cut short leaves in flight."""
    if not await broker.run():
        advice = (
            "messages come again, records of streams are read again from their checkpoints: give "
            "Broker.DrainTimeoutInSeconds more time than a handler takes"
        )
        structlog.get_logger("broker").warning(
            "broker.drain_cut_short", in_flight=in_flight(broker.statuses()), advice=advice
        )


def facts_of(broker: Broker, configuration: Configuration, listeners: Listeners) -> dict[str, str]:
    """What the first lines say."""
    sources = [
        f"{source_name(mapping)} -> {mapping.function.qualified_name}"
        for mapping in configuration.event_source_mappings
    ]
    return {
        "account": broker.account_id,
        "region": broker.region,
        "sources": ", ".join(sources) or "none",
        "store": store_text(configuration.broker),
        "listener": listeners.control_plane_url,
        "health": listeners.health_url,
    }


def store_text(settings: BrokerSettings) -> str:
    """The setting, with the file's path where it leaves that out."""
    is_default_file = settings.store.kind is StoreKind.SQLITE and not settings.store.place
    return f"{settings.state_store}{settings.data_folder / FILE_NAME}" if is_default_file else settings.state_store
