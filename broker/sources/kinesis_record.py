"""From records as Kinesis puts them on the wire to records as Lambda delivers them.

Nothing is decoded: the data stays base64 text. What costs time is done once for a page, in C: the numbers of all time
stamps are serialised in one call, and one look at all partition keys tells whether any needs escaping. A record is a
tuple, the cheapest object there is; its event is made when somebody looks at it, and anew each time, so that a handler
may change it.

Source: AWS Lambda Developer Guide, "Process Amazon Kinesis Data Streams records with Lambda", section "Example event"
(read November 2026); the order of keys, and that `encryptionType` and the explicit hash key are left out, are as
observed in events that AWS delivered.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import orjson

_HEAD = b'{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":'
_SEQUENCE = b',"sequenceNumber":"'
_DATA = b'","data":"'
_ARRIVAL = b'","approximateArrivalTimestamp":'


class ShardOrigin:
    """What the records of one shard have in common."""

    __slots__ = ("arn", "common", "fixed_bytes", "middle", "region", "role_arn", "shard_id", "tail")

    def __init__(self, *, arn: str, region: str, role_arn: str, shard_id: str) -> None:
        """`arn` is what the mapping names: the stream's, or that of a consumer of it."""
        self.arn = arn
        self.region = region
        self.role_arn = role_arn
        self.shard_id = shard_id
        self.common = (f"{shard_id}:", role_arn, region, arn)
        """How `eventID` begins, `invokeIdentityArn`, `awsRegion`, `eventSourceARN`."""
        event_id = orjson.dumps(f"{shard_id}:")[:-1]
        self.middle = b'},"eventSource":"aws:kinesis","eventVersion":"1.0","eventID":%b' % event_id
        """JSON between the arrival and the sequence number in `eventID`."""
        names = tuple(map(orjson.dumps, (role_arn, region, arn)))
        self.tail = (
            b'","eventName":"aws:kinesis:record","invokeIdentityArn":%b,"awsRegion":%b,"eventSourceARN":%b}' % names
        )
        """JSON behind it."""
        self.fixed_bytes = sum(map(len, (_HEAD, _SEQUENCE, _DATA, _ARRIVAL, self.middle, self.tail)))
        """Bytes of a record's JSON that are the same for all of them."""


class _Fields(NamedTuple):
    identifier: str
    """`SequenceNumber`: a decimal number as text."""
    arrived_at: float
    """`ApproximateArrivalTimestamp`, epoch seconds."""
    arrival: bytes
    """The same as JSON."""
    data: str
    """The payload as base64 text."""
    partition_key: str
    size_bytes: int
    """`len(json)`."""
    origin: ShardOrigin


class KinesisRecord(_Fields):
    """One record of a shard, or one part of an aggregated record."""

    __slots__ = ()

    @property
    def key(self) -> bytes:
        """The partition key in UTF-8."""
        return self.partition_key.encode()

    @property
    def event(self) -> dict[str, Any]:
        """The record as Lambda delivers it: an element of `Records`, made anew for whoever looks."""
        identifier, arrived_at, _, data, partition_key, _, origin = self
        shard, role_arn, region, arn = origin.common
        return {
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": partition_key,
                "sequenceNumber": identifier,
                "data": data,
                "approximateArrivalTimestamp": arrived_at,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"{shard}{identifier}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": role_arn,
            "awsRegion": region,
            "eventSourceARN": arn,
        }

    @property
    def json(self) -> bytes:
        """Compact UTF-8 JSON of `event`, without escaping what needs none."""
        identifier, _, arrival, data, partition_key, _, origin = self
        number, key = identifier.encode(), orjson.dumps(partition_key)
        return b"".join(
            (
                _HEAD, key, _SEQUENCE, number, _DATA, data.encode(), _ARRIVAL, arrival, origin.middle, number,
                origin.tail,
            )
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"<KinesisRecord {self.identifier}>"

    # The parts of an aggregate may be alike and are not the same.
    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    def __hash__(self) -> int:
        return id(self)


def kinesis_records(wire: Sequence[dict[str, Any]], origin: ShardOrigin) -> list[KinesisRecord]:
    """Makes records of elements of `Records` in an answer of Kinesis (AWS JSON 1.1).

    Raises `KeyError`, `TypeError`, `ValueError` or `AttributeError` where one has not the shape of a record.
    """
    arrivals = [record["ApproximateArrivalTimestamp"] for record in wire]
    keys = [record["PartitionKey"] for record in wire]
    sum(arrivals)  # raises `TypeError` where one is no number
    new, record_type, fixed = tuple.__new__, KinesisRecord, origin.fixed_bytes
    records = []
    numbers = orjson.dumps(arrivals)[1:-1].split(b",")
    for record, arrived_at, number, key, written in zip(wire, arrivals, numbers, keys, _written(keys), strict=False):
        identifier = record["SequenceNumber"]
        data = record["Data"]
        size = fixed + len(written) + len(number) + len(data) + 2 * len(identifier) + 2
        records.append(new(record_type, (identifier, arrived_at, number, data, key, size, origin)))
    return records


def _written(keys: list[str]) -> Iterable[str | bytes]:
    """For each key something as long as its JSON without the quotes: the key itself where no key needs escaping."""
    text = "".join(keys)
    if len(orjson.dumps(text)) == len(text) + 2:
        return keys
    return [orjson.dumps(key)[1:-1] for key in keys]
