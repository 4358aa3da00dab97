"""The calls of one Kinesis stream: signed AWS JSON, each of them one attempt, with their faults translated.

Where a stream is named it is by name and by ARN: the ARN reaches a stream of another account, the name is what older
emulators know. Both go to the region's endpoint.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from broker.aws.clients import Clients
from broker.aws.event_stream import EventStream
from broker.aws.faults import Call, unreadable_fault
from broker.aws.signed_call import Answer, JsonEndpoint
from broker.errors import ShardReadError, SourceError
from broker.model.arn import Arn
from broker.model.stream import AfterSequenceNumber, AtSequenceNumber, AtTimestamp, Position, TrimHorizon
from broker.sources.kinesis_faults import read_fault

SERVICE = "kinesis"
_MALFORMED = (AttributeError, KeyError, TypeError, ValueError)
"""What reading a document of another shape raises."""
_CONSUMER = "/consumer/"


class StreamName(NamedTuple):
    """An `EventSourceArn` of Kinesis, taken apart."""

    arn: str
    """As configured."""
    stream_arn: str
    stream: str
    """The stream's bare name."""
    region: str
    account: str
    partition: str
    is_consumer: bool
    """Whether it names a consumer with enhanced fan-out."""

    @classmethod
    def parse(cls, arn: str) -> "StreamName":
        """Raises `ValueError` where `arn` is neither the ARN of a stream nor that of a consumer."""
        name = Arn.parse(arn)
        stream_arn, _, consumer = arn.partition(_CONSUMER)
        kind, _, stream = name.resource.partition(_CONSUMER)[0].partition("/")
        if name.service != SERVICE or not name.region or kind != "stream" or not stream or "/" in stream:
            raise ValueError(
                f"{arn!r} is not the ARN of a Kinesis stream: it should end in stream/NAME, or in "
                "stream/NAME/consumer/CONSUMER:CREATED"
            )
        return cls(
            arn=arn,
            stream_arn=stream_arn,
            stream=stream,
            region=name.region,
            account=name.account,
            partition=name.partition,
            is_consumer=bool(consumer),
        )


class KinesisApi:
    """Asks Kinesis about one stream."""

    def __init__(self, *, name: StreamName, clients: Clients) -> None:
        self.name = name
        self.named = {"StreamName": name.stream, "StreamARN": name.stream_arn}
        """The members that say which stream."""
        self._clients = clients
        self._endpoint: JsonEndpoint | None = None

    async def ask(self, operation: str, request: dict[str, Any], *, shard_id: str = "") -> Answer:
        """Makes one call. Raises `ShardReadError`."""
        try:
            return await (await self._opened()).call(operation, request, resource=self.name.arn)
        except SourceError as error:
            raise self.fault(error, operation, shard_id) from error

    async def subscribe(self, shard_id: str, position: Position, *, silence_seconds: float) -> EventStream:
        """Has a shard pushed to the consumer. Raises `ShardReadError`."""
        operation = "SubscribeToShard"
        request = {"ConsumerARN": self.name.arn, "ShardId": shard_id, "StartingPosition": starting_position(position)}
        try:
            endpoint = await self._opened()
            return await endpoint.open_stream(
                operation, request, resource=self.name.arn, silence_seconds=silence_seconds
            )
        except SourceError as error:
            raise self.fault(error, operation, shard_id) from error

    def fault(self, error: SourceError, operation: str, shard_id: str = "") -> ShardReadError:
        """What an error means for reading."""
        return read_fault(error, self.call(operation, shard_id), shard_id=shard_id)

    def unreadable(self, operation: str, shard_id: str = "") -> ShardReadError:
        """The answer was not what the operation returns."""
        return self.fault(unreadable_fault(self.call(operation, shard_id)), operation)

    @contextmanager
    def reading(self, operation: str, shard_id: str = "") -> Iterator[None]:
        """Around the reading of an answer: what an answer of another shape raises becomes `ShardReadError`."""
        try:
            yield
        except _MALFORMED as error:
            raise self.unreadable(operation, shard_id) from error

    def call(self, operation: str, shard_id: str = "") -> Call:
        """What is asked of whom, for messages."""
        host = self._endpoint.api.host if self._endpoint else ""
        resource = f"{shard_id} of {self.name.arn}" if shard_id else self.name.arn
        return Call(operation=operation, resource=resource, endpoint=host)

    async def _opened(self) -> JsonEndpoint:
        if self._endpoint is None:
            self._endpoint = await self._clients.json_endpoint(SERVICE, self.name.region)
        return self._endpoint


def iterator_request(position: Position) -> dict[str, Any]:
    """The members of GetShardIterator that say where."""
    wanted = starting_position(position)
    wanted["ShardIteratorType"] = wanted.pop("Type")
    if number := wanted.pop("SequenceNumber", None):
        wanted["StartingSequenceNumber"] = number
    return wanted


def starting_position(position: Position) -> dict[str, Any]:
    """The `StartingPosition` of SubscribeToShard."""
    match position:
        case TrimHorizon():
            return {"Type": "TRIM_HORIZON"}
        case AtTimestamp(at=at):
            return {"Type": "AT_TIMESTAMP", "Timestamp": at}
        case AtSequenceNumber(number=number):
            return {"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": number}
        case AfterSequenceNumber(number=number):
            return {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": number}
