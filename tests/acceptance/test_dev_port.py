"""`broker dev` and a port that somebody else has."""

import socket

import pytest

from tests.acceptance.command import Place

FILE = """
Functions: [{FunctionName: orders, Callable: 'desk:orders'}]
EventSourceMappings: [{FunctionName: orders, EventSourceArn: 'arn:aws:sqs:eu-west-1:123456789012:orders'}]
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_an_emulator_port_that_is_taken_is_named(place: Place) -> None:
    place.write("broker.yaml", FILE)
    place.write("desk.py", "def orders(event, context): ...\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = place.run("dev", "broker.yaml", "--emulator-port", str(port))

    assert ended.code == 1
    assert ended.code == 1
    assert f"port {port} of 127.0.0.1 is taken" in ended.text
