"""An SQS queue as a `QueueSource`: signed AWS JSON calls, each of them one attempt.

Requests always go to the configured endpoint; the queue's URL is only a member of the request, because emulators put
another host into it.

Source: Amazon SQS API Reference, ReceiveMessage, DeleteMessageBatch, ChangeMessageVisibilityBatch, GetQueueUrl and
GetQueueAttributes (read November 2026).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import anyio
import orjson

from broker.aws.clients import Clients
from broker.aws.faults import QUEUE_MISSING, THROTTLING_CODES, Call, unreadable_fault
from broker.aws.signed_call import Answer, JsonEndpoint
from broker.errors import SourceError
from broker.model.arn import Arn
from broker.model.record import Failure, QueueAttributes, Record
from broker.ports import Clock
from broker.sources.sqs_record import queue_record

_SERVICE = "sqs"
_GONE_CODES = frozenset({QUEUE_MISSING, "InvalidAddress"})
"""After these the queue's URL is looked up again."""
_FINAL_CODES = frozenset(
    {
        "ReceiptHandleIsInvalid",
        "InvalidParameterValue",
        "InvalidIdFormat",
        "MessageNotInflight",
        "AWS.SimpleQueueService.MessageNotInflight",
    }
)
"""The receipt has expired, was replaced, or never was one. SQS answers `InvalidParameterValue` for an expired one."""
_TEXT_LIMIT = 300
_NO_RESULT = Failure(code="NoResult", message="The answer says nothing of this entry.")
_MALFORMED = (AttributeError, KeyError, TypeError, ValueError)
"""What reading a document of another shape raises."""


