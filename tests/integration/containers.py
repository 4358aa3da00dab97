"""Emulators in containers, on loopback ports, gone when their block ends; skips where no engine answers."""

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException
from testcontainers.core.config import ConnectionMode, testcontainers_config
from testcontainers.core.container import DockerContainer

from broker.cli.emulator import Emulator
from tests.emulator import REGION

HOST = "127.0.0.1"
READY_SECONDS = 60.0
POLL_SECONDS = 0.1


@contextmanager
def running_container(image: str, *, port: int, account_id: str, **environment: str) -> Iterator[Emulator]:
    """Runs an emulator that listens on `port` inside; outside it has a free port of the loopback interface."""
    with pytest.MonkeyPatch.context() as patch:
        _prepare(patch)
        container = DockerContainer(image).with_envs(**environment)
        container.ports = {port: (HOST, None)}
        with container:
            url = f"http://{HOST}:{container.get_exposed_port(port)}"
            _wait_until_ready(url, image)
            yield Emulator(url=url, account_id=account_id, region=REGION, log=Path())


def _prepare(patch: pytest.MonkeyPatch) -> None:
    """Without the container that cleans up where its image is not there; by mapped ports inside a container."""
    try:
        client = docker.from_env()
        client.ping()
        has_cleaner = bool(client.images.list(name=testcontainers_config.ryuk_image))
        client.close()
    except DockerException as error:
        pytest.skip(f"no container engine answers: {error}")
    if not has_cleaner:
        patch.setattr(testcontainers_config, "ryuk_disabled", True)
    if Path("/.dockerenv").exists():
        patch.setattr(testcontainers_config, "connection_mode_override", ConnectionMode.docker_host)


def _wait_until_ready(url: str, image: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not _answers(url):
        assert time.monotonic() < deadline, f"{image} does not answer at {url}"
        time.sleep(POLL_SECONDS)


def _answers(url: str) -> bool:
    """Whether somebody speaks HTTP there."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(url, timeout=5).close()
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        return False
    return True
