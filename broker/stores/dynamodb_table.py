"""The table of the state store: calls of one attempt each, its making on first use, and what its errors mean.

Source: Amazon DynamoDB API Reference, CreateTable, DescribeTable, and Developer Guide, "Error handling" (read November
2026).
"""

import re
from collections.abc import Mapping
from typing import Any, Protocol

import anyio

from broker.aws.faults import Call, unreadable_fault
from broker.aws.signed_call import Answer
from broker.errors import ConfigurationError, SourceError, StoreError
from broker.stores.dynamodb_items import KEY, PARTITION

CONDITION_FAILED = "ConditionalCheckFailedException"
THROTTLED = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
        "RequestThrottledException",
        "ThrottledException",
        "TooManyRequestsException",
    }
)
_MISSING = "ResourceNotFoundException"
_IN_USE = "ResourceInUseException"
_DENIED = frozenset({"AccessDeniedException", "AccessDenied", "UnauthorizedOperation"})
_FINAL = frozenset({"ValidationException", "SerializationException", "UnknownOperationException"})
_USABLE = frozenset({"ACTIVE", "UPDATING"})
_NAME = re.compile(r"[A-Za-z0-9_.-]{3,255}")
_SUFFIX = "-state"
_SERVICE = "dynamodb"
_FIRST_POLL_SECONDS = 0.1
_POLL_SECONDS = 1.0
_POLLS = 120
"""A table is there after some ten seconds; after two minutes something is wrong."""
_KEY_SCHEMA = {PARTITION: ("HASH", "S"), KEY: ("RANGE", "S")}
"""Attributes of the key: their role and type."""


class JsonEndpoints(Protocol):
    """What the store needs of `Clients`."""

    async def json_endpoint(self, service: str, region: str) -> Any:
        """Signed calls of one attempt. Raises `SourceError`."""
        ...


class StateTable:
    """One table, asked once per call."""

    def __init__(self, *, prefix: str, clients: JsonEndpoints, region: str) -> None:
        """Raises `ConfigurationError` where DynamoDB takes no table of this name."""
        self.name = f"{prefix}{_SUFFIX}"
        self.region = region
        self._clients = clients
        if not prefix or not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"StateStore: dynamodb:{prefix} needs a table prefix of letters, digits and _.- with at most "
                f"{255 - len(_SUFFIX)} characters"
            )

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Asks once for `operation` on this table. Raises `StoreError`, with DynamoDB's code."""
        try:
            endpoint = await self._clients.json_endpoint(_SERVICE, self.region)
            answer: Answer = await endpoint.call(
                operation, {"TableName": self.name, **request}, resource=f"the table {self.name}"
            )
        except SourceError as fault:
            raise self._translated(operation, fault) from fault
        return answer.value

    def unreadable(self, operation: str) -> StoreError:
        """DynamoDB answered with what it never answers."""
        fault = unreadable_fault(Call(operation=operation, resource=f"the table {self.name}"))
        return StoreError(str(fault), code=fault.code)

    async def ensure(self, *, makes: bool = True) -> None:
        """Waits until the table can be used; makes it where there is none, if it may.

        Raises:
            StoreError: it cannot be made or used.
        """
        for attempt in range(_POLLS):
            description = await self._describe()
            if description is None and not makes:
                raise StoreError(
                    f"There is no state table {self.name} in {self.region}: no broker has run with it yet, or it lies "
                    "elsewhere (Broker.StateStore, Broker.Region).",
                    code=_MISSING,
                    retryable=False,
                )
            if description is None:
                await self._create()
            elif self._is_usable(description):
                return
            await anyio.sleep(min(_POLL_SECONDS, _FIRST_POLL_SECONDS * 2**attempt))
        raise StoreError(
            f"The state table {self.name} in {self.region} is not active after {_POLLS * _POLL_SECONDS:.0f} s. Look at "
            "it in the console.",
            code="TableNotActive",
        )

    async def _describe(self) -> dict[str, Any] | None:
        try:
            table = (await self.call("DescribeTable", {})).get("Table")
        except StoreError as fault:
            if fault.code == _MISSING:
                return None
            raise
        if not isinstance(table, dict):
            raise self.unreadable("DescribeTable")
        return table

    async def _create(self) -> None:
        """Another process may be doing the same: then both wait for one table."""
        request = {
            "AttributeDefinitions": [
                {"AttributeName": name, "AttributeType": kind} for name, (_, kind) in _KEY_SCHEMA.items()
            ],
            "KeySchema": [{"AttributeName": name, "KeyType": role} for name, (role, _) in _KEY_SCHEMA.items()],
            "BillingMode": "PAY_PER_REQUEST",
        }
        try:
            await self.call("CreateTable", request)
        except StoreError as fault:
            if fault.code == _IN_USE:
                return
            if fault.code in _DENIED:
                raise StoreError(
                    f"There is no state table {self.name} in {self.region}, and the broker may not make it. {fault} "
                    "Or make the table yourself: the README says how, under State.",
                    code=fault.code,
                    retryable=True,
                ) from fault
            raise

    def _is_usable(self, description: Mapping[str, Any]) -> bool:
        status = description.get("TableStatus")
        if status == "CREATING":
            return False
        if status not in _USABLE:
            raise StoreError(f"The state table {self.name} in {self.region} is {status}.", code="TableNotActive")
        self._require_schema(description)
        return True

    def _require_schema(self, description: Mapping[str, Any]) -> None:
        types = {each["AttributeName"]: each["AttributeType"] for each in description.get("AttributeDefinitions", ())}
        names = [(each["AttributeName"], each["KeyType"]) for each in description.get("KeySchema", ())]
        found = {name: (role, types.get(name)) for name, role in names}
        if found != _KEY_SCHEMA:
            shown = ", ".join(f"{name} ({role}, {kind})" for name, (role, kind) in found.items())
            raise StoreError(
                f"The table {self.name} in {self.region} is not a broker's: its key is {shown}, not partition (HASH, "
                "S), key (RANGE, S). It was left as it is; name another table prefix (`StateStore: dynamodb:PREFIX`).",
                code="ForeignTable",
                retryable=False,
            )

    def _translated(self, operation: str, fault: SourceError) -> StoreError:
        where = f"{operation} of the state table {self.name} in {self.region} failed"
        if fault.code in _DENIED:
            message = f"{fault} The action is dynamodb:{operation} on the table {self.name} in {self.region}."
        elif fault.code in THROTTLED:
            message = f"{where}: DynamoDB throttles ({fault.code}). It is tried again; see the table's quotas."
        elif fault.code == _MISSING:
            message = f"{where}: there is no such table ({fault.code}). Restore it, or start the broker again."
        else:
            message = str(fault)
        return StoreError(message, code=fault.code, retryable=fault.retryable and fault.code not in _FINAL)
