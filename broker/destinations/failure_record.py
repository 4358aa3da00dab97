"""The JSON that an on-failure destination is told about records that were given up.

Pure, and here rather than in the core: only destinations write it, and adapters do not import the core.

SQS and SNS get where the records stand in the stream; S3 gets the whole event as well, as a string that holds JSON. The
record of a tumbling window's final invocation names no records, for it has none, but the window.

Source: AWS Lambda Developer Guide, "Retain discarded batch records for a Kinesis Data Streams event source" and
"Retain discarded records for a DynamoDB event source" (read November 2026), with the order of keys of their examples.
The form for windows, in which `payload` comes before `timestamp`, is as observed in what AWS delivered.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from broker.model.arn import Arn
from broker.model.discard import DiscardedBatch, TimeWindow

_STATUS = 200
"""Of a synchronous invocation, failed or not."""
_VERSION = "1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Whose records they are: what does not change from one failure record to the next."""

    mapping_uuid: str
    function_arn: str
    """As the mapping names it: with the qualifier where there is one."""
    stream_arn: str
    """The mapping's `EventSourceArn`: of a stream, or of a consumer of it."""
    executed_version: str = "$LATEST"


def failure_record(
    discarded: DiscardedBatch, origin: Origin, *, shard_id: str, request_id: str, now: float, with_payload: bool
) -> bytes:
    """Compact UTF-8 JSON. `now` (epoch seconds) is its time stamp, `with_payload` says whether the event goes along."""
    batch_info, arrival = _BATCH_INFOS[Arn.parse(origin.stream_arn).service]
    payload = {"payload": discarded.payload.bytes.decode()} if with_payload else {}
    head = {"requestContext": _request_context(discarded, origin, request_id), **_response_context(discarded, origin)}
    stamp = {"timestamp": milliseconds(now)}
    if discarded.window:
        place = {"shardId": shard_id, "streamArn": origin.stream_arn}
        tail = {**payload, **stamp, batch_info: place, "timeWindowInfo": _window_info(discarded.window)}
    else:
        tail = {**stamp, batch_info: _range(discarded, origin, shard_id, arrival), **payload}
    return orjson.dumps({**head, "version": _VERSION, **tail})


def milliseconds(at: float) -> str:
    """`2019-11-14T00:38:06.021Z`."""
    return f"{utc(at).isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"


def seconds(at: float) -> str:
    """`2019-11-14T00:38:06Z`."""
    return f"{utc(at):%Y-%m-%dT%H:%M:%SZ}"


def utc(at: float) -> datetime:
    """The instant, to the millisecond that a time stamp tells."""
    # Through whole milliseconds: a float's last digits must not turn .835 into .834.
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=round(at * 1000))


_BATCH_INFOS: dict[str, tuple[str, Callable[[float], str]]] = {
    "kinesis": ("KinesisBatchInfo", milliseconds),
    "dynamodb": ("DDBStreamBatchInfo", seconds),
}
"""By the service of the stream's ARN: the member, and how it tells when records arrived."""


def _request_context(discarded: DiscardedBatch, origin: Origin, request_id: str) -> dict[str, Any]:
    return {
        "requestId": request_id,
        "functionArn": origin.function_arn,
        "condition": discarded.condition.value,
        "approximateInvokeCount": discarded.invoke_count,
    }


def _response_context(discarded: DiscardedBatch, origin: Origin) -> dict[str, Any]:
    if discarded.response is None:
        return {}
    return {
        "responseContext": {
            "statusCode": _STATUS,
            "executedVersion": origin.executed_version,
            "functionError": discarded.response.function_error,
        }
    }


def _range(discarded: DiscardedBatch, origin: Origin, shard_id: str, arrival: Callable[[float], str]) -> dict[str, Any]:
    return {
        "shardId": shard_id,
        "startSequenceNumber": discarded.first,
        "endSequenceNumber": discarded.last,
        "approximateArrivalOfFirstRecord": arrival(discarded.first_arrived_at),
        "approximateArrivalOfLastRecord": arrival(discarded.last_arrived_at),
        "batchSize": discarded.count,
        "streamArn": origin.stream_arn,
    }


def _window_info(window: TimeWindow) -> dict[str, Any]:
    return {
        "window": {"start": seconds(window.start), "end": seconds(window.end)},
        "isFinalInvokeForWindow": window.is_final_invoke,
        "isWindowTerminatedEarly": window.is_terminated_early,
    }
