"""What `broker validate --live` asks of AWS about an on-failure destination. Nothing is sent.

Whether sending is permitted is asked by sending a batch of nothing, which a queue or a topic refuses after it has
checked who asks (inferred: the order is not documented; an answer of another kind counts as permission). A bucket is
only looked at, since nothing can be put there that does nothing.

Source: AWS Lambda Developer Guide, "Retain discarded batch records for a Kinesis Data Streams event source"
(permissions; read November 2026).
"""

from broker.aws.clients import Clients
from broker.aws.faults import QUEUE_MISSING, Call, translated
from broker.cli.findings import DENIED_CODES, Finding, failure, good, mistake, permission
from broker.errors import SourceError
from broker.model.arn import Arn

_MISSING = {
    "sqs": frozenset({QUEUE_MISSING}),
    "sns": frozenset({"NotFound", "NotFoundException"}),
    "s3": frozenset({"404", "NoSuchBucket"}),
}
"""What each service answers where the destination is not there."""
_REACHED = frozenset(
    {"AWS.SimpleQueueService.EmptyBatchRequest", "EmptyBatchRequest", "EmptyBatchRequestException"}
    | {"InvalidParameter", "InvalidParameterException", "ValidationError"}
)
"""What is answered to a batch of nothing; the second line by emulators."""


async def ask_destination(arn: Arn, path: str, *, region: str, clients: Clients) -> Finding:
    """Whether a queue, a topic or a bucket is there and takes what this broker sends; a bucket is asked in `region`."""
    try:
        match arn.service:
            case "sqs":
                await _ask_queue(arn, clients)
            case "sns":
                await _ask_topic(arn, clients)
            case _:
                await _ask_bucket(arn, region, clients)
                return good(path, "the bucket is there; whether s3:PutObject is permitted shows when it is used")
    except SourceError as error:
        return _judged(arn, path, error)
    return permission(path, _ACTIONS[arn.service], None)


_ACTIONS = {"sqs": "sqs:SendMessage", "sns": "sns:Publish", "s3": "s3:ListBucket"}


def _judged(arn: Arn, path: str, error: SourceError) -> Finding:
    if error.code in _MISSING[arn.service]:
        return mistake(path, f"the destination {arn} does not exist")
    if error.code in DENIED_CODES | _REACHED:
        return permission(path, _ACTIONS[arn.service], error)
    return failure(path, str(error))


async def _ask_queue(arn: Arn, clients: Clients) -> None:
    endpoint = await clients.json_endpoint("sqs", arn.region)
    owner = {"QueueName": arn.resource, "QueueOwnerAWSAccountId": arn.account}
    url = (await endpoint.call("GetQueueUrl", owner, resource=str(arn))).value.get("QueueUrl")
    await endpoint.call("SendMessageBatch", {"QueueUrl": url, "Entries": []}, resource=str(arn))


async def _ask_topic(arn: Arn, clients: Clients) -> None:
    client = await clients.client("sns", arn.region)
    try:
        with translated(Call(operation="GetTopicAttributes", resource=str(arn))):
            await client.get_topic_attributes(TopicArn=str(arn))
    except SourceError as error:
        if error.code not in DENIED_CODES:  # the broker itself does without this action
            raise
    with translated(Call(operation="PublishBatch", resource=str(arn))):
        await client.publish_batch(TopicArn=str(arn), PublishBatchRequestEntries=[])


async def _ask_bucket(arn: Arn, region: str, clients: Clients) -> None:
    client = await clients.client("s3", region)
    with translated(Call(operation="HeadBucket", resource=str(arn))):
        await client.head_bucket(Bucket=arn.resource)
