"""Plain tables on standard output."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line: a title, a cell for each column, and a remark."""

    title: str
    cells: Sequence[str]
    remark: str = ""


def say(text: str = "") -> None:
    """Prints a line."""
    sys.stdout.write(f"{text}\n")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Prints `rows` below `columns`, numbers to the right."""
    width = max(len(row.title) for row in rows)
    say(f"\n{title}\n")
    say(" " * width + "".join(f"{column:>18}" for column in columns))
    for row in rows:
        say(f"{row.title:<{width}}" + "".join(f"{cell:>18}" for cell in row.cells) + f"  {row.remark}".rstrip())
    say()
