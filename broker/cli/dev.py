"""`broker dev`: the broker beside an AWS emulator of its own. No network, no Docker, no account."""

from pathlib import Path

import anyio
import click

from broker.cli.demonstration import demonstrate
from broker.cli.development import develop
from broker.cli.streams import lossy_output
from broker.config import load


@click.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="[FILE]", required=False)
@click.option("--seconds", type=click.FloatRange(min=1), help="Drain after this many seconds and show a summary.")
@click.option(
    "--emulator-port",
    type=click.IntRange(1, 65535),
    help="The emulator's port, for programs that send to it; any free one if absent.",
)
def dev(file: Path | None, *, seconds: float | None, emulator_port: int | None) -> int:
    """Run the broker beside an AWS emulator, shown live.

    With a FILE, its queues, streams, tables and destinations are made in the emulator. Without one, a demonstration
    runs: two queues and two streams, some of whose records fail. Ctrl-C drains and shows a summary.
    """
    configuration = load(file)
    with lossy_output():
        if file is None:
            return anyio.run(demonstrate, configuration.broker, seconds, emulator_port or 0)
        return anyio.run(develop, configuration, seconds, emulator_port or 0)
