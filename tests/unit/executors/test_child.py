"""The program of a child process, its parts called here."""

import io
import os
import queue
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.executors import child, frames

HANDLERS = """
def count(event, context):
    return [len(event["Records"]), context.memory_limit_in_mb, context.get_remaining_time_in_millis() > 2900]

async def count_async(event, context):
    return len(event["Records"])

def wraps(event, context):
    return count_async(event, context)

def fail(event, context):
    raise ValueError("bad order \\udcff")
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "shop_child.py").write_text(HANDLERS)
    yield [str(tmp_path), *sys.path]
    sys.modules.pop("shop_child", None)


def request() -> frames.Frame:
    invocation = {
        "request_id": "r-1",
        "function_name": "orders",
        "function_arn": "arn:aws:lambda:eu-west-1:123456789012:function:orders",
        "timeout_seconds": 3.0,
    }
    header: dict[str, Any] = {"now": 1_767_225_600.0, "log_stream_name": "stream", "invocation": invocation}
    return header, b'{"Records":[1,2]}'


def serve(handler: str, path: list[str], *requests: frames.Frame) -> list[frames.Frame]:
    replies = io.BytesIO()
    inbox = iter([({"handler": handler, "path": path}, b""), *requests, None])
    child.serve(lambda: next(inbox), replies)
    replies.seek(0)
    return list(iter(lambda: frames.read(replies), None))


@pytest.mark.parametrize(("handler", "body"), [("count", b'[2, "128", true]'), ("count_async", b"2"), ("wraps", b"2")])
def test_a_child_loads_its_handler_and_answers_each_request(path: list[str], handler: str, body: bytes) -> None:
    replies = serve(f"shop_child:{handler}", path, request(), request())
    assert replies == [({"problem": ""}, b""), ({"succeeded": True}, body), ({"succeeded": True}, body)]


def test_a_failure_travels_whatever_its_text_holds(path: list[str]) -> None:
    _, (header, body) = serve("shop_child:fail", path, request())
    assert body == b""
    assert header["succeeded"] is False
    assert header["failure"]["error_type"] == "ValueError"
    assert header["failure"]["message"] == "bad order \udcff"
    assert "in fail" in header["failure"]["stack_trace"][0]


def test_a_handler_that_cannot_be_loaded_is_told(path: list[str]) -> None:
    [(header, _)] = serve("shop_child:absent", path)
    assert "has no 'absent'" in header["problem"]


def test_the_clock_goes_on_from_the_brokers_time() -> None:
    clock = child.SteadyClock(1000.0)
    assert 1000.0 <= clock.now() < 1010.0
    assert clock.now() <= clock.now()


def test_the_reader_hands_over_requests_and_ends_the_process_a_moment_after_the_broker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(child.time, "sleep", slept.append)
    inbox: queue.SimpleQueue[frames.Frame | None] = queue.SimpleQueue()
    ended = threading.Event()
    child.read_requests(io.BytesIO(frames.pack({"a": 1}, b"x") + b"cut off"), inbox, ended.set)
    assert [inbox.get_nowait(), inbox.get_nowait()] == [({"a": 1}, b"x"), None]
    assert slept == [child.ORPHAN_SECONDS]
    assert ended.is_set()


def test_a_frame_that_is_cut_off_is_none() -> None:
    whole = frames.pack({"a": 1}, b"body")
    assert frames.read(io.BytesIO(whole)) == ({"a": 1}, b"body")
    for length in range(len(whole)):
        assert frames.read(io.BytesIO(whole[:length])) is None


def test_the_handlers_standard_streams_are_not_those_of_the_conversation() -> None:
    """In a process of its own, since it moves descriptors 0 and 1."""
    requests_read, requests_write = os.pipe()
    replies_read, replies_write = os.pipe()
    output_read, output_write = os.pipe()
    child_id = os.fork()
    if child_id == 0:  # pragma: no cover - another process
        try:
            os.dup2(requests_read, 0)
            os.dup2(replies_write, 1)
            requests, replies = child.take_streams(output=output_write)
            os.write(1, b"printed; input is " + repr(os.read(0, 10)).encode())
            replies.write(requests.read(5))
            replies.flush()
        finally:
            os._exit(0)
    for descriptor in (requests_read, replies_write, output_write):
        os.close(descriptor)
    os.write(requests_write, b"hello")
    assert os.read(replies_read, 100) == b"hello"
    assert os.read(output_read, 100) == b"printed; input is b''"
    os.waitpid(child_id, 0)
    for descriptor in (requests_write, replies_read, output_read):
        os.close(descriptor)
