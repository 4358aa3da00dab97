"""Fixtures for pytest: `virtual_clock`, `make_queue`, `make_stream` and `virtual_backend`.

The plugin is loaded by every pytest run on a machine that has the broker. It has no autouse fixture, changes no option
and imports neither the fakes nor trio before a test asks for them.

    @pytest.fixture
    def anyio_backend(virtual_backend):
        return virtual_backend

    @pytest.mark.anyio
    async def test_an_order_is_received(make_queue):
        queue = make_queue("orders")
        queue.send("hello")
        ...
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from broker.testing import InMemoryQueue, InMemoryStream, VirtualClock


_BACKENDS = ["asyncio", "trio"] if find_spec("trio") else ["asyncio"]


@pytest.fixture(params=_BACKENDS)
def virtual_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Each backend of anyio that is installed, in virtual time: what a fixture `anyio_backend` may return."""
    from broker.testing import virtual_backend  # noqa: PLC0415 - see the module's docstring

    return virtual_backend(request.param)


@pytest.fixture
def virtual_clock() -> "VirtualClock":
    """The clock of the test's event loop."""
    from broker.testing import VirtualClock  # noqa: PLC0415 - see the module's docstring

    return VirtualClock()


@pytest.fixture
def make_queue(virtual_clock: "VirtualClock") -> "Callable[..., InMemoryQueue]":
    """Makes queues on the test's clock: `make_queue("orders.fifo", fifo=True)` takes what `InMemoryQueue` takes."""
    from broker.testing import InMemoryQueue  # noqa: PLC0415 - see the module's docstring

    def make(name: str = "orders", **settings: Any) -> "InMemoryQueue":
        return InMemoryQueue(name, **{"clock": virtual_clock, **settings})

    return make


@pytest.fixture
def make_stream(virtual_clock: "VirtualClock") -> "Callable[..., InMemoryStream]":
    """Makes streams on the test's clock: `make_stream("orders", shard_count=4)` takes what `InMemoryStream` takes."""
    from broker.testing import InMemoryStream  # noqa: PLC0415 - see the module's docstring

    def make(name: str = "orders", **settings: Any) -> "InMemoryStream":
        return InMemoryStream(name, **{"clock": virtual_clock, **settings})

    return make
