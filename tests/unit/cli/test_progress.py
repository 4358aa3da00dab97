from broker.cli.progress import Progress, Tally
from broker.model.batch import BatchTrigger, Reason
from broker.model.discard import Condition
from broker.model.observation import BatchInvoked, BatchSettled, EventLoopBlocked, PageReceived, RecordsDiscarded

SHARD = "shardId-000000000002"


def settled(batch: int, *, acked: int, retried: int = 0, shard: str = "") -> BatchSettled:
    reason = Reason.PARTIAL_FAILURE if retried else Reason.SUCCEEDED
    return BatchSettled(
        batch=batch,
        attempt=1,
        reason=reason,
        acked_count=acked,
        retried_count=retried,
        duration_seconds=0.1,
        shard=shard,
    )


def given_up(count: int, *, delivered: bool) -> RecordsDiscarded:
    return RecordsDiscarded(
        shard=SHARD,
        batch=1,
        count=count,
        condition=Condition.RETRY_ATTEMPTS_EXHAUSTED,
        first="1",
        last="2",
        invoke_count=3,
        delivered=delivered,
    )


def test_counts_add_up_by_mapping() -> None:
    progress = Progress({"u-1": "orders"})
    for observation in (
        PageReceived(count=9, filtered_count=1),
        BatchInvoked(batch=1, attempt=1, count=3, size_bytes=99, trigger=BatchTrigger.SIZE),
        settled(1, acked=3, retried=2),
        settled(2, acked=2),
        given_up(2, delivered=True),
        given_up(1, delivered=False),
    ):
        progress.observe("u-1", observation)
    assert progress.tallies["u-1"] == Tally(
        polled=9, filtered=1, batches=1, handled=5, retried=2, delivered=2, dropped=1
    )


def test_a_batch_that_is_invoked_again_counts_once() -> None:
    progress = Progress({})
    for attempt in (1, 2, 3):
        invoked = BatchInvoked(batch=1, attempt=attempt, count=1, size_bytes=9, trigger=BatchTrigger.AVAILABLE)
        progress.observe("u-1", invoked)
    assert progress.tallies["u-1"].batches == 1


def test_of_successes_the_latest_is_kept_and_none_is_said() -> None:
    said: list[str] = []
    progress = Progress({"u-1": "orders"}, say=said.append)
    for observation in (settled(1, acked=3), settled(2, acked=2, retried=1), settled(3, acked=4)):
        progress.observe("u-1", observation)
    assert list(progress.lines) == [
        "orders: batch 2: 2 handled, 1 to retry (partial failure)",
        "orders: batch 3: 4 handled",
    ]
    assert said == ["orders: batch 2: 2 handled, 1 to retry (partial failure)"]


def test_a_line_of_a_shard_names_it() -> None:
    progress = Progress({"u-1": "clicks"})
    progress.observe("u-1", settled(1, acked=3, shard=SHARD))
    assert list(progress.lines) == ["clicks 2: batch 1: 3 handled"]


def test_what_is_of_no_mapping_the_broker_says() -> None:
    progress = Progress({})
    progress.observe("", EventLoopBlocked(seconds=2, location="app.py:3"))
    assert list(progress.lines) == ["broker: nothing went on for 2.0 s: app.py:3"]


def test_what_a_handler_says_moves_no_cursor() -> None:
    progress = Progress({})
    progress.note("a\x1b[2Jb\nc\ud800")
    assert list(progress.lines) == ["a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}c\N{REPLACEMENT CHARACTER}"]
