"""An environment in which only what a test sets is found."""

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from broker.aws.clients import Clients, ClientSettings
from tests.integration.aws.raw_server import RawServer, raw_server

QUICK = ClientSettings(connect_seconds=1.0, answer_seconds=0.3, attempts=1)


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No credentials, no region, no proxy; no files and no role of the machine are looked at."""
    for name in os.environ:
        if name.startswith(("AWS_", "BOTO")) or name.upper().endswith(("_PROXY", "_CA_BUNDLE")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


@pytest.fixture
def environment(bare_environment: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """With credentials."""
    bare_environment.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    bare_environment.setenv("AWS_SECRET_ACCESS_KEY", "SECRETEXAMPLE")
    bare_environment.setenv("AWS_SESSION_TOKEN", "TOKENEXAMPLE")
    return bare_environment


@pytest_asyncio.fixture
async def server(environment: pytest.MonkeyPatch) -> AsyncIterator[RawServer]:
    """A server that all services are expected at."""
    async with raw_server() as server:
        environment.setenv("AWS_ENDPOINT_URL", server.url)
        yield server


@pytest_asyncio.fixture
async def clients(environment: pytest.MonkeyPatch) -> AsyncIterator[Clients]:
    """Impatient, and one attempt each; made before the test changes the environment, opened when it asks."""
    async with Clients(QUICK) as clients:
        yield clients
