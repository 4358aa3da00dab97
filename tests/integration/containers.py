"""Emulators in containers, on loopback ports, gone when their block ends; skips where no engine answers."""

import gc
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
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
    images, problem = _ask_engine()
    if problem:
        pytest.skip(f"no container engine answers: {problem}")
    if testcontainers_config.ryuk_image not in images:
        patch.setattr(testcontainers_config, "ryuk_disabled", True)
    if Path("/.dockerenv").exists():
        patch.setattr(testcontainers_config, "connection_mode_override", ConnectionMode.docker_host)


def _ask_engine() -> tuple[set[str], str]:
    """The images that are there, and why the engine does not answer.

    Docker's client leaves the socket open on which nobody answered: that is not this suite's to warn of.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            with closing(docker.from_env()) as client:
                return {tag for image in client.images.list() for tag in image.tags}, ""
        except DockerException as error:
            problem = str(error)
        gc.collect()
        return set(), problem


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