class SqsQueueSource:
    """One queue, standard or FIFO, of this or another account."""

    def __init__(self, *, arn: str, clients: Clients, clock: Clock) -> None:
        """Raises `ValueError` where `arn` is not the ARN of an SQS queue."""
        self._arn = arn
        self._name = Arn.parse(arn)
        if self._name.service != _SERVICE or not self._name.region:
            raise ValueError(f"{arn!r} is not the ARN of an SQS queue")
        self._clients = clients
        self._clock = clock
        self._endpoint: JsonEndpoint | None = None
        self._url: str | None = None
        self._resolving = anyio.Lock()

    async def describe(self) -> QueueAttributes:
        """Reads the queue's attributes. Raises `SourceError`."""
        # `FifoQueue` cannot be asked for by name: SQS calls it unknown where the queue is a standard one.
        answer = await self._call("GetQueueAttributes", {"AttributeNames": ["All"]})
        try:
            return _queue_attributes(answer.value["Attributes"])
        except _MALFORMED as error:
            raise unreadable_fault(self._asked("GetQueueAttributes")) from error

    async def receive(
        self, *, maximum_count: int, wait_seconds: int, visibility_timeout_seconds: int, attempt_id: str | None
    ) -> tuple[Record, ...]:
        """Long-polls once, for all attributes of up to `maximum_count` messages. Raises `SourceError`."""
        request: dict[str, Any] = {
            "MaxNumberOfMessages": maximum_count,
            "WaitTimeSeconds": wait_seconds,
            "VisibilityTimeout": visibility_timeout_seconds,
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
        if attempt_id is not None:
            request["ReceiveRequestAttemptId"] = attempt_id
        endpoint = await self._opened_endpoint()
        asked_at = self._clock.now()
        answer = await self._call("ReceiveMessage", request, poll_seconds=wait_seconds)
        received_at = endpoint.hand_over.handed_over_at(
            now=self._clock.now(), sent_at=answer.sent_at, asked_at=asked_at
        )
        return self._records(answer, received_at, received_at + visibility_timeout_seconds)

    async def delete(self, records: Sequence[Record]) -> Mapping[str, Failure]:
        """Deletes 1-10 messages. Raises `SourceError`."""
        entries = [{"Id": str(index), "ReceiptHandle": record.receipt} for index, record in enumerate(records)]
        answer = await self._call("DeleteMessageBatch", {"Entries": entries})
        return self._failures("DeleteMessageBatch", answer, records)

    async def change_visibility(
        self, records: Sequence[Record], *, visibility_timeout_seconds: int
    ) -> Mapping[str, Failure]:
        """Changes 1-10 messages, in this order. Raises `SourceError`."""
        entries = [
            {"Id": str(index), "ReceiptHandle": record.receipt, "VisibilityTimeout": visibility_timeout_seconds}
            for index, record in enumerate(records)
        ]
        answer = await self._call("ChangeMessageVisibilityBatch", {"Entries": entries})
        return self._failures("ChangeMessageVisibilityBatch", answer, records)

    async def _call(self, operation: str, request: dict[str, Any], *, poll_seconds: float = 0.0) -> Answer:
        endpoint = await self._opened_endpoint()
        request["QueueUrl"] = self._url or await self._resolved_url(endpoint)
        try:
            return await endpoint.call(operation, request, resource=self._arn, poll_seconds=poll_seconds)
        except SourceError as fault:
            if fault.code in _GONE_CODES:
                self._url = None
            raise

    async def _opened_endpoint(self) -> JsonEndpoint:
        if self._endpoint is None:
            self._endpoint = await self._clients.json_endpoint(_SERVICE, self._name.region)
        return self._endpoint

    async def _resolved_url(self, endpoint: JsonEndpoint) -> str:
        async with self._resolving:
            if self._url is None:
                request = {"QueueName": self._name.resource, "QueueOwnerAWSAccountId": self._name.account}
                answer = await endpoint.call("GetQueueUrl", request, resource=self._arn)
                url = answer.value.get("QueueUrl")
                if not isinstance(url, str):
                    raise unreadable_fault(self._asked("GetQueueUrl"))
                self._url = url
            return self._url

    def _records(self, answer: Answer, received_at: float, visible_until: float) -> tuple[Record, ...]:
        arn, region = self._arn, self._name.region
        try:
            return tuple(
                [
                    queue_record(message, arn=arn, region=region, received_at=received_at, visible_until=visible_until)
                    for message in answer.value.get("Messages") or ()
                ]
            )
        except _MALFORMED as error:
            raise unreadable_fault(self._asked("ReceiveMessage")) from error

    def _failures(self, operation: str, answer: Answer, records: Sequence[Record]) -> Mapping[str, Failure]:
        try:
            settled = {entry["Id"] for entry in answer.value.get("Successful") or ()}
            if len(settled) == len(records):
                return {}
            failed = {entry["Id"]: _failure(entry) for entry in answer.value.get("Failed") or ()}
        except _MALFORMED as error:
            raise unreadable_fault(self._asked(operation)) from error
        return {
            record.identifier: failed.get(str(index), _NO_RESULT)
            for index, record in enumerate(records)
            if str(index) not in settled
        }

    def _asked(self, operation: str) -> Call:
        return Call(operation=operation, resource=self._arn, endpoint=self._endpoint.api.host if self._endpoint else "")


def _queue_attributes(attributes: Mapping[str, Any]) -> QueueAttributes:
    redrive = orjson.loads(attributes.get("RedrivePolicy") or b"{}")
    count = redrive.get("maxReceiveCount")
    return QueueAttributes(
        visibility_timeout_seconds=int(attributes["VisibilityTimeout"]),
        fifo=str(attributes.get("FifoQueue", "false")).lower() == "true",
        maximum_receive_count=None if count is None else int(count),
        dead_letter_target_arn=redrive.get("deadLetterTargetArn"),
    )


def _failure(entry: Mapping[str, Any]) -> Failure:
    code = str(entry.get("Code", ""))
    senders_fault = bool(entry.get("SenderFault")) and code not in THROTTLING_CODES
    return Failure(
        code=code,
        message=str(entry.get("Message") or "")[:_TEXT_LIMIT],
        final=code in _FINAL_CODES or senders_fault,
    )
