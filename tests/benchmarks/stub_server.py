"""A process that answers calls of AWS from memory: `python -m tests.benchmarks.stub_server` prints its port.

It does as little as possible, so that it is never what is waited for, and it ends with its standard input.
"""

import asyncio
import itertools
import json
import re
import sys
from collections.abc import Callable
from email.utils import formatdate

from tests.benchmarks.dynamodb_pages import dynamodb_pages
from tests.benchmarks.kinesis_pages import behind_the_last_page, kinesis_pages
from tests.benchmarks.sqs_pages import MESSAGES_PER_PAGE, receive_pages

QUEUE_URL = "http://127.0.0.1/123456789012/orders"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TARGET = re.compile(rb"\r\nx-amz-target: *([\w.]+)", re.IGNORECASE)
_ITERATOR = re.compile(rb'"ShardIterator": *"(\d+)"')

Answer = Callable[[bytes], bytes]
"""Makes the body of an answer from that of the request."""
Answers = dict[bytes, Answer]
"""By service and operation: `AmazonSQS.ReceiveMessage`."""


def _canned() -> Answers:
    return {**_of_sqs(), **_of_kinesis(), **_of_dynamodb_streams()}


def _of_kinesis() -> Answers:
    prefix = b"Kinesis_20131202."
    return {prefix + b"GetShardIterator": _always({"ShardIterator": "0"}), prefix + b"GetRecords": _by_iterator()}


def _of_dynamodb_streams() -> Answers:
    prefix = b"DynamoDBStreams_20120810."
    return {
        prefix + b"GetShardIterator": _always({"ShardIterator": "i" * 300}),
        prefix + b"GetRecords": _in_turn(dynamodb_pages(20)),
    }


def _of_sqs() -> Answers:
    successful = [{"Id": str(index)} for index in range(MESSAGES_PER_PAGE)]
    prefix = b"AmazonSQS."
    return {
        prefix + b"DeleteMessageBatch": _always({"Successful": successful}),
        prefix + b"GetQueueUrl": _always({"QueueUrl": QUEUE_URL}),
        prefix + b"GetQueueAttributes": _always({"Attributes": {"VisibilityTimeout": "30"}}),
        prefix + b"ReceiveMessage": _in_turn(receive_pages(500)),
    }


def _always(value: object) -> Answer:
    body = json.dumps(value).encode()
    return lambda request: body


def _in_turn(bodies: list[bytes]) -> Answer:
    cycle = itertools.cycle(bodies)
    return lambda request: next(cycle)


def _by_iterator() -> Answer:
    bodies = [*kinesis_pages(), behind_the_last_page()]

    def answer(request: bytes) -> bytes:
        iterator = _ITERATOR.search(request)
        assert iterator, request
        return bodies[int(iterator[1])]

    return answer


class _Connection(asyncio.Protocol):
    def __init__(self, answers: Answers) -> None:
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
            request, self._buffer = self._buffer[end + 4 : total], self._buffer[total:]
            self._answer(head, request)

    def _answer(self, head: bytes, request: bytes) -> None:
        target = _TARGET.search(head)
        assert target, head
        body = self._answers[target[1]](request)
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
