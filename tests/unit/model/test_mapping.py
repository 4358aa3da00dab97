"""The event source's ARN decides whether a request is about a queue or about a stream."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from broker.model.mapping import MAPPING_MODELS, EventSourceMapping, WrittenMapping, kind_of, service_of
from broker.model.queue_mapping import QueueMapping
from broker.model.reference import EventSourceKind, StreamService
from broker.model.stream_mapping import StreamMapping

QUEUE = "arn:aws:sqs:eu-west-1:123456789012:orders"
KINESIS = "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks"
DYNAMODB = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/x"
MAPPINGS: TypeAdapter[EventSourceMapping] = TypeAdapter(WrittenMapping)


@pytest.mark.parametrize(
    ("written", "kind", "service"),
    [
        ({"EventSourceArn": QUEUE}, EventSourceKind.QUEUE, None),
        ({"EventSourceArn": QUEUE, "StartingPosition": "LATEST"}, EventSourceKind.QUEUE, None),
        ({"EventSourceArn": KINESIS}, EventSourceKind.STREAM, StreamService.KINESIS),
        ({"event_source_arn": DYNAMODB}, EventSourceKind.STREAM, StreamService.DYNAMODB),
        ({"EventSourceArn": "clicks", "StartingPosition": "LATEST"}, EventSourceKind.STREAM, None),
        ({"EventSourceArn": "orders"}, EventSourceKind.QUEUE, None),
        ({"starting_position": "LATEST"}, EventSourceKind.STREAM, None),
        ({"EventSourceArn": 7}, EventSourceKind.QUEUE, None),
        ({}, EventSourceKind.QUEUE, None),
        ("text", EventSourceKind.QUEUE, None),
    ],
)
def test_a_request_is_about_what_its_arn_names_else_its_members(
    written: Any, kind: EventSourceKind, service: StreamService | None
) -> None:
    assert (kind_of(written), service_of(written)) == (kind, service)


def test_a_request_becomes_the_mapping_of_its_kind() -> None:
    queue = MAPPINGS.validate_python({"EventSourceArn": QUEUE, "FunctionName": "f"})
    stream = MAPPINGS.validate_python({"EventSourceArn": KINESIS, "FunctionName": "f", "StartingPosition": "LATEST"})
    assert (type(queue), type(stream)) == (QueueMapping, StreamMapping)
    assert [MAPPINGS.validate_python(each) for each in (queue, stream)] == [queue, stream]
    assert [type(each) for each in (queue, stream)] == [MAPPING_MODELS[each.kind] for each in (queue, stream)]
