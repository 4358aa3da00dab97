"""What a running broker shows of itself: frozen values, taken at one instant."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatistics:
    """Counts of one queue consumer since it started, and what it holds now."""

    polled_count: int = 0
    """Records received (`PolledEventCount`)."""
    filtered_count: int = 0
    """Records that no pattern matched (`FilteredOutEventCount`)."""
    invoked_count: int = 0
    """Records handed to the handler, each attempt counted (`InvokedEventCount`)."""
    failed_count: int = 0
    """Records of failed attempts, reported ones included (`FailedInvokeEventCount`)."""
    deleted_count: int = 0
    """Records deleted (`DeletedEventCount`)."""
    let_go_count: int = 0
    """Records neither handled nor settled: they come again."""
    known_count: int = 0
    """Records that came again while in hand or already handled: not handled twice."""
    batch_count: int = 0
    """Batches cut."""
    in_flight_batches: int = 0
    in_flight_records: int = 0
    buffered_records: int = 0
    stuck_batches: int = 0
    """Invocations past their time limit that cannot be stopped."""
    outstanding_fetches: int = 0
    concurrency_limit: int = 0
    """Batches that may be in flight now."""
    problem: str = ""
    """Why the source cannot be read, or the circuit is open; empty while all is well."""
    last_result: str = ""
    """How the last batch ended: a `Reason`, with the error where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneStatistics:
    """One lane of a shard: what it is doing."""

    buffered_records: int = 0
    in_flight_records: int = 0
    """Records in batches: in the one that is being tried, and in those that it was split into."""
    batch_records: int = 0
    """Records of the batch that is being tried, also while it waits for its next attempt."""
    failures: int = 0
    """Failed attempts of that batch."""
    state: str = "idle"
    """`idle`, `waiting` (for a full batch), `running`, `backing off`, `discarding`, `stuck`."""
    settled_through: str = ""
    """Sequence number of the lane's last settled record, where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardStatistics:
    """Counts of one shard's consumer since it started, and what it holds now."""

    shard: str
    epoch: int = 0
    """The lease's fencing token."""
    polled_count: int = 0
    """`PolledEventCount`."""
    filtered_count: int = 0
    """`FilteredOutEventCount`."""
    invoked_count: int = 0
    """`InvokedEventCount`: each attempt counts."""
    failed_count: int = 0
    """`FailedInvokeEventCount`."""
    succeeded_count: int = 0
    """Records that a handler has settled."""
    dropped_count: int = 0
    """`DroppedEventCount`: given up, and in no destination."""
    delivered_count: int = 0
    """`OnFailureDestinationDeliveredEventCount`."""
    lost_count: int = 0
    """Times that records may have left the stream unread."""
    batch_count: int = 0
    behind_ms: int | None = None
    """`MillisBehindLatest` of the last read."""
    oldest_age_seconds: float = 0.0
    """Age of the oldest record that is held and not settled, by the service's clock."""
    checkpoint: str = ""
    """The last sequence number that stands in the store."""
    finished: bool = False
    lanes: tuple[LaneStatistics, ...] = ()
    problem: str = ""
    last_result: str = ""
    """How the last batch ended: a `Reason`, with the error where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStatistics:
    """What one mapping's shards have done, in this process."""

    shards: tuple[ShardStatistics, ...] = ()
    """Those that this process owns now, by id."""
    polled_count: int = 0
    """Here and below: of all shards that it owned since it started."""
    filtered_count: int = 0
    invoked_count: int = 0
    failed_count: int = 0
    succeeded_count: int = 0
    dropped_count: int = 0
    delivered_count: int = 0
    lost_count: int = 0
    batch_count: int = 0
    in_flight_batches: int = 0
    in_flight_records: int = 0
    buffered_records: int = 0
    stuck_batches: int = 0
    problem: str = ""
    last_result: str = ""
    last_processing_result: str = "No records processed"
    """AWS's `LastProcessingResult`."""
    paused: tuple[str, ...] = ()
    """What an operator has paused, and who that was: `paused by …` for all, `shardId-…: paused by …` for a shard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingStatus:
    """One mapping, as `broker mappings list` shows it."""

    uuid: str
    function_name: str
    """With the qualifier, where the mapping has one."""
    event_source_arn: str
    state: str
    """AWS's word: `Creating`, `Enabled`, `Disabling`, `Disabled`, …"""
    healthy: bool
    """False while there is a problem, or when a bug stopped the mapping."""
    problem: str
    """What is wrong and what happens next; empty while all is well."""
    statistics: QueueStatistics | StreamStatistics
