"""What `broker dev` sets up around a broker: the emulator, the environment that leads to it, a log file, a title."""

import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from rich.console import Console

from broker.app import FALLBACK_REGION, UNKNOWN_ACCOUNT
from broker.cli.daemon import Listeners, log_observer
from broker.cli.emulator import Emulator, find_command, running_emulator
from broker.cli.progress import Progress
from broker.cli.streams import lossy_file
from broker.errors import CommandError
from broker.model.mapping import EventSourceMapping
from broker.model.reference import StoreKind
from broker.model.settings import BrokerSettings
from broker.observability.logging import LogObserver
from broker.stores.opening import OpenStateStore, open_store

LOG_NAME = "broker.log"
SHOW_CURSOR = b"\x1b[?25h\r\n"


@asynccontextmanager
async def embedded_emulator(
    settings: BrokerSettings, mappings: Sequence[EventSourceMapping], *, port: int
) -> AsyncIterator[Emulator]:
    """Runs an emulator of the mappings' account and region, and points this process at it. Raises `CommandError`."""
    first = mappings[0].source if mappings else None
    account_id = settings.account_id or (first.account if first else UNKNOWN_ACCOUNT)
    region = settings.region or (first.region if first else FALLBACK_REGION)
    command, folder = find_command(settings.dev.emulator_command), made_folder(settings)
    async with running_emulator(command, folder=folder, account_id=account_id, region=region, port=port) as emulator:
        emulator.enter_environment()
        yield emulator


def for_development(settings: BrokerSettings) -> BrokerSettings:
    """The same settings, for an emulator that begins empty and ends with the command.

    They show what handlers' errors say unless told otherwise: the machine is the developer's. Positions are not kept in
    a file: they would be of streams that are gone, and of the same name as those that `broker run` reads.
    """
    update: dict[str, object] = {}
    if "log_handler_error_messages" not in settings.model_fields_set:
        update["log_handler_error_messages"] = True
    if settings.store.kind is StoreKind.SQLITE:
        update["state_store"] = f"{StoreKind.MEMORY}:"
    return settings.model_copy(update=update)


def made_folder(settings: BrokerSettings) -> Path:
    """The data folder, made if need be. Raises `CommandError` where it cannot be written to."""
    folder = settings.data_folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(
            f"Broker.DataFolder {folder}: {error.strerror}; choose another with BROKER_DATA_FOLDER"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CommandError(f"Broker.DataFolder {folder}: not writable; choose another with BROKER_DATA_FOLDER")
    return folder


@asynccontextmanager
async def open_development_store(settings: BrokerSettings, emulator: Emulator) -> AsyncIterator[OpenStateStore]:
    """Opens what keeps positions for as long as the emulator lives. Raises `StoreError`."""
    async with open_store(
        settings.state_store, data_folder=settings.data_folder, region=settings.region or emulator.region
    ) as store:
        yield store


@contextmanager
def logging_to_file(settings: BrokerSettings, mappings: Sequence[EventSourceMapping]) -> Iterator[LogObserver]:
    """Sends the logs to a file of the data folder: the screen belongs to the view."""
    with lossy_file(made_folder(settings) / LOG_NAME) as stream:
        yield log_observer(settings, mappings, stream=stream)


def progress_on(screen: Console, names: Mapping[str, str]) -> Progress:
    """Counts for the view, with what mappings are known by, by UUID; without a terminal it says what is notable."""

    def say(line: str) -> None:
        if not screen.is_terminal:
            screen.print(line, markup=False)

    return Progress(names, say=say)


def leaving(screen: Console) -> Callable[[int], None]:
    """The way out that waits for nothing; only the cursor, which the view hides, is shown again."""

    def leave(code: int) -> None:
        if screen.is_terminal:
            with suppress(OSError):
                os.write(sys.stdout.fileno(), SHOW_CURSOR)
        os._exit(code)

    return leave


def title_of(emulator: Emulator, listeners: Listeners) -> str:
    """The first line."""
    return f"broker dev · emulator {emulator.url} · status {listeners.control_plane_url}"
