"""From a record as DynamoDB Streams put it on the wire to a record as Lambda delivers it.

Nothing is decoded: attribute values keep their types (`{"N": "101"}`), binary ones stay base64 text. The parts of the
wire form become parts of the event; its size comes from serialising it once, which a remote handler needs anyway. Who
looks at the event first gets those parts, and may change them; whoever looks later gets it anew from its JSON, so that
the attempt after one that failed sees what the stream holds.

Source: AWS Lambda Developer Guide, "Using AWS Lambda with Amazon DynamoDB", section "Example event" (read November
2026), and events that AWS delivered (order of keys, `ApproximateCreationDateTime` with a decimal point). That
`userIdentity` follows `awsRegion` is inferred from the sample event of AWS's own library for Go.
"""

from itertools import chain, combinations
from typing import Any

import orjson

_MEMBERS = (
    "ApproximateCreationDateTime",
    "Keys",
    "NewImage",
    "OldImage",
    "SequenceNumber",
    "SizeBytes",
    "StreamViewType",
)
"""Members of `dynamodb` in the order of the event."""
_ORDERED = frozenset(chain.from_iterable(combinations(_MEMBERS, count) for count in range(len(_MEMBERS) + 1)))
"""What needs no sorting: looking the keys up costs less than sorting them."""


class DynamoDbRecord:
    """One change of one item; immutable by convention."""

    __slots__ = ("_event", "arrived_at", "identifier", "json", "size_bytes")

    def __init__(self, *, identifier: str, arrived_at: float, event: dict[str, Any], json: bytes) -> None:
        self.identifier = identifier
        """`dynamodb.SequenceNumber`: a decimal number as text."""
        self.arrived_at = arrived_at
        """`ApproximateCreationDateTime`, epoch seconds without fraction."""
        self._event: dict[str, Any] | None = event
        """Until somebody takes it."""
        self.json = json
        """Compact UTF-8 JSON of `event`."""
        self.size_bytes = len(json)

    @property
    def event(self) -> dict[str, Any]:
        """The record as Lambda delivers it: an element of `Records`, another one for whoever looks."""
        event, self._event = self._event, None
        return event or self._parsed()

    @property
    def shown(self) -> dict[str, Any]:
        """The same to be looked at and not changed: filters and lanes leave it to the handler."""
        self._event = self._event or self._parsed()
        return self._event

    @property
    def key(self) -> bytes:
        """The item's keys as canonical JSON: compact, sorted by name."""
        return orjson.dumps(self.shown["dynamodb"]["Keys"], option=orjson.OPT_SORT_KEYS)

    def _parsed(self) -> dict[str, Any]:
        event: dict[str, Any] = orjson.loads(self.json)
        return event

    def __repr__(self) -> str:
        return f"<DynamoDbRecord {self.identifier}>"


def dynamodb_record(wire: dict[str, Any], *, arn: str, region: str) -> DynamoDbRecord:
    """Makes the record of one element of `Records` in a GetRecords answer (AWS JSON 1.0) of the stream `arn`.

    Takes `wire` over. `region` stands for an `awsRegion` that is missing. Raises `KeyError`, `TypeError`, `ValueError`
    or `AttributeError` where `wire` has not the shape of a record.
    """
    change = wire["dynamodb"]
    if tuple(change) not in _ORDERED:
        change = _in_order(change)
    identifier = change["SequenceNumber"]
    created_at = change["ApproximateCreationDateTime"] = float(change["ApproximateCreationDateTime"])
    event = {
        "eventID": wire["eventID"],
        "eventName": wire["eventName"],
        "eventVersion": wire.get("eventVersion", "1.1"),
        "eventSource": "aws:dynamodb",
        "awsRegion": wire.get("awsRegion", region),
    }
    if identity := wire.get("userIdentity"):
        event["userIdentity"] = _identity(identity)
    event["dynamodb"] = change
    event["eventSourceARN"] = arn
    return DynamoDbRecord(identifier=identifier, arrived_at=created_at, event=event, json=orjson.dumps(event))


def _in_order(change: dict[str, Any]) -> dict[str, Any]:
    """The members that Lambda delivers, in its order; then any that are new."""
    known = {name: change[name] for name in _MEMBERS if name in change}
    return known | {name: value for name, value in change.items() if name not in known}


def _identity(wire: dict[str, Any]) -> dict[str, Any]:
    """`{"Type": …, "PrincipalId": …}` with Lambda's names: who deleted an item whose time to live was over."""
    lower = {f"{name[:1].lower()}{name[1:]}": value for name, value in wire.items()}
    return {name: lower[name] for name in ("type", "principalId") if name in lower}
