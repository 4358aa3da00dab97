"""From a configuration to a supervisor that can run."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from broker.aws.clients import Clients
from broker.composing.executors import Executors
from broker.composing.parts import Parts
from broker.composing.queues import queue_problem, queue_run
from broker.composing.streams import stream_problem, stream_run
from broker.composing.surroundings import Overrides, Surroundings
from broker.core.watching import LeaseTiming
from broker.errors import BrokerError, ConfigurationError, Mistake, SourceError
from broker.model.mapping import EventSourceMapping
from broker.model.queue_mapping import QueueMapping
from broker.model.settings import Configuration
from broker.ports import Observer
from broker.runtime.fleet import Fleet
from broker.runtime.heartbeat import in_task, on_thread
from broker.runtime.loop_watch import LoopWatch
from broker.runtime.supervisor import MappingRun, Supervisor
from broker.stores.opening import OpenStateStore, open_store


class Composition:
    """All parts of one broker, open while it runs."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        observers: tuple[Observer, ...],
        overrides: Overrides,
        around: Surroundings,
    ) -> None:
        self._configuration = configuration
        self._settings = configuration.broker
        self._observers = observers
        self._overrides = overrides
        self._around = around
        self._fleet: Fleet | None = None

    @asynccontextmanager
    async def opened(self, *, strict: bool) -> AsyncIterator[Supervisor]:
        """Opens everything, closed again at the end.

        Raises:
            ConfigurationError: something is wrong with handlers, the account or, if `strict`, the sources.
            SourceError: AWS could not be asked what the start depends on.
            StoreError: the state store cannot be used.
        """
        async with AsyncExitStack() as stack:
            parts = await self._open(stack)
            if strict:
                await self._check_sources(parts)  # before a fleet is joined, whose task group would wrap its errors
            if parts.store is not None:
                self._fleet = await stack.enter_async_context(self._joined_fleet(parts, parts.store))
                parts = replace(parts, fleet=self._fleet)
            runs = [_run(parts, mapping) for mapping in self._configuration.event_source_mappings]
            yield Supervisor(runs, clock=self._around.clock)

    def drain(self) -> None:
        """Tells the other brokers of the fleet that this one takes nothing more."""
        if self._fleet is not None:
            self._fleet.drain()

    async def _open(self, stack: AsyncExitStack) -> Parts:
        configuration = self._configuration
        clients = await stack.enter_async_context(Clients())
        await self._check_account(clients)
        functions = {function.function_name: function for function in configuration.functions}
        executors = Executors(functions, self._around)
        await executors.open(configuration.event_source_mappings, stack)
        return Parts(
            configuration=configuration,
            observers=self._observers,
            overrides=self._overrides,
            around=self._around,
            clients=clients,
            executors=executors,
            store=await self._open_store(stack),
            fleet=None,
        )

    async def _check_account(self, clients: Clients) -> None:
        expected = self._settings.expected_account_id
        if expected is None:
            return
        account = await clients.account_id()
        if account is None:
            raise SourceError(
                f"Broker.ExpectedAccountId is {expected}, but AWS did not say whose credentials these are"
            )
        if account != expected:
            message = f"the credentials are of account {account}, not of {expected}: use others, or change this value"
            raise ConfigurationError([Mistake(message=message, path="Broker.ExpectedAccountId")])

    async def _open_store(self, stack: AsyncExitStack) -> OpenStateStore | None:
        if not self._configuration.needs_store:
            return None
        settings = self._settings
        return self._overrides.store or await stack.enter_async_context(
            open_store(settings.state_store, data_folder=settings.data_folder, region=settings.region)
        )

    @asynccontextmanager
    async def _joined_fleet(self, parts: Parts, store: OpenStateStore) -> AsyncIterator[Fleet]:
        around = self._around
        watch = LoopWatch(clock=around.clock, observe=lambda blocked: parts.observe("", blocked))
        is_apart = store.is_shared and not around.is_virtual
        fleet = Fleet(
            store=store,
            beats=on_thread(store.reopened, watch=watch) if is_apart else in_task(store),
            clock=around.clock,
            name=around.worker_name,
            new_id=lambda: str(around.new_id()),
            chance=around.chance,
            observe=parts.observe,
            timing=LeaseTiming(lease_seconds=self._settings.lease_duration_in_seconds),
        )
        async with fleet.running():
            yield fleet

    async def _check_sources(self, parts: Parts) -> None:
        """Refuses to start while a source is missing, or a queue hides messages for too short a time."""
        mistakes: list[Mistake] = []
        for index, mapping in enumerate(self._configuration.event_source_mappings):
            problem = await _problem_of(parts, mapping) if mapping.enabled else None
            if problem:
                mistakes.append(Mistake(message=problem, path=f"EventSourceMappings[{index}].EventSourceArn"))
        if mistakes:
            raise ConfigurationError(mistakes)


async def _problem_of(parts: Parts, mapping: EventSourceMapping) -> str | None:
    if isinstance(mapping, QueueMapping):
        return await queue_problem(parts, mapping)
    return await stream_problem(parts, mapping)


def _run(parts: Parts, mapping: EventSourceMapping) -> MappingRun:
    if isinstance(mapping, QueueMapping):
        return queue_run(parts, mapping)
    if parts.store is None or parts.fleet is None:
        raise BrokerError(f"{mapping.event_source_arn}: a stream's positions need a store, and none is open")
    return stream_run(parts, mapping, store=parts.store, fleet=parts.fleet)
