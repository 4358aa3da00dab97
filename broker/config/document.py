"""A YAML file as plain values, each with its place, so that a mistake can name line and column.

Scalars follow YAML 1.2's core schema, as editors do: `yes`, `on`, `5:30` and dates are text. Tags, keys that are not
text and duplicate keys are mistakes; aliases and merge keys (`<<`) work, within a limit that a file cannot exceed by
nesting them.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yaml import MarkedYAMLError
from yaml.composer import Composer
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from broker.errors import ConfigurationError, Mistake

Location = tuple[str | int, ...]
"""Keys and indices from the root to a value: `("EventSourceMappings", 0, "BatchSize")`."""

VALUES_LIMIT = 100_000
"""More values than any real file has; aliases of aliases would reach it, and no memory is spent on them."""

_NULL, _BOOL, _INT, _FLOAT, _STR = (f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str"))
_MERGE = "<<"
_SCALARS: tuple[tuple[str, re.Pattern[str], Callable[[str], Any]], ...] = (
    (_NULL, re.compile(r"(?:null|Null|NULL|~|)\Z"), lambda _: None),
    (_BOOL, re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), lambda text: text.lower() == "true"),
    (_INT, re.compile(r"[-+]?[0-9]+\Z"), int),
    (
        _FLOAT,
        re.compile(r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"),
        lambda text: float(text.replace(".i", "i").replace(".I", "i").replace(".n", "n").replace(".N", "n")),
    ),
)  # fmt: skip
_CONVERSIONS: dict[str, Callable[[str], Any]] = {
    **{tag: convert for tag, _, convert in _SCALARS},
    _STR: lambda text: text,
}


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """Where something is written."""

    line: int = 0
    """From 1; 0 for what is not in a file."""
    column: int = 0
    """From 1."""
    name: str
    """The file's name, or the environment variable's."""

    def __str__(self) -> str:
        return f"{self.name}:{self.line}:{self.column}" if self.line else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Plain values and where they are written."""

    value: Any
    """None, bool, int, float, str, list, dict with text as keys."""
    places: dict[Location, Place] = field(default_factory=dict)
    """Of keys, list items and the root."""
    texts: dict[Location, str] = field(default_factory=dict)
    """Scalars as they are written, quotes removed."""
    by_name: bool = False
    """Whether keys may be in snake_case too, as keyword arguments are."""

    def place_of(self, location: Location) -> Place | None:
        """The place of a value, else of the nearest one around it."""
        for length in range(len(location), -1, -1):
            if place := self.places.get(location[:length]):
                return place
        return None


def path_of(location: Location) -> str:
    """`EventSourceMappings[0].BatchSize`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")


def scalar(text: str) -> Any:
    """What a plain scalar means: `5` is a number, `true` a truth, `orders` a text."""
    for _, pattern, convert in _SCALARS:
        if pattern.match(text):
            return convert(text)
    return text


def read(path: Path) -> Document:
    """Reads a YAML file. Raises `ConfigurationError` with all mistakes of form."""
    return parse(_text_of(path), name=path.name)


def parse(text: str, *, name: str) -> Document:
    """Takes YAML text apart; `name` is shown in places. Raises `ConfigurationError` with all mistakes of form."""
    try:
        root = _Composer(text).get_single_node()
    except ReaderError as error:
        raise ConfigurationError(f"{name}: the character {chr(error.character)!r} is not allowed in YAML") from error
    except MarkedYAMLError as error:
        raise ConfigurationError([_malformed(error, name)]) from error
    except RecursionError:
        raise ConfigurationError(f"{name}: the file is nested too deeply") from None
    if root is None or root.tag == _NULL:
        raise ConfigurationError(f"{name}: the file is empty: write at least EventSourceMappings and Functions")
    return _Builder(name).document(root)


def _text_of(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise ConfigurationError(f"{path}: this is a folder, and a YAML file is needed") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: byte {error.start} is not UTF-8: save the file as UTF-8") from error
    except OSError as error:
        raise ConfigurationError(f"{path}: the file cannot be read: {error.strerror}") from error


_ADVICE = {
    "'\\t'": ": indent with spaces",
    "mapping values are not allowed here": ": put a text that holds or ends in a colon in quotes",
}
"""What to do, by what PyYAML says."""


def _malformed(error: MarkedYAMLError, name: str) -> Mistake:
    mark = error.problem_mark or error.context_mark
    place = str(Place(name=name, line=mark.line + 1, column=mark.column + 1)) if mark else name
    problem = ", ".join(part for part in (error.context, error.problem) if part)
    hint = next((advice for word, advice in _ADVICE.items() if word in problem), "")
    return Mistake(message=f"this is not valid YAML: {problem}{hint}", place=place)


class _Composer(Reader, Scanner, Parser, Composer, BaseResolver):
    """PyYAML's nodes, with the scalars of YAML 1.2."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)


