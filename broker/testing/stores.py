"""A state store in memory with fault verbs, for fleets of brokers in one test.

    >>> from broker.errors import StoreError
    >>> from broker.testing import run_in_virtual_time
    >>> from broker.testing.stores import InMemoryStateStore
    >>> async def main() -> tuple[str, int]:
    ...     store = InMemoryStateStore()
    ...     store.lose_reply("write", caller="first")
    ...     try:
    ...         await store.seen_by("first").write("workers", "a", {}, version=0, nonce="n")
    ...     except StoreError as error:
    ...         told = error.code
    ...     return told, len(await store.seen_by("second").read("workers"))
    >>> run_in_virtual_time(main)
    ('ConnectionClosedError', 1)

Each broker (or each of its connections) sees the store through `seen_by(caller)`, so that faults can strike one of
them. A call whose caller gives up while its request is under way (`slow(request_seconds=...)`) still takes effect when
the request arrives: that is how a paused process overwrites what came after it where a condition is missing.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from broker.errors import RowConflict, StoreError
from broker.model.lease import Row
from broker.stores.memory import MemoryRows
from broker.stores.rows import encoded
from broker.testing.store_faults import StoreFaults, StoreOperation
from broker.testing.store_traffic import StoreTraffic

_Result = TypeVar("_Result")


class StateStoreView:
    """The store as one caller sees it: a `StateStore`."""

    def __init__(self, store: "InMemoryStateStore", caller: str) -> None:
        self._store = store
        self._caller = caller

    def __repr__(self) -> str:
        return f"<StateStoreView of {self._caller or 'nobody in particular'}>"

    @property
    def is_shared(self) -> bool:
        """Whether it stands for a store that other processes see."""
        return self._store.is_shared

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """There is nothing to close."""

    def reopened(self) -> Self:
        """The same view: under virtual time all is one event loop."""
        return self

    async def read(self, partition: str) -> Mapping[str, Row]:
        """All rows of a partition, by key. Raises `StoreError`."""
        return await self._store.perform(self._caller, "read", lambda rows: rows.read(partition), partition, None)

    async def get(self, partition: str, key: str) -> Row | None:
        """One row; None where there is none. Raises `StoreError`."""
        return await self._store.perform(self._caller, "get", lambda rows: rows.get(partition, key), partition, key)

    async def write(self, partition: str, key: str, value: Mapping[str, Any], *, version: int, nonce: str) -> None:
        """Makes `value` the row's where its version is still `version`. Raises `RowConflict` and `StoreError`."""

        def change(rows: MemoryRows) -> None:
            rows.write(partition, key, body, version=version, nonce=nonce)

        body = encoded(value)
        await self._store.perform(self._caller, "write", change, partition, key)

    async def delete(self, partition: str, key: str, *, version: int) -> None:
        """Removes a row whose version is still `version`. Raises `RowConflict` and `StoreError`."""

        def change(rows: MemoryRows) -> None:
            rows.delete(partition, key, version=version)

        await self._store.perform(self._caller, "delete", change, partition, key)


class InMemoryStateStore(StoreFaults):
    """Rows that several brokers of one test share, with the fault verbs of `StoreFaults`."""

    def __init__(self, *, is_shared: bool = True) -> None:
        """`is_shared` is what brokers are told: that other processes see it, which here stand in one process."""
        super().__init__()
        self.is_shared = is_shared
        self.traffic = StoreTraffic()
        """What was asked for, by partition."""
        self._rows = MemoryRows()
        self._late: list[tuple[float, Callable[[], object]]] = []

    def seen_by(self, caller: str) -> StateStoreView:
        """The `StateStore` of one caller."""
        return StateStoreView(self, caller)

    async def perform(
        self,
        caller: str,
        operation: StoreOperation,
        effect: Callable[[MemoryRows], _Result],
        partition: str,
        key: str | None,
    ) -> _Result:
        """One call, with whatever befalls it. For views."""

        def arrive() -> _Result:
            self.require_admission(operation, caller)
            return self._counted(operation, effect, partition, key)

        request_seconds, reply_seconds = self.next_slowness(operation, caller)
        self.require_request(operation, caller)
        await self._travel(request_seconds, arrive)
        self._deliver_late()
        result, refusal = None, None
        try:
            result = arrive()
        except RowConflict as conflict:
            refusal = conflict
        if reply_seconds > 0:
            await anyio.sleep(reply_seconds)
        self.require_reply(operation, caller)
        if refusal is not None:
            raise refusal
        return result  # type: ignore[return-value]  # None only where the effect returns it

    async def _travel(self, seconds: float, arrive: Callable[[], object]) -> None:
        """The way of a request; its caller may give up, the request does not come back."""
        if seconds <= 0:
            await checkpoint()
            return
        due, arrived = anyio.current_time() + seconds, False
        try:
            await anyio.sleep(seconds)
            arrived = True
        finally:
            if not arrived:
                self._late.append((due, arrive))

    def _deliver_late(self) -> None:
        """What was under way when its caller gave up takes effect before anything that arrives after it."""
        now = anyio.current_time()
        due = sorted((each for each in self._late if each[0] <= now), key=lambda each: each[0])
        self._late = [each for each in self._late if each[0] > now]
        for _, arrive in due:
            with suppress(StoreError):
                arrive()

    def _counted(
        self, operation: StoreOperation, effect: Callable[[MemoryRows], _Result], partition: str, key: str | None
    ) -> _Result:
        keys = self._rows.keys(partition) if key is None else [key]
        before = sum(self._rows.size_of(partition, each) for each in keys)
        try:
            return effect(self._rows)
        except RowConflict:
            self.traffic.count_conflict(partition)
            raise
        finally:
            after = before if key is None else self._rows.size_of(partition, key)
            self.traffic.count(operation, partition, rows=len(keys), body_bytes=max(before, after))
