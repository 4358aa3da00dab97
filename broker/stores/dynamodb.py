"""Rows in a DynamoDB table, for a fleet on any number of machines.

Each write is a `PutItem` on condition of the version that is replaced. Where the condition fails, the row is read: if
it carries the nonce of this very change, the change took effect before and its answer was lost. Calls are one attempt
each; who repeats them, with the same nonce, decides when. Reads are consistent and take all pages.

Source: Amazon DynamoDB API Reference, PutItem, DeleteItem, GetItem, Query (read November 2026).
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from broker.aws.clients import Clients
from broker.errors import RowConflict, StoreError
from broker.model.lease import Row
from broker.stores.dynamodb_items import (
    KEY,
    PARTITION,
    Item,
    Main,
    Part,
    assembled,
    cut,
    is_dead,
    item_key,
    main_item,
    part_items,
    part_keys,
    part_prefix,
    sorted_out,
)
from broker.stores.dynamodb_table import CONDITION_FAILED, JsonEndpoints, StateTable
from broker.stores.rows import Mark, conflict, decoded, encoded, require_own

_READ_ATTEMPTS = 5
"""How often a large row is read again because it was written meanwhile."""
_NAMES = {"#partition": PARTITION, "#key": KEY}


class DynamoDbStateStore:
    """A `StateStore` in the table `PREFIX-state`. Use as `async with DynamoDbStateStore(…) as store`."""

    is_shared = True
    """Every process that may use the table sees it."""

    def __init__(
        self,
        *,
        table_prefix: str,
        clients: JsonEndpoints,
        region: str,
        open_clients: Callable[[], AbstractAsyncContextManager[JsonEndpoints]] = Clients,
        makes_table: bool = True,
    ) -> None:
        """`open_clients` makes the clients of another event loop, for `reopened`.

        A table that is not there is made when the store is opened, or refused without `makes_table`.

        Raises:
            ConfigurationError: no table can have such a name.
        """
        self._prefix = table_prefix
        self._table = StateTable(prefix=table_prefix, clients=clients, region=region)
        self._open_clients = open_clients
        self._makes_table = makes_table

    def __repr__(self) -> str:
        return f"<DynamoDbStateStore {self._table.name} in {self._table.region}>"

    async def __aenter__(self) -> Self:
        """Makes the table where there is none. Raises `StoreError` where it cannot be used."""
        await self._table.ensure(makes=self._makes_table)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """The clients are closed by who opened them."""

    @asynccontextmanager
    async def reopened(self) -> AsyncIterator["DynamoDbStateStore"]:
        """Also in another event loop: clients and connections of its own to the same table."""
        async with self._open_clients() as clients:
            yield DynamoDbStateStore(
                table_prefix=self._prefix,
                clients=clients,
                region=self._table.region,
                open_clients=self._open_clients,
            )

    async def read(self, partition: str) -> Mapping[str, Row]:
        """All rows of a partition, by key. Raises `StoreError`."""
        mains, parts = await self._query(partition)
        rows: dict[str, Row] = {}
        for key, main in mains.items():
            body = assembled(key, main, parts)
            row = await self.get(partition, key) if body is None else _row(partition, key, main, body)
            if row is not None:
                rows[key] = row
        await self._remove_dead(partition, [part for part in parts if is_dead(part, _mark(mains.get(part.row_key)))])
        return rows

    async def get(self, partition: str, key: str) -> Row | None:
        """One row; None where there is none. Raises `StoreError`."""
        for _ in range(_READ_ATTEMPTS):
            main = await self._main(partition, key)
            if main is None:
                return None
            parts: Iterable[Part] = ()
            if main.body is None:
                _, parts = await self._query(partition, part_prefix(key, main.mark.nonce))
            body = assembled(key, main, parts)
            if body is not None:
                return _row(partition, key, main, body)
        raise StoreError(
            f"The row {key} of {partition} in {self._table.name} could not be read: its parts were replaced each time, "
            "or are gone. It is read again later.",
            code="PartsMissing",
        )

    async def write(self, partition: str, key: str, value: Mapping[str, Any], *, version: int, nonce: str) -> None:
        """Makes `value` the row's where its version is still `version`. Raises `RowConflict` and `StoreError`."""
        bodies, mark, written_at = cut(encoded(value)), Mark(version + 1, nonce), _now()
        for item in part_items(partition, key, mark, bodies, written_at):
            await self._table.call("PutItem", {"Item": item})
        request = {"Item": main_item(partition, key, mark, bodies, written_at), **_condition(version)}
        replaced = await self._changed("PutItem", request)
        if replaced is None:
            await self._require_own(partition, key, mark, part_count=len(bodies) if len(bodies) > 1 else 0)
        else:
            await self._remove_parts(partition, key, replaced)

    async def delete(self, partition: str, key: str, *, version: int) -> None:
        """Removes a row whose version is still `version`. Raises `RowConflict` and `StoreError`."""
        request = {"Key": item_key(partition, key), **_condition(version)}
        request["ConditionExpression"] += " OR attribute_not_exists(#key)"
        request["ExpressionAttributeNames"] = {"#key": KEY, "#version": "version"}
        removed = await self._changed("DeleteItem", request)
        if removed is None:
            raise conflict(partition, key, version, _mark(await self._main(partition, key)))
        await self._remove_parts(partition, key, removed)

    # ---- changing

    async def _changed(self, operation: str, request: Mapping[str, Any]) -> Item | None:
        """What was there before; None where the condition failed."""
        try:
            answer = await self._table.call(operation, {**request, "ReturnValues": "ALL_OLD"})
        except StoreError as fault:
            if fault.code == CONDITION_FAILED:
                return None
            raise
        return answer.get("Attributes") or {}

    async def _require_own(self, partition: str, key: str, mark: Mark, *, part_count: int) -> None:
        main = await self._main(partition, key)
        try:
            require_own(_mark(main), partition=partition, key=key, version=mark.version - 1, nonce=mark.nonce)
        except RowConflict:
            await self._remove(partition, part_keys(key, mark.nonce, part_count))
            raise

    async def _remove_parts(self, partition: str, key: str, replaced: Item) -> None:
        if "parts" in replaced:
            nonce, count = replaced["nonce"]["S"], int(replaced["parts"]["N"])
            await self._remove(partition, part_keys(key, nonce, count))

    async def _remove(self, partition: str, keys: Iterable[str]) -> None:
        """Removes dead parts. Where that fails they stay dead, and the next reader removes them."""
        with suppress(StoreError):
            for key in keys:
                await self._table.call("DeleteItem", {"Key": item_key(partition, key)})

    async def _remove_dead(self, partition: str, suspects: Iterable[Part]) -> None:
        """A page may be older than the next one: each row is looked at once more before its parts go."""
        marks: dict[str, Mark | None] = {}
        for part in suspects:
            if part.row_key not in marks:
                marks[part.row_key] = _mark(await self._main(partition, part.row_key))
            if is_dead(part, marks[part.row_key]):
                await self._remove(partition, [part.item_key])

    # ---- reading

    async def _main(self, partition: str, key: str) -> Main | None:
        request = {"Key": item_key(partition, key), "ConsistentRead": True}
        item = (await self._table.call("GetItem", request)).get("Item")
        return sorted_out([item])[0].get(key) if item else None

    async def _query(self, partition: str, prefix: str = "") -> tuple[dict[str, Main], list[Part]]:
        """All items of a partition, or those whose key begins with `prefix`."""
        request: dict[str, Any] = {
            "KeyConditionExpression": "#partition = :partition",
            "ExpressionAttributeNames": {"#partition": PARTITION},
            "ExpressionAttributeValues": {":partition": {"S": partition}},
            "ConsistentRead": True,
        }
        if prefix:
            request["KeyConditionExpression"] += " AND begins_with(#key, :prefix)"
            request["ExpressionAttributeNames"] = _NAMES
            request["ExpressionAttributeValues"][":prefix"] = {"S": prefix}
        items: list[Item] = []
        while True:
            answer = await self._table.call("Query", request)
            items += answer.get("Items") or ()
            if not answer.get("LastEvaluatedKey"):
                return sorted_out(items)
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def _condition(version: int) -> dict[str, Any]:
    if not version:
        return {"ConditionExpression": "attribute_not_exists(#key)", "ExpressionAttributeNames": {"#key": KEY}}
    return {
        "ConditionExpression": "#version = :version",
        "ExpressionAttributeNames": {"#version": "version"},
        "ExpressionAttributeValues": {":version": {"N": str(version)}},
    }


def _mark(main: Main | None) -> Mark | None:
    return None if main is None else main.mark


def _row(partition: str, key: str, main: Main, body: str) -> Row:
    return Row(version=main.mark.version, value=decoded(partition, key, body))


def _now() -> str:
    """For people who look at the table."""
    return datetime.now(UTC).isoformat(timespec="seconds")
