"""The SQS source against servers in containers: the contract of the conformance suite.

The tests are shared with that suite, which runs on anyio; hence these do too.
"""

from collections.abc import Iterator
from functools import partial
from typing import ClassVar

import pytest

from broker.cli.emulator import Emulator
from broker.testing import VirtualClock
from tests.conformance.queue_contract import QueueSourceContract
from tests.conformance.queue_worlds import FAUXQS_DEVIATIONS, MINISTACK_DEVIATIONS, OpenWorld, server_world
from tests.emulator import ACCOUNT_ID, REGION, enter
from tests.integration import images
from tests.integration.containers import running_container

pytestmark = [pytest.mark.containers, pytest.mark.anyio]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def ministack() -> Iterator[Emulator]:
    names = {"MINISTACK_ACCOUNT_ID": ACCOUNT_ID, "MINISTACK_REGION": REGION}
    with running_container(images.MINISTACK, port=4566, account_id=ACCOUNT_ID, **names) as server:
        yield server


@pytest.fixture(scope="module")
def fauxqs() -> Iterator[Emulator]:
    with running_container(images.FAUXQS, port=4566, account_id="000000000000") as server:
        yield server


class TestMinistack(QueueSourceContract):
    """As its makers ship it."""

    DEVIATIONS: ClassVar = MINISTACK_DEVIATIONS

    @pytest.fixture
    def open_world(self, ministack: Emulator, monkeypatch: pytest.MonkeyPatch) -> OpenWorld:
        return entered(ministack, monkeypatch)


class TestFauxqs(QueueSourceContract):
    """Another implementation, which shares no code with the first."""

    DEVIATIONS: ClassVar = FAUXQS_DEVIATIONS

    @pytest.fixture
    def open_world(self, fauxqs: Emulator, monkeypatch: pytest.MonkeyPatch) -> OpenWorld:
        return entered(fauxqs, monkeypatch)


def entered(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> OpenWorld:
    enter(server, monkeypatch)
    return partial(server_world, server, VirtualClock())
