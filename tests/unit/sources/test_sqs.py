"""A queue source asks SQS what it should ask, once, and reads every kind of answer."""

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from broker.aws.faults import QUEUE_MISSING, Call, Refusal, service_fault
from broker.aws.hand_over import HandOverClock
from broker.aws.signature import JsonApi
from broker.aws.signed_call import Answer
from broker.errors import SourceError
from broker.model.record import Failure, QueueAttributes, Record
from broker.sources.sqs import SqsQueueSource

pytestmark = pytest.mark.anyio

ARN = "arn:aws:sqs:eu-west-1:123456789012:orders"
URL = "http://elsewhere:9/123456789012/orders"
MESSAGE = {"MessageId": "m-1", "ReceiptHandle": "r-1", "Body": "{}", "MD5OfBody": "99914b932bd37a50b983c5e7c90ae93b"}


class FixedClock:
    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> float:
        return self.at


class FakeEndpoint:
    """Answers from a table and remembers what it was asked."""

    def __init__(self, clock: FixedClock) -> None:
        self.api = JsonApi(service="sqs", region="eu-west-1", endpoint_url="http://here", target_prefix="AmazonSQS")
        self.hand_over = HandOverClock()
        self.answers: dict[str, Any] = {"GetQueueUrl": {"QueueUrl": URL}}
        self.asked: list[tuple[str, dict[str, Any], float]] = []
        self.answer_takes_seconds = 0.0
        self.sent_at: float | None = None
        self._clock = clock

    async def call(
        self, operation: str, request: dict[str, Any], *, resource: str = "", poll_seconds: float = 0.0
    ) -> Answer:
        self.asked.append((operation, dict(request), poll_seconds))
        self._clock.at += self.answer_takes_seconds
        await anyio.lowlevel.checkpoint()
        answer = self.answers[operation]
        if isinstance(answer, Refusal):
            raise service_fault(Call(operation=operation, resource=resource), answer)
        return Answer(answer, self.sent_at)

    def requests(self, operation: str) -> list[dict[str, Any]]:
        return [request for name, request, _ in self.asked if name == operation]


class FakeClients:
    def __init__(self, endpoint: FakeEndpoint) -> None:
        self._endpoint = endpoint
        self.opened: list[tuple[str, str]] = []

    async def json_endpoint(self, service: str, region: str) -> FakeEndpoint:
        self.opened.append((service, region))
        return self._endpoint


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def endpoint(clock: FixedClock) -> FakeEndpoint:
    return FakeEndpoint(clock)


@pytest.fixture
def source(endpoint: FakeEndpoint, clock: FixedClock) -> SqsQueueSource:
    return SqsQueueSource(arn=ARN, clients=FakeClients(endpoint), clock=clock)  # type: ignore[arg-type]


async def receive(source: SqsQueueSource, **changes: Any) -> tuple[Record, ...]:
    wishes = {"maximum_count": 10, "wait_seconds": 20, "visibility_timeout_seconds": 30, "attempt_id": None}
    return await source.receive(**{**wishes, **changes})


def records(count: int) -> list[Record]:
    return [
        Record(identifier=f"m-{i}", event={}, json=b"{}", receipt=f"r-{i}", received_at=0.0, visible_until=1.0)
        for i in range(count)
    ]


async def test_a_receive_asks_for_everything_with_an_explicit_visibility(source, endpoint) -> None:
    endpoint.answers["ReceiveMessage"] = {}
    assert await receive(source, maximum_count=7) == ()
    assert endpoint.asked[-1] == (
        "ReceiveMessage",
        {
            "QueueUrl": URL,
            "MaxNumberOfMessages": 7,
            "WaitTimeSeconds": 20,
            "VisibilityTimeout": 30,
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        },
        20,
    )


async def test_a_receive_from_a_fifo_queue_carries_its_attempt(source, endpoint) -> None:
    endpoint.answers["ReceiveMessage"] = {"Messages": []}
    await receive(source, attempt_id="a-1")
    assert endpoint.requests("ReceiveMessage")[0]["ReceiveRequestAttemptId"] == "a-1"


