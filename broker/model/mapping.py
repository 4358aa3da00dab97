"""An event source mapping: the request that Lambda's own API takes, validated as Lambda does.

Source: AWS Lambda API, CreateEventSourceMapping (service model of botocore 1.43), and the texts that AWS answers with.
AWS does not publish the texts for a FIFO queue's batch size, for too many filters and for metrics of other sources:
these are ours. `UUID` and `Broker` are ours too.
"""

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from broker.model.arn import Arn
from broker.model.extensions import Extensions
from broker.model.reference import FUNCTION_REFERENCE, EventSourceKind, FunctionReference
from broker.model.written import Items, Written, wrong, wrong_as_a_whole

BATCH_SIZE_WITHOUT_WINDOW = 10
"""What one receive can bring; a larger batch needs a window."""
DEFAULT_MINIMUM_POLLERS = 2
DEFAULT_MAXIMUM_POLLERS = 200
_REGION = re.compile(r"[a-z0-9-]+")
"""Not checked against AWS's list, because emulators have regions of their own."""
_ACCOUNT = re.compile(r"[0-9]{12}")
_QUEUE_NAME = re.compile(r"(?=.{1,80}\Z)[A-Za-z0-9_-]+(\.fifo)?")
_POLLERS = "MinimumPollers should be between [2, 200] and MaximumPollers should be between [MinimumPollers, 10000]"
_MAXIMUM_CONCURRENCY_WITH_POLLERS = (
    "Provisioned mode for SQS ESM does not support maximum concurrency feature. "
    "Use MaximumPollers as the control mechanism and remove maximum concurrency."
)
_NOT_YET = {"kinesis": "Kinesis streams are", "dynamodb": "DynamoDB Streams are"}
_QUEUE_FORM = "arn:aws:sqs:eu-west-1:123456789012:orders"


def unsupported(member: str) -> str:
    """AWS's text for a member that this kind of event source does not have."""
    if member == "DestinationConfig":
        return "Unsupported DestinationConfig parameter for given event source mapping type."
    return f"Unsupported '{member[0].lower()}{member[1:]}' parameter for given event source mapping type."


def visibility_mistake(visibility_seconds: int, timeout_seconds: float) -> str | None:
    """AWS's text where a queue's visibility timeout does not cover the function's timeout; None where it does."""
    if visibility_seconds >= timeout_seconds:
        return None
    return (
        f"Queue visibility timeout: {visibility_seconds} seconds is less than "
        f"Function timeout: {timeout_seconds:g} seconds"
    )


class Filter(Written):
    """One pattern."""

    is_aws: ClassVar[bool] = True

    pattern: Annotated[str, Field(max_length=4096)]
    """A JSON object as text, after the grammar of EventBridge's patterns."""


class FilterCriteria(Written):
    """Which records the handler sees: those that match at least one filter. The others are deleted."""

    is_aws: ClassVar[bool] = True

    filters: Items[Filter] = ()
    """Up to five; none lets everything pass."""


class ScalingConfig(Written):
    """Limits the concurrency of a mapping."""

    is_aws: ClassVar[bool] = True

    maximum_concurrency: Annotated[int, Field(ge=2, le=1000)] | None = None
    """Batches in flight at once, at most; AWS's own limit if absent."""


class ProvisionedPollerConfig(Written):
    """Dedicated event pollers; each can have ten invocations in flight."""

    is_aws: ClassVar[bool] = True

    minimum_pollers: Annotated[int, Field(ge=1, le=200)] | None = None
    """2-200; 2 if absent."""
    maximum_pollers: Annotated[int, Field(ge=1, le=10000)] | None = None
    """From the minimum to 10000; 200 if absent."""

    refused: ClassVar[Mapping[str, str]] = {"PollerGroupName": unsupported("PollerGroupName")}

    @field_validator("maximum_pollers")
    @classmethod
    def _check_range(cls, value: int | None, info: ValidationInfo) -> int | None:
        if "minimum_pollers" not in info.data:
            return value
        minimum = info.data["minimum_pollers"]
        if minimum is None and value is None:
            raise wrong_as_a_whole(
                "Either MinimumPollers or MaximumPollers are required if ProvisionedPollerConfig is provided."
            )
        least = DEFAULT_MINIMUM_POLLERS if minimum is None else minimum
        if least < DEFAULT_MINIMUM_POLLERS or (DEFAULT_MAXIMUM_POLLERS if value is None else value) < least:
            raise wrong_as_a_whole(_POLLERS)
        return value

    @property
    def range(self) -> tuple[int, int]:
        """Fewest and most pollers, defaults filled in."""
        return self.minimum_pollers or DEFAULT_MINIMUM_POLLERS, self.maximum_pollers or DEFAULT_MAXIMUM_POLLERS


