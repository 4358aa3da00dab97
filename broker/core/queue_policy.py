"""What a queue consumer must know of its mapping, its function and the broker's settings: values, already validated.

Numbers that AWS may change have AWS's value as default. Source: AWS Lambda Developer Guide, "Configuring scaling
behavior for SQS event source mappings" and "Error handling for an SQS event source" (read November 2026); what AWS
does not publish is marked inferred.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from broker.model.extensions import Backoff
from broker.model.invocation import PAYLOAD_LIMIT_BYTES
from broker.model.queue_mapping import QueueMapping
from broker.model.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingPolicy:
    """How many batches of one mapping are in flight at once."""

    initial: int = 5
    """At the start and with little traffic."""
    maximum: int = 1250
    """`MaximumConcurrency`, the function's own limit or AWS's cap, whichever is least; 1 or more."""
    growth_per_second: float = 5.0
    """While a backlog persists (AWS: 300 a minute; 1,000 a minute with provisioned pollers)."""
    idle_pollers: int = 2
    """Long polls that stay out while the queue is empty."""
    floor: int = 2
    """Never reduced below this, except to 1 while the function fails (inferred)."""
    reduce_on_error: bool = True
    """False with `ReportBatchItemFailures`: there a function error does not reduce (documented)."""
    is_shared: bool = False
    """Whether several processes share `maximum`: nothing starts here before `LimitChanged` says how much is ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackoffPolicy:
    """Exponential back-off with full jitter (inferred: AWS publishes no schedule)."""

    base_seconds: float = 1.0
    maximum_seconds: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreakerPolicy:
    """Extension: pause a mapping whose target is down."""

    consecutive_failures: int
    """Invocations in a row that were throttled or found the target unavailable."""
    pause_seconds: float
    """No receives for this long; then one batch tries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePolicy:
    """Everything that a `QueueConsumer` decides by."""

    fifo: bool = False
    batch_size: int = 10
    """1-10000; 1-10 for FIFO."""
    window_seconds: int = 0
    """`MaximumBatchingWindowInSeconds`."""
    report_batch_item_failures: bool = False
    accepts: Callable[[Record], bool] | None = None
    """The compiled filters; None where everything passes."""
    function_timeout_seconds: float = 3.0
    payload_limit_bytes: int = PAYLOAD_LIMIT_BYTES
    scaling: ScalingPolicy = field(default_factory=ScalingPolicy)
    retry_backoff: BackoffPolicy = field(default_factory=BackoffPolicy)
    """Between invocations of a batch that was throttled or found its target unavailable."""
    source_backoff: BackoffPolicy = field(default_factory=BackoffPolicy)
    """Between receives of a queue that cannot be read."""
    delete_backoff: BackoffPolicy = field(default_factory=lambda: BackoffPolicy(base_seconds=0.2, maximum_seconds=5.0))
    """Between attempts to delete what was handled."""
    delete_attempts: int = 6
    """After these the records are remembered and deleted on sight."""
    remembered_count: int = 10_000
    """How many handled but undeleted messages are remembered."""
    window_margin_seconds: int = 30
    """Added to window and function timeout where a receive's visibility timeout is enlarged to these."""
    fresh_seconds: float = 1.0
    """Messages younger than this start even where their visibility does not cover the function's timeout."""
    long_poll_seconds: int = 20
    """At most 20, and at most half of the drain's time."""
    describe_seconds: float = 60.0
    """How often the queue's attributes are read again."""
    hold_group: bool = False
    """Extension `FifoFailure: hold-group`: later messages of a failed group are kept, not deleted."""
    heartbeat: bool = False
    """Extension `VisibilityHeartbeat`: visibility is extended while the handler runs."""
    failure_backoff: BackoffPolicy | None = None
    """Extension `FailureBackoff`: failed messages come back after a delay that grows with their receive count."""
    records_per_second: float | None = None
    """Extension `RateLimit`."""
    circuit_breaker: CircuitBreakerPolicy | None = None
    """Extension `CircuitBreaker`."""


def queue_policy(
    mapping: QueueMapping,
    *,
    accepts: Callable[[Record], bool] | None,
    function_timeout_seconds: float,
    function_concurrency: int | None,
    drain_seconds: float,
) -> QueuePolicy:
    """What a mapping says, in the terms of its consumer.

    `function_concurrency` is how many invocations the function's executor runs at once. The long poll lasts at most
    half of the drain, which waits for it.
    """
    extensions = mapping.broker
    breaker, failure_backoff, rate = extensions.circuit_breaker, extensions.failure_backoff, extensions.rate_limit
    return QueuePolicy(
        fifo=mapping.is_fifo,
        batch_size=mapping.batch_size,
        window_seconds=mapping.maximum_batching_window_in_seconds,
        report_batch_item_failures=mapping.reports_batch_item_failures,
        accepts=accepts,
        function_timeout_seconds=function_timeout_seconds,
        payload_limit_bytes=extensions.payload_limit_in_bytes,
        scaling=_scaling(mapping, function_concurrency),
        retry_backoff=_backoff(extensions.retry_backoff),
        source_backoff=_backoff(extensions.source_backoff),
        window_margin_seconds=extensions.window_margin_seconds,
        fresh_seconds=extensions.fresh_seconds,
        long_poll_seconds=min(extensions.long_poll_seconds, int(drain_seconds / 2)),
        hold_group=extensions.fifo_failure == "hold-group",
        heartbeat=extensions.visibility_heartbeat,
        failure_backoff=_backoff(failure_backoff) if failure_backoff else None,
        records_per_second=rate.records_per_second if rate else None,
        circuit_breaker=CircuitBreakerPolicy(
            consecutive_failures=breaker.consecutive_failures, pause_seconds=breaker.pause_seconds
        )
        if breaker
        else None,
    )


def _backoff(written: Backoff) -> BackoffPolicy:
    return BackoffPolicy(base_seconds=written.base_seconds, maximum_seconds=written.maximum_seconds)


def _scaling(mapping: QueueMapping, function_concurrency: int | None) -> ScalingPolicy:
    """`ScalingConfig` caps, `ProvisionedPollerConfig` replaces; the function's own limit holds in any case."""
    written, provisioned = mapping.broker.scaling, mapping.provisioned_poller_config
    most = mapping.scaling_config.maximum_concurrency
    reduce_on_error = not mapping.reports_batch_item_failures
    if provisioned:
        fewest_pollers, most_pollers = provisioned.range
        invocations = mapping.broker.provisioned.invocations_per_poller
        policy = ScalingPolicy(
            initial=fewest_pollers * invocations,
            maximum=most_pollers * invocations,
            growth_per_second=mapping.broker.provisioned.growth_per_second,
            idle_pollers=fewest_pollers,
            floor=fewest_pollers * invocations,
            reduce_on_error=reduce_on_error,
        )
    else:
        policy = ScalingPolicy(
            initial=written.initial,
            maximum=written.maximum if most is None else min(written.maximum, most),
            growth_per_second=written.growth_per_second,
            idle_pollers=written.idle_pollers if most is None else min(written.initial, most),
            floor=written.floor,
            reduce_on_error=reduce_on_error,
        )
    return (
        policy if function_concurrency is None else replace(policy, maximum=min(policy.maximum, function_concurrency))
    )
