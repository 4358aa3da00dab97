"""Reading the JSON that filters look into: what counts as JSON, and when two numbers are equal.

Rule: a filter that names fields of a body deletes every body that is not JSON, so a text counts as "not JSON" only when
two parsers say so: the fast one (orjson) and the standard library's, with `NaN` and `Infinity` refused. The second one
takes what the first one cannot hold: lone surrogates, exponents beyond a double.

How it works: a `Document` reads its text with the fast parser when somebody looks at it first. That reading rounds
numbers: `9007199254740993.0`, or an integer of 2^64 and more. A number that is compared while it is such a rounded
one leaves a doubt, and the document is then read once more, exactly, and compared again.

Invariants: each parser runs at most once for a document · both readings give the same answer to every comparison ·
no text makes reading raise. A document that is nested deeper than the fast parser's 1,024 levels and the interpreter's
stack allow counts as not JSON (inferred: AWS's parser stops at 1,000 levels).

Numbers (inferred; the guide says that 300 and 3.0e2 differ, AWS's own test call treats them as equal): integers compare
exactly, whatever their size; fractions compare as IEEE doubles below 2^53 and exactly from there on.

Source: AWS Lambda Developer Guide, "Using event filtering with an Amazon SQS event source", table of body formats;
RFC 8259 for JSON (read November 2026).
"""

import json
from collections.abc import Callable
from decimal import MAX_EMAX, Decimal
from enum import Enum
from typing import Any, Final

import orjson

Number = int | float | Decimal
NumberOf = Callable[[Any], Number | None]
"""Takes any JSON value and gives it as a comparable number, or None where it is not a number."""

EXACT_BELOW: Final = 2.0**53
"""Every integer below has a double of its own; from here on doubles lie more than one apart."""
LONGEST_INT: Final = 100
"""Digits up to which an integer is an `int`: longer ones are cheaper to read as `Decimal`, and equal all the same."""
LARGEST_EXPONENT: Final = MAX_EMAX // 2
"""Far below what `Decimal` refuses, far above what any number means; beyond it a number is infinite or zero."""
LONGEST_EXPONENT: Final = len(str(LARGEST_EXPONENT))
"""Digits up to which an exponent is worth reading."""
JSON_STARTS: Final = frozenset('{["-0123456789tfn')
"""What the first character of a JSON text can be."""


class NotJson(Enum):
    """The reading of a text that is not JSON (None would be JSON's null)."""

    NOT_JSON = "not JSON"


NOT_JSON: Final = NotJson.NOT_JSON


def parse_fast(text: str) -> Any:
    """Parses JSON with the fast parser, which rounds numbers. Raises `ValueError` for what it cannot read."""
    return orjson.loads(text)


def parse_strictly(text: str) -> Any:
    """Parses JSON with the standard library, numbers as `read_number` gives them; duplicate keys: the last one wins.

    Raises `ValueError` where the text is not JSON (`NaN` and `Infinity` are not) and `RecursionError` where it is
    nested too deeply.
    """
    return _STRICT.decode(text)


def read_number(text: str) -> Number:
    """The comparable number of a JSON literal with fraction or exponent."""
    rounded = float(text)
    return rounded if abs(rounded) < EXACT_BELOW else _decimal(text)


def number_of(value: Any) -> Number | None:
    """Any JSON value as a comparable number; None where it is not a number (booleans are not)."""
    kind = type(value)
    if kind is int or kind is float:
        number: int | float = value
        return number
    return _comparable(value) if kind is Decimal else None


class Document:
    """The text of one data key, and what it reads as. One for each record, used by every pattern in turn."""

    __slots__ = ("_doubted", "_exact", "_value", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._doubted = False
        self._exact = False

    @property
    def value(self) -> Any:
        """The parsed text, or `NOT_JSON`."""
        try:
            return self._value
        except AttributeError:
            self._value: Any = self._read()
            return self._value

    def satisfies(self, matches: Callable[[str, Any, NumberOf], bool]) -> bool:
        """Whether `matches(text, value, number_of)` holds; asked again, exactly, where rounding might matter."""
        if not self._exact:
            verdict = matches(self.text, self.value, self._number_of)
            if not self._doubted:
                return verdict
            self._read_again()
        return matches(self.text, self.value, number_of)

    def _read(self) -> Any:
        if self.text.lstrip(" \t\r\n")[:1] not in JSON_STARTS:
            return NOT_JSON
        try:
            return parse_fast(self.text)
        except ValueError:
            self._exact = True
            return read_exactly(self.text)

    def _read_again(self) -> None:
        exact = read_exactly(self.text)
        self._exact = True
        if exact is not NOT_JSON:
            self._value = exact

    def _number_of(self, value: Any) -> Number | None:
        if type(value) is float and abs(value) >= EXACT_BELOW:
            self._doubted = True
        return number_of(value)


def read_exactly(text: str) -> Any:
    """The parsed text with comparable numbers, or `NOT_JSON`."""
    try:
        return parse_strictly(text)
    except (ValueError, RecursionError):
        return NOT_JSON


def _read_integer(text: str) -> Number:
    return int(text) if len(text) <= LONGEST_INT else Decimal(text)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _comparable(number: Decimal) -> Number:
    rounded = float(number)
    return rounded if abs(rounded) < EXACT_BELOW else number


def _decimal(text: str) -> Decimal:
    """A large number, exactly; its exponent cannot be very negative."""
    digits = text.lower().partition("e")[2].lstrip("+-0")
    if len(digits) > LONGEST_EXPONENT or int(digits or 0) > LARGEST_EXPONENT:
        return Decimal("-Infinity" if text.startswith("-") else "Infinity")
    return Decimal(text)


_STRICT: Final = json.JSONDecoder(
    parse_float=read_number, parse_int=_read_integer, parse_constant=_refuse_constant, strict=True
)