class MetricsConfig(Written):
    """Which CloudWatch metrics AWS would publish; the broker always counts."""

    is_aws: ClassVar[bool] = True

    metrics: Items[Literal["EventCount", "ErrorCount", "KafkaMetrics"]] = ()
    """Only `EventCount` for SQS."""

    @field_validator("metrics")
    @classmethod
    def _check_known_to_queues(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if other := sorted(set(value) - {"EventCount"}):
            raise wrong(f"SQS has only the metric EventCount: remove {', '.join(other)}")
        return value


def _check_source(value: str) -> str:
    try:
        arn = Arn.parse(value)
    except ValueError:
        raise wrong(f"the event source is written as its ARN, such as {_QUEUE_FORM}, not {value!r}") from None
    if arn.service in _NOT_YET:
        raise wrong(f"{_NOT_YET[arn.service]} not supported by this version: use the ARN of an SQS queue")
    if arn.service != "sqs":
        raise wrong("Unrecognized event source.")
    if not (_REGION.fullmatch(arn.region) and _ACCOUNT.fullmatch(arn.account) and _QUEUE_NAME.fullmatch(arn.resource)):
        raise wrong(f"the ARN of a queue has a region, an account and a name, such as {_QUEUE_FORM}, not {value!r}")
    return value


class EventSourceMapping(Written):
    """Reads a queue and hands batches of its messages to a function: CreateEventSourceMapping's members for SQS."""

    is_aws: ClassVar[bool] = True

    event_source_arn: Annotated[str, AfterValidator(_check_source)] = Field(max_length=10000)
    """The ARN of the queue; a name that ends in `.fifo` makes it a FIFO queue."""
    function_name: str = Field(
        min_length=1,
        max_length=256,
        pattern=f"^(?:{FUNCTION_REFERENCE.pattern})$",
        examples=["orders", "orders:live", "arn:aws:lambda:eu-west-1:123456789012:function:orders"],
    )
    """Name, partial ARN or full ARN of the function, each with an optional `:qualifier`."""
    uuid: Annotated[str, AfterValidator(str.lower)] | None = Field(
        default=None,
        alias="UUID",
        pattern=r"^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$",
        examples=["14e0db71-5d35-4eb5-b481-8945cf9d10c2"],
    )
    """The mapping's identity; made of source and function if absent, the same at every start."""
    broker: Extensions = Extensions()
    """What the broker adds to AWS's mappings."""
    enabled: bool = True
    """Whether the mapping reads its queue."""
    maximum_batching_window_in_seconds: Annotated[int, Field(ge=0, le=300)] = 0
    """How long records are gathered before the handler is invoked; 0 hands over at once what a receive brought."""
    batch_size: Annotated[int, Field(ge=1, le=10000)] = 10
    """The most records in one event. More than 10 needs a batching window; a FIFO queue has at most 10."""
    filter_criteria: FilterCriteria = FilterCriteria()
    """Which records the handler sees."""
    function_response_types: Items[Literal["ReportBatchItemFailures"]] = Field(default=(), max_length=1)
    """`ReportBatchItemFailures` lets the handler say which records of a batch failed."""
    scaling_config: ScalingConfig = ScalingConfig()
    """Limits the concurrency of the mapping."""
    provisioned_poller_config: ProvisionedPollerConfig | None = None
    """Dedicated event pollers, in place of a maximum concurrency."""
    metrics_config: MetricsConfig | None = None
    """CloudWatch metrics."""
    kms_key_arn: str | None = Field(
        default=None,
        alias="KMSKeyArn",
        max_length=10000,
        pattern=r"^((arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|())$",
        examples=["arn:aws:kms:eu-west-1:123456789012:key/14e0db71-5d35-4eb5-b481-8945cf9d10c2"],
    )
    """Encrypts the filter criteria at rest."""
    tags: dict[str, str] | None = None
    """For people and tools."""

    refused: ClassVar[Mapping[str, str]] = {
        name: unsupported(name)
        for name in (
            "StartingPosition", "StartingPositionTimestamp", "ParallelizationFactor", "DestinationConfig",
            "MaximumRecordAgeInSeconds", "MaximumRetryAttempts", "BisectBatchOnFunctionError",
            "TumblingWindowInSeconds", "Topics", "Queues", "SourceAccessConfigurations", "SelfManagedEventSource",
            "AmazonManagedKafkaEventSourceConfig", "SelfManagedKafkaEventSourceConfig", "DocumentDBEventSourceConfig",
            "LoggingConfig",
        )
    }  # fmt: skip
    stored: ClassVar[frozenset[str]] = frozenset({"KMSKeyArn", "MetricsConfig", "Tags"})
    """Kept and shown, without effect."""

    @field_validator("function_name")
    @classmethod
    def _check_same_region(cls, value: str, info: ValidationInfo) -> str:
        function = FunctionReference.parse(value)
        if function.region is None or "event_source_arn" not in info.data:
            return value
        region = Arn.parse(info.data["event_source_arn"]).region
        if function.region != region:
            raise wrong(f"queue and function must be in the same Region, not in {region} and {function.region}")
        return value

    @field_validator("broker")
    @classmethod
    def _check_group_order(cls, value: Extensions, info: ValidationInfo) -> Extensions:
        if value.fifo_failure == "hold-group" and "event_source_arn" in info.data and not _is_fifo(info):
            raise wrong("FifoFailure: hold-group needs a FIFO queue, and this one's name does not end in .fifo")
        return value

    @field_validator("maximum_batching_window_in_seconds")
    @classmethod
    def _check_window(cls, value: int, info: ValidationInfo) -> int:
        if value > 0 and _is_fifo(info):
            raise wrong("Batching window is not supported for FIFO queues")
        return value

    @field_validator("batch_size")
    @classmethod
    def _check_batch_size(cls, value: int, info: ValidationInfo) -> int:
        if value <= BATCH_SIZE_WITHOUT_WINDOW:
            return value
        if _is_fifo(info):
            raise wrong(f"Batch size must be at most {BATCH_SIZE_WITHOUT_WINDOW} for FIFO queues")
        if info.data.get("maximum_batching_window_in_seconds") == 0:
            raise wrong(
                "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
            )
        return value

    @field_validator("filter_criteria")
    @classmethod
    def _check_filter_count(cls, value: FilterCriteria, info: ValidationInfo) -> FilterCriteria:
        extensions: Extensions = info.data.get("broker", Extensions())
        if (count := len(value.filters)) > (quota := extensions.filter_quota):
            raise wrong(f"{count} filters are more than {quota}: Broker.FilterQuota allows up to 10, as AWS does")
        return value

    @field_validator("provisioned_poller_config")
    @classmethod
    def _check_one_limit(
        cls, value: ProvisionedPollerConfig | None, info: ValidationInfo
    ) -> ProvisionedPollerConfig | None:
        scaling: ScalingConfig = info.data.get("scaling_config", ScalingConfig())
        if value is not None and scaling.maximum_concurrency is not None:
            raise wrong(_MAXIMUM_CONCURRENCY_WITH_POLLERS)
        extensions: Extensions = info.data.get("broker", Extensions())
        if value is not None and "scaling" in extensions.model_fields_set:
            raise wrong("Broker.Scaling has no effect beside ProvisionedPollerConfig: remove one of them")
        return value

    @property
    def kind(self) -> EventSourceKind:
        """What it reads from."""
        return EventSourceKind.QUEUE

    @property
    def source(self) -> Arn:
        """The queue's ARN, taken apart."""
        return Arn.parse(self.event_source_arn)

    @property
    def function(self) -> FunctionReference:
        """The function's name and qualifier."""
        return FunctionReference.parse(self.function_name)

    @property
    def is_fifo(self) -> bool:
        """Whether the queue is a FIFO queue."""
        return self.event_source_arn.endswith(".fifo")

    @property
    def reports_batch_item_failures(self) -> bool:
        """Whether the handler may say which records of a batch failed."""
        return "ReportBatchItemFailures" in self.function_response_types

    @property
    def filter_patterns(self) -> tuple[str, ...]:
        """The patterns as JSON text; a record passes when any matches, or when there is none."""
        return tuple(each.pattern for each in self.filter_criteria.filters)

    @property
    def stored_fields(self) -> tuple[str, ...]:
        """Fields that were written and have no effect here, by AWS's name."""
        return self.written_among(self.stored)


def _is_fifo(info: ValidationInfo) -> bool:
    return str(info.data.get("event_source_arn", "")).endswith(".fifo")
