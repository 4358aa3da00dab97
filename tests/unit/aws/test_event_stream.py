"""Events are taken out of AWS's framing however they are cut on the way; errors in it are faults."""

import struct
from typing import Any
from zlib import crc32

import aiohttp
import pytest

from broker.aws.event_stream import EventStream, StreamEvent
from broker.aws.faults import Call
from broker.errors import SourceError

pytestmark = pytest.mark.anyio

CALL = Call(operation="SubscribeToShard", resource="arn", endpoint="here")


class FakeBody:
    """What a service sends, piece by piece; an exception is raised."""

    def __init__(self, pieces: list[Any]) -> None:
        self._pieces = pieces

    async def readany(self) -> bytes:
        piece = self._pieces.pop(0) if self._pieces else b""
        if isinstance(piece, Exception):
            raise piece
        return piece


class FakeResponse:
    def __init__(self, pieces: list[Any]) -> None:
        self.content = FakeBody(pieces)
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


def frame(payload: bytes, **headers: str) -> bytes:
    """One message, as a service writes it."""
    written = b"".join(
        struct.pack(">B", len(name) + 1)
        + b":"
        + name.replace("_", "-").encode()
        + struct.pack(">BH", 7, len(value))
        + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(written) + len(payload), len(written))
    message = prelude + struct.pack(">I", crc32(prelude)) + written + payload
    return message + struct.pack(">I", crc32(message))


def event(payload: bytes) -> bytes:
    return frame(payload, message_type="event", event_type="SubscribeToShardEvent", content_type="application/json")


def stream_of(*pieces: Any) -> EventStream:
    return EventStream(CALL, FakeResponse(list(pieces)), 17.0)  # type: ignore[arg-type]


async def fault_of(*pieces: Any) -> SourceError:
    with pytest.raises(SourceError, match="SubscribeToShard of arn at here failed") as caught:
        await stream_of(*pieces).next()
    return caught.value


@pytest.mark.parametrize("size", [1, 7, 50, 10_000])
async def test_events_come_one_by_one_however_they_are_cut(size: int) -> None:
    sent = event(b'{"a":1}') + frame(b"", message_type="event", event_type="initial-response") + event(b'{"a":2}')
    stream = stream_of(*[sent[at : at + size] for at in range(0, len(sent), size)])
    assert [await stream.next() for _ in range(4)] == [
        StreamEvent("SubscribeToShardEvent", {"a": 1}),
        StreamEvent("initial-response", {}),
        StreamEvent("SubscribeToShardEvent", {"a": 2}),
        None,
    ]


@pytest.mark.parametrize("member", ["message", "Message"])
async def test_an_exception_in_the_stream_is_the_fault_of_its_code(member: str) -> None:
    body = b'{"%b":"another subscription"}' % member.encode()
    fault = await fault_of(frame(body, message_type="exception", exception_type="ResourceInUseException"))
    assert fault.code == "ResourceInUseException"
    assert "another subscription" in str(fault)


async def test_an_error_in_the_stream_is_the_fault_of_its_code() -> None:
    headers = {"message_type": "error", "error_code": "InternalFailure", "error_message": "x"}
    assert (await fault_of(frame(b"", **headers))).code == "InternalFailure"


@pytest.mark.parametrize(
    "sent",
    [event(b"[1]"), event(b"{"), event(b"{}")[:-1] + b"\x00", b"HTTP/1.1 502 Bad Gateway\r\n\r\n"],
)
async def test_what_is_no_event_is_a_fault(sent: bytes) -> None:
    assert (await fault_of(sent)).code == "UnreadableAnswer"


async def test_a_lost_connection_is_a_fault() -> None:
    assert (await fault_of(event(b"{}")[:5], aiohttp.ClientPayloadError())).code == "ConnectionClosedError"


async def test_closing_ends_the_connection() -> None:
    response = FakeResponse([])
    EventStream(CALL, response, None).close()  # type: ignore[arg-type]
    assert response.is_closed
