"""How a row of the state store stands in a DynamoDB table: one item, and where its value is large, parts of it beside.

The main item has the row's own key. A value of more than 300 KB (an item may have 400) is cut into part items, whose
keys begin with the row's and carry the nonce of the change that wrote them; the main item then has their number instead
of the value. Parts are written before the main item, which alone is conditional: until it is written nobody looks at
them, and a change that loses leaves the row as it was.

Parts are *dead*, and may be removed by anybody, once the main item has reached the version that they were written for
under another nonce, or is gone: then the change that they belong to can never succeed any more. Versions only grow, so
no clock is needed to tell. What is of version 1 and has no main item may be a row in the making: it stays.

Nothing here has a time-to-live, and `written_at`, which is for people, is a text, on which none can be set.

Source: Amazon DynamoDB Developer Guide, "Quotas" (400 KB for an item, 1 MB for a page; read November 2026).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from broker.errors import StoreError
from broker.stores.rows import Mark

Item = Mapping[str, Any]
"""Attributes as DynamoDB's JSON has them: `{"version": {"N": "3"}}`."""

PARTITION = "partition"
KEY = "key"
PART_BYTES = 300 * 1024
"""Most bytes of a value that one item holds."""
_CONTINUATION = 0xC0
_WITHIN_CHARACTER = 0x80
_MALFORMED = (AttributeError, KeyError, TypeError, ValueError)


class Part(NamedTuple):
    """One part of a large value."""

    row_key: str
    item_key: str
    mark: Mark
    """The version that it was written for, and the nonce of the change."""
    body: str


class Main(NamedTuple):
    """The item of a row."""

    mark: Mark
    body: str | None
    """The value's JSON text; None where it stands in parts."""
    part_count: int


def item_key(partition: str, key: str) -> dict[str, Any]:
    """What a table knows an item by."""
    return {PARTITION: {"S": partition}, KEY: {"S": key}}


def part_prefix(key: str, nonce: str) -> str:
    """What the keys of the parts of one change begin with."""
    return f"{key}#part#{nonce}#"


def part_keys(key: str, nonce: str, count: int) -> list[str]:
    """The keys of the parts of one change, in their order."""
    return [f"{part_prefix(key, nonce)}{index}" for index in range(count)]


def main_item(partition: str, key: str, mark: Mark, parts: Sequence[bytes], written_at: str) -> dict[str, Any]:
    """The item of a row whose value was cut into `parts`; a single one stands in the item itself."""
    item = {
        **item_key(partition, key),
        "version": {"N": str(mark.version)},
        "nonce": {"S": mark.nonce},
        "written_at": {"S": written_at},
    }
    content = {"body": {"S": parts[0].decode()}} if len(parts) == 1 else {"parts": {"N": str(len(parts))}}
    return item | content


def part_items(
    partition: str, key: str, mark: Mark, parts: Sequence[bytes], written_at: str
) -> Iterator[dict[str, Any]]:
    """The items beside it; none where there is a single part."""
    if len(parts) == 1:
        return
    for each, part in zip(part_keys(key, mark.nonce, len(parts)), parts, strict=True):
        yield {
            **item_key(partition, each),
            "part_of": {"S": key},
            "version": {"N": str(mark.version)},
            "nonce": {"S": mark.nonce},
            "body": {"S": part.decode()},
            "written_at": {"S": written_at},
        }


def cut(body: bytes, part_bytes: int = PART_BYTES) -> list[bytes]:
    """Cuts UTF-8 text into parts of at most `part_bytes` (4 or more), between characters."""
    parts: list[bytes] = []
    start = 0
    while len(body) - start > part_bytes:
        end = start + part_bytes
        while body[end] & _CONTINUATION == _WITHIN_CHARACTER:
            end -= 1
        parts.append(body[start:end])
        start = end
    return [*parts, body[start:]]


def sorted_out(items: Iterable[Item]) -> tuple[dict[str, Main], list[Part]]:
    """The rows' main items by key, and all parts. Raises `StoreError` where an item is neither."""
    mains: dict[str, Main] = {}
    parts: list[Part] = []
    for item in items:
        try:
            if "part_of" in item:
                parts.append(Part(item["part_of"]["S"], item[KEY]["S"], mark_of(item), item["body"]["S"]))
            else:
                mains[item[KEY]["S"]] = main_of(item)
        except _MALFORMED as error:
            raise _unreadable(item) from error
    return mains, parts


def main_of(item: Item) -> Main:
    """Raises `KeyError`, `TypeError` or `ValueError` where it is no row of the state store."""
    if "parts" in item:
        return Main(mark_of(item), None, int(item["parts"]["N"]))
    return Main(mark_of(item), str(item["body"]["S"]), 0)


def mark_of(item: Item) -> Mark:
    """Raises `KeyError`, `TypeError` or `ValueError` where it is no row of the state store."""
    return Mark(int(item["version"]["N"]), str(item["nonce"]["S"]))


def assembled(key: str, main: Main, parts: Iterable[Part]) -> str | None:
    """The value's JSON text; None where parts are missing, because the row has been written again meanwhile."""
    if main.body is not None:
        return main.body
    bodies = {part.item_key: part.body for part in parts}
    wanted = part_keys(key, main.mark.nonce, main.part_count)
    return "".join(bodies[each] for each in wanted) if bodies.keys() >= set(wanted) else None


def is_dead(part: Part, main: Mark | None) -> bool:
    """Whether the change that wrote the part can no longer succeed; `main` was read after the part."""
    if main is None:
        return part.mark.version > 1
    return main.version >= part.mark.version and main.nonce != part.mark.nonce


def _unreadable(item: Item) -> StoreError:
    return StoreError(
        f"The item {dict(item).get(KEY)} of the state table is no row of the broker's: something else has written it. "
        "Remove it, or name another table prefix.",
        code="UnreadableRow",
        retryable=False,
    )
