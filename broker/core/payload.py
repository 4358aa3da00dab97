"""The event that a handler receives, built from records that are already in Lambda's form.

Rule: `{"Records": [...]}` in the order of the batch; as bytes it is the records' own JSON, joined, so its size is
known before it exists and nothing is serialised twice.
Source: AWS Lambda Developer Guide, "Using Lambda with Amazon SQS", "Using Lambda to process records from Amazon Kinesis
Data Streams", "Using AWS Lambda with Amazon DynamoDB" and the page on tumbling windows: example events (read November
2026).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from broker.model.batch import Batch
from broker.model.payload import Payload
from broker.model.stream import StreamRecord


def queue_event(batch: Batch) -> Payload:
    """The event of one batch; each form is made when first looked at."""
    records = batch.records
    return Payload(
        make_value=lambda: {"Records": [record.event for record in records]},
        make_bytes=lambda: b'{"Records":[' + b",".join([record.json for record in records]) + b"]}",
    )


def stream_event(records: Sequence[StreamRecord], keys: Mapping[str, Any] | None) -> Payload:
    """The event of a shard's records; `keys` are what a tumbling window adds, with the state as serialised JSON."""
    added = orjson.dumps(keys)[1:-1] if keys else b""
    closing = b"]," + added + b"}" if keys else b"]}"
    return Payload(
        make_value=lambda: {"Records": [record.event for record in records], **orjson.loads(b"{" + added + b"}")},
        make_bytes=lambda: b'{"Records":[' + b",".join([record.json for record in records]) + closing,
    )


def keys_bytes(keys: Mapping[str, Any] | None) -> int:
    """What the keys of a tumbling window add to the size of an event."""
    return len(orjson.dumps(keys)) - 1 if keys else 0
