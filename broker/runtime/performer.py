"""Performs what a queue consumer decided, and reports how it ended."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import assert_never
from uuid import UUID, uuid5

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
from broker.model.observation import Observation
from broker.model.record import Failure, Record
from broker.ports import Executor, QueueSource
from broker.runtime.settlements import Settlements
from broker.runtime.target import NumberedIds, Target

Performed = Describe | Fetch | Invoke | Delete | ChangeVisibility
"""The actions that have an answer."""


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
        self._request_ids = NumberedIds(run_id)
        self._receive_ids = NumberedIds(uuid5(run_id, "receive"))
        self._chance = chance
        self._observe = observe
        self._fifo = fifo
        self._settlements = Settlements(settlement_seconds)

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
                attempt_id=self._receive_ids.of(fetch.attempt_number) if self._fifo else None,
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
        number = invoke.batch.number
        invocation = self._target.invocation(self._request_ids.of(number), queue_event(invoke.batch))
        result = await self._executor.invoke(invocation)
        return Finished(number=number, result=result, chance=self._chance())

    async def _change_visibility(self, change: ChangeVisibility) -> Mapping[str, Failure]:
        return await self._source.change_visibility(
            change.records, visibility_timeout_seconds=change.visibility_timeout_seconds
        )

    def limit_settlements(self, seconds: float) -> None:
        """From now on, no settlement lasts longer than so many seconds from now."""
        self._settlements.limit(seconds)

    async def _settle(
        self, records: Sequence[Record], call: Callable[[], Awaitable[Mapping[str, Failure]]]
    ) -> Mapping[str, Failure]:
        """Makes a call that cancellation does not interrupt but time does."""
        failure = Failure(code="TimedOut", message="no answer in time")
        with self._settlements.settling():
            try:
                return await call()
            except SourceError as error:
                failure = Failure(code=error.code or "SourceError", message=str(error))
        return {record.identifier: failure for record in records}
