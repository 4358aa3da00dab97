"""What every event source mapping has, whatever it reads: the request that Lambda's own API takes.

Source: AWS Lambda API, CreateEventSourceMapping (service model of botocore 1.43), and the texts that AWS answers with.
AWS does not publish the texts for too many filters and for metrics of other sources: these are ours. `UUID` and
`Broker` are ours too.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from broker.model.arn import Arn
from broker.model.extensions import Extensions
from broker.model.reference import FUNCTION_REFERENCE, FunctionReference
from broker.model.written import Items, Written, wrong

_REGION = re.compile(r"[a-z0-9-]+")
"""Not checked against AWS's list, because emulators have regions of their own."""
_ACCOUNT = re.compile(r"[0-9]{12}")

OF_OTHER_SOURCES = (
    "Topics", "Queues", "SourceAccessConfigurations", "SelfManagedEventSource", "AmazonManagedKafkaEventSourceConfig",
    "SelfManagedKafkaEventSourceConfig", "DocumentDBEventSourceConfig", "LoggingConfig",
)  # fmt: skip
"""Members that neither queues nor streams have."""


def unsupported(member: str) -> str:
    """AWS's text for a member that this kind of event source does not have."""
    if member == "DestinationConfig":
        return "Unsupported DestinationConfig parameter for given event source mapping type."
    return f"Unsupported '{member[0].lower()}{member[1:]}' parameter for given event source mapping type."


def refusals(members: Iterable[str]) -> Mapping[str, str]:
    """AWS's text for each member that a kind of event source does not have."""
    return {name: unsupported(name) for name in members}


def parse_source(value: str, example: str) -> Arn:
    """The event source's ARN; `example` is one of the right kind. Raises pydantic's error, with a sentence."""
    try:
        return Arn.parse(value)
    except ValueError:
        raise wrong(f"the event source is written as its ARN, such as {example}, not {value!r}") from None


def has_owner(arn: Arn) -> bool:
    """Whether region and account can be such."""
    return bool(_REGION.fullmatch(arn.region) and _ACCOUNT.fullmatch(arn.account))


class Filter(Written):
    """One pattern."""

    is_aws: ClassVar[bool] = True

    pattern: Annotated[str, Field(max_length=4096)]
    """A JSON object as text, after the grammar of EventBridge's patterns."""


class FilterCriteria(Written):
    """Which records the handler sees: those that match at least one filter.

    The others are deleted from a queue, and passed over in a stream.
    """

    is_aws: ClassVar[bool] = True

    filters: Items[Filter] = ()
    """Up to five; none lets everything pass."""


class MetricsConfig(Written):
    """Which CloudWatch metrics AWS would publish; the broker always counts."""

    is_aws: ClassVar[bool] = True

    metrics: Items[Literal["EventCount", "ErrorCount", "KafkaMetrics"]] = ()
    """Only `EventCount` for queues and streams."""

    @field_validator("metrics")
    @classmethod
    def _check_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if other := sorted(set(value) - {"EventCount"}):
            raise wrong(f"queues and streams have only the metric EventCount: remove {', '.join(other)}")
        return value


class MappingFields(Written):
    """The fields that mappings of queues and of streams share."""

    is_aws: ClassVar[bool] = True

    event_source_arn: str = Field(max_length=10000)
    """The ARN of what is read."""
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
    """Whether the mapping reads its source."""
    maximum_batching_window_in_seconds: Annotated[int, Field(ge=0, le=300)] = 0
    """How long records are gathered before the handler is invoked; 0 hands over at once what is there."""
    batch_size: Annotated[int, Field(ge=1, le=10000)]
    """The most records in one event."""
    filter_criteria: FilterCriteria = FilterCriteria()
    """Which records the handler sees."""
    function_response_types: Items[Literal["ReportBatchItemFailures"]] = Field(default=(), max_length=1)
    """`ReportBatchItemFailures` lets the handler say which records of a batch failed."""
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
            raise wrong(f"source and function must be in the same Region, not in {region} and {function.region}")
        return value

    @field_validator("filter_criteria")
    @classmethod
    def _check_filter_count(cls, value: FilterCriteria, info: ValidationInfo) -> FilterCriteria:
        extensions: Extensions = info.data.get("broker", Extensions())
        if (count := len(value.filters)) > (quota := extensions.filter_quota):
            raise wrong(f"{count} filters are more than {quota}: Broker.FilterQuota allows up to 10, as AWS does")
        return value

    @property
    def source(self) -> Arn:
        """The event source's ARN, taken apart."""
        return Arn.parse(self.event_source_arn)

    @property
    def function(self) -> FunctionReference:
        """The function's name and qualifier."""
        return FunctionReference.parse(self.function_name)

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
