"""Records that the Kinesis Producer Library packed into one, taken apart.

An aggregated record is four bytes that mark it, a protobuf message with a table of partition keys and the records that
refer to it, and the MD5 of the message. Lambda takes it apart for mappings with enhanced fan-out only. The parts keep
sequence number and time of arrival of the whole. What is marked but does not decode is delivered as it is, as Amazon's
own libraries do; so is an aggregate without records, so that nothing disappears. Explicit hash keys are passed over:
Lambda's event has no place for them.

Source: "KPL Aggregated Record Format" in the documents of the Amazon Kinesis Producer Library (read November 2026).
"""

from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from hashlib import md5
from typing import Any

_MAGIC = b"\xf3\x89\x9a\xc2"
_MAGIC_TEXT = "84maw"
"""How base64 text begins that begins with the mark; the mark's last four bits are in the character after."""
_DIGEST_BYTES = 16

_KEY_TABLE, _RECORDS = 1, 3
"""Fields of the message that matter: strings, messages."""
_KEY_INDEX, _DATA = 1, 3
"""Fields of each record."""

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
"""Protobuf's wire types."""
_MOST_VARINT_BITS = 64


def expanded(records: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """Records as Kinesis puts them on the wire, each aggregated one replaced by its parts."""
    if not any(record["Data"].startswith(_MAGIC_TEXT) for record in records):
        return records
    return [part for record in records for part in _parts(record)]


def _parts(record: dict[str, Any]) -> Sequence[dict[str, Any]]:
    if not record["Data"].startswith(_MAGIC_TEXT):
        return (record,)
    try:
        message = _message(b64decode(record["Data"], validate=True))
        return [{**record, "PartitionKey": key, "Data": data} for key, data in _contents(message)] or (record,)
    except (ValueError, IndexError, KeyError):
        return (record,)


def _message(data: bytes) -> bytes:
    message, digest = data[len(_MAGIC) : -_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if not data.startswith(_MAGIC) or md5(message, usedforsecurity=False).digest() != digest:
        raise ValueError("not an aggregated record")
    return message


def _contents(message: bytes) -> list[tuple[str, str]]:
    """Partition key and base64 data of each part. Raises `ValueError`, `IndexError` or `KeyError`."""
    fields = list(_fields(message))
    keys = [_bytes(value).decode() for number, value in fields if number == _KEY_TABLE]
    parts = [dict(_fields(_bytes(value))) for number, value in fields if number == _RECORDS]
    return [(keys[_number(part[_KEY_INDEX])], b64encode(_bytes(part[_DATA])).decode()) for part in parts]


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a protobuf message."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield number, value
        else:
            size, at = _size(kind, message, at)
            if at + size > len(message):
                raise ValueError("a field is longer than the message")
            yield number, message[at : at + size]
            at += size


def _size(kind: int, message: bytes, at: int) -> tuple[int, int]:
    if kind == _LENGTH:
        return _varint(message, at)
    if kind not in (_FIXED64, _FIXED32):
        raise ValueError(f"protobuf has no wire type {kind}")
    return (8 if kind == _FIXED64 else 4), at


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, and where it ends."""
    value = 0
    for shift in range(0, _MOST_VARINT_BITS, 7):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the last byte of a number has no high bit
            return value, at
    raise ValueError("a number is too long")


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a field has the wrong type")  # noqa: TRY004 - of what was decoded
    return value


def _number(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ValueError("a field has the wrong type")  # noqa: TRY004 - of what was decoded
    return value
