"""The mapping of a stream: CreateEventSourceMapping's members for Kinesis and DynamoDB, validated as Lambda does.

Source: AWS Lambda API, CreateEventSourceMapping (service model of botocore 1.43), and the texts that AWS answers with.
AWS does not publish the texts for a starting time, for a tumbling window beside filters or lanes, and for a destination
that is none: these are ours.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator

from broker.model.arn import Arn
from broker.model.extensions import StreamExtensions
from broker.model.mapping_fields import (
    OF_OTHER_SOURCES,
    FilterCriteria,
    MappingFields,
    has_owner,
    parse_source,
    refusals,
    unsupported,
)
from broker.model.reference import STREAM_FORMS, EventSourceKind, StreamReference, StreamService
from broker.model.written import Written, wrong

SHORTEST_AGE_SECONDS = 60
"""AWS takes no `MaximumRecordAgeInSeconds` below, but -1."""
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_DESTINATION_FORMS = (
    "the ARN of an SQS queue, an SNS topic or an S3 bucket, such as arn:aws:sqs:eu-west-1:123456789012:failed or "
    "arn:aws:s3:::failed"
)
_AGE = "MaximumRecordAgeInSeconds must be either -1 (forever) or between 60 and 604800 (inclusive)"
_TIME_FORMS = 'a time is written as epoch seconds or as "2026-01-31T09:00:00Z"'
OF_QUEUES = ("ScalingConfig", "ProvisionedPollerConfig")
"""Members that only queues have."""


def _check_destination(value: str) -> str:
    if not value:
        return value
    try:
        arn = Arn.parse(value)
    except ValueError:
        raise wrong(f"an on-failure destination is {_DESTINATION_FORMS}, not {value!r}") from None
    if arn.service in {"sqs", "sns"} and arn.resource.endswith(".fifo"):
        raise wrong(f"a FIFO queue or topic cannot be an on-failure destination: use a standard one, not {value!r}")
    is_bucket = arn.service == "s3" and _BUCKET_NAME.fullmatch(arn.resource) and not (arn.region or arn.account)
    is_inbox = arn.service in {"sqs", "sns"} and has_owner(arn) and ":" not in arn.resource
    if not (is_bucket or is_inbox):
        raise wrong(f"an on-failure destination is {_DESTINATION_FORMS}, not {value!r}")
    return value


class OnFailure(Written):
    """Where records go that are given up."""

    is_aws: ClassVar[bool] = True

    destination: Annotated[str, AfterValidator(_check_destination)] | None = Field(
        default=None, max_length=350, examples=["arn:aws:sqs:eu-west-1:123456789012:failed", "arn:aws:s3:::failed"]
    )
    """The ARN of a standard SQS queue, a standard SNS topic or an S3 bucket; empty for none."""


class DestinationConfig(Written):
    """Where records go that are given up, because they failed too often or grew too old."""

    is_aws: ClassVar[bool] = True

    on_failure: OnFailure = OnFailure()
    """Where records go that are given up; without it they are dropped."""

    refused: ClassVar[Mapping[str, str]] = {"OnSuccess": unsupported("DestinationConfig")}


def _check_source(value: str) -> str:
    arn = parse_source(value, STREAM_FORMS[StreamService.KINESIS][0])
    if arn.service not in set(StreamService):
        raise wrong("Unrecognized event source.")
    try:
        StreamReference.parse(value)
    except ValueError as error:
        raise wrong(str(error)) from None
    if not has_owner(arn):
        forms = " or ".join(STREAM_FORMS[StreamService(arn.service)])
        raise wrong(f"the ARN of a stream has a region and an account, such as {forms}, not {value!r}")
    return value


def _as_epoch_seconds(value: Any) -> Any:
    """What AWS's clients send as a time, and what people write: numbers, numbers as text, ISO 8601."""
    match value:
        case int() if type(value) is int:
            return float(value)
        case datetime():
            return _epoch_seconds(value)
        case str():
            try:
                return float(value)
            except ValueError:
                return _from_iso(value)
    return value


