from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from anyio.from_thread import start_blocking_portal

from broker.cli.emulator import Emulator, find_command, running_emulator
from tests.acceptance.command import Place
from tests.acceptance.desk import Desk

ACCOUNT = "123456789012"
REGION = "eu-west-1"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A folder without anything of AWS."""
    return Place(tmp_path)


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    folder = tmp_path_factory.mktemp("emulator")
    running = running_emulator(find_command(None), folder=folder, account_id=ACCOUNT, region=REGION)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(running) as emulator:
        yield emulator


@pytest.fixture
def beside_emulator(place: Place, emulator: Emulator) -> Place:
    """A folder whose commands talk to the emulator."""
    place.environment |= emulator.environment
    return place


@pytest.fixture
def sqs(emulator: Emulator) -> Any:
    """A plain client of the emulator."""
    return botocore.session.get_session().create_client(
        "sqs",
        endpoint_url=emulator.url,
        region_name=REGION,
        aws_access_key_id=ACCOUNT,
        aws_secret_access_key="emulated",
    )


@pytest.fixture
def desk(beside_emulator: Place, sqs: Any) -> Desk:
    return Desk(beside_emulator, sqs)
