"""`broker run`: the daemon."""

from functools import partial
from pathlib import Path

import anyio
import click
import structlog

from broker.app import Broker
from broker.cli.arguments import file_argument
from broker.cli.daemon import Listeners, listening, log_observer, surroundings
from broker.cli.logs import is_for_people
from broker.cli.signals import run_until_drained
from broker.cli.streams import LossyStream, lossy_output
from broker.config import load, notices
from broker.model.settings import Configuration


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
    broker = Broker.from_configuration(configuration, observers=[observer], surroundings=surroundings(), strict=strict)
    async with listening(broker, settings) as listeners:
        facts = facts_of(broker, configuration, listeners)
        if is_for_people(settings.log_format, errors):
            click.echo("\n".join(f"{name:<9} {value}" for name, value in facts.items()), err=True)
        else:
            log.info("broker.started", **facts)
        for notice in notices(configuration):
            log.warning("configuration.noticed", notice=notice)
        code = await run_until_drained(
            broker.run,
            broker.drain,
            say=lambda text: log.info("drain.begun", advice=text),
            drain_seconds=settings.drain_timeout_in_seconds,
        )
    log.info("broker.stopped", exit_code=int(code))
    return code


def facts_of(broker: Broker, configuration: Configuration, listeners: Listeners) -> dict[str, str]:
    """What the first lines say."""
    sources = [
        f"{mapping.source.resource} -> {mapping.function.qualified_name}"
        for mapping in configuration.event_source_mappings
    ]
    return {
        "account": broker.account_id,
        "region": broker.region,
        "sources": ", ".join(sources) or "none",
        "store": configuration.broker.state_store,
        "listener": listeners.control_plane_url,
        "health": listeners.health_url,
    }
