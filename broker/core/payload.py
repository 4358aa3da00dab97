"""The event that a handler receives, built from records that are already in Lambda's form.

Rule: `{"Records": [...]}` in the order of the batch; as bytes it is the records' own JSON, joined, so its size is
known before it exists and nothing is serialised twice.
Source: AWS Lambda Developer Guide, "Using Lambda with Amazon SQS", example message event (read November 2026).
"""

from broker.model.batch import Batch
from broker.model.payload import Payload


def queue_event(batch: Batch) -> Payload:
    """The event of one batch; each form is made when first looked at."""
    records = batch.records
    return Payload(
        make_value=lambda: {"Records": [record.event for record in records]},
        make_bytes=lambda: b'{"Records":[' + b",".join([record.json for record in records]) + b"]}",
    )
