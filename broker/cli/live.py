"""What `broker validate --live` asks of AWS, and what it makes of the answers. Nothing is changed, nothing received.

Whether an action is permitted is asked by calls that can do nothing: a receive of no messages, and a deletion and a
change of visibility with a receipt that never was one. A service that checks permission first refuses the caller, or
else the request (inferred: SQS does not document the order; an answer of neither kind counts as permission).

Source: AWS Lambda Developer Guide, "Creating and configuring an Amazon SQS event source mapping" (permissions,
visibility timeout of six times the function's, `maxReceiveCount` of 5 or more), read November 2026.
"""

from collections.abc import AsyncIterator
from typing import Any, assert_never

from broker.aws.clients import Clients
from broker.aws.faults import QUEUE_MISSING
from broker.aws.signed_call import JsonEndpoint
from broker.cli.findings import Finding, failure, good, mistake, permission, warning
from broker.cli.live_streams import ask_stream
from broker.errors import SourceError
from broker.model.arn import Arn
from broker.model.function import DEFAULT_TIMEOUT_SECONDS
from broker.model.mapping import EventSourceMapping
from broker.model.queue_mapping import QueueMapping, visibility_mistake
from broker.model.record import QueueAttributes
from broker.model.settings import Configuration
from broker.model.stream_mapping import StreamMapping
from broker.runtime.clock import SystemClock
from broker.sources.sqs import SqsQueueSource

RECOMMENDED_VISIBILITY_FACTOR = 6
RECOMMENDED_RECEIVE_COUNT = 5
NO_RECEIPT = "none"


async def ask_aws(configuration: Configuration, clients: Clients) -> AsyncIterator[Finding]:
    """Everything that can be asked of AWS about a configuration."""
    async for finding in _ask_identity(configuration, clients):
        yield finding
    for index, mapping in enumerate(configuration.event_source_mappings):
        async for finding in _ask_about(mapping, f"EventSourceMappings[{index}]", configuration, clients):
            yield finding


def _ask_about(
    mapping: EventSourceMapping, path: str, configuration: Configuration, clients: Clients
) -> AsyncIterator[Finding]:
    match mapping:
        case QueueMapping():
            return _Question(configuration, mapping, path, clients).ask()
        case StreamMapping():
            return ask_stream(mapping, path, clients)
        case _:
            assert_never(mapping)


async def _ask_identity(configuration: Configuration, clients: Clients) -> AsyncIterator[Finding]:
    account, expected = await clients.account_id(), configuration.broker.expected_account_id
    if account is None:
        message = "AWS does not say whose credentials these are: no credentials, no answer from STS, or refused"
        yield failure("Broker", message)
    elif expected not in {None, account}:
        message = f"the credentials are of account {account}, not of {expected}"
        yield mistake("Broker.ExpectedAccountId", message)
    else:
        yield good("Broker", f"account {account}")


