"""What a handler returned, as JSON: exactly what Lambda's Python runtime would have sent, or would have refused.

How it works: a handler's value is walked once and written as text, by the rules of AWS's Python runtime interface
client 4.2 (`lambda_runtime_marshaller`, read November 2026), which configures simplejson so:

* whatever has `_asdict()` (a named tuple) is an object; tuples are arrays; text is not escaped to ASCII;
* bytes inside a value are text in UTF-8; bytes as the whole value are sent as they are;
* `Decimal` is the number that it prints, `NaN` and the infinities go out as such, though they are not JSON;
* keys may be text, bytes, numbers, booleans and None; dates, sets, dataclasses and other objects are refused, and so
  is a value that contains itself.

Neither the standard library's encoder nor orjson can be told to do this: the first writes named tuples as arrays and
no `Decimal` as a number, the second writes dates and refuses large integers. `None`, by far the most frequent value,
costs nothing. Text with a lone surrogate is refused here; it ends Lambda's runtime.
"""

import json.encoder
import math
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

_quote = json.encoder.encode_basestring
_NULL = b"null"


def marshal(value: object) -> bytes:
    """The response in UTF-8.

    What the value's own methods raise passes.

    Raises:
        TypeError: an object or a key that has no form in JSON.
        ValueError: a circular reference; text or bytes that are not Unicode.
        RecursionError: the value is nested too deeply.
    """
    if value is None:
        return _NULL
    if isinstance(value, bytes):
        return value
    chunks: list[str] = []
    _Writer(chunks.append).write(value)
    return "".join(chunks).encode()


class _Writer:
    """Writes one value; knows the containers that it is inside of."""

    __slots__ = ("_emit", "_inside")

    def __init__(self, emit: Callable[[str], None]) -> None:
        self._emit = emit
        self._inside: set[int] = set()

    def write(self, value: object) -> None:
        text = _scalar(value)
        if text is not None:
            self._emit(text)
        else:
            self._write_container(value)

    def _write_container(self, value: object) -> None:
        if id(value) in self._inside:
            raise ValueError("Circular reference detected")
        self._inside.add(id(value))
        if (members := _members(value)) is not None:
            self._write_object(members)
        elif isinstance(value, list | tuple):
            self._write_array(value)
        else:
            raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
        self._inside.remove(id(value))

    def _write_object(self, members: dict[Any, Any]) -> None:
        separator = "{"
        for key, value in members.items():
            self._emit(f"{separator}{_quote(_key(key))}: ")
            self.write(value)
            separator = ", "
        self._emit("}" if members else "{}")

    def _write_array(self, items: Iterable[object]) -> None:
        separator = "["
        for item in items:
            self._emit(separator)
            self.write(item)
            separator = ", "
        self._emit("]" if separator == ", " else "[]")


def _members(value: object) -> dict[Any, Any] | None:
    as_dict = getattr(value, "_asdict", None)
    try:
        members = as_dict()  # type: ignore[misc]
    except TypeError:  # there is none, or it wants arguments: that of a class, for one
        return value if isinstance(value, dict) else None
    if not isinstance(members, dict):
        raise TypeError(f"_asdict() must return a dict, not {type(members).__name__}")
    return members


def _scalar(value: object) -> str | None:
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, bytes):
        return _quote(value.decode())
    return _word(value)


def _word(value: object) -> str | None:
    """Numbers and the three words, alike as values and as keys; None for everything else."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return _float(value)
    return _decimal(value) if isinstance(value, Decimal) else None


def _float(value: float) -> str:
    if math.isfinite(value):
        return float.__repr__(value)
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def _decimal(value: Decimal) -> str:
    return "NaN" if value.is_nan() else str(value)


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, bytes):
        return key.decode()
    word = None if isinstance(key, Decimal) else _word(key)
    if word is None:
        raise TypeError(f"keys must be str, int, float, bool or None, not {type(key).__name__}")
    return word
