"""Aggregated records as the Kinesis Producer Library writes them."""

from hashlib import md5

MAGIC = b"\xf3\x89\x9a\xc2"


def varint(number: int) -> bytes:
    """A number of a protobuf message."""
    written = bytearray()
    while number >= 0x80:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])


def member(number: int, value: bytes | int) -> bytes:
    """A field of a protobuf message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def sealed(message: bytes) -> bytes:
    """A message between its mark and its digest."""
    return MAGIC + message + md5(message).digest()


def part(key_index: int, data: bytes) -> bytes:
    """One record, with an explicit hash key and a tag."""
    return member(3, member(1, key_index) + member(2, 0) + member(3, data) + member(4, member(1, b"tag")))


def aggregate(*parts: tuple[str, bytes]) -> bytes:
    """Data of an aggregated record with these partition keys and payloads."""
    keys = list(dict.fromkeys(key for key, _ in parts))
    table = b"".join(member(1, key.encode()) for key in keys) + member(2, b"170141183460469231731687303715884105728")
    return sealed(table + b"".join(part(keys.index(key), data) for key, data in parts))
