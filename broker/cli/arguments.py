"""Arguments that several commands take."""

from pathlib import Path

import click

DEFAULT_FILE = Path("broker.yaml")

file_argument = click.argument(
    "file", type=click.Path(path_type=Path), default=DEFAULT_FILE, metavar="[FILE]", required=False
)
"""The configuration; `broker.yaml` in the current folder if absent."""
