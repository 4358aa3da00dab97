"""Virtual time for every test that does not ask for another backend; no sockets in unit and property tests."""

import socket
from pathlib import Path
from typing import Any

import pytest

from broker.testing import virtual_backend
from tests.emulator import emulator  # noqa: F401 - a fixture for all
from tests.kinesis_server import kinesis_local  # noqa: F401 - a fixture for all

pytest.register_assert_rewrite(
    "tests.conformance.queue_contract",
    "tests.conformance.stream_contract",
    "tests.acceptance.stream_fleet",
    "tests.acceptance.stream_scenarios",
)

PURE = tuple(str(Path(__file__).parent / folder) for folder in ("unit", "property"))


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Both backends in virtual time. What has a socket, a child process or a SQLite file returns "asyncio" instead."""
    return virtual_backend(request.param)


@pytest.fixture(autouse=True)
def _no_sockets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unit and property tests touch no network; the pipes of an event loop are no network."""
    if str(request.path).startswith(PURE):
        for verb in ("connect", "connect_ex", "bind"):
            monkeypatch.setattr(socket.socket, verb, _refuse, raising=False)
        monkeypatch.setattr(socket, "getaddrinfo", _refuse)


def _refuse(*arguments: object, **options: object) -> None:
    raise AssertionError("Unit and property tests do no I/O: move the test, or use a fake.")
