"""`broker schema`: the JSON Schema of the file, for editors and other tools."""

import click

from broker.cli.output import print_json
from broker.config import json_schema


@click.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file."""
    print_json(json_schema())
