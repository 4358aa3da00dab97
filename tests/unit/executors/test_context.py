"""The context that a handler sees."""

import pytest

from broker.executors.context import LambdaContext, log_stream_name
from broker.model.invocation import Invocation
from broker.model.payload import Payload


class SettableClock:
    def __init__(self, now: float) -> None:
        self.instant = now

    def now(self) -> float:
        return self.instant


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock(1_767_225_600.0)


@pytest.fixture
def context(clock: SettableClock) -> LambdaContext:
    invocation = Invocation(
        request_id="r-1",
        payload=Payload.of_value({}),
        function_name="orders",
        function_arn="arn:aws:lambda:eu-west-1:123456789012:function:orders:live",
        function_version="7",
        memory_limit_in_mb=256,
        timeout_seconds=3.0,
        fencing_token=4,
    )
    return LambdaContext(invocation, clock=clock, log_stream_name="2026/01/01/[7]ab")


def test_it_has_every_field_that_lambda_gives(context: LambdaContext) -> None:
    assert context.function_name == "orders"
    assert context.function_version == "7"
    assert context.invoked_function_arn == "arn:aws:lambda:eu-west-1:123456789012:function:orders:live"
    assert context.memory_limit_in_mb == "256"
    assert context.aws_request_id == "r-1"
    assert context.log_group_name == "/aws/lambda/orders"
    assert context.log_stream_name == "2026/01/01/[7]ab"
    assert context.identity.cognito_identity_id is None
    assert context.identity.cognito_identity_pool_id is None
    assert context.client_context is None
    assert context.tenant_id is None
    assert context.w3c() == {}
    assert context.fencing_token == 4
    assert context.epoch_deadline_time_in_ms == 1_767_225_603_000


def test_the_remaining_time_counts_down_in_milliseconds(context: LambdaContext, clock: SettableClock) -> None:
    assert context.get_remaining_time_in_millis() == 3000
    clock.instant += 1.25
    assert context.get_remaining_time_in_millis() == 1750


def test_the_remaining_time_is_never_negative(context: LambdaContext, clock: SettableClock) -> None:
    clock.instant += 60
    assert context.get_remaining_time_in_millis() == 0


def test_log_writes_to_standard_output_without_a_line_end(
    context: LambdaContext, capsys: pytest.CaptureFixture[str]
) -> None:
    context.log("one")
    context.log(2)
    assert capsys.readouterr().out == "one2"


def test_its_representation_names_the_invocation(context: LambdaContext) -> None:
    assert "aws_request_id=r-1" in repr(context)


def test_a_log_stream_is_named_after_day_version_and_environment(clock: SettableClock) -> None:
    assert log_stream_name(clock, version="$LATEST", environment="0a") == "2026/01/01/[$LATEST]0a"