def _from_iso(text: str) -> float:
    try:
        return _epoch_seconds(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise wrong(f"{_TIME_FORMS}, not {text[:60]!r}") from None


def _epoch_seconds(moment: datetime) -> float:
    """UTC where the time names no zone."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _check_age(value: int) -> int:
    if 0 <= value < SHORTEST_AGE_SECONDS:
        raise wrong(_AGE)
    return value


EpochSeconds = Annotated[
    float, Field(ge=0), BeforeValidator(_as_epoch_seconds), WithJsonSchema({"type": ["number", "string"]})
]


class StreamMapping(MappingFields):
    """Reads the shards of a stream, each in order, and hands batches of its records to a function."""

    event_source_arn: Annotated[str, AfterValidator(_check_source)] = Field(
        max_length=10000,
        json_schema_extra={"pattern": "^arn:[^:]+:(kinesis|dynamodb):"},
        examples=[form for forms in STREAM_FORMS.values() for form in forms],
    )
    """The ARN of a Kinesis stream, of a consumer that is registered with one (enhanced fan-out), or of the stream of a
    DynamoDB table."""
    broker: StreamExtensions = StreamExtensions()
    """What the broker adds to AWS's mappings."""
    batch_size: Annotated[int, Field(ge=1, le=10000)] = 100
    """The most records in one event."""
    starting_position: Literal["LATEST", "AT_TIMESTAMP", "TRIM_HORIZON"]
    """Where reading begins while there is no checkpoint: `TRIM_HORIZON` (everything that the stream still has),
    `LATEST` (what comes from now on) or, for Kinesis, `AT_TIMESTAMP`."""
    starting_position_timestamp: EpochSeconds | None = None
    """With `AT_TIMESTAMP`: the time to begin at, epoch seconds or ISO 8601 (UTC where it names no zone)."""
    parallelization_factor: Annotated[int, Field(ge=1, le=10)] = 1
    """Batches of one shard that are in flight at once; records of one partition key (of one item) stay in order."""
    maximum_record_age_in_seconds: Annotated[int, Field(ge=-1, le=604_800), AfterValidator(_check_age)] = -1
    """Older records are given up: -1 for never, or 60-604800."""
    maximum_retry_attempts: Annotated[int, Field(ge=-1, le=10_000)] = -1
    """How often a batch that fails is tried again before it is given up; -1 for as often as it takes."""
    bisect_batch_on_function_error: bool = False
    """Whether a batch that fails is split in two, which uses up no retries."""
    tumbling_window_in_seconds: Annotated[int, Field(ge=0, le=900)] = 0
    """Length of the windows over which the handler aggregates; 0 for none."""
    destination_config: DestinationConfig = DestinationConfig()
    """Where records go that are given up."""

    refused: ClassVar[Mapping[str, str]] = refusals((*OF_QUEUES, *OF_OTHER_SOURCES))

    @field_validator("starting_position")
    @classmethod
    def _check_supported(cls, value: str, info: ValidationInfo) -> str:
        arn = info.data.get("event_source_arn")
        if value == "AT_TIMESTAMP" and arn and StreamReference.parse(arn).service is StreamService.DYNAMODB:
            raise wrong(f"Unsupported starting position for arn type: {arn}")
        return value

    @field_validator("starting_position_timestamp")
    @classmethod
    def _check_needed(cls, value: float | None, info: ValidationInfo) -> float | None:
        position = info.data.get("starting_position")
        if position == "AT_TIMESTAMP" and value is None:
            raise wrong(f"AT_TIMESTAMP needs the time to begin at: {_TIME_FORMS}")
        if position in {"LATEST", "TRIM_HORIZON"} and value is not None:
            raise wrong(f"StartingPositionTimestamp is for AT_TIMESTAMP, not for {position}: remove one of them")
        return value

    @field_validator("parallelization_factor")
    @classmethod
    def _check_lanes(cls, value: int, info: ValidationInfo) -> int:
        extensions: StreamExtensions = info.data.get("broker", StreamExtensions())
        if value == 1 and (unused := extensions.written_among({"AheadRecords", "AheadBytes"})):
            raise wrong(f"Broker.{unused[0]} has no effect with a ParallelizationFactor of 1: remove it")
        return value

    @field_validator("tumbling_window_in_seconds")
    @classmethod
    def _check_alone(cls, value: int, info: ValidationInfo) -> int:
        extensions: StreamExtensions = info.data.get("broker", StreamExtensions())
        if value and info.data.get("parallelization_factor", 1) > 1:
            raise wrong("TumblingWindowInSeconds needs a ParallelizationFactor of 1")
        if value and info.data.get("filter_criteria", FilterCriteria()).filters:
            raise wrong("TumblingWindowInSeconds cannot be combined with FilterCriteria")
        if not value and "window_grace_seconds" in extensions.model_fields_set:
            raise wrong("Broker.WindowGraceSeconds has no effect without TumblingWindowInSeconds: remove it")
        return value

    @field_validator("destination_config")
    @classmethod
    def _check_used(cls, value: DestinationConfig, info: ValidationInfo) -> DestinationConfig:
        extensions: StreamExtensions = info.data.get("broker", StreamExtensions())
        destination = value.on_failure.destination
        if "event_source_arn" in info.data and destination:
            _check_partition(Arn.parse(info.data["event_source_arn"]), Arn.parse(destination))
        unused = extensions.written_among({"DestinationOutage", "DestinationSeconds"})
        if unused and not destination:
            raise wrong(f"Broker.{unused[0]} has no effect without an on-failure destination: remove it")
        if "DestinationSeconds" in unused and extensions.destination_outage == "block":
            raise wrong("Broker.DestinationSeconds has no effect beside DestinationOutage: block: remove one of them")
        return value

    @property
    def kind(self) -> EventSourceKind:
        """What it reads from."""
        return EventSourceKind.STREAM

    @property
    def stream(self) -> StreamReference:
        """The stream, and the consumer where there is one."""
        return StreamReference.parse(self.event_source_arn)

    @property
    def destination(self) -> Arn | None:
        """Where records go that are given up; None where they are dropped."""
        written = self.destination_config.on_failure.destination
        return Arn.parse(written) if written else None

    @property
    def needs_store(self) -> bool:
        """Whether it has something to keep or to share: always, its positions."""
        return True


def _check_partition(source: Arn, destination: Arn) -> None:
    """One set of credentials is of one partition."""
    if source.partition != destination.partition:
        raise wrong(f"stream and destination must be in the same partition, not in {source.partition} and "
                    f"{destination.partition}")  # fmt: skip
