"""Kinesis with shards that split and merge, without a container: npm's `kinesis-local`, a child process on loopback.

`make test-all` installs it where there is a Node; elsewhere the tests that need it are skipped, and say so.
"""

import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from broker.cli.emulator import HOST, Emulator, running_emulator
from tests.emulator import ACCOUNT_ID, REGION

PACKAGE = Path(__file__).parent.parent / ".venvs" / "kinesis" / "node_modules" / "kinesis-local"
LOOPBACK = Path(__file__).parent / "loopback.cjs"
SHARD_LIMIT = 500


@pytest.fixture(scope="session")
def kinesis_local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The server of this test process. Streams need names of their own in each test."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no Node, which kinesis-local needs (`node` is not on PATH)")
    if not (PACKAGE / "main.js").is_file():
        pytest.skip("npm's kinesis-local is not installed (`make test-all` does it, where npm can)")
    port, tls_port = _free_ports(2)
    command = [*_settings(port, tls_port), node, "--require", str(LOOPBACK), str(PACKAGE / "main.js")]
    folder = tmp_path_factory.mktemp("kinesis")
    running = running_emulator(command, folder=folder, account_id=ACCOUNT_ID, region=REGION, port=port)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(running) as emulator:
        yield emulator


def _settings(port: int, tls_port: int) -> list[str]:
    """As arguments of `env`: the emulator's own variables are those of another one."""
    variables = {
        "KINESIS_MOCK_PLAIN_PORT": port,
        "KINESIS_MOCK_TLS_PORT": tls_port,
        "KINESIS_MOCK_CERT_PATH": PACKAGE / "server.json",
        "AWS_ACCOUNT_ID": ACCOUNT_ID,
        "AWS_REGION": REGION,
        "SHARD_LIMIT": SHARD_LIMIT,
        "LOG_LEVEL": "WARN",
    }
    return ["env", *(f"{name}={value}" for name, value in variables.items())]


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        listening = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [int(each.getsockname()[1]) for each in listening]
