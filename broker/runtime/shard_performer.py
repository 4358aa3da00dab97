"""Performs what a shard's consumer decided, and reports how it ended."""

from collections.abc import Callable
from math import inf
from typing import assert_never
from uuid import UUID

from anyio import CancelScope, CapacityLimiter

from broker.core.events import Finished, Tell
from broker.core.stream_events import (
    CheckpointFailed,
    CheckpointSaved,
    Discard,
    Discarded,
    InvokeStream,
    NotStarted,
    PageRead,
    Read,
    ReadFailed,
    SaveCheckpoint,
    ShardEvent,
)
from broker.errors import DestinationError, LeaseLost, ShardReadError, StoreError
from broker.model.observation import Observation
from broker.ports import Clock, Destination, Executor, ShardReader
from broker.runtime.positions import Positions
from broker.runtime.settlements import Settlements
from broker.runtime.target import NumberedIds, Target

Performed = Read | InvokeStream | SaveCheckpoint | Discard
"""The actions that have an answer."""


class ShardPerformer:
    """One shard's hands: its reader, its executor, its row in the store, its destination, its observers."""

    def __init__(
        self,
        *,
        shard_id: str,
        reader: ShardReader,
        positions: Positions,
        executor: Executor,
        destination: Destination | None,
        target: Target,
        run_id: UUID,
        clock: Clock,
        chance: Callable[[], float],
        observe: Callable[[Observation], None],
        gate: CapacityLimiter | None = None,
        settlement_seconds: float = 30.0,
    ) -> None:
        """`run_id` makes the request ids of this run unique; `chance` draws jitter from [0, 1).

        `gate` has as many tokens as the executor has slots: all shards of its mappings take turns at it, first come,
        first served, so that one shard that is always ready does not keep the others out.
        """
        self._shard_id = shard_id
        self._reader = reader
        self._positions = positions
        self._executor = executor
        self._destination = destination
        self._target = target
        self._request_ids = NumberedIds(run_id)
        self._clock = clock
        self._chance = chance
        self._observe = observe
        self._gate = gate
        self._waiting: set[CancelScope] = set()
        self._lease_until = -inf
        self._settlements = Settlements(settlement_seconds)

    def tell(self, action: Tell) -> None:
        """Says to the observers what happened."""
        self._observe(action.observation)

    async def perform(self, action: Performed) -> ShardEvent:
        """Performs one action and returns its answer.

        Raises:
            LeaseLost: the shard is somebody else's by now.
            ExecutorError: the executor is broken.
        """
        match action:
            case Read():
                return await self._read(action)
            case InvokeStream():
                return await self._invoke(action)
            case SaveCheckpoint():
                return await self._save(action)
            case Discard():
                return await self._discard(action)
            case _:
                assert_never(action)

    async def _read(self, read: Read) -> ShardEvent:
        try:
            page = await self._reader.read(read.position, maximum_count=read.maximum_count)
        except ShardReadError as error:
            return ReadFailed(number=read.number, fault=error.fault, problem=str(error), chance=self._chance())
        return PageRead(number=read.number, page=page)

    async def _invoke(self, invoke: InvokeStream) -> ShardEvent:
        number = invoke.batch.number
        if self._gate is None:
            return await self._invoke_at_once(invoke)
        if not await self._is_admitted(self._gate):
            return NotStarted(number=number)
        try:
            return await self._invoke_at_once(invoke)
        finally:
            self._gate.release()

    async def _is_admitted(self, gate: CapacityLimiter) -> bool:
        """Waits for its turn; False where the shard is stopped meanwhile."""
        with CancelScope() as scope:
            self._waiting.add(scope)
            try:
                await gate.acquire()
                return True
            finally:
                self._waiting.discard(scope)
        return False

    async def _invoke_at_once(self, invoke: InvokeStream) -> ShardEvent:
        number = invoke.batch.number
        if self._clock.now() >= max(invoke.start_before, self._lease_until):
            return NotStarted(number=number)
        invocation = self._target.invocation(
            self._request_ids.of(number), invoke.payload, fencing_token=self._positions.epoch
        )
        result = await self._executor.invoke(invocation)
        return Finished(number=number, result=result, chance=self._chance())

    async def _save(self, save: SaveCheckpoint) -> ShardEvent:
        problem = "the store did not answer in time"
        with self._settlements.settling():
            try:
                await self._positions.save(save.checkpoint)
                return CheckpointSaved(number=save.number)
            except LeaseLost:
                raise
            except StoreError as error:
                problem = str(error)
        return CheckpointFailed(number=save.number, problem=problem, chance=self._chance())

    async def _discard(self, discard: Discard) -> ShardEvent:
        discarded, problem, is_final = discard.discarded, "the destination did not answer in time", False
        with self._settlements.settling():
            try:
                if self._destination is not None:
                    await self._destination.send(
                        discarded,
                        shard_id=self._shard_id,
                        request_id=self._request_ids.of(discarded.batch),
                        now=discard.at,
                    )
                return Discarded(number=discarded.number, problem=None, is_final=False, chance=self._chance())
            except DestinationError as error:
                problem, is_final = str(error), error.too_large
        return Discarded(number=discarded.number, problem=problem, is_final=is_final, chance=self._chance())

    def extend(self, until_at: float) -> None:
        """The lease is certain until then: also for what has waited for its turn meanwhile."""
        self._lease_until = until_at

    def admit_no_more(self) -> None:
        """Lets nothing begin that waits for its turn."""
        for scope in self._waiting:
            scope.cancel()

    def limit_settlements(self, seconds: float) -> None:
        """From now on, no settlement lasts longer than so many seconds from now."""
        self._settlements.limit(seconds)