class _Question:
    def __init__(self, configuration: Configuration, mapping: QueueMapping, path: str, clients: Clients) -> None:
        self._mapping = mapping
        self._timeout = timeout_seconds(configuration, mapping)
        self._path = path
        self._source_path = f"{path}.EventSourceArn"
        self._clients = clients

    async def ask(self) -> AsyncIterator[Finding]:
        try:
            attributes = await self._describe(self._mapping.event_source_arn)
        except SourceError as error:
            yield _unreachable(self._source_path, error)
            return
        yield good(self._source_path, "the queue is there")
        for finding in visibility_findings(self._path, self._mapping, self._timeout, attributes):
            yield finding
        for finding in redrive_findings(self._source_path, attributes):
            yield finding
        if attributes.dead_letter_target_arn:
            yield await self._ask_dead_letter_queue(attributes.dead_letter_target_arn)
        async for finding in self._ask_permissions():
            yield finding

    async def _describe(self, arn: str) -> QueueAttributes:
        return await SqsQueueSource(arn=arn, clients=self._clients, clock=SystemClock()).describe()

    async def _ask_dead_letter_queue(self, arn: str) -> Finding:
        try:
            await self._describe(arn)
        except SourceError as error:
            missing = error.code == QUEUE_MISSING
            message = f"the dead-letter queue {arn} {'does not exist' if missing else f'cannot be seen: {error}'}"
            return warning(self._source_path, message)
        return good(self._source_path, f"dead-letter queue {Arn.parse(arn).resource}")

    async def _ask_permissions(self) -> AsyncIterator[Finding]:
        arn = self._mapping.source
        endpoint = await self._clients.json_endpoint("sqs", arn.region)
        owner = {"QueueName": arn.resource, "QueueOwnerAWSAccountId": arn.account}
        url = (await endpoint.call("GetQueueUrl", owner, resource=str(arn))).value["QueueUrl"]
        questions: dict[str, dict[str, Any]] = {
            "ReceiveMessage": {"MaxNumberOfMessages": 0},
            "DeleteMessage": {"ReceiptHandle": NO_RECEIPT},
            "ChangeMessageVisibility": {"ReceiptHandle": NO_RECEIPT, "VisibilityTimeout": 0},
        }
        for action, request in questions.items():
            yield await self._ask_permission(endpoint, action, {"QueueUrl": url, **request})

    async def _ask_permission(self, endpoint: JsonEndpoint, action: str, request: dict[str, Any]) -> Finding:
        try:
            await endpoint.call(action, request, resource=self._mapping.event_source_arn)
        except SourceError as error:
            return permission(self._source_path, f"sqs:{action}", error)
        return permission(self._source_path, f"sqs:{action}", None)


def timeout_seconds(configuration: Configuration, mapping: EventSourceMapping) -> int:
    """The time limit of the mapping's function."""
    timeouts = {function.function_name: function.timeout for function in configuration.functions}
    return timeouts.get(mapping.function.name, DEFAULT_TIMEOUT_SECONDS)


def visibility_findings(path: str, mapping: QueueMapping, timeout: int, attributes: QueueAttributes) -> list[Finding]:
    """The queue's visibility timeout against the function's: AWS's refusal, then AWS's advice.

    As while the broker runs, a timeout that a heartbeat extends is not refused.
    """
    visibility = attributes.visibility_timeout_seconds
    source_path = f"{path}.EventSourceArn"
    refusal = visibility_mistake(visibility, timeout)
    if refusal and mapping.broker.visibility_heartbeat:
        message = f"visibility timeout {visibility} s, extended while the function runs (VisibilityHeartbeat)"
        return [good(source_path, message)]
    if refusal:
        return [mistake(source_path, refusal)]
    recommended = RECOMMENDED_VISIBILITY_FACTOR * timeout + mapping.maximum_batching_window_in_seconds
    if visibility < recommended:
        message = (
            f"the queue's visibility timeout is {visibility} s; AWS recommends {recommended} s or more: "
            f"six times the function's timeout, plus the batching window"
        )
        return [warning(source_path, message)]
    return [good(source_path, f"visibility timeout {visibility} s")]


def redrive_findings(path: str, attributes: QueueAttributes) -> list[Finding]:
    """What becomes of messages that fail again and again."""
    target, count = attributes.dead_letter_target_arn, attributes.maximum_receive_count
    if target is None or count is None:
        message = "the queue has no redrive policy: a message that always fails comes again until it expires"
        return [warning(path, message)]
    findings = []
    if target.endswith(".fifo") != attributes.fifo:
        kind = "FIFO" if attributes.fifo else "standard"
        findings.append(mistake(path, f"the dead-letter queue of a {kind} queue must be one too: {target} is not"))
    if count < RECOMMENDED_RECEIVE_COUNT:
        message = (
            f"maxReceiveCount is {count}; AWS recommends {RECOMMENDED_RECEIVE_COUNT} or more, so that a message "
            f"survives a few throttles"
        )
        findings.append(warning(path, message))
    return findings


def _unreachable(path: str, error: SourceError) -> Finding:
    return mistake(path, str(error)) if error.code == QUEUE_MISSING else failure(path, str(error))
