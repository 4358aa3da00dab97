"""The grammar of filter patterns: from a pattern's text to the alternatives that it stands for.

Rule: a pattern is a JSON object. Keys are ANDed; a key holds a list (its values are ORed) or an object (its keys lie
below). A dotted key means the nested form. `$or` with two or more objects stands for alternatives, and multiplies with
what stands beside it; where its value is something else, or one of its objects has the name of a match type as key,
`$or` is a key like any other. Of duplicate keys, and of two spellings of one path, the last one wins.

How it works: the object is walked once with the list of alternatives so far, each a map from path to leaf; a list is
written to all of them, `$or` replaces them by one copy for each of its objects.

Invariants: every alternative has at least one path · an invalid pattern raises `InvalidPattern` and nothing else · at
most 1,000 alternatives of at most 100 levels, whatever the text.

Inferred: the depth limit; that the thousand combinations of EventBridge's quota count `$or` branches.

Source: AWS Lambda Developer Guide, "Filter rule syntax"; Amazon EventBridge User Guide, "Creating event patterns";
README of aws/event-ruler, `$or` (all read November 2026); the reasons as AWS gave them in recorded calls.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from broker.core.filtering_json import parse_strictly
from broker.core.patterns_values import Leaf, parse_leaf
from broker.errors import InvalidPattern

Path = tuple[str, ...]
Branch = Mapping[Path, Leaf]
"""One alternative of a pattern: all these paths must be satisfied."""

ALTERNATIVE_LIMIT: Final = 1000
"""EventBridge's quota for the combinations that `$or` makes."""
DEPTH_LIMIT: Final = 100
"""Levels of keys and of `$or`: matching recurses as deep as the pattern, never as deep as the message."""
OR: Final = "$or"
RESERVED: Final = frozenset(
    {"exactly", "prefix", "suffix", "equals-ignore-case", "wildcard", "numeric", "anything-but", "exists", "cidr"}
    | {"regex", "not-wildcard", "not-equals-ignore-case", "date-after", "date-on-or-after", "date-before"}
    | {"date-on-or-before", "in-date-range", "ip-address-in-range", "ip-address-not-in-range"}
    | {"=", "<", "<=", ">", ">="}
)
"""Match types, present and announced: none can be a key inside `$or`."""

_Branches = list[dict[Path, Leaf]]


def parse_pattern(text: str) -> Sequence[Branch]:
    """The alternatives of a pattern, of which a record must satisfy one. Raises `InvalidPattern`."""
    return _add_object([{}], (), _parse_text(text), 0)


def _parse_text(text: str) -> Mapping[str, Any]:
    try:
        pattern = parse_strictly(text)
    except ValueError as error:
        raise InvalidPattern(f"Filter is not JSON: {error}") from error
    except RecursionError as error:
        raise _too_deep() from error
    if not isinstance(pattern, dict):
        raise InvalidPattern("Filter is not an object")
    return pattern


def _add_object(branches: _Branches, path: Path, pattern: Mapping[str, Any], depth: int) -> _Branches:
    if not pattern:
        raise InvalidPattern("Empty objects are not allowed")
    if max(len(path), depth) >= DEPTH_LIMIT:
        raise _too_deep()
    for key, value in pattern.items():
        if _is_or(key, value):
            branches = _add_alternatives(branches, path, value, depth)
        else:
            branches = _add_key(branches, path, key, value, depth)
    return branches


def _add_key(branches: _Branches, path: Path, key: str, value: Any, depth: int) -> _Branches:
    path = (*path, *key.split("."))
    match value:
        case dict():
            return _add_object(branches, path, value, depth + 1)
        case list():
            return _add_leaf(branches, path, parse_leaf(value))
        case _:
            raise InvalidPattern(f'"{key}" must be an object or an array')


def _add_leaf(branches: _Branches, path: Path, leaf: Leaf) -> _Branches:
    if len(path) > DEPTH_LIMIT:
        raise _too_deep()
    for branch in branches:
        branch[path] = leaf
    return branches


def _add_alternatives(branches: _Branches, path: Path, objects: Sequence[Mapping[str, Any]], depth: int) -> _Branches:
    grown: _Branches = []
    for alternative in objects:
        grown += _add_object([branch.copy() for branch in branches], path, alternative, depth + 1)
        if len(grown) > ALTERNATIVE_LIMIT:
            raise InvalidPattern(f"Rule is too complex - $or makes more than {ALTERNATIVE_LIMIT} combinations")
    return grown


def _is_or(key: str, value: Any) -> bool:
    return (
        key == OR
        and isinstance(value, list)
        and len(value) > 1
        and all(isinstance(item, dict) and RESERVED.isdisjoint(item) for item in value)
    )


def _too_deep() -> InvalidPattern:
    return InvalidPattern(f"Rule is too complex - more than {DEPTH_LIMIT} levels")
