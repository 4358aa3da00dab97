"""What the broker adds to AWS's event source mappings: the `Broker` key of a mapping, off unless asked for.

Queues and streams have extensions of their own. Numbers that AWS may change, or that AWS does not publish, are settings
here with AWS's value, or ours, as default.

Source: AWS Lambda Developer Guide, "Configuring scaling behavior for SQS event source mappings", "How Lambda processes
records from Amazon Kinesis Data Streams"; what is marked inferred there is ours.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from broker.model.invocation import PAYLOAD_LIMIT_BYTES
from broker.model.written import Written, wrong_as_a_whole

MAXIMUM_VISIBILITY_SECONDS = 43_200
"""SQS hides a message for at most 12 hours."""
DEFAULT_FILTER_QUOTA = 5
"""AWS: five filters a mapping; ten on request."""

_LATER = {"AssumeRoles": "AssumeRoles belongs to a later version: remove it"}
_OF_QUEUES = (
    "VisibilityHeartbeat", "FailureBackoff", "FifoFailure", "RateLimit", "CircuitBreaker", "Scaling", "Provisioned",
    "WindowMarginSeconds", "FreshSeconds", "LongPollSeconds",
)  # fmt: skip
_OF_STREAMS = (
    "TakeOver", "DestinationOutage", "ThrottleBackoff", "DestinationSeconds", "WindowGraceSeconds", "BufferedRecords",
    "BufferedBytes", "AheadRecords", "AheadBytes",
)  # fmt: skip

Seconds = Annotated[float, Field(ge=0, le=MAXIMUM_VISIBILITY_SECONDS)]
PositiveSeconds = Annotated[float, Field(gt=0, le=MAXIMUM_VISIBILITY_SECONDS)]


class Backoff(Written):
    """Delays that double from one attempt to the next."""

    base_seconds: PositiveSeconds = 1.0
    """The first delay, in seconds."""
    maximum_seconds: PositiveSeconds = 30.0
    """No delay is longer than this, in seconds."""

    @field_validator("maximum_seconds")
    @classmethod
    def _check_order(cls, value: float, info: ValidationInfo) -> float:
        if value < info.data.get("base_seconds", 0.0):
            raise wrong_as_a_whole(
                f"MaximumSeconds ({value:g}) is less than BaseSeconds ({info.data['base_seconds']:g})"
            )
        return value


class FailureBackoff(Backoff):
    """For handlers whose failures need time to pass: the delay grows with each message's receive count."""

    maximum_seconds: PositiveSeconds = 900.0
    """No delay is longer than this, in seconds."""


class RateLimit(Written):
    """For handlers that call something with a quota."""

    records_per_second: Annotated[float, Field(gt=0)]
    """Records handed to the handler, on average."""


class CircuitBreaker(Written):
    """For targets that are down at times: messages stay in the queue meanwhile, and are not counted as received."""

    consecutive_failures: Annotated[int, Field(ge=1)] = 10
    """Invocations in a row that were throttled or found the target unavailable, until the mapping pauses."""
    pause_seconds: PositiveSeconds = 60.0
    """How long it pauses, in seconds; then one batch tries."""


class Scaling(Written):
    """How many batches are in flight at once, while `ScalingConfig` and `ProvisionedPollerConfig` say nothing else."""

    initial: Annotated[int, Field(ge=1)] = 5
    """Concurrent invocations at the start and with little traffic; never more than `Maximum`."""
    maximum: Annotated[int, Field(ge=1)] = 1250
    """Concurrent invocations at most."""
    growth_per_second: Annotated[float, Field(gt=0)] = 5.0
    """Concurrent invocations added each second while a backlog persists (AWS: 300 a minute)."""
    idle_pollers: Annotated[int, Field(ge=1)] = 2
    """Long polls that stay out while the queue is empty."""
    floor: Annotated[int, Field(ge=1)] = 2
    """Throttles reduce the concurrency no further than to this, and function errors to 1; never more than `Maximum`."""


class Provisioned(Written):
    """What a provisioned event poller is, with `ProvisionedPollerConfig`."""

    invocations_per_poller: Annotated[int, Field(ge=1)] = 10
    """Batches that one poller can have in flight."""
    growth_per_second: Annotated[float, Field(gt=0)] = 1000 / 60
    """Concurrent invocations added each second while a backlog persists (AWS: 1,000 a minute)."""


class Extensions(Written):
    """What the broker adds to mappings of queues and of streams alike."""

    isolation: Literal["thread", "process"] = "thread"
    """Where a `Callable` runs: in the broker, or in a child process that is ended when it runs into its timeout."""
    payload_limit_in_bytes: Annotated[int, Field(ge=1024)] = PAYLOAD_LIMIT_BYTES
    """The largest event, as compact JSON: AWS's limit, or what a target behind a URL takes."""
    filter_quota: Annotated[int, Field(ge=1, le=10)] = DEFAULT_FILTER_QUOTA
    """How many filters `FilterCriteria` may have: 5, or up to 10 where AWS raised the account's quota."""


