"""Streams in memory, in virtual time: the contract that the real sources keep in `tests/integration`."""

import pytest

from tests.conformance.stream_contract import StreamSourceContract
from tests.conformance.stream_worlds import (
    OpenStreamWorld,
    in_memory_fan_out_world,
    in_memory_stream_world,
    in_memory_table_world,
)

pytestmark = pytest.mark.anyio


class TestInMemoryKinesis(StreamSourceContract):
    """By polling."""

    @pytest.fixture
    def open_world(self) -> OpenStreamWorld:
        return in_memory_stream_world


class TestInMemoryFanOut(StreamSourceContract):
    """Pushed."""

    @pytest.fixture
    def open_world(self) -> OpenStreamWorld:
        return in_memory_fan_out_world


class TestInMemoryDynamoDb(StreamSourceContract):
    """A table's stream."""

    @pytest.fixture
    def open_world(self) -> OpenStreamWorld:
        return in_memory_table_world
