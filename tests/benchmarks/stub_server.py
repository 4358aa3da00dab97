"""A process that answers SQS calls from memory: `python -m tests.benchmarks.stub_server` prints its port.

It does as little as possible, so that it is never what is waited for, and it ends with its standard input.
"""

import asyncio
import itertools
import json
import re
import sys
from email.utils import formatdate

from tests.benchmarks.sqs_pages import MESSAGES_PER_PAGE, receive_pages

QUEUE_URL = "http://127.0.0.1/123456789012/orders"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TARGET = re.compile(rb"\r\nx-amz-target: *AmazonSQS\.(\w+)", re.IGNORECASE)


def _canned() -> dict[bytes, "itertools.cycle[bytes]"]:
    successful = [{"Id": str(index)} for index in range(MESSAGES_PER_PAGE)]
    single = {
        b"DeleteMessageBatch": {"Successful": successful},
        b"GetQueueUrl": {"QueueUrl": QUEUE_URL},
        b"GetQueueAttributes": {"Attributes": {"VisibilityTimeout": "30"}},
    }
    answers = {operation: itertools.cycle([json.dumps(value).encode()]) for operation, value in single.items()}
    return {**answers, b"ReceiveMessage": itertools.cycle(receive_pages(500))}


class _Connection(asyncio.Protocol):
    def __init__(self, answers: dict[bytes, "itertools.cycle[bytes]"]) -> None:
        self._answers = answers
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            length = _LENGTH.search(head)
            total = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < total:
                return
            self._buffer = self._buffer[total:]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        target = _TARGET.search(head)
        assert target, head
        body = next(self._answers[target[1]])
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nx-amzn-RequestId: 00000000-0000-0000-0000-000000000000\r\n"
            b"Content-Type: application/x-amz-json-1.0\r\nDate: %b\r\nContent-Length: %d\r\n\r\n%b"
            % (formatdate(usegmt=True).encode(), len(body), body)
        )


async def _serve() -> None:
    answers = _canned()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(answers), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
