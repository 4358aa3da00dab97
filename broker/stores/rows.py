"""What the rows of every store have in common: their JSON form, and who has won a compare-and-set."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from broker.errors import RowConflict, StoreError


class Mark(NamedTuple):
    """What compare-and-set looks at: the row's version and the nonce of the change that made it."""

    version: int
    nonce: str


def encoded(value: Mapping[str, Any]) -> bytes:
    """The JSON text of a row's value. Raises `TypeError` where it holds what JSON has no word for."""
    return orjson.dumps(dict(value))


def decoded(partition: str, key: str, body: bytes | str) -> dict[str, Any]:
    """The value of a row. Raises `StoreError` where somebody has put something else there."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise StoreError(
            f"The row {key} of {partition} holds no JSON object: something else has written it. Restore or remove it.",
            code="UnreadableRow",
            retryable=False,
        )
    return value


def require_own(found: Mark | None, *, partition: str, key: str, version: int, nonce: str) -> None:
    """After a condition has failed: raises `RowConflict` unless the row is what this very change has made of it.

    The change took effect before, that is, and its answer was lost.
    """
    if found != Mark(version + 1, nonce):
        raise conflict(partition, key, version, found)


def conflict(partition: str, key: str, version: int, found: Mark | None) -> RowConflict:
    """Somebody else was first."""
    now = f"has version {found.version}" if found else "is gone"
    expected = f"version {version}" if version else "no row"
    return RowConflict(f"The row {key} of {partition} {now} where {expected} was expected: nothing was written.")
