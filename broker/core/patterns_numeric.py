"""Tests of numbers: `{"numeric": [">", 0, "<=", 5]}`.

Rule: one comparison with `=`, `<`, `<=`, `>` or `>=`, or two that form a range, the lower bound first. Only JSON
numbers compare, never strings that look like numbers (so not DynamoDB's `N`).

Source: Amazon EventBridge User Guide, "Comparison operators for use in event patterns" (read November 2026); the
reasons as AWS gave them in recorded calls.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from broker.core.filtering_json import Number
from broker.errors import InvalidPattern

NumberTest = Callable[[Number], bool]
_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NAMES: Final = {"=": "equals"}
_LOWER: Final = frozenset({">", ">="})
_UPPER: Final = frozenset({"<", "<="})
_SINGLE: Final = 2


def compile_numeric(argument: Any) -> NumberTest:
    """Compiles the argument of `numeric`. Raises `InvalidPattern`."""
    if not isinstance(argument, list):
        raise InvalidPattern("Value of numeric must be an array.")
    name, bound = _parse_comparison(argument)
    if len(argument) == _SINGLE:
        return _compare(name, bound)
    if name not in _LOWER:
        raise InvalidPattern("Too many elements in numeric expression")
    return _parse_range(_compare(name, bound), bound, argument[_SINGLE:])


def _parse_comparison(terms: Sequence[Any]) -> tuple[str, Number]:
    name = terms[0] if terms else "]"
    if not terms or not isinstance(name, str):
        raise InvalidPattern(f"Invalid member in numeric match: {name}")
    if name not in _COMPARISONS:
        raise InvalidPattern(f"Unrecognized numeric range operator: {name}")
    return name, _require_number(_NAMES.get(name, name), terms)


def _parse_range(above: NumberTest, bottom: Number, terms: Sequence[Any]) -> NumberTest:
    name = terms[0]
    if not isinstance(name, str):
        raise InvalidPattern(f"Bad value in numeric range: {name}")
    if name not in _UPPER:
        raise InvalidPattern(f"Bad numeric range operator: {name}")
    top = _require_number(name, terms)
    if len(terms) > _SINGLE:
        raise InvalidPattern("Too many terms in numeric range expression")
    if bottom > top:
        raise InvalidPattern("Bottom must be less than top")
    below = _compare(name, top)
    return lambda number: above(number) and below(number)


def _compare(name: str, bound: Number) -> NumberTest:
    holds = _COMPARISONS[name]
    return lambda number: holds(number, bound)


def _require_number(name: str, terms: Sequence[Any]) -> Number:
    bound = terms[1] if len(terms) > 1 else None
    if not isinstance(bound, int | float | Decimal) or isinstance(bound, bool):
        raise InvalidPattern(f"Value of {name} must be numeric")
    return bound
