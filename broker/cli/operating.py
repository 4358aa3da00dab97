"""What commands about a stream's mapping have in common: which mapping is meant, its store, and who is asking."""

import getpass
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import NoReturn
from uuid import uuid4

from broker.cli.filters import chosen_mappings
from broker.config import identity_of
from broker.core.watching import LeaseTiming
from broker.errors import ConfigurationError
from broker.model.mapping import EventSourceMapping
from broker.model.queue_mapping import QueueMapping
from broker.model.reference import StoreKind
from broker.model.settings import Configuration
from broker.model.stream_mapping import StreamMapping
from broker.runtime.clock import SystemClock
from broker.runtime.steering import Operator
from broker.stores.opening import OpenStateStore, open_store


def one_mapping(configuration: Configuration, chosen: str) -> EventSourceMapping:
    """The mapping that a person means. Raises `ConfigurationError` where it is none, or one of several."""
    found = [mapping for _, mapping in chosen_mappings(configuration, chosen)]
    if len(found) > 1:
        shown = ", ".join(f"{identity_of(mapping)} (of {source_name(mapping)})" for mapping in found)
        raise ConfigurationError(f"{len(found)} mappings of the file are called {chosen!r}: name one of {shown}")
    return found[0]


def one_stream_mapping(configuration: Configuration, chosen: str, *, why: str) -> StreamMapping:
    """The same for a command that queues do not have; `why` is the end of its refusal. Raises `ConfigurationError`."""
    mapping = one_mapping(configuration, chosen)
    if isinstance(mapping, QueueMapping):
        raise ConfigurationError(f"{title_of(mapping)} reads a queue: {why}")
    return mapping


def title_of(mapping: EventSourceMapping) -> str:
    """`orders <- clicks`: function and source, for people."""
    return f"{mapping.function.qualified_name} <- {source_name(mapping)}"


def source_name(mapping: EventSourceMapping) -> str:
    """The queue's, stream's or table's name."""
    return mapping.source.resource if isinstance(mapping, QueueMapping) else mapping.stream.name


@asynccontextmanager
async def opened_store(configuration: Configuration, *, must_exist: bool = True) -> AsyncIterator[OpenStateStore]:
    """The store of a file.

    Raises:
        ConfigurationError: other processes cannot see it.
        StoreError: it is not there, or cannot be used.
    """
    settings = configuration.broker
    if settings.store.kind is StoreKind.MEMORY:
        raise ConfigurationError(
            "Broker.StateStore is memory:, so leases and positions are in the daemon's memory only: `broker mappings "
            "list` asks it what it does. With sqlite: or dynamodb:TABLE_PREFIX they can be seen and changed from here."
        )
    async with open_store(
        settings.state_store, data_folder=settings.data_folder, region=settings.region, must_exist=must_exist
    ) as store:
        yield store


def operator_of(configuration: Configuration, store: OpenStateStore) -> Operator:
    """The person who runs this command."""
    timing = LeaseTiming(lease_seconds=configuration.broker.lease_duration_in_seconds)
    return Operator(name=_person(), store=store, clock=SystemClock(), new_id=uuid4, timing=timing)


def _person() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def refuse_shard(shard: str, known: Iterable[str]) -> NoReturn:
    """Raises `ConfigurationError`, with the shards that there are."""
    raise ConfigurationError(f"the mapping has no shard {shard!r}; it has {', '.join(sorted(known)) or 'none yet'}")