class QueueExtensions(Extensions):
    """What the broker adds to a queue's mapping. AWS has none of it; without it a mapping behaves as on AWS."""

    visibility_heartbeat: bool = False
    """For handlers that outlast the queue's visibility timeout: it is extended while the handler runs."""
    failure_backoff: FailureBackoff | None = None
    """Failed messages come back after a growing delay instead of the queue's visibility timeout."""
    fifo_failure: Literal["delete", "hold-group"] = "delete"
    """What becomes of later messages of a group that the handler did not list after a failed one: `delete`, as AWS
    does, or `hold-group`, which keeps them and their order."""
    rate_limit: RateLimit | None = None
    """How fast records are handed to the handler; unlimited if absent."""
    circuit_breaker: CircuitBreaker | None = None
    """Pauses the mapping while its target is down; off if absent."""
    scaling: Scaling = Scaling()
    """Numbers of AWS's scaling that AWS may change."""
    provisioned: Provisioned = Provisioned()
    """Numbers of AWS's provisioned mode that AWS may change."""
    window_margin_seconds: Annotated[int, Field(ge=0, le=MAXIMUM_VISIBILITY_SECONDS)] = 30
    """What is added to window and function timeout where these outlast the queue's visibility timeout."""
    fresh_seconds: Seconds = 1.0
    """For queues whose visibility timeout equals the function's timeout: messages received less than this many seconds
    ago start even though their visibility does not quite cover the timeout."""
    retry_backoff: Backoff = Backoff()
    """Between invocations of a batch that was throttled or whose target was unavailable."""
    source_backoff: Backoff = Backoff()
    """Between attempts to read a queue that cannot be read."""
    long_poll_seconds: Annotated[int, Field(ge=0, le=20)] = 20
    """How long one receive waits for messages, at most; a drain waits for it to return."""

    refused: ClassVar[Mapping[str, str]] = {
        **{name: f"{name} is for streams, and this mapping reads a queue: remove it" for name in _OF_STREAMS},
        **_LATER,
    }


class ThrottleBackoff(Backoff):
    """For targets that need time to recover from too many calls."""

    maximum_seconds: PositiveSeconds = 60.0
    """No delay is longer than this, in seconds."""


class StreamBackoff(Backoff):
    """For streams: AWS asks a reader that is throttled to wait for a second at least, which half of the base is."""

    base_seconds: PositiveSeconds = 2.0
    """The first delay, in seconds."""


class StreamExtensions(Extensions):
    """What the broker adds to a stream's mapping. AWS has none of it; without it a mapping behaves as on AWS."""

    take_over: Literal["ordered", "at-once"] = "at-once"
    """What happens when a broker takes over a shard whose owner no longer answers: `at-once` reads on, so that one
    batch may run twice at the same time; `ordered` first waits out the time limit of a batch, for handlers to which
    order matters more than speed."""
    destination_outage: Literal["block", "drop"] = "drop"
    """What becomes of records that are given up while the on-failure destination cannot be reached: `drop`, as AWS
    does, or `block`, for records that must not be lost: the shard waits."""
    retry_backoff: Backoff = Backoff()
    """Between attempts of a batch that fails, for handlers whose failures need more time, or less, to pass."""
    throttle_backoff: ThrottleBackoff = ThrottleBackoff()
    """Between attempts of a batch that was throttled or whose target was unavailable; these use up no retries."""
    source_backoff: StreamBackoff = StreamBackoff()
    """Between attempts to read a shard that cannot be read, for streams that many read."""
    destination_seconds: Seconds = 60.0
    """How long a destination that fails is tried again before the records are dropped, for destinations with longer
    outages: the shard waits meanwhile (inferred: AWS says only that it tries again)."""
    window_grace_seconds: Seconds = 10.0
    """How long after its end a tumbling window of a quiet shard is closed, for producers whose records come late."""
    buffered_records: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    """Records of one shard that are held, at most (twice a batch for each lane in any case), for small machines with
    many shards."""
    buffered_bytes: Annotated[int, Field(ge=1_048_576)] = 32 * 1_048_576
    """Bytes of one shard's records that are held, for small machines with many shards."""
    ahead_records: Annotated[int, Field(ge=1)] = 100_000
    """With `ParallelizationFactor`: how far the other lanes may be ahead of one that fails, in records, for handlers to
    which repetitions are costly: that much is read again after a crash."""
    ahead_bytes: Annotated[int, Field(ge=1_048_576)] = 256 * 1_048_576
    """The same in bytes."""

    refused: ClassVar[Mapping[str, str]] = {
        **{name: f"{name} is for queues, and this mapping reads a stream: remove it" for name in _OF_QUEUES},
        **_LATER,
    }