for _tag, _pattern, _ in _SCALARS:
    _Composer.add_implicit_resolver(_tag, _pattern, None)


class _Builder:
    """Turns nodes into values, notes places and gathers mistakes."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._places: dict[Location, Place] = {}
        self._texts: dict[Location, str] = {}
        self._mistakes: list[Mistake] = []
        self._open: set[int] = set()
        self._count = 0

    def document(self, root: Node) -> Document:
        self._note(root, ())
        value = self._build(root, ())
        if self._mistakes:
            raise ConfigurationError(self._mistakes)
        return Document(value=value, places=self._places, texts=self._texts)

    def _build(self, node: Node, location: Location) -> Any:
        self._tick()
        if isinstance(node, ScalarNode):
            return self._scalar(node, location)
        if id(node) in self._open:
            return self._mistake(node, location, "an alias stands for something that contains it")
        if node.tag not in {BaseResolver.DEFAULT_SEQUENCE_TAG, BaseResolver.DEFAULT_MAPPING_TAG}:
            return self._mistake(node, location, f"the tag {node.tag} is not supported: remove it")
        self._open.add(id(node))
        value = self._list(node, location) if isinstance(node, SequenceNode) else self._dict(node, location)
        self._open.discard(id(node))
        return value

    def _scalar(self, node: ScalarNode, location: Location) -> Any:
        self._texts[location] = node.value
        convert = _CONVERSIONS.get(node.tag)
        if convert is None:
            return self._mistake(node, location, f"the tag {node.tag} is not supported: remove it")
        try:
            return convert(node.value)
        except ValueError:
            return self._mistake(node, location, f"{node.value[:40]!r} is not a number")

    def _list(self, node: SequenceNode, location: Location) -> list[Any]:
        values = []
        for index, item in enumerate(node.value):
            self._note(item, (*location, index))
            values.append(self._build(item, (*location, index)))
        return values

    def _dict(self, node: Node, location: Location) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in self._pairs(node, location):
            if key.value not in values:
                self._note(key, (*location, key.value))
                values[key.value] = self._build(value, (*location, key.value))
        return values

    def _pairs(self, node: Node, location: Location) -> Iterator[tuple[Node, Node]]:
        """A mapping's own keys, then those that it merges in: the first of a name wins."""
        own: set[str] = set()
        merged: list[Node] = []
        for key, value in node.value:
            if key.tag != _STR:
                self._mistake(key, location, "a key must be text: put it in quotes")
            elif key.value == _MERGE:
                merged += value.value if isinstance(value, SequenceNode) else [value]
            elif key.value in own:
                self._mistake(key, (*location, key.value), "the key is there twice: remove one")
            else:
                own.add(key.value)
                yield key, value
        for source in merged:
            yield from self._merged(source, location)

    def _merged(self, source: Node, location: Location) -> Iterator[tuple[Node, Node]]:
        self._tick()
        if not isinstance(source, MappingNode) or id(source) in self._open:
            self._mistake(source, location, "a merge key (<<) takes other keys with values, or a list of these")
            return
        self._open.add(id(source))
        yield from self._pairs(source, location)
        self._open.discard(id(source))

    def _tick(self) -> None:
        self._count += 1
        if self._count > VALUES_LIMIT:
            raise ConfigurationError(f"{self._name}: more than {VALUES_LIMIT} values, aliases included")

    def _note(self, node: Node, location: Location) -> None:
        self._places[location] = self._place(node)

    def _place(self, node: Node) -> Place:
        return Place(name=self._name, line=node.start_mark.line + 1, column=node.start_mark.column + 1)

    def _mistake(self, node: Node, location: Location, message: str) -> None:
        self._mistakes.append(Mistake(message=message, path=path_of(location), place=str(self._place(node))))
