"""A Kinesis stream as a `StreamSource`: by polling, or by enhanced fan-out where the ARN is a consumer's.

A stream that was deleted and made again keeps its name and its ARN; its time of creation tells it from the one before.
A stream that is being created or deleted is not described: its shards would be taken for all there are.

A consumer is not asked for (DescribeStreamConsumer is not among the permissions that Lambda wants of a role): that it
is missing shows when its first shard is subscribed to.

Source: Amazon Kinesis Data Streams API Reference, DescribeStreamSummary and ListShards (read November 2026).
"""

from collections.abc import Mapping
from typing import Any

from broker.aws.clients import Clients
from broker.model.stream import Shard, StreamDescription
from broker.ports import Clock, ShardReader
from broker.sources.kinesis_api import KinesisApi, StreamName
from broker.sources.kinesis_fan_out import FanOutReader
from broker.sources.kinesis_faults import stream_changing
from broker.sources.kinesis_reader import PollingReader
from broker.sources.kinesis_record import ShardOrigin

SHARDS_PER_PAGE = 1_000
"""AWS's default; an emulator has its own."""
_HOUR_SECONDS = 3_600.0
_UNSETTLED = frozenset({"CREATING", "DELETING"})
_STAND_IN_ROLE = "event-source-broker"


class KinesisStreamSource:
    """One stream of this or another account."""

    def __init__(
        self, *, arn: str, clients: Clients, clock: Clock, role_arn: str | None = None, is_polled: bool = False
    ) -> None:
        """`arn` is the stream's, or that of a consumer of it, as the mapping has it.

        `role_arn` becomes `invokeIdentityArn` of each event: the function's `Role`. Where it has none (its handler runs
        here, as whoever runs the broker) an ARN of the same form stands for it: `role/event-source-broker` in the
        stream's account. With `is_polled` a consumer's stream is polled, and the consumer left alone.

        Raises `ValueError` where `arn` names no Kinesis stream.
        """
        name = StreamName.parse(arn)
        self._api = KinesisApi(name=name, clients=clients)
        self._clock = clock
        self._is_polled = is_polled or not name.is_consumer
        self._role_arn = role_arn or f"arn:{name.partition}:iam::{name.account}:role/{_STAND_IN_ROLE}"

    async def describe(self) -> StreamDescription:
        """Asks for the stream's creation and retention. Raises `ShardReadError`."""
        operation = "DescribeStreamSummary"
        asked_at = self._clock.now()
        answer = await self._api.ask(operation, dict(self._api.named))
        with self._api.reading(operation):
            summary = answer.value["StreamDescriptionSummary"]
            status = summary["StreamStatus"]
            description = StreamDescription(
                generation=str(float(summary["StreamCreationTimestamp"])),
                retention_seconds=float(summary["RetentionPeriodHours"]) * _HOUR_SECONDS,
                server_at=_earliest(answer.sent_at, asked_at),
            )
        if status in _UNSETTLED:
            raise stream_changing(self._api.call(operation), status)
        return description

    async def list_shards(self) -> tuple[Shard, ...]:
        """All shards of the stream, those of each page of the listing. Raises `ShardReadError`."""
        operation = "ListShards"
        shards: dict[str, Shard] = {}
        request: dict[str, Any] = {**self._api.named, "MaxResults": SHARDS_PER_PAGE}
        while True:
            answer = await self._api.ask(operation, request)
            with self._api.reading(operation):
                shards |= {shard["ShardId"]: _shard(shard) for shard in answer.value["Shards"]}
                token = answer.value.get("NextToken")
            if not token:
                return tuple(shards.values())
            if token == request.get("NextToken"):
                raise self._api.unreadable(operation)  # the next page would be this one again
            # The token names the stream: saying it again is an error.
            request = {"NextToken": token, "MaxResults": SHARDS_PER_PAGE}

    def reader(self, shard_id: str) -> ShardReader:
        """A reader of one shard; nothing is asked yet."""
        name = self._api.name
        origin = ShardOrigin(arn=name.arn, region=name.region, role_arn=self._role_arn, shard_id=shard_id)
        if self._is_polled:
            return PollingReader(origin=origin, api=self._api, clock=self._clock)
        return FanOutReader(origin=origin, api=self._api, clock=self._clock)


def _earliest(sent_at: float | None, asked_at: float) -> float:
    """The service's time as it answered, or a little before: who reads from here on misses nothing.

    The local time of the question, where it lies in the second that the answer's `Date` names; else its beginning.
    """
    return asked_at if sent_at is None or sent_at <= asked_at < sent_at + 1 else sent_at


def _shard(listed: Mapping[str, Any]) -> Shard:
    parents = (listed.get("ParentShardId"), listed.get("AdjacentParentShardId"))
    return Shard(
        shard_id=listed["ShardId"],
        parents=tuple(parent for parent in parents if parent),
        is_closed=bool(listed["SequenceNumberRange"].get("EndingSequenceNumber")),
    )
