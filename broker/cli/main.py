"""`broker`: the commands, and the boundary at which every error becomes a message and an exit code."""

import os
import sys
import threading
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

from broker.cli.dev import dev
from broker.cli.exits import SIGNAL_BASE, ExitCode, broker_errors, exit_code, messages
from broker.cli.filters import filter_commands
from broker.cli.interrupts import SIGINT
from broker.cli.leases import leases
from broker.cli.mappings import mappings
from broker.cli.replay import replay
from broker.cli.run import run
from broker.cli.schema import schema
from broker.cli.validate import validate

DEBUG_OPTION = "--debug"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(package_name="event-source-broker", prog_name="broker")
@click.option(DEBUG_OPTION, "_debug", is_flag=True, help="Show the traceback where the broker has a bug.")
def command(_debug: bool) -> None:  # noqa: FBT001 - click passes it
    """Runs AWS Lambda's event source mappings: reads queues and streams, hands batches to handlers."""


for subcommand in (run, dev, validate, filter_commands, schema, mappings, leases, replay):
    command.add_command(subcommand)


def main() -> NoReturn:
    """The console script."""
    _leave(execute(sys.argv[1:]))


def execute(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code; every error has become a message by then."""
    try:
        outcome = command.main(args=list(arguments), prog_name="broker", standalone_mode=False)
        return outcome if isinstance(outcome, int) else ExitCode.OK
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return SIGNAL_BASE + SIGINT
    except Exception as error:  # noqa: BLE001 - the command's boundary
        return _report(error, with_traceback=DEBUG_OPTION in arguments)


def _report(error: Exception, *, with_traceback: bool) -> int:
    errors = broker_errors(error)
    if errors is None:
        return _report_bug(error, with_traceback=with_traceback)
    for line in messages(errors):
        click.echo(f"broker: {line}", err=True)
    return exit_code(errors)


def _report_bug(error: Exception, *, with_traceback: bool) -> int:
    if with_traceback:
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    text = " ".join(str(error).split())
    hint = "" if with_traceback else f"; `broker {DEBUG_OPTION} …` shows where"
    click.echo(f"broker: this is a bug in the broker: {type(error).__name__}: {text}{hint}", err=True)
    return ExitCode.WORLD


def _leave(code: int) -> NoReturn:
    """Ends the process even where a handler's thread is stuck: a thread cannot be ended, a process can."""
    sys.stdout.flush()
    sys.stderr.flush()
    stuck = [thread for thread in threading.enumerate() if thread is not threading.main_thread() and not thread.daemon]
    if stuck:
        os._exit(code)
    sys.exit(code)
