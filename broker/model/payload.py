"""A JSON document as a value, as bytes, or both: each form is made at most once, and only when looked at."""

from collections.abc import Callable
from typing import Any, Self

import orjson


class Payload:
    """A JSON document. Whoever reads `.value` must not change it unless it is the last reader."""

    __slots__ = ("_bytes", "_make_bytes", "_make_value", "_value")

    def __init__(
        self,
        *,
        make_value: Callable[[], Any] | None = None,
        make_bytes: Callable[[], bytes] | None = None,
    ) -> None:
        self._make_value = make_value
        self._make_bytes = make_bytes

    @classmethod
    def of_value(cls, value: Any) -> Self:
        """Wraps a value that `orjson` can serialise."""
        payload = cls()
        payload._value = value
        return payload

    @classmethod
    def of_bytes(cls, data: bytes) -> Self:
        """Wraps a document as it came off the wire; it may turn out not to be JSON."""
        payload = cls()
        payload._bytes = data
        return payload

    @property
    def value(self) -> Any:
        """The parsed document. Raises `ValueError` where the bytes are not JSON; no bytes at all are null."""
        try:
            return self._value
        except AttributeError:
            self._value: Any = self._make_value() if self._make_value else _parse(self.bytes)
            return self._value

    @property
    def bytes(self) -> bytes:
        """The document as compact UTF-8 JSON, or as it came off the wire."""
        try:
            return self._bytes
        except AttributeError:
            self._bytes: bytes = self._make_bytes() if self._make_bytes else orjson.dumps(self._value)
            return self._bytes


def _parse(data: bytes) -> Any:
    return orjson.loads(data) if data.strip() else None
