"""`Broker`: the composition root, where what strangers wrote becomes policies, sources and executors."""

import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID, uuid4

from anyio import to_thread

from broker import config
from broker.aws.clients import Clients
from broker.aws.faults import QUEUE_MISSING
from broker.core.description import visibility_problem
from broker.core.filtering import compile_queue_filters
from broker.core.queue_policy import queue_policy
from broker.errors import ConfigurationError, Mistake, SourceError
from broker.executors.http import HttpExecutor
from broker.executors.in_process import InProcessExecutor, RunSync
from broker.executors.loading import load_callable
from broker.executors.process import ProcessExecutor
from broker.model.arn import Arn
from broker.model.function import Function
from broker.model.mapping import EventSourceMapping
from broker.model.observation import Observation
from broker.model.settings import BrokerSettings, Configuration
from broker.model.status import MappingStatus
from broker.ports import Clock, Executor, Observer, QueueSource
from broker.runtime.clock import SystemClock
from broker.runtime.performer import QueuePerformer, Target
from broker.runtime.supervisor import MappingPlan, Supervisor
from broker.sources.sqs import SqsQueueSource

UNKNOWN_ACCOUNT = "000000000000"
FALLBACK_REGION = "us-east-1"

Handler = TypeVar("Handler", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a broker takes from the world besides AWS. Tests replace it, so that a run can be repeated."""

    clock: Clock = field(default_factory=SystemClock)
    chance: Callable[[], float] = random.random
    """Jitter in [0, 1)."""
    new_id: Callable[[], UUID] = uuid4
    run_sync: RunSync | None = None
    """Runs plain functions on worker threads; if absent the clock's own (virtual time has one), else anyio's."""
    folders: tuple[Path, ...] = ()
    """Where modules of callables may lie besides `sys.path`."""
    raise_bugs: bool = False
    """Whether a bug ends the whole broker instead of one mapping."""

    @property
    def thread_runner(self) -> RunSync:
        """What runs plain functions."""
        of_clock: RunSync | None = getattr(self.clock, "run_sync", None)
        return self.run_sync or of_clock or to_thread.run_sync


class Broker:
    """Consumes queues the way Lambda's event source mappings do, and hands batches to handlers.

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
        surroundings: Surroundings | None = None,
        strict: bool = False,
    ) -> None:
        """`sources` replaces queues of AWS, by ARN.

        `strict` refuses to start while a queue is missing, or hides messages for less than the function's timeout.

        Raises:
            ConfigurationError: two functions have one name.
        """
        self._settings = settings or BrokerSettings()
        self._functions: dict[str, Function] = {}
        for function in functions:
            self._add(function)
        self._mappings = list(mappings)
        self._observers = tuple(observers)
        self._sources = dict(sources or {})
        self._surroundings = surroundings or Surroundings()
        self._strict = strict
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
        names = Function.model_fields.keys() - EventSourceMapping.model_fields.keys()

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

    # ---- composing

    @asynccontextmanager
    async def _composed(self) -> AsyncIterator[Supervisor]:
        configuration = Configuration(
            broker=self._settings,
            functions=tuple(self._functions.values()),
            event_source_mappings=tuple(self._mappings),
        )
        config.check(configuration)
        around = self._surroundings
        async with AsyncExitStack() as stack:
            clients = await stack.enter_async_context(Clients())
            await self._check_account(clients)
            executors = await self._open_executors(stack)
            plans = [self._plan(mapping, executors[_executor_key(mapping)], clients) for mapping in self._mappings]
            await self._check_sources(plans)
            self._supervisor = Supervisor(plans, clock=around.clock, chance=around.chance, raise_bugs=around.raise_bugs)
            if self._is_draining:
                self.drain()
            try:
                yield self._supervisor
            finally:
                self._is_draining = False

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

    async def _open_executors(self, stack: AsyncExitStack) -> dict[tuple[str, str], Executor]:
        """One for each function and isolation, so that all mappings of a function share its limits."""
        executors: dict[tuple[str, str], Executor] = {}
        mistakes: list[Mistake] = []
        for name, isolation in dict.fromkeys(_executor_key(mapping) for mapping in self._mappings):
            try:
                executors[name, isolation] = await self._open_executor(self._functions[name], isolation, stack)
            except ConfigurationError as error:
                mistakes += [replace(mistake, path=self._path_of_handler(name)) for mistake in error.mistakes]
        if mistakes:
            raise ConfigurationError(mistakes)
        return executors

    async def _open_executor(self, function: Function, isolation: str, stack: AsyncExitStack) -> Executor:
        around, concurrency, handler = self._surroundings, function.reserved_concurrent_executions, function.callable
        if handler is None:
            http = HttpExecutor(url=str(function.url), concurrency=concurrency)
            return await stack.enter_async_context(http)
        if isolation == "process":
            child = ProcessExecutor(
                handler=handler, clock=around.clock, concurrency=concurrency, folders=around.folders
            )
            return await stack.enter_async_context(child)
        if isinstance(handler, str):
            handler = load_callable(handler, folders=around.folders)
        return InProcessExecutor(
            handler=handler, clock=around.clock, concurrency=concurrency, run_sync=around.thread_runner
        )

    def _path_of_handler(self, name: str) -> str:
        member = "Callable" if self._functions[name].url is None else "Url"
        return f"Functions[{list(self._functions).index(name)}].{member}"

    def _plan(self, mapping: EventSourceMapping, executor: Executor, clients: Clients) -> MappingPlan:
        around, function = self._surroundings, self._functions[mapping.function.name]
        uuid, arn = config.identity_of(mapping), mapping.event_source_arn
        source = self._sources.get(arn) or SqsQueueSource(arn=arn, clients=clients, clock=around.clock)
        policy = queue_policy(
            mapping,
            accepts=compile_queue_filters(mapping.filter_patterns),
            function_timeout_seconds=function.timeout,
            function_concurrency=executor.concurrency,
            drain_seconds=self._settings.drain_timeout_in_seconds,
        )

        def observe(observation: Observation) -> None:
            for observer in self._observers:
                observer.observe(uuid, observation)

        performer = QueuePerformer(
            source=source,
            executor=executor,
            target=self._target(mapping, function),
            run_id=around.new_id(),
            chance=around.chance,
            observe=observe,
            fifo=mapping.is_fifo,
        )
        return MappingPlan(
            uuid=uuid,
            function_name=mapping.function.qualified_name,
            event_source_arn=arn,
            enabled=mapping.enabled,
            policy=policy,
            performer=performer,
            source=source,
            observe=observe,
        )

    def _target(self, mapping: EventSourceMapping, function: Function) -> Target:
        queue, reference = mapping.source, mapping.function
        account = reference.account_id or self._settings.account_id or queue.account
        region = reference.region or self._settings.region or queue.region
        return Target(
            function_name=reference.name,
            function_arn=f"arn:{queue.partition}:lambda:{region}:{account}:function:{reference.qualified_name}",
            function_version=reference.qualifier or "$LATEST",
            memory_limit_in_mb=function.memory_size,
            timeout_seconds=function.timeout,
        )

    async def _check_sources(self, plans: Sequence[MappingPlan]) -> None:
        """With `strict`, refuses to start while a queue is missing or hides messages for too short a time."""
        mistakes: list[Mistake] = []
        for index, plan in enumerate(plans if self._strict else ()):
            problem = await self._problem_of(plan) if plan.enabled else None
            if problem:
                mistakes.append(Mistake(message=problem, path=f"EventSourceMappings[{index}].EventSourceArn"))
        if mistakes:
            raise ConfigurationError(mistakes)

    async def _problem_of(self, plan: MappingPlan) -> str | None:
        try:
            attributes = await plan.source.describe()
        except SourceError as error:
            if error.code == QUEUE_MISSING:
                return str(error)
            raise
        return visibility_problem(attributes, plan.policy)

    def _first_of(self, part: str) -> str | None:
        return next((getattr(Arn.parse(mapping.event_source_arn), part) for mapping in self._mappings), None)


def _executor_key(mapping: EventSourceMapping) -> tuple[str, str]:
    return mapping.function.name, mapping.broker.isolation
