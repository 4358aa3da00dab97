"""What the three columns do with a batch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

Messages = list[dict[str, Any]]


class Tally:
    """Counts handled messages up to a goal."""

    def __init__(self, goal: int) -> None:
        self.goal = goal
        self.handled = 0

    @property
    def is_full(self) -> bool:
        return self.handled >= self.goal


def do_nothing(messages: Messages) -> None:
    """The least that a handler can do."""


def read_every_field(messages: Messages) -> None:
    """Touches every value of every message."""
    for message in messages:
        _read(message)


def _read(value: dict[str, Any]) -> int:
    seen = 0
    for inner in value.values():
        if inner.__class__ is dict:
            seen += _read(inner)
        elif inner:
            seen += 1
    return seen


def serialise(messages: Messages) -> None:
    """Makes the body of a request to a remote handler."""
    len(orjson.dumps({"Records": messages}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One way to handle a batch."""

    title: str
    handle: Callable[[Messages], None]
    remote: bool = False
    """Whether the handler gets bytes."""


COLUMNS = (
    Column(title="does nothing", handle=do_nothing),
    Column(title="reads every field", handle=read_every_field),
    Column(title="event serialised", handle=serialise, remote=True),
)
