import pytest

from broker.cli.exits import ExitCode
from broker.cli.findings import Finding
from broker.cli.live import redrive_findings, visibility_findings
from broker.cli.validate import worst
from broker.config import parse_mapping
from broker.model.record import QueueAttributes

ARN = "arn:aws:sqs:eu-west-1:123456789012:orders"
DEAD = "arn:aws:sqs:eu-west-1:123456789012:dead"


def visibility(seconds: int, *, timeout: int = 10, window: int = 0, heartbeat: bool = False) -> Finding:
    mapping = parse_mapping(
        event_source_arn=ARN,
        function_name="shop",
        maximum_batching_window_in_seconds=window,
        broker={"VisibilityHeartbeat": heartbeat},
    )
    attributes = QueueAttributes(visibility_timeout_seconds=seconds)
    (finding,) = visibility_findings("EventSourceMappings[0]", mapping, timeout, attributes)
    return finding


def test_a_visibility_timeout_below_the_functions_timeout_is_a_mistake_in_aws_words() -> None:
    finding = visibility(9)
    assert (finding.severity, finding.exit_code) == ("error", ExitCode.USER)
    assert finding.message == "Queue visibility timeout: 9 seconds is less than Function timeout: 10 seconds"
    assert finding.path == "EventSourceMappings[0].EventSourceArn"


def test_a_heartbeat_makes_a_short_visibility_timeout_right_as_for_a_running_broker() -> None:
    finding = visibility(9, heartbeat=True)
    assert (finding.severity, "VisibilityHeartbeat" in finding.message) == ("ok", True)
    assert visibility(30, heartbeat=True).severity == "warning"


@pytest.mark.parametrize(
    ("seconds", "window", "severity"),
    [(10, 0, "warning"), (59, 0, "warning"), (60, 0, "ok"), (64, 5, "warning"), (65, 5, "ok")],
)
def test_aws_recommends_six_times_the_functions_timeout_plus_the_window(
    seconds: int, window: int, severity: str
) -> None:
    assert visibility(seconds, window=window).severity == severity


def redrive(*, target: str | None = DEAD, count: int | None = 5, fifo: bool = False) -> list[tuple[str, str]]:
    attributes = QueueAttributes(
        visibility_timeout_seconds=30, fifo=fifo, maximum_receive_count=count, dead_letter_target_arn=target
    )
    return [(finding.severity, finding.message) for finding in redrive_findings("p", attributes)]


def test_a_queue_without_redrive_policy_is_warned_of() -> None:
    ((severity, message),) = redrive(target=None, count=None)
    assert (severity, "no redrive policy" in message) == ("warning", True)


def test_a_good_redrive_policy_is_no_finding() -> None:
    assert redrive() == []
    assert redrive(target=f"{DEAD}.fifo", fifo=True) == []


@pytest.mark.parametrize(("target", "fifo"), [(DEAD, True), (f"{DEAD}.fifo", False)])
def test_a_dead_letter_queue_of_the_other_kind_is_a_mistake(target: str, fifo: bool) -> None:
    ((severity, message),) = redrive(target=target, fifo=fifo)
    assert (severity, "must be one too" in message) == ("error", True)


def test_few_receives_are_warned_of() -> None:
    ((severity, message),) = redrive(count=4)
    assert (severity, "maxReceiveCount is 4" in message) == ("warning", True)


def test_the_worst_finding_decides_the_exit_code() -> None:
    warning = Finding(severity="warning", path="", message="")
    world = Finding(severity="error", path="", message="", exit_code=ExitCode.WORLD)
    user = Finding(severity="error", path="", message="", exit_code=ExitCode.USER)
    assert [worst(findings) for findings in ([], [warning], [warning, world], [user, world])] == [0, 0, 1, 2]
