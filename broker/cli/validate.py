"""`broker validate`: the file's mistakes, all at once; with `--live` also what AWS says of it."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import anyio
import click
from rich.text import Text

from broker.aws.clients import Clients
from broker.cli.arguments import file_argument
from broker.cli.daemon import surroundings
from broker.cli.exits import ExitCode
from broker.cli.findings import Finding, Severity, good, mistake, sign, warning
from broker.cli.live import ask_aws
from broker.cli.output import OutputFormat, console, output_option, print_json
from broker.config import load, notices
from broker.errors import ConfigurationError
from broker.executors.loading import load_callable
from broker.model.settings import Configuration

STYLES: dict[Severity, str] = {"ok": "green", "warning": "yellow", "error": "red"}


@click.command()
@file_argument
@click.option("--live", is_flag=True, help="Also ask AWS: identity, sources, permissions, timeouts. Changes nothing.")
@output_option
def validate(file: Path, *, live: bool, output: OutputFormat) -> int:
    """Check a configuration file: every mistake, with its place. Handlers are imported, but not called.

    Exit code 0 if it is right, 2 for mistakes, 1 where AWS cannot be asked.
    """
    configuration = load(file)
    findings = [*static_findings(file, configuration), *handler_findings(configuration)]
    if live:
        findings += anyio.run(_ask, configuration)
    if output == "json":
        print_json([asdict(finding) for finding in findings])
    else:
        _print(findings)
    return worst(findings)


def static_findings(file: Path, configuration: Configuration) -> list[Finding]:
    """How much the file says, and what in it has no effect."""
    functions, mappings = len(configuration.functions), len(configuration.event_source_mappings)
    counts = f"valid: {_counted(functions, 'function')}, {_counted(mappings, 'mapping')}"
    return [good(file.name, counts), *(warning(file.name, notice) for notice in notices(configuration))]


def handler_findings(configuration: Configuration) -> list[Finding]:
    """Handlers that cannot be imported: their modules run, as they do in `broker run`."""
    found: list[Finding] = []
    for index, function in enumerate(configuration.functions):
        try:
            if isinstance(function.callable, str):
                load_callable(function.callable, folders=surroundings().folders)
        except ConfigurationError as error:
            path = f"Functions[{index}].Callable"
            found += [mistake(path, each.message) for each in error.mistakes]
    return found


def worst(findings: Sequence[Finding]) -> int:
    """The exit code: 2 where there is a mistake to mend, else 1 where the world failed, else 0."""
    codes = {finding.exit_code for finding in findings if finding.severity == "error"}
    return max(codes, default=ExitCode.OK)


async def _ask(configuration: Configuration) -> list[Finding]:
    async with Clients() as clients:
        return [finding async for finding in ask_aws(configuration, clients)]


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _print(findings: Sequence[Finding]) -> None:
    screen = console()
    for finding in findings:
        mark = Text(sign(finding.severity), style=STYLES[finding.severity])
        screen.print(Text.assemble(mark, f" {finding.path}: {finding.message}"))
