"""Rows in the memory of one process: gone when it ends, seen by every broker that was given the same store.

Rows are kept as JSON text, made once per write and parsed once per read: what a caller does afterwards to a value that
it wrote or read never reaches the store, and a value means the same here as in a file or a table.
"""

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

from anyio.lowlevel import checkpoint

from broker.model.lease import Row
from broker.stores.rows import Mark, conflict, decoded, encoded, require_own


class _StoredRow(NamedTuple):
    mark: Mark
    body: bytes


class MemoryRows:
    """The rows themselves. Each method is one step that no other task or thread can come between."""

    def __init__(self) -> None:
        self._partitions: dict[str, dict[str, _StoredRow]] = {}
        self._lock = threading.Lock()

    def read(self, partition: str) -> dict[str, Row]:
        """All rows of a partition, by key, in the order of their keys as a table has it."""
        with self._lock:
            rows = sorted(self._partitions.get(partition, {}).items())
        return {key: _row(partition, key, row) for key, row in rows}

    def get(self, partition: str, key: str) -> Row | None:
        """One row; None where there is none."""
        row = self._partitions.get(partition, {}).get(key)
        return None if row is None else _row(partition, key, row)

    def write(self, partition: str, key: str, body: bytes, *, version: int, nonce: str) -> None:
        """As the port has it, with the value's JSON text. Raises `RowConflict`."""
        with self._lock:
            rows = self._partitions.setdefault(partition, {})
            found = rows[key].mark if key in rows else None
            if (found.version if found else 0) == version:
                rows[key] = _StoredRow(Mark(version + 1, nonce), body)
            else:
                require_own(found, partition=partition, key=key, version=version, nonce=nonce)

    def delete(self, partition: str, key: str, *, version: int) -> None:
        """As the port has it. Raises `RowConflict`."""
        with self._lock:
            rows = self._partitions.get(partition, {})
            if key not in rows:
                return
            if rows[key].mark.version != version:
                raise conflict(partition, key, version, rows[key].mark)
            del rows[key]

    def keys(self, partition: str) -> list[str]:
        """The keys of a partition's rows."""
        with self._lock:
            return list(self._partitions.get(partition, ()))

    def size_of(self, partition: str, key: str) -> int:
        """Bytes of a row's JSON text; 0 where there is none."""
        row = self._partitions.get(partition, {}).get(key)
        return 0 if row is None else len(row.body)


class MemoryStateStore:
    """A `StateStore` for one process; any number of its brokers, event loops and threads may use it."""

    is_shared = False
    """Other processes do not see it."""

    def __init__(self) -> None:
        self._rows = MemoryRows()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """There is nothing to close: the rows stay as long as the store is held."""

    def reopened(self) -> Self:
        """For `async with`, also in another event loop: the same rows."""
        return self

    async def read(self, partition: str) -> Mapping[str, Row]:
        """All rows of a partition, by key."""
        await checkpoint()
        return self._rows.read(partition)

    async def get(self, partition: str, key: str) -> Row | None:
        """One row; None where there is none."""
        await checkpoint()
        return self._rows.get(partition, key)

    async def write(self, partition: str, key: str, value: Mapping[str, Any], *, version: int, nonce: str) -> None:
        """Makes `value` the row's where its version is still `version`. Raises `RowConflict`."""
        body = encoded(value)
        await checkpoint()
        self._rows.write(partition, key, body, version=version, nonce=nonce)

    async def delete(self, partition: str, key: str, *, version: int) -> None:
        """Removes a row whose version is still `version`. Raises `RowConflict`."""
        await checkpoint()
        self._rows.delete(partition, key, version=version)


def _row(partition: str, key: str, row: _StoredRow) -> Row:
    return Row(version=row.mark.version, value=decoded(partition, key, row.body))
