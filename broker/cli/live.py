"""What `broker validate --live` asks of AWS, and what it makes of the answers. Nothing is changed, nothing received.

Whether an action is permitted is asked by calls that can do nothing: a receive of no messages, and a deletion and a
change of visibility with a receipt that never was one. A service that checks permission first refuses the caller, or
else the request (inferred: SQS does not document the order; an answer of neither kind counts as permission).

Source: AWS Lambda Developer Guide, "Creating and configuring an Amazon SQS event source mapping" (permissions,
visibility timeout of six times the function's, `maxReceiveCount` of 5 or more), read November 2026.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, assert_never

from broker.aws.clients import Clients
from broker.aws.faults import QUEUE_MISSING
from broker.aws.signed_call import JsonEndpoint
from broker.cli.exits import ExitCode
from broker.errors import SourceError
from broker.model.arn import Arn
from broker.model.function import DEFAULT_TIMEOUT_SECONDS
from broker.model.mapping import EventSourceMapping
from broker.model.queue_mapping import QueueMapping, visibility_mistake
from broker.model.record import QueueAttributes
from broker.model.settings import Configuration
from broker.runtime.clock import SystemClock
from broker.sources.sqs import SqsQueueSource

RECOMMENDED_VISIBILITY_FACTOR = 6
RECOMMENDED_RECEIVE_COUNT = 5
NO_RECEIPT = "none"
DENIED_CODES = frozenset({"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"})

Severity = Literal["error", "warning", "ok"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that AWS said."""

    severity: Severity
    path: str
    """Where in the file: `EventSourceMappings[0].EventSourceArn`."""
    message: str
    exit_code: int = ExitCode.OK
    """2 where the file or the queue must be mended, 1 where the world failed."""


async def ask_aws(configuration: Configuration, clients: Clients) -> AsyncIterator[Finding]:
    """Everything that can be asked of AWS about a configuration."""
    async for finding in _ask_identity(configuration, clients):
        yield finding
    for index, mapping in enumerate(configuration.event_source_mappings):
        if not isinstance(mapping, QueueMapping):
            continue
        question = _Question(configuration, mapping, f"EventSourceMappings[{index}]", clients)
        async for finding in question.ask():
            yield finding


async def _ask_identity(configuration: Configuration, clients: Clients) -> AsyncIterator[Finding]:
    account, expected = await clients.account_id(), configuration.broker.expected_account_id
    if account is None:
        message = "AWS does not say whose credentials these are: no credentials, no answer from STS, or refused"
        yield Finding(severity="error", path="Broker", message=message, exit_code=ExitCode.WORLD)
    elif expected not in {None, account}:
        message = f"the credentials are of account {account}, not of {expected}"
        yield _mistake("Broker.ExpectedAccountId", message)
    else:
        yield Finding(severity="ok", path="Broker", message=f"account {account}")


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
        yield Finding(severity="ok", path=self._source_path, message="the queue is there")
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
            return Finding(severity="warning", path=self._source_path, message=message)
        return Finding(severity="ok", path=self._source_path, message=f"dead-letter queue {Arn.parse(arn).resource}")

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
            if error.code in DENIED_CODES:
                message = f"sqs:{action} is not permitted: {error}"
                return Finding(severity="error", path=self._source_path, message=message, exit_code=ExitCode.WORLD)
        return Finding(severity="ok", path=self._source_path, message=f"sqs:{action} is permitted")


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
    mistake = visibility_mistake(visibility, timeout)
    if mistake and mapping.broker.visibility_heartbeat:
        message = f"visibility timeout {visibility} s, extended while the function runs (VisibilityHeartbeat)"
        return [Finding(severity="ok", path=source_path, message=message)]
    if mistake:
        return [_mistake(source_path, mistake)]
    recommended = RECOMMENDED_VISIBILITY_FACTOR * timeout + mapping.maximum_batching_window_in_seconds
    if visibility < recommended:
        return [
            Finding(
                severity="warning",
                path=source_path,
                message=f"the queue's visibility timeout is {visibility} s; AWS recommends {recommended} s or more: "
                f"six times the function's timeout, plus the batching window",
            )
        ]
    return [Finding(severity="ok", path=source_path, message=f"visibility timeout {visibility} s")]


def redrive_findings(path: str, attributes: QueueAttributes) -> list[Finding]:
    """What becomes of messages that fail again and again."""
    target, count = attributes.dead_letter_target_arn, attributes.maximum_receive_count
    if target is None or count is None:
        message = "the queue has no redrive policy: a message that always fails comes again until it expires"
        return [Finding(severity="warning", path=path, message=message)]
    findings = []
    if target.endswith(".fifo") != attributes.fifo:
        kind = "FIFO" if attributes.fifo else "standard"
        findings.append(_mistake(path, f"the dead-letter queue of a {kind} queue must be one too: {target} is not"))
    if count < RECOMMENDED_RECEIVE_COUNT:
        message = (
            f"maxReceiveCount is {count}; AWS recommends {RECOMMENDED_RECEIVE_COUNT} or more, so that a message "
            f"survives a few throttles"
        )
        findings.append(Finding(severity="warning", path=path, message=message))
    return findings


def sign(severity: Severity) -> str:
    """One character for a terminal."""
    match severity:
        case "ok":
            return "✓"
        case "warning":
            return "!"
        case "error":
            return "✗"
        case _:
            assert_never(severity)


def _mistake(path: str, message: str) -> Finding:
    return Finding(severity="error", path=path, message=message, exit_code=ExitCode.USER)


def _unreachable(path: str, error: SourceError) -> Finding:
    code = ExitCode.USER if error.code == QUEUE_MISSING else ExitCode.WORLD
    return Finding(severity="error", path=path, message=str(error), exit_code=code)
