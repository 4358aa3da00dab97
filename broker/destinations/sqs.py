"""An SQS queue as an on-failure destination: it is told where the records stand, not what they hold.

Source: AWS Lambda Developer Guide, "Retain discarded batch records for a Kinesis Data Streams event source"; Amazon SQS
API Reference, SendMessage and GetQueueUrl (read November 2026).
"""

from broker.aws.clients import Clients
from broker.aws.faults import QUEUE_MISSING, Call, unreadable_fault
from broker.aws.signed_call import JsonEndpoint
from broker.destinations.failure_record import Origin, failure_record
from broker.destinations.faults import destination_error
from broker.errors import SourceError
from broker.model.arn import Arn
from broker.model.discard import DiscardedBatch

_SEND = "SendMessage"


class SqsDestination:
    """A standard queue of this or another account."""

    def __init__(self, *, arn: str, clients: Clients, origin: Origin) -> None:
        """Raises `ValueError` where `arn` is not the ARN of a standard queue."""
        self._arn = arn
        self._name = Arn.parse(arn)
        if self._name.service != "sqs" or not self._name.region or self._name.resource.endswith(".fifo"):
            raise ValueError(f"{arn!r} is not the ARN of a standard SQS queue")
        self._clients = clients
        self._origin = origin
        self._url: str | None = None

    async def send(self, discarded: DiscardedBatch, *, shard_id: str, request_id: str, now: float) -> None:
        """Sends one message. Raises `DestinationError`."""
        body = failure_record(
            discarded, self._origin, shard_id=shard_id, request_id=request_id, now=now, with_payload=False
        )
        try:
            endpoint = await self._clients.json_endpoint("sqs", self._name.region)
            await self._send(endpoint, body.decode())
        except SourceError as error:
            if error.code == QUEUE_MISSING:
                self._url = None
            raise destination_error(error, Call(operation=_SEND, resource=self._arn)) from error

    async def _send(self, endpoint: JsonEndpoint, body: str) -> None:
        if self._url is None:
            self._url = await self._resolved_url(endpoint)
        await endpoint.call(_SEND, {"QueueUrl": self._url, "MessageBody": body}, resource=self._arn)

    async def _resolved_url(self, endpoint: JsonEndpoint) -> str:
        request = {"QueueName": self._name.resource, "QueueOwnerAWSAccountId": self._name.account}
        answer = await endpoint.call("GetQueueUrl", request, resource=self._arn)
        url = answer.value.get("QueueUrl")
        if not isinstance(url, str):
            raise unreadable_fault(Call(operation="GetQueueUrl", resource=self._arn, endpoint=endpoint.api.host))
        return url
