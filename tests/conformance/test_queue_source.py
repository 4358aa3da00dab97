"""The queue in memory, in virtual time, and the SQS source against an emulator, in real time: one contract."""

from functools import partial
from typing import ClassVar

import pytest

from broker.cli.emulator import Emulator
from broker.testing import VirtualClock
from tests.conformance.queue_contract import QueueSourceContract
from tests.conformance.queue_worlds import MINISTACK_DEVIATIONS, OpenWorld, in_memory_world, server_world
from tests.emulator import enter

pytestmark = pytest.mark.anyio


class TestInMemory(QueueSourceContract):
    """On both backends."""

    @pytest.fixture
    def open_world(self) -> OpenWorld:
        return in_memory_world


class TestMinistack(QueueSourceContract):
    """Real requests to a server."""

    DEVIATIONS: ClassVar = MINISTACK_DEVIATIONS

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture
    def open_world(self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> OpenWorld:
        enter(emulator, monkeypatch)
        return partial(server_world, emulator, VirtualClock())
