"""A call whose answer goes on is signed, refused and broken off like every other."""

import pytest

from broker.aws.clients import Clients
from broker.aws.event_stream import EventStream, StreamEvent
from broker.errors import SourceError
from tests.integration.aws.raw_server import Bad, RawServer, answer
from tests.unit.aws.test_event_stream import event

pytestmark = pytest.mark.asyncio

REGION = "eu-west-1"


async def opened(clients: Clients) -> EventStream:
    endpoint = await clients.json_endpoint("kinesis", REGION)
    return await endpoint.open_stream("SubscribeToShard", {"ShardId": "s-1"}, resource="arn", silence_seconds=1.0)


async def test_events_are_read_as_they_come(server: RawServer, clients: Clients) -> None:
    server.reply = answer(event(b'{"a":1}') + event(b'{"a":2}'), Date="Sat, 21 Nov 2026 15:00:00 GMT")
    stream = await opened(clients)
    assert stream.sent_at == 1795273200.0
    assert [await stream.next() for _ in range(3)] == [
        StreamEvent("SubscribeToShardEvent", {"a": 1}),
        StreamEvent("SubscribeToShardEvent", {"a": 2}),
        None,
    ]
    stream.close()
    (request,) = server.requests
    assert request.headers["x-amz-target"] == "Kinesis_20131202.SubscribeToShard"
    assert request.headers["content-type"] == "application/x-amz-json-1.1"
    assert "/eu-west-1/kinesis/aws4_request" in request.headers["authorization"]
    assert request.json == {"ShardId": "s-1"}


async def test_a_refusal_is_the_fault_of_its_code(server: RawServer, clients: Clients) -> None:
    server.reply = answer({"__type": "ResourceInUseException", "message": "busy"}, status=400)
    with pytest.raises(SourceError, match=r"SubscribeToShard of arn .*busy") as caught:
        await opened(clients)
    assert caught.value.code == "ResourceInUseException"


async def test_a_connection_that_is_dropped_is_a_fault(server: RawServer, clients: Clients) -> None:
    server.reply = Bad.DROPS
    with pytest.raises(SourceError) as caught:
        await opened(clients)
    assert caught.value.code == "ConnectionClosedError"
