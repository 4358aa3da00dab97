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
    statistics: QueueStatistics
