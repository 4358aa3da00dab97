"""One executor for each function and isolation, so that all mappings of a function share its limits."""

from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace

from anyio import CapacityLimiter

from broker.composing.surroundings import Surroundings
from broker.errors import ConfigurationError, Mistake
from broker.executors.http import HttpExecutor
from broker.executors.in_process import InProcessExecutor
from broker.executors.loading import load_callable
from broker.executors.process import ProcessExecutor
from broker.model.function import Function
from broker.model.mapping import EventSourceMapping
from broker.ports import Executor


class Executors:
    """What runs the handlers of one broker."""

    def __init__(self, functions: Mapping[str, Function], around: Surroundings) -> None:
        self._functions = functions
        self._around = around
        self._executors: dict[tuple[str, str], Executor] = {}
        self._gates: dict[tuple[str, str], CapacityLimiter] = {}

    def of(self, mapping: EventSourceMapping) -> Executor:
        """That of a mapping which was opened."""
        return self._executors[_key(mapping)]

    def gate_of(self, mapping: EventSourceMapping) -> CapacityLimiter | None:
        """Where the shards of its mappings take turns; None where it runs as many invocations as are asked."""
        concurrency = self.of(mapping).concurrency
        return None if concurrency is None else self._gates.setdefault(_key(mapping), CapacityLimiter(concurrency))

    async def open(self, mappings: Iterable[EventSourceMapping], stack: AsyncExitStack) -> None:
        """Opens what the mappings need, closed with `stack`. Raises `ConfigurationError`."""
        mistakes: list[Mistake] = []
        for name, isolation in dict.fromkeys(_key(mapping) for mapping in mappings):
            try:
                self._executors[name, isolation] = await self._opened(self._functions[name], isolation, stack)
            except ConfigurationError as error:
                mistakes += [replace(mistake, path=self._path_of_handler(name)) for mistake in error.mistakes]
        if mistakes:
            raise ConfigurationError(mistakes)

    async def _opened(self, function: Function, isolation: str, stack: AsyncExitStack) -> Executor:
        around, concurrency, handler = self._around, function.reserved_concurrent_executions, function.callable
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


def _key(mapping: EventSourceMapping) -> tuple[str, str]:
    return mapping.function.name, mapping.broker.isolation
