"""The tests that a pattern applies to one value: the elements of a pattern's lists.

Rule: a list is satisfied when any of its tests accepts the value. Strings equal strings, numbers equal numbers by value
(300 is 300.0 is 3.0e2), and no type equals another: "300" is not 300, true is not 1. `anything-but` accepts null and
every other type than the one it lists.

How it works: `parse_leaf` turns a list into a `Leaf` of functions, built once. A test is called with the value and with
the function that reads numbers, since only the caller knows whether a number was rounded on its way in.

Invariants: a test never raises, whatever the value · what the grammar does not allow is refused here, never ignored.

The texts of `InvalidPattern.reason` are those of EventBridge. Inferred: an empty list below `anything-but` is refused;
EventBridge's bounds on numbers (five thousand million, six decimals) are not enforced, since any number compares here.

Source: Amazon EventBridge User Guide, "Comparison operators for use in event patterns"; README of aws/event-ruler
(both read November 2026); the reasons as AWS gave them in recorded calls.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from broker.core import patterns_text as texts
from broker.core.filtering_json import Number, NumberOf
from broker.core.patterns_cidr import compile_cidr
from broker.core.patterns_numeric import compile_numeric
from broker.core.patterns_text import TextTest
from broker.errors import InvalidPattern

Accepts = Callable[[Any, NumberOf], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueTest:
    """One element of a pattern's list."""

    accepts: Accepts
    """Takes a JSON scalar and the reader of numbers; says whether the value satisfies the test."""
    negated: bool = False
    """Whether it is an `anything-but`: it accepts what it does not list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """What a pattern asks of the values at one path: any of these."""

    tests: tuple[ValueTest, ...]
    allows_absence: bool
    """Whether `{"exists": false}` is among them."""


def parse_leaf(items: Sequence[Any]) -> Leaf:
    """Compiles a pattern's list. Raises `InvalidPattern`."""
    if not items:
        raise InvalidPattern("Empty arrays are not allowed")
    found = [_parse_item(item) for item in items]
    return Leaf(tests=tuple(test for test in found if test), allows_absence=None in found)


def _parse_item(item: Any) -> ValueTest | None:
    """The test of one element; None for `{"exists": false}`, which is no test of a value."""
    match item:
        case dict():
            return _parse_expression(item)
        case list():
            raise InvalidPattern("Match value must be String, number, true, false, or null")
        case None | bool():
            return ValueTest(accepts=lambda value, _: value is item)
        case str():
            return _text_test(lambda text: text == item)
        case _:
            return _number_test(lambda number: number == item)


def _parse_expression(expression: Mapping[str, Any]) -> ValueTest | None:
    name, argument = _first(expression, "Match expression name not found")
    if name not in _OPERATORS:
        raise InvalidPattern(f"Unrecognized match type {name}")
    test = _OPERATORS[name](argument)
    _require_single(expression)
    return test


def _text_test(accepts: TextTest) -> ValueTest:
    return ValueTest(accepts=lambda value, _: type(value) is str and accepts(value))


def _number_test(accepts: Callable[[Number], bool]) -> ValueTest:
    def accepts_number(value: Any, number_of: NumberOf) -> bool:
        number = number_of(value)
        return number is not None and accepts(number)

    return ValueTest(accepts=accepts_number)


def _parse_prefix(argument: Any) -> ValueTest:
    if isinstance(argument, dict):
        return _text_test(texts.compile_prefix_ignore_case(_nested_ignore_case("prefix", argument)))
    return _text_test(texts.compile_prefix(_require_text("prefix", argument)))


def _parse_suffix(argument: Any) -> ValueTest:
    if isinstance(argument, dict):
        return _text_test(texts.compile_suffix_ignore_case(_nested_ignore_case("suffix", argument)))
    return _text_test(texts.compile_suffix(_require_text("suffix", argument)))


def _parse_equals_ignore_case(argument: Any) -> ValueTest:
    return _text_test(texts.compile_equals_ignore_case(_require_text("equals-ignore-case", argument)))


def _parse_wildcard(argument: Any) -> ValueTest:
    return _text_test(texts.compile_wildcard(_require_text("wildcard", argument)))


def _parse_cidr(argument: Any) -> ValueTest:
    # AWS speaks of a prefix here, too
    return _text_test(compile_cidr(_require_text("prefix", argument)))


def _parse_numeric(argument: Any) -> ValueTest:
    return _number_test(compile_numeric(argument))