async def test_visibility_counts_from_the_answer_not_from_the_question(source, endpoint) -> None:
    endpoint.answers["ReceiveMessage"] = {"Messages": [MESSAGE]}
    endpoint.answer_takes_seconds = 19.0
    (record,) = await receive(source, visibility_timeout_seconds=45)
    assert (record.identifier, record.received_at, record.visible_until) == ("m-1", 1038.0, 1083.0)


async def test_visibility_counts_from_the_hand_over_if_this_process_slept(source, endpoint, clock) -> None:
    endpoint.answers["ReceiveMessage"] = {"Messages": [MESSAGE]}
    endpoint.sent_at = 1000.0
    await receive(source)
    endpoint.answer_takes_seconds = 25.0
    endpoint.sent_at = 1005.0
    (record,) = await receive(source)
    assert clock.at == 1025.0
    assert record.visible_until == pytest.approx(1035.0)


async def test_the_url_is_looked_up_once_in_the_account_of_the_arn(source, endpoint) -> None:
    endpoint.answers["ReceiveMessage"] = {}
    await receive(source)
    await receive(source)
    assert endpoint.requests("GetQueueUrl") == [{"QueueName": "orders", "QueueOwnerAWSAccountId": "123456789012"}]


async def test_receives_that_start_at_once_look_the_url_up_once(source, endpoint) -> None:
    endpoint.answers["ReceiveMessage"] = {}
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(receive, source)
    assert len(endpoint.requests("ReceiveMessage")) == 5
    assert len(endpoint.requests("GetQueueUrl")) == 1


async def test_the_url_is_looked_up_again_when_the_queue_has_vanished(source, endpoint) -> None:
    endpoint.answers["ReceiveMessage"] = Refusal(QUEUE_MISSING)
    with pytest.raises(SourceError, match="does not exist"):
        await receive(source)
    endpoint.answers["ReceiveMessage"] = {}
    endpoint.answers["GetQueueUrl"] = {"QueueUrl": "http://elsewhere:9/again"}
    await receive(source)
    assert endpoint.requests("ReceiveMessage")[-1]["QueueUrl"] == "http://elsewhere:9/again"


async def test_another_fault_keeps_the_url(source, endpoint) -> None:
    endpoint.answers["ReceiveMessage"] = Refusal("RequestThrottled")
    for _ in range(2):
        with pytest.raises(SourceError, match="throttles"):
            await receive(source)
    assert len(endpoint.requests("GetQueueUrl")) == 1


async def test_a_delete_that_succeeds_has_no_failures(source, endpoint) -> None:
    endpoint.answers["DeleteMessageBatch"] = {"Successful": [{"Id": "0"}, {"Id": "1"}]}
    assert await source.delete(records(2)) == {}
    assert endpoint.requests("DeleteMessageBatch") == [
        {"QueueUrl": URL, "Entries": [{"Id": "0", "ReceiptHandle": "r-0"}, {"Id": "1", "ReceiptHandle": "r-1"}]}
    ]


async def test_failed_entries_of_a_delete_are_told_by_message(source, endpoint) -> None:
    endpoint.answers["DeleteMessageBatch"] = {
        "Successful": [{"Id": "1"}],
        "Failed": [
            {"Id": "0", "Code": "InternalError", "Message": "try again", "SenderFault": False},
            {"Id": "2", "Code": "ReceiptHandleIsInvalid", "Message": "expired", "SenderFault": True},
        ],
    }
    assert await source.delete(records(3)) == {
        "m-0": Failure(code="InternalError", message="try again", final=False),
        "m-2": Failure(code="ReceiptHandleIsInvalid", message="expired", final=True),
    }


@pytest.mark.parametrize(
    ("entry", "final"),
    [
        ({"Code": "InvalidParameterValue", "SenderFault": True}, True),
        ({"Code": "AWS.SimpleQueueService.MessageNotInflight"}, True),
        ({"Code": "SomethingNew", "SenderFault": True}, True),
        ({"Code": "RequestThrottled", "SenderFault": True}, False),
        ({"Code": "ServiceUnavailable"}, False),
    ],
)
async def test_a_failure_is_final_where_the_receipt_is_at_fault(source, endpoint, entry, final: bool) -> None:
    endpoint.answers["DeleteMessageBatch"] = {"Failed": [{"Id": "0", **entry}]}
    assert (await source.delete(records(1)))["m-0"].final is final


