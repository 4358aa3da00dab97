"""The lease table of a KCL application, read and never written.

Source: Amazon Kinesis Client Library 3 for Java, `DynamoDBLeaseSerializer`, `MultiStreamLease` (names and types of
attributes; KCL 1 and 2 have some of them), and Amazon DynamoDB API Reference, Scan (read November 2026).
"""

import re
from collections.abc import Mapping
from typing import Any

from broker.aws.clients import Clients
from broker.errors import SourceError, StoreError
from broker.model.kcl import KclLease, KclStream

_SERVICE = "dynamodb"
_MISSING = "ResourceNotFoundException"
_CHECKPOINT = re.compile(r"[0-9]+|TRIM_HORIZON|LATEST|AT_TIMESTAMP|SHARD_END")
_STREAM_KEY = re.compile(r"(?P<account>[0-9]{12}):(?P<name>[A-Za-z0-9_.-]+):(?P<created_at>[0-9]+):(?P<shard>.+)")
"""`leaseKey` of an application that reads several streams."""
_LEASE = "LEASE"
"""`entityType` of a lease, where a table holds other things too."""


class KclTable:
    """One application's leases."""

    def __init__(self, name: str, *, region: str, clients: Clients) -> None:
        self._name = name
        self._region = region
        self._clients = clients

    async def leases(self) -> tuple[KclLease, ...]:
        """All leases, by consistent reads of every page.

        Raises:
            SourceError: DynamoDB does not answer, or refuses.
            StoreError: there is no such table, or it is no lease table.
        """
        request: dict[str, Any] = {"TableName": self._name, "ConsistentRead": True}
        leases: list[KclLease] = []
        while True:
            answer = await self._scanned(request)
            leases += [self._lease(item) for item in answer.get("Items", ()) if _is_lease(item)]
            if not answer.get("LastEvaluatedKey"):
                return tuple(leases)
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    async def _scanned(self, request: Mapping[str, Any]) -> dict[str, Any]:
        endpoint = await self._clients.json_endpoint(_SERVICE, self._region)
        try:
            answer = await endpoint.call("Scan", request, resource=f"the table {self._name}")
        except SourceError as error:
            if error.code == _MISSING:
                raise StoreError(
                    f"There is no table {self._name} in {self._region}: a KCL application's table has the "
                    "application's name",
                    code=error.code,
                    retryable=False,
                ) from error
            raise
        return answer.value

    def _lease(self, item: Mapping[str, Any]) -> KclLease:
        try:
            return _lease(item)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"The table {self._name} in {self._region} is no lease table of the KCL: an item has no leaseKey with "
                f"a checkpoint and a leaseCounter, but {', '.join(sorted(item)) or 'nothing'}",
                code="ForeignTable",
                retryable=False,
            ) from error


def _is_lease(item: Mapping[str, Any]) -> bool:
    kind = item.get("entityType", {}).get("S", _LEASE)
    return str(kind).upper() == _LEASE


def _lease(item: Mapping[str, Any]) -> KclLease:
    key, checkpoint = item["leaseKey"]["S"], item["checkpoint"]["S"]
    if not _CHECKPOINT.fullmatch(checkpoint):
        raise ValueError(checkpoint)
    several = _STREAM_KEY.fullmatch(key)
    return KclLease(
        key=key,
        shard_id=several["shard"] if several else item.get("shardId", {}).get("S", key),
        checkpoint=checkpoint,
        sub_sequence_number=int(item.get("checkpointSubSequenceNumber", {}).get("N", 0)),
        counter=int(item["leaseCounter"]["N"]),
        owner=item.get("leaseOwner", {}).get("S", ""),
        stream=_stream(several) if several else None,
    )


def _stream(found: re.Match[str]) -> KclStream:
    return KclStream(account=found["account"], name=found["name"], created_at=int(found["created_at"]))
