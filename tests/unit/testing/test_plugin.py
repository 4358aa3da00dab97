"""The pytest plugin gives fixtures and costs nothing to those who do not use them."""

import socket
import subprocess
import sys

import anyio
import pytest

from broker.testing import EPOCH, InMemoryQueue

HEAVY = ("trio", "asyncio", "anyio", "orjson", "aiobotocore", "broker.testing.virtual_time", "broker.testing.queues")


def test_importing_the_plugin_imports_no_fake_and_no_event_loop() -> None:
    program = (
        "import sys, pytest; before = set(sys.modules); import broker.testing.plugin;"
        f"print(*[name for name in {HEAVY!r} if name in set(sys.modules) - before])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_queue_is_made_as_told(make_queue, virtual_clock) -> None:
    queue = make_queue("orders.fifo", fifo=True, visibility_timeout_seconds=7)
    assert isinstance(queue, InMemoryQueue)
    assert (queue.fifo, queue.visibility_timeout_seconds, queue.clock) == (True, 7, virtual_clock)


class TestWithItsBackend:
    """As a user of the plugin writes it."""

    @pytest.fixture
    def anyio_backend(self, virtual_backend):
        return virtual_backend

    @pytest.mark.anyio
    async def test_time_is_virtual(self, virtual_clock) -> None:
        await anyio.sleep(3600)
        assert virtual_clock.now() == EPOCH + 3600


def test_unit_tests_reach_no_network() -> None:
    with socket.socket() as connection, pytest.raises(AssertionError, match="do no I/O"):
        connection.connect(("127.0.0.1", 9))
    with pytest.raises(AssertionError, match="do no I/O"):
        socket.getaddrinfo("localhost", 80)