def _parse_exists(argument: Any) -> ValueTest | None:
    if not isinstance(argument, bool):
        raise InvalidPattern("exists match pattern must be either true or false.")
    return ValueTest(accepts=lambda *_: True) if argument else None


def _nested_ignore_case(name: str, argument: Mapping[str, Any]) -> str:
    """The text of `{"prefix": {"equals-ignore-case": text}}`."""
    inner, text = _first(argument, f"{name.capitalize()} expression name not found")
    if inner != "equals-ignore-case":
        raise InvalidPattern(f"Unsupported {name} pattern: {inner}")
    _require_text(inner, text)
    _require_single(argument)
    return str(text)


def _parse_anything_but(argument: Any) -> ValueTest:
    if isinstance(argument, dict):
        return _parse_anything_but_text(argument)
    listed = _list_of(argument)
    if not all(map(_is_text_or_number, listed)):
        raise InvalidPattern("Inside anything but list, start|null|boolean is not supported.")
    text_count = sum(isinstance(item, str) for item in listed)
    if not listed or text_count not in {0, len(listed)}:
        raise InvalidPattern(
            "Inside anything but list, either all values are number or string, mixed type is not supported"
        )
    values = frozenset(listed)
    return _negate(_text_test(values.__contains__) if text_count else _number_test(values.__contains__))


def _parse_anything_but_text(argument: Mapping[str, Any]) -> ValueTest:
    """`{"anything-but": {"prefix": text or list of texts}}` and its relatives."""
    name, value = _first(argument, "Anything-But expression name not found")
    if name not in _NEGATABLE:
        raise InvalidPattern(f"Unsupported anything-but pattern: {name}")
    compile_text, complaint = _NEGATABLE[name]
    listed = _list_of(value)
    if not all(isinstance(item, str) for item in listed):
        raise InvalidPattern(complaint)
    if not listed:
        raise InvalidPattern("Empty arrays are not allowed")
    tests = [compile_text(text) for text in listed]
    _require_single(argument)
    return _negate(_text_test(lambda text: any(test(text) for test in tests)))


def _negate(test: ValueTest) -> ValueTest:
    accepts = test.accepts
    return ValueTest(accepts=lambda value, number_of: not accepts(value, number_of), negated=True)


def _not_empty(compile_text: Callable[[str], TextTest]) -> Callable[[str], TextTest]:
    def compile_not_empty(text: str) -> TextTest:
        if not text:
            raise InvalidPattern("Null prefix/suffix not allowed")
        return compile_text(text)

    return compile_not_empty


def _list_of(argument: Any) -> list[Any]:
    if isinstance(argument, list):
        return argument
    if not _is_text_or_number(argument):
        raise InvalidPattern("Value of anything-but must be an array or single string/number value.")
    return [argument]


def _is_text_or_number(value: Any) -> bool:
    return isinstance(value, str | int | float | Decimal) and not isinstance(value, bool)


def _require_text(name: str, argument: Any) -> str:
    if not isinstance(argument, str):
        raise InvalidPattern(f"{name} match pattern must be a string")
    return argument


def _first(expression: Mapping[str, Any], complaint: str) -> tuple[str, Any]:
    for item in expression.items():
        return item
    raise InvalidPattern(complaint)


def _require_single(expression: Mapping[str, Any]) -> None:
    if len(expression) > 1:
        raise InvalidPattern("Only one key allowed in match expression")


_NOT_TEXT: Final = "prefix/suffix match pattern must be a string"
_NEGATABLE: Final[Mapping[str, tuple[Callable[[str], TextTest], str]]] = {
    "prefix": (_not_empty(texts.compile_prefix), _NOT_TEXT),
    "suffix": (_not_empty(texts.compile_suffix), _NOT_TEXT),
    "equals-ignore-case": (
        texts.compile_equals_ignore_case,
        "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.",
    ),
    "wildcard": (texts.compile_wildcard, "wildcard match pattern must be a string"),
}
"""What `anything-but` can negate, and what AWS says to a value that is no string."""

_OPERATORS: Final[Mapping[str, Callable[[Any], ValueTest | None]]] = {
    "prefix": _parse_prefix,
    "suffix": _parse_suffix,
    "equals-ignore-case": _parse_equals_ignore_case,
    "wildcard": _parse_wildcard,
    "anything-but": _parse_anything_but,
    "numeric": _parse_numeric,
    "exists": _parse_exists,
    "cidr": _parse_cidr,
}
"""Match types by name, each compiling its argument."""
