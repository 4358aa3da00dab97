"""An AWS emulator for tests: a child process on loopback, one for each test process, which it never outlives."""

from collections.abc import Iterator
from os import environ
from pathlib import Path

import pytest

from broker.cli.emulator import FORGOTTEN_VARIABLES, Emulator, find_command, running_emulator
from broker.errors import CommandError

ACCOUNT_ID = "123456789012"
REGION = "eu-west-1"


def enter(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points the AWS clients of one test at the emulator and at nobody else."""
    for name in {*FORGOTTEN_VARIABLES, *(name for name in environ if name.startswith("AWS_"))}:
        monkeypatch.delenv(name, raising=False)
    for name, value in emulator.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The emulator of this test process. Queues need names of their own in each test."""
    from anyio.from_thread import start_blocking_portal

    try:
        command = find_command(None)
    except CommandError as error:
        pytest.skip(f"{error} (`make test` sets it up)")
    folder = Path(tmp_path_factory.mktemp("emulator"))
    running = running_emulator(command, folder=folder, account_id=ACCOUNT_ID, region=REGION)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(running) as emulator:
        yield emulator
