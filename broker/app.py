"""`Broker`: what users have of it. How its parts are put together is in `composition`."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

from broker import config
from broker.composing.composition import Composition
from broker.composing.surroundings import Overrides, Surroundings
from broker.errors import ConfigurationError
from broker.model.arn import Arn
from broker.model.function import Function
from broker.model.mapping import EventSourceMapping
from broker.model.mapping_fields import MappingFields
from broker.model.settings import BrokerSettings, Configuration
from broker.model.status import MappingStatus
from broker.ports import Destination, Observer, QueueSource, StreamSource
from broker.runtime.supervisor import Supervisor
from broker.stores.opening import OpenStateStore

__all__ = ["Broker", "Surroundings"]

UNKNOWN_ACCOUNT = "000000000000"
FALLBACK_REGION = "us-east-1"

Handler = TypeVar("Handler", bound=Callable[..., Any])


class Broker:
    """Consumes queues and streams the way Lambda's event source mappings do, and hands batches to handlers.

    Use `await broker.run()` as a program, or `async with broker:` inside one. It installs no signal handlers and
    configures no logging.
    """

    def __init__(
        self,
        *,
        settings: BrokerSettings | None = None,
        functions: Iterable[Function] = (),
        mappings: Iterable[EventSourceMapping] = (),
        observers: Iterable[Observer] = (),
        sources: Mapping[str, QueueSource] | None = None,
        streams: Mapping[str, StreamSource] | None = None,
        destinations: Mapping[str, Destination] | None = None,
        store: OpenStateStore | None = None,
        surroundings: Surroundings | None = None,
        strict: bool = False,
    ) -> None:
        """`sources` (queues), `streams` and `destinations` replace those of AWS, by ARN; `store` that of the settings.

        `strict` refuses to start while a queue or a stream is missing, or a queue hides messages for less than the
        function's timeout.

        Raises:
            ConfigurationError: two functions have one name.
        """
        self._settings = settings or BrokerSettings()
        self._functions: dict[str, Function] = {}
        for function in functions:
            self._add(function)
        self._mappings = list(mappings)
        self._observers = tuple(observers)
        self._overrides = Overrides(
            queues=sources or {}, streams=streams or {}, destinations=destinations or {}, store=store
        )
        self._surroundings = surroundings or Surroundings()
        self._strict = strict
        self._composition: Composition | None = None
        self._supervisor: Supervisor | None = None
        self._embedded: AsyncExitStack | None = None
        self._is_draining = False

    @property
    def account_id(self) -> str:
        """The account in the functions' ARNs: that of the settings, else that of the first mapping's queue."""
        return self._settings.account_id or self._first_of("account") or UNKNOWN_ACCOUNT

    @property
    def region(self) -> str:
        """The region in the functions' ARNs, found alike."""
        return self._settings.region or self._first_of("region") or FALLBACK_REGION

    @classmethod
    def from_configuration(cls, configuration: Configuration, **options: Any) -> Self:
        """A broker that does what a file says; `options` are the constructor's."""
        return cls(
            settings=configuration.broker,
            functions=configuration.functions,
            mappings=configuration.event_source_mappings,
            **options,
        )

    def event_source_mapping(self, event_source_arn: str, **fields: Any) -> Callable[[Handler], Handler]:
        """Decorates a handler: `handler(event, context)`, asynchronous or not, gets batches of the source's records.

        `fields` are those of a mapping and of a function in snake case (`batch_size=10`, `timeout=30`), and
        `report_batch_item_failures=True`. The function is named after the handler unless `function_name` says else.

        Raises:
            ConfigurationError: a field is wrong.
        """
        names = Function.model_fields.keys() - MappingFields.model_fields.keys()

        def register(handler: Handler) -> Handler:
            of_function = {name: value for name, value in fields.items() if name in names}
            of_mapping = {name: value for name, value in fields.items() if name not in names}
            name = of_mapping.setdefault("function_name", getattr(handler, "__name__", type(handler).__name__))
            function = config.parse_function(function_name=name, callable=handler, **of_function)
            self._add(function)
            self._mappings.append(config.parse_mapping(event_source_arn=event_source_arn, **of_mapping))
            return handler

        return register

    def _add(self, function: Function) -> None:
        name = function.function_name
        if self._functions.setdefault(name, function) != function:
            raise ConfigurationError(f"Function already exist: {name}: name this one otherwise, by function_name=…")

    # ---- running

    async def run(self) -> bool:
        """Consumes until drained; False where the drain was cut short.

        Raises:
            ConfigurationError: something is wrong with functions, mappings or the account.
            SourceError: AWS could not be asked what the start depends on.
        """
        async with self._composed() as supervisor:
            return await supervisor.run()

    def drain(self) -> None:
        """Begins to stop: no new receives, what is in flight finishes, for at most `DrainTimeoutInSeconds`."""
        self._is_draining = True
        if self._composition is not None:
            self._composition.drain()
        if self._supervisor is not None:
            self._supervisor.drain(self._settings.drain_timeout_in_seconds)

    def cut_short(self) -> None:
        """Ends at once: deletes that are under way get a few seconds, all else is cancelled and comes again."""
        self._is_draining = True
        if self._supervisor is not None:
            self._supervisor.cut_short()

    @property
    def is_running(self) -> bool:
        """Whether it consumes: its start is over and its drain has not begun."""
        return self._supervisor is not None and not self._supervisor.is_draining

    async def __aenter__(self) -> Self:
        stack = AsyncExitStack()
        await stack.enter_async_context(self._running())
        self._embedded = stack
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._embedded is not None:
            stack, self._embedded = self._embedded, None
            await stack.__aexit__(kind, error, traceback)

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        async with self._composed() as supervisor, supervisor.running(self._settings.drain_timeout_in_seconds):
            yield

    def statuses(self) -> tuple[MappingStatus, ...]:
        """What each mapping shows of itself; empty while the broker does not run."""
        return self._supervisor.statuses() if self._supervisor else ()

    @asynccontextmanager
    async def _composed(self) -> AsyncIterator[Supervisor]:
        configuration = Configuration(
            broker=self._settings,
            functions=tuple(self._functions.values()),
            event_source_mappings=tuple(self._mappings),
        )
        config.check(configuration, now=self._surroundings.clock.now())
        composition = Composition(
            configuration, observers=self._observers, overrides=self._overrides, around=self._surroundings
        )
        async with composition.opened(strict=self._strict) as supervisor:
            self._composition, self._supervisor = composition, supervisor
            if self._is_draining:
                self.drain()
            try:
                yield supervisor
            finally:
                self._is_draining = False

    def _first_of(self, part: str) -> str | None:
        return next((getattr(Arn.parse(mapping.event_source_arn), part) for mapping in self._mappings), None)
