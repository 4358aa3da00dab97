"""The failure record is AWS's, to the byte."""

import orjson
import pytest

from broker.destinations.failure_record import Origin, failure_record, milliseconds, seconds
from broker.model.discard import Condition, DiscardedBatch, ResponseContext
from tests.unit.destinations.discards import (
    CONSUMER,
    DYNAMODB,
    DYNAMODB_SHARD,
    EVENT,
    FUNCTION,
    KINESIS,
    KINESIS_SHARD,
    NOW,
    REQUEST,
    closed_window,
    discarded,
    origin,
)

HEAD = (
    '{"requestContext":{"requestId":"c9b8fa9f-5a7f-4e5e-af9c-0c604cde93a5",'
    '"functionArn":"arn:aws:lambda:us-east-2:123456789012:function:myfunction",'
    '"condition":"RetryAttemptsExhausted","approximateInvokeCount":2},'
)
RESPONSE = '"responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},'
STAMP = '"timestamp":"2019-11-14T00:38:06.021Z",'
KINESIS_INFO = (
    '"KinesisBatchInfo":{"shardId":"shardId-000000000001",'
    '"startSequenceNumber":"49601189658422359378836298521827638475320189012309704722",'
    '"endSequenceNumber":"49601189658422359378836298522902373528957594348623495186",'
    '"approximateArrivalOfFirstRecord":"2019-11-14T00:38:04.835Z",'
    '"approximateArrivalOfLastRecord":"2019-11-14T00:38:05.580Z",'
    '"batchSize":500,"streamArn":"arn:aws:kinesis:us-east-2:123456789012:stream/mystream"}'
)
WINDOW_INFO = (
    '"timeWindowInfo":{"window":{"start":"2019-11-14T00:38:00Z","end":"2019-11-14T00:39:00Z"},'
    '"isFinalInvokeForWindow":true,"isWindowTerminatedEarly":false}'
)


def record(
    given_up: DiscardedBatch, source: Origin | None = None, *, shard: str = KINESIS_SHARD, payload: bool = False
) -> str:
    return failure_record(
        given_up, source or origin(), shard_id=shard, request_id=REQUEST, now=NOW, with_payload=payload
    ).decode()


def test_records_of_kinesis_are_told_as_aws_tells_them() -> None:
    assert record(discarded()) == f'{HEAD}{RESPONSE}"version":"1.0",{STAMP}{KINESIS_INFO}}}'


def test_records_of_dynamodb_arrived_at_whole_seconds() -> None:
    given_up = discarded(
        count=1,
        invoke_count=1,
        first="800000000003126276362",
        last="800000000003126276362",
        first_arrived_at=1573690399.0,
        last_arrived_at=1573690399.0,
    )
    told = record(given_up, origin(stream_arn=DYNAMODB), shard=DYNAMODB_SHARD)
    assert told == (
        f"{HEAD.replace(':2}', ':1}')}{RESPONSE}"
        f'"version":"1.0",{STAMP}"DDBStreamBatchInfo":{{"shardId":"{DYNAMODB_SHARD}",'
        '"startSequenceNumber":"800000000003126276362","endSequenceNumber":"800000000003126276362",'
        '"approximateArrivalOfFirstRecord":"2019-11-14T00:13:19Z",'
        f'"approximateArrivalOfLastRecord":"2019-11-14T00:13:19Z","batchSize":1,"streamArn":"{DYNAMODB}"}}}}'
    )


def test_the_payload_is_a_string_that_holds_the_event_and_comes_last() -> None:
    told = record(discarded(), payload=True)
    assert told.startswith(f'{HEAD}{RESPONSE}"version":"1.0",{STAMP}{KINESIS_INFO},"payload":"{{\\"Records\\"')
    assert orjson.loads(orjson.loads(told)["payload"]) == EVENT
    assert list(orjson.loads(told))[-1] == "payload"


@pytest.mark.parametrize("condition", Condition)
def test_without_an_invocation_there_is_no_response(condition: Condition) -> None:
    told = orjson.loads(record(discarded(condition=condition, response=None)))
    assert list(told) == ["requestContext", "version", "timestamp", "KinesisBatchInfo"]
    assert told["requestContext"]["condition"] == condition.value


def test_a_response_with_failures_is_no_function_error() -> None:
    told = orjson.loads(record(discarded(response=ResponseContext(function_error=None))))
    assert told["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": None}


def test_the_function_is_told_as_the_mapping_names_it_and_the_version_as_it_ran() -> None:
    told = orjson.loads(record(discarded(), origin(function_arn=f"{FUNCTION}:live", executed_version="12")))
    assert told["requestContext"]["functionArn"] == f"{FUNCTION}:live"
    assert told["responseContext"]["executedVersion"] == "12"


def test_the_stream_of_a_consumer_is_the_consumer() -> None:
    assert orjson.loads(record(discarded(), origin(stream_arn=CONSUMER)))["KinesisBatchInfo"]["streamArn"] == CONSUMER


def test_the_end_of_a_window_names_the_window_and_no_records() -> None:
    info = f'"KinesisBatchInfo":{{"shardId":"{KINESIS_SHARD}","streamArn":"{KINESIS}"}}'
    assert record(closed_window()) == f'{HEAD}{RESPONSE}"version":"1.0",{STAMP}{info},{WINDOW_INFO}}}'


def test_the_end_of_a_window_has_its_payload_before_the_time_stamp() -> None:
    told = orjson.loads(record(closed_window(), origin(stream_arn=DYNAMODB), shard=DYNAMODB_SHARD, payload=True))
    assert list(told) == [
        "requestContext",
        "responseContext",
        "version",
        "payload",
        "timestamp",
        "DDBStreamBatchInfo",
        "timeWindowInfo",
    ]
    assert told["DDBStreamBatchInfo"] == {"shardId": DYNAMODB_SHARD, "streamArn": DYNAMODB}


@pytest.mark.parametrize(
    ("at", "with_fraction", "without"),
    [
        (1573691884.835, "2019-11-14T00:38:04.835Z", "2019-11-14T00:38:04Z"),
        (1573691884.0, "2019-11-14T00:38:04.000Z", "2019-11-14T00:38:04Z"),
        (1573691884.9996, "2019-11-14T00:38:05.000Z", "2019-11-14T00:38:05Z"),
        (1545084650.987, "2018-12-17T22:10:50.987Z", "2018-12-17T22:10:50Z"),
    ],
)
def test_instants_are_told_in_utc_to_the_millisecond_or_the_second(at: float, with_fraction: str, without: str) -> None:
    assert (milliseconds(at), seconds(at)) == (with_fraction, without)


def test_every_millisecond_of_a_second_is_told_as_it_is() -> None:
    told = [milliseconds(1573691884 + count / 1000) for count in range(1000)]
    assert told == [f"2019-11-14T00:38:04.{count:03}Z" for count in range(1000)]
