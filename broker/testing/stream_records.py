"""Records of a stream in memory: their wire form, as GetRecords answers it, and what a source makes of them."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from broker.model.stream import StreamRecord
from broker.sources.dynamodb_record import dynamodb_record
from broker.sources.kinesis_record import ShardOrigin, kinesis_records
from broker.testing.stream_shards import StoredRecord

Image = Mapping[str, Mapping[str, Any]]
"""An item, or its keys, as DynamoDB writes them: `{"Id": {"N": "101"}, "Message": {"S": "New item!"}}`."""

ROLE_ARN = "arn:aws:iam::123456789012:role/lambda-role"
"""The `invokeIdentityArn` of records whose source does not say."""
_WITH_NEW = ("NEW_IMAGE", "NEW_AND_OLD_IMAGES")
_WITH_OLD = ("OLD_IMAGE", "NEW_AND_OLD_IMAGES")


def kinesis_wire(*, number: int, arrived_at: float, partition_key: str, data: bytes) -> dict[str, Any]:
    """An element of `Records` in the answer of Kinesis' GetRecords."""
    return {
        "SequenceNumber": str(number),
        "ApproximateArrivalTimestamp": arrived_at,
        "Data": base64.b64encode(data).decode(),
        "PartitionKey": partition_key,
    }


def dynamodb_wire(
    *,
    number: int,
    created_at: float,
    region: str,
    view_type: str,
    keys: Image,
    new_image: Image | None,
    old_image: Image | None,
    user_identity: Mapping[str, str] | None,
) -> dict[str, Any]:
    """An element of `Records` in the answer of DynamoDB Streams' GetRecords; images as `view_type` has them."""
    change: dict[str, Any] = {"ApproximateCreationDateTime": created_at, "Keys": keys}
    if new_image is not None and view_type in _WITH_NEW:
        change["NewImage"] = new_image
    if old_image is not None and view_type in _WITH_OLD:
        change["OldImage"] = old_image
    size = sum(len(orjson.dumps(change[name])) for name in ("Keys", "NewImage", "OldImage") if name in change)
    change |= {"SequenceNumber": str(number), "SizeBytes": size, "StreamViewType": view_type}
    wire: dict[str, Any] = {
        "eventID": hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest(),
        "eventName": _event_name(new_image, old_image),
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": region,
        "dynamodb": change,
    }
    return wire | ({"userIdentity": dict(user_identity)} if user_identity else {})


def lane_key(wire: Mapping[str, Any]) -> bytes:
    """What order is kept by: the partition key, or the item's keys as canonical JSON."""
    if "PartitionKey" in wire:
        return str(wire["PartitionKey"]).encode()
    return orjson.dumps(wire["dynamodb"]["Keys"], option=orjson.OPT_SORT_KEYS)


def keyed_records(event: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The key and the sequence number of each record of a Lambda event, in order."""
    return [_keyed(record) for record in event["Records"]]


def _keyed(record: Mapping[str, Any]) -> tuple[str, str]:
    if "kinesis" in record:
        return record["kinesis"]["partitionKey"], record["kinesis"]["sequenceNumber"]
    return lane_key(record).decode(), record["dynamodb"]["SequenceNumber"]


def _event_name(new_image: Image | None, old_image: Image | None) -> str:
    if new_image is None:
        return "REMOVE"
    return "INSERT" if old_image is None else "MODIFY"


def delivered(stored: Sequence[StoredRecord], origin: ShardOrigin, *, kind: str) -> Sequence[StreamRecord]:
    """The records that a source makes of what a stream holds: made anew by each call, of a wire form of their own."""
    if kind == "kinesis":
        return kinesis_records([record.wire for record in stored], origin)
    wires = orjson.loads(orjson.dumps([record.wire for record in stored]))
    return [dynamodb_record(wire, arn=origin.arn, region=origin.region) for wire in wires]
