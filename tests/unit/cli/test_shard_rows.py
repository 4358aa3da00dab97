import pytest

from broker.cli.shard_rows import LANES_WIDTH, lag_seconds, lane_text, lanes_text, position, shard_rows
from broker.model.status import LaneStatistics, MappingStatus, QueueStatistics, ShardStatistics, StreamStatistics

IDLE = LaneStatistics()
RUNNING = LaneStatistics(state="running", in_flight_records=8, batch_records=5, buffered_records=9)


def status(statistics: QueueStatistics | StreamStatistics) -> MappingStatus:
    return MappingStatus(
        uuid="u",
        function_name="f",
        event_source_arn="a",
        state="Enabled",
        healthy=True,
        problem="",
        statistics=statistics,
    )


@pytest.mark.parametrize(
    ("lane", "text"),
    [
        (IDLE, "idle"),
        (LaneStatistics(state="waiting", buffered_records=4), "waiting 4"),
        (RUNNING, "running 5"),
        (LaneStatistics(state="backing off", batch_records=1, failures=2), "backing off 1 (failed 2x)"),
        (LaneStatistics(state="discarding", batch_records=1), "discarding 1"),
        (LaneStatistics(state="stuck", batch_records=3), "stuck 3"),
    ],
)
def test_a_lane_says_its_state_its_batch_and_its_failures(lane: LaneStatistics, text: str) -> None:
    assert lane_text(lane) == text


def test_lanes_that_need_too_much_room_are_counted_by_their_state() -> None:
    assert lanes_text([RUNNING, IDLE]) == "running 5 | idle"
    many = lanes_text([*[IDLE] * 8, RUNNING, RUNNING])
    assert many == "8 idle, 2 running"
    assert len(many) <= LANES_WIDTH


def test_the_lag_is_of_what_is_not_read_or_not_settled() -> None:
    assert lag_seconds(ShardStatistics(shard="s", behind_ms=1_500, oldest_age_seconds=0.5)) == 1.5
    assert lag_seconds(ShardStatistics(shard="s", behind_ms=None, oldest_age_seconds=2.5)) == 2.5


@pytest.mark.parametrize(("number", "shown"), [("", "-"), ("123456", "123456"), ("1234567", "…234567")])
def test_of_a_position_the_end_is_shown(number: str, shown: str) -> None:
    assert position(number) == shown


@pytest.mark.parametrize(
    ("shard", "is_troubled"),
    [
        (ShardStatistics(shard="s", lanes=(IDLE, RUNNING)), False),
        (ShardStatistics(shard="s", problem="throttled"), True),
        (ShardStatistics(shard="s", lanes=(IDLE, LaneStatistics(failures=1))), True),
        (ShardStatistics(shard="s", lanes=(LaneStatistics(state="stuck"),)), True),
    ],
)
def test_a_shard_is_in_trouble_while_failures_hold_it_up(shard: ShardStatistics, is_troubled: bool) -> None:
    (row,) = shard_rows("clicks", status(StreamStatistics(shards=(shard,))))
    assert row.is_troubled is is_troubled


def test_a_queue_has_no_shards() -> None:
    assert list(shard_rows("orders", status(QueueStatistics()))) == []
