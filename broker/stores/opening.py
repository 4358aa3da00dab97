"""From the setting `StateStore` to a store that is open."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

from broker.aws.clients import Clients
from broker.errors import ConfigurationError, StoreError
from broker.ports import StateStore
from broker.stores.dynamodb import DynamoDbStateStore
from broker.stores.memory import MemoryStateStore
from broker.stores.sqlite import SqliteStateStore

FILE_NAME = "state.sqlite"
"""The file in the data folder, where the setting names none."""


class OpenStateStore(StateStore, Protocol):
    """A store that knows where it is."""

    @property
    def is_shared(self) -> bool:
        """Whether other processes can see it: whether there may be other workers than those of this process."""
        ...

    def reopened(self) -> "AbstractAsyncContextManager[OpenStateStore]":
        """The same rows by a connection of its own, for another event loop (of another thread, say).

        Raises `StoreError` on entering.
        """
        ...


@asynccontextmanager
async def open_store(
    setting: str,
    *,
    data_folder: Path,
    region: str | None = None,
    open_clients: Callable[[], Clients] = Clients,
    must_exist: bool = False,
) -> AsyncIterator[OpenStateStore]:
    """Opens what `Broker.StateStore` names: `memory:`, `sqlite:[PATH]` or `dynamodb:TABLE_PREFIX`.

    A relative path is one of the working directory; without a path the file is in `data_folder`. `region` is the
    table's; without it that of the AWS configuration. `open_clients` makes the clients that the store keeps to itself.
    A file or table that is not there yet is made, unless it `must_exist`.

    Raises:
        ConfigurationError: the setting is wrong.
        StoreError: the store cannot be used.
    """
    kind, colon, place = setting.partition(":")
    if setting == "memory:":
        yield MemoryStateStore()
    elif kind == "sqlite" and colon:
        path = Path(place) if place else data_folder / FILE_NAME
        if must_exist:
            _require_file(path)
        async with SqliteStateStore(path) as store:
            yield store
    elif kind == "dynamodb":
        async with _open_table(place, region, open_clients, must_exist=must_exist) as table:
            yield table
    else:
        raise ConfigurationError(f"StateStore: {setting!r} is none of memory:, sqlite:[PATH] and dynamodb:TABLE_PREFIX")


@asynccontextmanager
async def _open_table(
    prefix: str, region: str | None, open_clients: Callable[[], Clients], *, must_exist: bool
) -> AsyncIterator[DynamoDbStateStore]:
    async with open_clients() as clients:
        place = region or clients.region
        if not place:
            raise ConfigurationError(
                f"StateStore: dynamodb:{prefix} needs a region: set Broker.Region, or AWS_REGION in the environment"
            )
        async with DynamoDbStateStore(
            table_prefix=prefix, clients=clients, region=place, open_clients=open_clients, makes_table=not must_exist
        ) as store:
            yield store


def _require_file(path: Path) -> None:
    if not path.exists():
        raise StoreError(
            f"There is no state store {path}: no broker has run with it yet, or it lies elsewhere. A path is one of "
            "the folder in which the broker was started (Broker.DataFolder, Broker.StateStore).",
            code="NoSuchFile",
            retryable=False,
        )
