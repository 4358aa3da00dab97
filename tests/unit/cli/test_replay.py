"""What is replayed, to whom, and how its end is told."""

from dataclasses import replace
from typing import Any

import pytest

from broker.cli.failure_records import FailedRange, FailureRecord
from broker.cli.replay import Replay, invocation_of, mapping_of, rebuilt, report_of
from broker.config import parse_function, parse_mapping
from broker.errors import CommandError, ConfigurationError
from broker.model.invocation import HandlerFailed, InvocationResult, Succeeded, Throttled, TimedOut, Unavailable
from broker.model.payload import Payload
from broker.model.reference import FunctionReference
from broker.model.settings import Configuration
from broker.model.stream_mapping import StreamMapping
from broker.testing import InMemoryStream, InMemoryStreamSource

STREAM = "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks"
CONSUMER = f"{STREAM}/consumer/shop:1700000000"
EVENT = {"Records": [{"kinesis": {"sequenceNumber": "1"}}, {"kinesis": {"sequenceNumber": "2"}}]}
CHANGES = {"Records": [{"dynamodb": {"SequenceNumber": "5"}}]}


def mapping(function: str = "orders", arn: str = STREAM, **fields: Any) -> StreamMapping:
    made = parse_mapping(event_source_arn=arn, function_name=function, starting_position="LATEST", **fields)
    assert isinstance(made, StreamMapping)
    return made


def configuration(*mappings: StreamMapping) -> Configuration:
    functions = tuple(parse_function(function_name=name, callable="m:f", timeout=7) for name in ("orders", "audit"))
    return Configuration(functions=functions, event_source_mappings=mappings)


def failure(function: str = "orders", stream: str = STREAM) -> FailureRecord:
    return FailureRecord(
        stream_arn=stream,
        function=FunctionReference.parse(function),
        condition="RetryAttemptsExhausted",
        range=FailedRange(shard_id="s", first="1", last="2", count=2),
        payload=None,
    )


def test_the_mapping_is_that_of_the_stream_and_the_function_that_failed() -> None:
    orders, audit = mapping(), mapping("audit", CONSUMER)
    both = configuration(orders, audit)
    assert mapping_of(both, failure(), None) is orders
    assert mapping_of(both, failure("audit", CONSUMER), None) is audit


def test_another_function_can_be_named() -> None:
    other = mapping_of(configuration(mapping()), failure(), "audit")
    assert (other.function.name, other.event_source_arn) == ("audit", STREAM)
    invocation = invocation_of(configuration(mapping()), Replay(mapping=other, event=Payload.of_value(EVENT)))
    assert (invocation.function_name, invocation.timeout_seconds, invocation.fencing_token) == ("audit", 7, None)
    assert invocation.function_arn == "arn:aws:lambda:eu-west-1:123456789012:function:audit"


@pytest.mark.parametrize(
    ("record", "function", "says"),
    [
        (
            failure(stream=STREAM.replace("clicks", "visits")),
            None,
            "no mapping of the file reads .*visits; it has orders",
        ),
        (failure(stream="clicks"), None, "names no stream"),
        (failure("gone"), None, "no function 'gone': --function names one of audit, orders"),
        (failure(), "gone", "no function 'gone'"),
    ],
)
def test_what_the_file_does_not_have_is_named(record: FailureRecord, function: str | None, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        mapping_of(configuration(mapping()), record, function)


@pytest.mark.parametrize(
    ("result", "outcome", "detail"),
    [
        (Succeeded(response=Payload.of_value({"batchItemFailures": [{"itemIdentifier": "1"}]})), "succeeded", ""),
        (HandlerFailed(error_type="KeyError", message="no"), "failed", "KeyError: no"),
        (TimedOut(message="Task timed out"), "timed out", "Task timed out"),
        (Throttled(message="busy"), "throttled", "busy"),
        (Unavailable(message="no answer"), "unavailable", "no answer"),
    ],
)
def test_each_end_is_told(result: InvocationResult, outcome: str, detail: str) -> None:
    report = told(mapping(), result)
    assert (report["outcome"], report["detail"], report["records"]) == (outcome, detail, 2)


@pytest.mark.parametrize(
    ("response", "outcome", "listed"),
    [
        ({"batchItemFailures": [{"itemIdentifier": "2"}]}, "failed", ["2"]),
        ({"batchItemFailures": [{"itemIdentifier": "9"}]}, "failed", []),
        ({"batchItemFailures": []}, "succeeded", []),
        (None, "succeeded", []),
    ],
)
def test_a_partial_response_is_a_failure_where_the_mapping_takes_them(
    response: Any, outcome: str, listed: list[str]
) -> None:
    reporting = mapping(function_response_types=["ReportBatchItemFailures"])
    report = told(reporting, Succeeded(response=Payload.of_value(response)))
    assert (report["outcome"], report["batch_item_failures"]) == (outcome, listed)


def told(of: StreamMapping, result: InvocationResult, event: Any = EVENT) -> dict[str, Any]:
    replayed = Replay(mapping=of, event=Payload.of_value(event))
    return report_of(replayed, invocation_of(configuration(of), replayed), result, seconds=0.5)


@pytest.mark.parametrize(("event", "count"), [(CHANGES, 1), ({"Records": []}, 0), ("odd", 0), ({"Records": [3]}, 0)])
def test_records_of_each_kind_of_event_are_counted(event: Any, count: int) -> None:
    assert told(mapping(), Unavailable(message="x"), event)["records"] == count


# ---- rebuilding the event


@pytest.fixture
def anyio_backend(virtual_backend: tuple[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    return virtual_backend


@pytest.mark.anyio
async def test_an_event_is_rebuilt_only_from_as_many_records_as_were_given_up(make_stream: Any) -> None:
    stream: InMemoryStream = make_stream("clicks", shard_count=1)
    numbers = [stream.put("k", b"x") for _ in range(3)]
    (shard,) = stream.open_shard_ids
    source = InMemoryStreamSource(stream)
    whole = FailedRange(shard_id=shard, first=numbers[0], last=numbers[-1], count=3)
    event = await rebuilt(mapping(), replace(failure(), range=whole), source, force=False)
    assert [each["kinesis"]["sequenceNumber"] for each in event.value["Records"]] == numbers
    fewer = replace(failure(), range=replace(whole, count=2))
    with pytest.raises(CommandError, match="3 records are found where 2 were given up"):
        await rebuilt(mapping(), fewer, source, force=False)
    assert len((await rebuilt(mapping(), fewer, source, force=True)).value["Records"]) == 3
