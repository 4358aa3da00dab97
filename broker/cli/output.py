"""What people and machines read on standard output: tables on a terminal, plain columns elsewhere, JSON when asked."""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import click
import orjson
from rich.console import Console
from rich.table import Table

OutputFormat = Literal["table", "json"]

PLAIN_WIDTH = 80
GAP = 2
"""Between columns."""
LEAST_WIDTH = 6
"""No text column is narrower than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table."""

    title: str
    number: bool = False
    """Aligned to the right."""
    folds: bool = False
    """Long text continues on the next line instead of being cut."""


output_option = click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="A table for people, JSON for machines.",
)


def console() -> Console:
    """Standard output; colour only on a terminal."""
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def print_json(value: Any) -> None:
    """One JSON document, indented."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def print_lines(*lines: str) -> None:
    """Lines for people."""
    for line in lines:
        click.echo(line)


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> None:
    """A table that fits the terminal; without one, columns of full width that tools can cut."""
    texts = [[str(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        screen = console()
        screen.print(rich_table(columns, texts, width=screen.width))
    else:
        for line in plain_lines(columns, texts):
            click.echo(line)


def rich_table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], *, width: int, styles: Sequence[str] = ()
) -> Table:
    """Columns without lines between them; where `width` is too small, text is cut and numbers are not."""
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for column, column_width in zip(columns, fitting_widths(columns, rows, width), strict=True):
        table.add_column(
            column.title,
            justify="right" if column.number else "left",
            overflow="fold" if column.folds else "ellipsis",
            no_wrap=not column.folds,
            width=column_width,
        )
    for position, row in enumerate(rows):
        table.add_row(*map(_literal, row), style=styles[position] if position < len(styles) else None)
    return table


def fitting_widths(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """The columns' widths: as wide as their cells, or the widest text narrower until all fit into `width`."""
    widths = _widths(columns, rows)
    texts = [position for position, column in enumerate(columns) if not column.number]
    excess = sum(widths) + GAP * (len(columns) - 1) - width
    for _ in range(excess):
        widest = max(texts, key=widths.__getitem__)
        widths[widest] = max(LEAST_WIDTH, widths[widest] - 1)
    return widths


def plain_lines(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[str]:
    """The same as lines of text."""
    widths = _widths(columns, rows)
    return [
        "  ".join(
            cell.rjust(width) if column.number else cell.ljust(width)
            for column, cell, width in zip(columns, row, widths, strict=True)
        ).rstrip()
        for row in ([column.title for column in columns], *rows)
    ]


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, cells)) for cells in zip([column.title for column in columns], *rows, strict=True)]


def duration_text(seconds: float) -> str:
    """`0s`, `59s`, `3m`, `5h`, `2d`."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f}{unit}"
    return f"{seconds // 1:.0f}s"


def terminal_height() -> int:
    """Lines of the terminal."""
    return shutil.get_terminal_size((PLAIN_WIDTH, 24)).lines


def _literal(text: str) -> str:
    """Text in which rich finds no markup."""
    return text.replace("[", r"\[")
