"""An SNS topic as an on-failure destination: its message is what a queue would get.

Source: AWS Lambda Developer Guide, "Retain discarded batch records for a Kinesis Data Streams event source"; Amazon SNS
API Reference, Publish (read November 2026).
"""

from broker.aws.clients import Clients
from broker.aws.faults import Call, translated
from broker.destinations.failure_record import Origin, failure_record
from broker.destinations.faults import destination_error
from broker.errors import SourceError
from broker.model.arn import Arn
from broker.model.discard import DiscardedBatch


class SnsDestination:
    """A standard topic of this or another account."""

    def __init__(self, *, arn: str, clients: Clients, origin: Origin) -> None:
        """Raises `ValueError` where `arn` is not the ARN of a standard topic."""
        name = Arn.parse(arn)
        if name.service != "sns" or not name.region or ":" in name.resource or name.resource.endswith(".fifo"):
            raise ValueError(f"{arn!r} is not the ARN of a standard SNS topic")
        self._arn = arn
        self._region = name.region
        self._clients = clients
        self._origin = origin

    async def send(self, discarded: DiscardedBatch, *, shard_id: str, request_id: str, now: float) -> None:
        """Publishes one message. Raises `DestinationError`."""
        message = failure_record(
            discarded, self._origin, shard_id=shard_id, request_id=request_id, now=now, with_payload=False
        )
        call = Call(operation="Publish", resource=self._arn)
        try:
            client = await self._clients.client("sns", self._region, attempts=1)
            with translated(call):
                await client.publish(TopicArn=self._arn, Message=message.decode())
        except SourceError as error:
            raise destination_error(error, call) from error