async def test_an_entry_that_the_answer_does_not_mention_has_failed(source, endpoint) -> None:
    endpoint.answers["DeleteMessageBatch"] = {"Successful": [{"Id": "0"}]}
    failures = await source.delete(records(2))
    assert list(failures) == ["m-1"]
    assert not failures["m-1"].final


async def test_visibility_is_changed_in_the_order_given(source, endpoint) -> None:
    endpoint.answers["ChangeMessageVisibilityBatch"] = {
        "Successful": [{"Id": "0"}],
        "Failed": [{"Id": "1", "Code": "X"}],
    }
    failures = await source.change_visibility(list(reversed(records(2))), visibility_timeout_seconds=0)
    assert failures == {"m-0": Failure(code="X")}
    assert endpoint.requests("ChangeMessageVisibilityBatch")[0]["Entries"] == [
        {"Id": "0", "ReceiptHandle": "r-1", "VisibilityTimeout": 0},
        {"Id": "1", "ReceiptHandle": "r-0", "VisibilityTimeout": 0},
    ]


async def test_a_standard_queue_is_described(source, endpoint) -> None:
    endpoint.answers["GetQueueAttributes"] = {"Attributes": {"VisibilityTimeout": "45", "QueueArn": ARN}}
    assert await source.describe() == QueueAttributes(visibility_timeout_seconds=45)


async def test_a_fifo_queue_with_a_dead_letter_queue_is_described(source, endpoint) -> None:
    policy = f'{{"deadLetterTargetArn":"{ARN}-dead","maxReceiveCount":"5"}}'
    endpoint.answers["GetQueueAttributes"] = {
        "Attributes": {"VisibilityTimeout": "30", "FifoQueue": "true", "RedrivePolicy": policy}
    }
    assert await source.describe() == QueueAttributes(
        visibility_timeout_seconds=30, fifo=True, maximum_receive_count=5, dead_letter_target_arn=f"{ARN}-dead"
    )


@pytest.mark.parametrize(
    ("operation", "answer", "ask"),
    [
        ("GetQueueUrl", {}, receive),
        ("ReceiveMessage", {"Messages": [{"Body": "x"}]}, receive),
        ("ReceiveMessage", {"Messages": "x"}, receive),
        ("DeleteMessageBatch", {"Successful": [{}]}, lambda source: source.delete(records(1))),
        ("GetQueueAttributes", {"Attributes": {}}, lambda source: source.describe()),
        (
            "GetQueueAttributes",
            {"Attributes": {"VisibilityTimeout": "30", "RedrivePolicy": "?"}},
            lambda source: source.describe(),
        ),
    ],
)
async def test_an_answer_of_another_shape_is_a_fault_of_the_source(source, endpoint, operation, answer, ask) -> None:
    endpoint.answers[operation] = answer
    with pytest.raises(SourceError, match=f"{operation} of {ARN} at here failed: the answer cannot be understood"):
        await ask(source)


@pytest.mark.parametrize("arn", ["orders", "arn:aws:sns:eu-west-1:123456789012:orders", "arn:aws:sqs::1:orders"])
async def test_what_is_no_queue_is_refused(arn: str, endpoint, clock) -> None:
    with pytest.raises(ValueError, match="not"):
        SqsQueueSource(arn=arn, clients=FakeClients(endpoint), clock=clock)  # type: ignore[arg-type]


@pytest.mark.parametrize("arn", ["arn:aws-cn:sqs:cn-north-1:1:q", "arn:aws-us-gov:sqs:us-gov-west-1:1:q"])
async def test_other_partitions_are_asked_in_their_regions(arn: str, endpoint, clock) -> None:
    endpoint.answers["ReceiveMessage"] = {}
    clients = FakeClients(endpoint)
    await receive(SqsQueueSource(arn=arn, clients=clients, clock=clock))  # type: ignore[arg-type]
    assert clients.opened == [("sqs", arn.split(":")[3])]
