"""How the broker and a child process talk: frames of a JSON header and a body of bytes, each preceded by its length."""

import json
import struct
from collections.abc import Awaitable, Callable
from typing import Any, BinaryIO

_LENGTHS = struct.Struct(">II")

Frame = tuple[dict[str, Any], bytes]


def pack(header: dict[str, Any], body: bytes = b"") -> bytes:
    """One frame. The header is ASCII JSON, so that an error's text may hold anything."""
    head = json.dumps(header).encode()
    return _LENGTHS.pack(len(head), len(body)) + head + body


def read(stream: BinaryIO) -> Frame | None:
    """Waits for a frame; None where the stream ends, be it in the middle of one."""
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    head_length, body_length = _LENGTHS.unpack(lengths)
    data = stream.read(head_length + body_length)
    if len(data) < head_length + body_length:
        return None
    return json.loads(data[:head_length]), data[head_length:]


async def receive(read_exactly: Callable[[int], Awaitable[bytes]]) -> Frame:
    """The same for a stream of the event loop, which raises where it ends."""
    head_length, body_length = _LENGTHS.unpack(await read_exactly(_LENGTHS.size))
    head = await read_exactly(head_length)
    return json.loads(head), await read_exactly(body_length) if body_length else b""
