"""The mapping of a queue: CreateEventSourceMapping's members for SQS, validated as Lambda does.

Source: AWS Lambda API, CreateEventSourceMapping (service model of botocore 1.43), and the texts that AWS answers with.
AWS does not publish the text for a FIFO queue's batch size: it is ours.
"""

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from broker.model.extensions import QueueExtensions
from broker.model.mapping_fields import OF_OTHER_SOURCES, MappingFields, has_owner, parse_source, refusals, unsupported
from broker.model.reference import EventSourceKind
from broker.model.written import Written, wrong, wrong_as_a_whole

BATCH_SIZE_WITHOUT_WINDOW = 10
"""What one receive can bring; a larger batch needs a window."""
DEFAULT_MINIMUM_POLLERS = 2
DEFAULT_MAXIMUM_POLLERS = 200
_QUEUE_NAME = re.compile(r"(?=.{1,80}\Z)[A-Za-z0-9_-]+(\.fifo)?")
_QUEUE_FORM = "arn:aws:sqs:eu-west-1:123456789012:orders"
_POLLERS = "MinimumPollers should be between [2, 200] and MaximumPollers should be between [MinimumPollers, 10000]"
_MAXIMUM_CONCURRENCY_WITH_POLLERS = (
    "Provisioned mode for SQS ESM does not support maximum concurrency feature. "
    "Use MaximumPollers as the control mechanism and remove maximum concurrency."
)
OF_STREAMS = (
    "StartingPosition", "StartingPositionTimestamp", "ParallelizationFactor", "DestinationConfig",
    "MaximumRecordAgeInSeconds", "MaximumRetryAttempts", "BisectBatchOnFunctionError", "TumblingWindowInSeconds",
)  # fmt: skip
"""Members that only streams have."""


def visibility_mistake(visibility_seconds: int, timeout_seconds: float) -> str | None:
    """AWS's text where a queue's visibility timeout does not cover the function's timeout; None where it does."""
    if visibility_seconds >= timeout_seconds:
        return None
    return (
        f"Queue visibility timeout: {visibility_seconds} seconds is less than "
        f"Function timeout: {timeout_seconds:g} seconds"
    )


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


def _check_source(value: str) -> str:
    arn = parse_source(value, _QUEUE_FORM)
    if arn.service != "sqs":
        raise wrong("Unrecognized event source.")
    if not (has_owner(arn) and _QUEUE_NAME.fullmatch(arn.resource)):
        raise wrong(f"the ARN of a queue has a region, an account and a name, such as {_QUEUE_FORM}, not {value!r}")
    return value


class QueueMapping(MappingFields):
    """Reads a queue and hands batches of its messages to a function."""

    event_source_arn: Annotated[str, AfterValidator(_check_source)] = Field(
        max_length=10000, json_schema_extra={"pattern": "^arn:[^:]+:sqs:"}, examples=[_QUEUE_FORM]
    )
    """The ARN of the queue; a name that ends in `.fifo` makes it a FIFO queue."""
    broker: QueueExtensions = QueueExtensions()
    """What the broker adds to AWS's mappings."""
    batch_size: Annotated[int, Field(ge=1, le=10000)] = 10
    """The most records in one event. More than 10 needs a batching window; a FIFO queue has at most 10."""
    scaling_config: ScalingConfig = ScalingConfig()
    """Limits the concurrency of the mapping."""
    provisioned_poller_config: ProvisionedPollerConfig | None = None
    """Dedicated event pollers, in place of a maximum concurrency."""

    refused: ClassVar[Mapping[str, str]] = refusals((*OF_STREAMS, *OF_OTHER_SOURCES))

    @field_validator("broker")
    @classmethod
    def _check_group_order(cls, value: QueueExtensions, info: ValidationInfo) -> QueueExtensions:
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

    @field_validator("provisioned_poller_config")
    @classmethod
    def _check_one_limit(
        cls, value: ProvisionedPollerConfig | None, info: ValidationInfo
    ) -> ProvisionedPollerConfig | None:
        scaling: ScalingConfig = info.data.get("scaling_config", ScalingConfig())
        if value is not None and scaling.maximum_concurrency is not None:
            raise wrong(_MAXIMUM_CONCURRENCY_WITH_POLLERS)
        extensions: QueueExtensions = info.data.get("broker", QueueExtensions())
        if value is not None and "scaling" in extensions.model_fields_set:
            raise wrong("Broker.Scaling has no effect beside ProvisionedPollerConfig: remove one of them")
        return value

    @property
    def kind(self) -> EventSourceKind:
        """What it reads from."""
        return EventSourceKind.QUEUE

    @property
    def is_fifo(self) -> bool:
        """Whether the queue is a FIFO queue."""
        return self.event_source_arn.endswith(".fifo")

    @property
    def needs_store(self) -> bool:
        """Whether it shares something with other processes: its `MaximumConcurrency`. The queue keeps all else."""
        return self.scaling_config.maximum_concurrency is not None


def _is_fifo(info: ValidationInfo) -> bool:
    return str(info.data.get("event_source_arn", "")).endswith(".fifo")
