"""What the demonstration of `broker dev` plays in: an emulator with its queues, its streams, and a state store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from broker.cli import demo, demo_streams
from broker.cli.demo_traffic import Ledger
from broker.cli.embedded import embedded_emulator, open_development_store
from broker.cli.emulated_queues import EmulatedQueues, emulated_queues
from broker.cli.emulated_streams import EmulatedStreams, emulated_streams
from broker.cli.emulator import Emulator
from broker.config import mapping_identity
from broker.model.settings import BrokerSettings
from broker.stores.opening import OpenStateStore


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """All of it, open."""

    emulator: Emulator
    queues: EmulatedQueues
    streams: EmulatedStreams
    sources: demo_streams.Sources
    store: OpenStateStore
    ledger: Ledger

    @property
    def queue_identities(self) -> dict[str, str]:
        """The mappings' UUIDs by the queues' names."""
        return {
            plan.name: mapping_identity(self.queues.arn(plan.name), function)
            for plan, function in demo.FUNCTIONS.items()
        }

    @property
    def stream_identities(self) -> dict[str, str]:
        """The mappings' UUIDs by the names of stream and table."""
        arns = {demo_streams.CLICKS: self.sources.clicks, demo_streams.STOCK: self.sources.stock}
        return {name: mapping_identity(arns[name], function) for name, function in demo_streams.FUNCTIONS.items()}

    @property
    def names(self) -> dict[str, str]:
        """What people know the mappings by, by UUID."""
        return {uuid: name for name, uuid in (self.queue_identities | self.stream_identities).items()}


@asynccontextmanager
async def demo_world(settings: BrokerSettings, *, port: int) -> AsyncIterator[World]:
    """Opens it and makes all sources. Raises `CommandError` where there is no emulator."""
    async with (
        embedded_emulator(settings, (), port=port) as emulator,
        emulated_queues(emulator) as queues,
        emulated_streams(emulator) as streams,
        open_development_store(settings, emulator) as store,
    ):
        for plan in demo.PLANS:
            await queues.create(plan)
        sources = await demo_streams.create(streams, queues)
        yield World(emulator=emulator, queues=queues, streams=streams, sources=sources, store=store, ledger=Ledger())
