"""What `broker run` and `broker dev` have in common: logs, listeners, and the way to the handlers' modules."""

import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, cast

import structlog

from broker.api.health import Reporting
from broker.api.listener import HttpListener, control_plane_application, health_application
from broker.app import Surroundings
from broker.cli.logs import LOST_COUNT, configure_logging
from broker.cli.streams import LossyStream
from broker.config import identity_of
from broker.model.mapping import EventSourceMapping
from broker.model.settings import BrokerSettings
from broker.observability.logging import LogObserver


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """Where the broker answers."""

    control_plane_url: str
    health_url: str


def log_observer(
    settings: BrokerSettings, mappings: Iterable[EventSourceMapping] = (), *, stream: LossyStream
) -> LogObserver:
    """Configures the process's logs and returns the observer that writes them, with the names of the mappings.

    Lines that cannot be written are lost; the broker goes on, and says how many when it can write again.
    """
    # Of a text stream, logs use what `_LogStream` has: write, flush and isatty.
    target = cast("TextIO", _LogStream(stream))
    configure_logging(log_format=settings.log_format, level=settings.log_level, stream=target)
    names = {
        identity_of(mapping): {
            "function": mapping.function.qualified_name,
            mapping.kind.value: mapping.source.resource.removeprefix("stream/"),
        }
        for mapping in mappings
    }

    def describe(uuid: str) -> Mapping[str, str]:
        return names.get(uuid, {})

    return LogObserver(
        structlog.get_logger("broker"),
        describe=describe,
        with_error_messages=settings.log_handler_error_messages,
    )


class _LogStream:
    """Writes each line at once, and after the first that could be written again one that counts the lost ones."""

    def __init__(self, target: LossyStream) -> None:
        self._target = target

    def isatty(self) -> bool:
        return self._target.isatty()

    def write(self, text: str) -> int:
        self._target.write(text)
        self._target.flush()
        if lost := self._target.recovered():
            # not by structlog, whose logger holds a lock meanwhile
            logging.getLogger("broker").warning("log.lines_lost", extra={LOST_COUNT: lost})
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""


@asynccontextmanager
async def listening(broker: Reporting, settings: BrokerSettings) -> AsyncIterator[Listeners]:
    """Opens the control plane and the health listener. Raises `ListenerError`."""
    host, port = settings.control_plane.address
    health_host, health_port = settings.health.address
    control_plane = HttpListener(
        host=host,
        port=port,
        application=control_plane_application(
            broker, host=host, with_error_messages=settings.log_handler_error_messages
        ),
        setting="ControlPlane.Listen",
        variable="BROKER_CONTROL_PLANE__LISTEN",
    )
    health = HttpListener(
        host=health_host,
        port=health_port,
        application=health_application(broker),
        setting="Health.Listen",
        variable="BROKER_HEALTH__LISTEN",
    )
    async with control_plane, health:
        yield Listeners(control_plane_url=control_plane.url, health_url=health.url)


def surroundings() -> Surroundings:
    """Lets `Callable: "app:handler"` mean the module `app` of the current folder, as `python -m` would."""
    return Surroundings(folders=(Path.cwd(),))
