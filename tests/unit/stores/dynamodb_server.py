"""DynamoDB as far as the state store uses it, behind the signed calls' own interface: no sockets, any fault."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Self

import orjson
from anyio.lowlevel import checkpoint

from broker.aws.faults import Call, Refusal, service_fault
from broker.aws.signed_call import Answer
from broker.errors import SourceError

Item = dict[str, Any]
MOST_ITEM_BYTES = 400 * 1024
SCHEMA = {
    "KeySchema": [
        {"AttributeName": "partition", "KeyType": "HASH"},
        {"AttributeName": "key", "KeyType": "RANGE"},
    ],
    "AttributeDefinitions": [
        {"AttributeName": "partition", "AttributeType": "S"},
        {"AttributeName": "key", "AttributeType": "S"},
    ],
}


@dataclass
class FakeTable:
    """One table: items by partition and key."""

    schema: Item
    statuses: list[str] = field(default_factory=lambda: ["ACTIVE"])
    """What `DescribeTable` tells, one after the other; the last one stays."""
    items: dict[tuple[str, str], Item] = field(default_factory=dict)
    stale: dict[tuple[str, str], Item] = field(default_factory=dict)
    """What an eventually consistent read still shows: the state before the last change."""


class FakeDynamoDb:
    """Stands for `Clients` and for the endpoint that they open."""

    def __init__(self, *, page_items: int = 3) -> None:
        self.tables: dict[str, FakeTable] = {}
        self.page_items = page_items
        self.asked: list[tuple[str, Item]] = []
        self.opened: list[tuple[str, str]] = []
        self.refusals: dict[str, list[Refusal]] = {}
        """What the next calls of an operation are refused with."""
        self.lost_replies: dict[str, list[bool]] = {}
        """Which of the next calls of an operation take effect unheard."""
        self.before: dict[str, list[Callable[[], None]]] = {}
        """What happens just before the next calls of an operation."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *details: object) -> None:
        pass

    async def json_endpoint(self, service: str, region: str) -> "FakeDynamoDb":
        self.opened.append((service, region))
        return self

    def operations(self) -> list[str]:
        return [operation for operation, _ in self.asked]

    async def call(self, operation: str, request: Item, *, resource: str = "", poll_seconds: float = 0.0) -> Answer:
        await checkpoint()
        self.asked.append((operation, deepcopy(request)))
        call = Call(operation=operation, resource=resource, endpoint="dynamodb.here.test")
        for happen in self.before.get(operation, [])[:1]:
            self.before[operation].pop(0)
            happen()
        if refusals := self.refusals.get(operation):
            raise service_fault(call, refusals.pop(0))
        answer = getattr(self, f"_{operation}")(orjson.loads(orjson.dumps(request)), call)
        lost = self.lost_replies.get(operation)
        if lost and lost.pop(0):
            raise SourceError(f"{call} failed: the connection was lost", code="ConnectionClosedError")
        return Answer(answer, None)

    # ---- the table

    def _DescribeTable(self, request: Item, call: Call) -> Item:
        table = self._table(request, call)
        status = table.statuses.pop(0) if len(table.statuses) > 1 else table.statuses[0]
        return {"Table": {**table.schema, "TableStatus": status}}

    def _CreateTable(self, request: Item, call: Call) -> Item:
        assert request["BillingMode"] == "PAY_PER_REQUEST"
        if request["TableName"] in self.tables:
            raise service_fault(call, Refusal("ResourceInUseException"))
        schema = {name: request[name] for name in SCHEMA}
        self.tables[request["TableName"]] = FakeTable(schema, ["CREATING", "ACTIVE"])
        return {}

    def _table(self, request: Item, call: Call) -> FakeTable:
        if request["TableName"] not in self.tables:
            raise service_fault(call, Refusal("ResourceNotFoundException", "Requested resource not found"))
        return self.tables[request["TableName"]]

    # ---- items

    def _PutItem(self, request: Item, call: Call) -> Item:
        item = request["Item"]
        if len(orjson.dumps(item)) > MOST_ITEM_BYTES:
            raise service_fault(call, Refusal("ValidationException", "Item size has exceeded the maximum"))
        return self._replaced(request, call, item, item)

    def _DeleteItem(self, request: Item, call: Call) -> Item:
        return self._replaced(request, call, request["Key"], None)

    def _replaced(self, request: Item, call: Call, key: Item, item: Item | None) -> Item:
        table, place = self._table(request, call), (key["partition"]["S"], key["key"]["S"])
        old = table.items.get(place)
        if not _holds(request, old):
            raise service_fault(call, Refusal("ConditionalCheckFailedException", "The conditional request failed"))
        table.stale = dict(table.items)
        table.items.pop(place, None)
        if item is not None:
            table.items[place] = item
        return {"Attributes": old} if old and request.get("ReturnValues") == "ALL_OLD" else {}

    def _GetItem(self, request: Item, call: Call) -> Item:
        key = request["Key"]
        item = self._seen(request, call).get((key["partition"]["S"], key["key"]["S"]))
        return {"Item": deepcopy(item)} if item else {}

    def _Query(self, request: Item, call: Call) -> Item:
        values = request["ExpressionAttributeValues"]
        partition, prefix = values[":partition"]["S"], values.get(":prefix", {"S": ""})["S"]
        start = request.get("ExclusiveStartKey", {"key": {"S": ""}})["key"]["S"]
        found = [
            item
            for (of, key), item in sorted(self._seen(request, call).items(), key=lambda each: each[0][1].encode())
            if of == partition and key.startswith(prefix) and key.encode() > start.encode()
        ]
        page = found[: self.page_items]
        answer: Item = {"Items": deepcopy(page)}
        if len(found) > len(page):
            answer["LastEvaluatedKey"] = {name: page[-1][name] for name in ("partition", "key")}
        return answer

    def _seen(self, request: Item, call: Call) -> dict[tuple[str, str], Item]:
        table = self._table(request, call)
        return table.items if request.get("ConsistentRead") else table.stale


def _holds(request: Item, old: Item | None) -> bool:
    """Whether one of the alternatives of the condition holds."""
    condition = request.get("ConditionExpression")
    return condition is None or any(_alternatives(condition, request, old))


def _alternatives(condition: str, request: Item, old: Item | None) -> Iterator[bool]:
    names, values = request["ExpressionAttributeNames"], request.get("ExpressionAttributeValues", {})
    for alternative in condition.split(" OR "):
        if alternative.startswith("attribute_not_exists("):
            assert names[alternative.removeprefix("attribute_not_exists(").rstrip(")")] == "key"
            yield old is None
        else:
            name, value = alternative.split(" = ")
            yield old is not None and old.get(names[name]) == values[value]
