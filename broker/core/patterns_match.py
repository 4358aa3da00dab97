"""Matching one alternative of a pattern against a JSON value, arrays of objects included.

Rule: each path of the alternative must be satisfied by a scalar that lies there, or, where it allows absence, by no
scalar lying there. An object or an empty array is no scalar. An array stands for its elements: any may match; but what
lies inside one array of objects must come from one and the same element, for all paths together. Absence is asked of
that element; where no element was chosen (nothing but absence is asked below the array), of all of them.

How it works: the paths become a tree whose nodes are compiled to two closures. `outcome` says how a node is satisfied
by the values at its place: `PRESENT`, with at least one scalar; else `ABSENT`, by absence throughout; else it is
`IMPOSSIBLE`. An element of an array is chosen only if a scalar in it satisfies something, so the two must be told
apart. `is_void` says whether a node whose paths all allow absence finds nothing in any element.

Invariants: recursion goes as deep as the pattern, never as deep as the value · time is linear in the value's size times
the pattern's depth; nothing backtracks over combinations of elements · the value is not changed.

Inferred: arrays inside arrays count as one flat array; an event that spells one path in two ways (`{"a.b": …, "a":
{"b": …}}`) has the values of both there, and if one is an array, both are elements of it; absence is judged by the
final choice of elements (the published matcher judges it path by path in alphabetical order, and so refuses a few
events more).

Source: README of aws/event-ruler, "Matching with arrays of objects" and "Existence" (read November 2026); AWS Lambda
Developer Guide, "Filter rule syntax".
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from broker.core.filtering_json import NumberOf
from broker.core.patterns import Branch
from broker.core.patterns_values import Leaf

Outcome = int
IMPOSSIBLE: Final[Outcome] = 0
ABSENT: Final[Outcome] = 1
PRESENT: Final[Outcome] = 2

Values = Sequence[Any]
Objects = Sequence[dict[str, Any]]


@dataclass(slots=True)
class _Node:
    """One place in the tree of an alternative's paths, while it is built."""

    leaf: Leaf | None = None
    children: dict[str, "_Node"] = field(default_factory=dict)


class _Matcher(NamedTuple):
    """A compiled node. Values are all those that lie at its place."""

    outcome: Callable[[Values, NumberOf], Outcome]
    is_void: Callable[[Values], bool]


class _Child(NamedTuple):
    """A key of a node, with the compiled node below it."""

    key: str
    dotted: str
    """The key as the beginning of a dotted key of the event."""
    matcher: _Matcher


def compile_branch(branch: Branch) -> Callable[[Any, NumberOf], bool]:
    """A predicate over parsed JSON values."""
    root = _Node()
    for path, leaf in branch.items():
        node = root
        for key in path:
            node = node.children.setdefault(key, _Node())
        node.leaf = leaf
    outcome = _compile_node(root).outcome
    return lambda value, number_of: outcome((value,), number_of) != IMPOSSIBLE


def _compile_node(node: _Node) -> _Matcher:
    below = [_Child(key, f"{key}.", _compile_node(child)) for key, child in node.children.items()]
    if node.leaf is None:
        return _compile_object(below)
    leaf = _compile_leaf(node.leaf)
    return _both(leaf, _compile_object(below)) if below else leaf


def _both(one: _Matcher, other: _Matcher) -> _Matcher:
    """A place of which a scalar is asked and keys below."""

    def outcome(values: Values, number_of: NumberOf) -> Outcome:
        return _combine(one.outcome(values, number_of), other.outcome(values, number_of))

    return _Matcher(outcome, lambda values: one.is_void(values) and other.is_void(values))


def _combine(one: Outcome, other: Outcome) -> Outcome:
    """Both are asked for: one scalar is enough to be present."""
    return max(one, other) if one and other else IMPOSSIBLE


def _compile_leaf(leaf: Leaf) -> _Matcher:
    tests = tuple(test.accepts for test in leaf.tests)
    nothing = ABSENT if leaf.allows_absence else IMPOSSIBLE

    def outcome(values: Values, number_of: NumberOf) -> Outcome:
        scalars = _scalars(values)
        if not scalars:
            return nothing
        return PRESENT if any(accepts(value, number_of) for value in scalars for accepts in tests) else IMPOSSIBLE

    return _Matcher(outcome, lambda values: leaf.allows_absence and not _scalars(values))


def _compile_object(children: Sequence[_Child]) -> _Matcher:
    def merged(objects: Objects, number_of: NumberOf) -> Outcome:
        """What the keys of these objects together satisfy."""
        found = ABSENT
        for key, dotted, matcher in children:
            found = _combine(found, matcher.outcome(_look_up(objects, key, dotted), number_of))
            if not found:
                break
        return found

    def is_void(values: Values) -> bool:
        objects = _objects(values)
        return all(matcher.is_void(_look_up(objects, key, dotted)) for key, dotted, matcher in children)

    def outcome(values: Values, number_of: NumberOf) -> Outcome:
        objects = _objects(values)
        if not any(type(value) is list for value in values):
            return merged(objects, number_of)
        if any(merged((element,), number_of) == PRESENT for element in objects):
            return PRESENT
        return ABSENT if is_void(objects) else IMPOSSIBLE

    return _Matcher(outcome, is_void)


def _look_up(objects: Objects, key: str, dotted: str) -> list[Any]:
    """All that lies under a key, or under dotted keys that begin with it."""
    found = []
    for each in objects:
        if key in each:
            found.append(each[key])
        if "." in "".join(each):
            below = {name[len(dotted) :]: value for name, value in each.items() if name.startswith(dotted)}
            found += [below] if below else []
    return found


def _scalars(values: Values) -> Values:
    if len(values) == 1 and type(values[0]) is not list:
        return () if type(values[0]) is dict else values
    return [value for value in _flatten(values) if type(value) is not dict]


def _objects(values: Values) -> Objects:
    if len(values) == 1 and type(values[0]) is not list:
        return values if type(values[0]) is dict else ()
    return [value for value in _flatten(values) if type(value) is dict]


def _flatten(values: Values) -> Iterable[Any]:
    """The values, arrays replaced by their elements at every depth, in any order."""
    pending = list(values)
    while pending:
        value = pending.pop()
        if type(value) is list:
            pending += value
        else:
            yield value
