"""Performs what a queue consumer decided, and reports how it ended."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import assert_never
from uuid import UUID, uuid5

from anyio import CancelScope, current_time

from broker.core.events import (
    ChangeVisibility,
    Delete,
    Deleted,
    Describe,
    Described,
    DescribeFailed,
    Fetch,
    Fetched,
    FetchFailed,
    Finished,
    Invoke,
    QueueEvent,
    Tell,
    VisibilityChanged,
)
from broker.core.payload import queue_event
from broker.errors import SourceError
from broker.model.invocation import Invocation
from broker.model.observation import Observation
from broker.model.record import Failure, Record
from broker.ports import Executor, QueueSource

_ID_PREFIX = 24
"""Characters of a UUID before its last 12 digits, which count."""
Performed = Describe | Fetch | Invoke | Delete | ChangeVisibility
"""The actions that have an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What every invocation of one mapping says of its function."""

    function_name: str
    function_arn: str
    function_version: str = "$LATEST"
    memory_limit_in_mb: int = 128
    timeout_seconds: float = 3.0


class QueuePerformer:
    """One mapping's hands: its queue, its executor, its observers."""

    def __init__(
        self,
        *,
        source: QueueSource,
        executor: Executor,
        target: Target,
        run_id: UUID,
        chance: Callable[[], float],
        observe: Callable[[Observation], None],
        fifo: bool = False,
        settlement_seconds: float = 30.0,
    ) -> None:
        """`run_id` makes the ids of this run unique, which are UUIDs too; `chance` draws jitter from [0, 1)."""
        self._source = source
        self._executor = executor
        self._target = target
        self._request_ids = str(run_id)[:_ID_PREFIX]
        self._receive_ids = str(uuid5(run_id, "receive"))[:_ID_PREFIX]
        self._chance = chance
        self._observe = observe
        self._fifo = fifo
        self._settlement_seconds = settlement_seconds
        self._settlements_end_at = inf
        self._settling: set[CancelScope] = set()

    def tell(self, action: Tell) -> None:
        """Says to the observers what happened."""
        self._observe(action.observation)

    async def perform(self, action: Performed) -> QueueEvent:
        """Performs one action and returns its answer. Raises `ExecutorError` where the executor is broken."""
        match action:
            case Fetch():
                return await self._fetch(action)
            case Invoke():
                return await self._invoke(action)
            case Delete():
                failures = await self._settle(action.records, lambda: self._source.delete(action.records))
                return Deleted(number=action.number, failures=failures, chance=self._chance())
            case ChangeVisibility():
                failures = await self._settle(action.records, lambda: self._change_visibility(action))
                return VisibilityChanged(number=action.number, failures=failures)
            case Describe():
                return await self._describe()
            case _:
                assert_never(action)

    async def _fetch(self, fetch: Fetch) -> QueueEvent:
        try:
            records = await self._source.receive(
                maximum_count=fetch.maximum_count,
                wait_seconds=fetch.wait_seconds,
                visibility_timeout_seconds=fetch.visibility_timeout_seconds,
                attempt_id=f"{self._receive_ids}{fetch.attempt_number:012x}" if self._fifo else None,
            )
        except SourceError as error:
            return FetchFailed(
                number=fetch.number,
                problem=str(error),
                chance=self._chance(),
                may_have_taken_effect=error.may_have_taken_effect,
            )
        return Fetched(number=fetch.number, records=records)

    async def _describe(self) -> QueueEvent:
        try:
            return Described(attributes=await self._source.describe())
        except SourceError as error:
            return DescribeFailed(problem=str(error), chance=self._chance())

    async def _invoke(self, invoke: Invoke) -> QueueEvent:
        number, target = invoke.batch.number, self._target
        invocation = Invocation(
            request_id=f"{self._request_ids}{number:012x}",
            payload=queue_event(invoke.batch),
            function_name=target.function_name,
            function_arn=target.function_arn,
            function_version=target.function_version,
            memory_limit_in_mb=target.memory_limit_in_mb,
            timeout_seconds=target.timeout_seconds,
        )
        result = await self._executor.invoke(invocation)
        return Finished(number=number, result=result, chance=self._chance())

    async def _change_visibility(self, change: ChangeVisibility) -> Mapping[str, Failure]:
        return await self._source.change_visibility(
            change.records, visibility_timeout_seconds=change.visibility_timeout_seconds
        )

    def limit_settlements(self, seconds: float) -> None:
        """From now on, no settlement lasts longer than so many seconds from now."""
        self._settlements_end_at = min(self._settlements_end_at, current_time() + seconds)
        for scope in self._settling:
            scope.deadline = min(scope.deadline, self._settlements_end_at)

    async def _settle(
        self, records: Sequence[Record], call: Callable[[], Awaitable[Mapping[str, Failure]]]
    ) -> Mapping[str, Failure]:
        """Makes a call that cancellation does not interrupt but time does."""
        failure = Failure(code="TimedOut", message="no answer in time")
        ends_at = min(current_time() + self._settlement_seconds, self._settlements_end_at)
        with CancelScope(deadline=ends_at, shield=True) as scope:
            self._settling.add(scope)
            try:
                return await call()
            except SourceError as error:
                failure = Failure(code=error.code or "SourceError", message=str(error))
            finally:
                self._settling.discard(scope)
        return {record.identifier: failure for record in records}
