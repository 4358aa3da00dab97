"""A server on loopback that answers each HTTP request with given bytes, or with worse."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Bad(Enum):
    """What a server does that gives no answer."""

    DROPS = "drops the connection"
    STAYS_SILENT = "never answers"
    BREAKS_OFF = "breaks off in the middle"


@dataclass(frozen=True)
class Request:
    """What was asked."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def operation(self) -> str:
        return self.headers.get("x-amz-target", "").rpartition(".")[2]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def answer(body: object, *, status: int = 200, **headers: str) -> bytes:
    """An HTTP answer; what is not bytes is sent as JSON. Underscores in names of headers stand for hyphens."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


@dataclass
class RawServer:
    """Says `reply` to every request, or what `replies` has for its operation, and remembers the requests."""

    port: int = 0
    scheme: str = "http"
    reply: bytes | Bad = b""
    replies: dict[str, bytes | Bad] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await _read(reader)
        self.requests.append(request)
        match self.replies.get(request.operation, self.reply):
            case bytes(content):
                writer.write(content)
                await writer.drain()
                return True
            case Bad.BREAKS_OFF:
                writer.write(answer({"x": "y" * 100})[:-50])
                await writer.drain()
            case Bad.STAYS_SILENT:
                await reader.read()
        return False


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    return Request(head[0], headers, await reader.readexactly(int(headers.get("content-length", "0"))))


@asynccontextmanager
async def raw_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """Runs the server on a free port."""
    stub = RawServer(scheme="https" if tls else "http")
    server = await asyncio.start_server(stub.serve, "127.0.0.1", 0, ssl=tls)
    stub.port = server.sockets[0].getsockname()[1]
    try:
        yield stub
    finally:
        server.close()
