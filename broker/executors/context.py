"""The `context` that a Python handler gets beside its event.

Source: AWS Lambda Developer Guide, "Using the Lambda context object to retrieve Python function information", and the
class of the same name in AWS's Python runtime interface client 4.2 (read November 2026).
"""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from broker.model.invocation import Invocation
from broker.ports import Clock

_MILLISECONDS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class CognitoIdentity:
    """Who called through the mobile SDK: nobody, where a queue or stream is the caller."""

    cognito_identity_id: str | None = None
    cognito_identity_pool_id: str | None = None


class LambdaContext:
    """What a handler may ask about its function and its invocation; the names are Lambda's."""

    def __init__(self, invocation: Invocation, *, clock: Clock, log_stream_name: str) -> None:
        """Starts to count down: the handler's time is `timeout_seconds` from now."""
        self.aws_request_id = invocation.request_id
        self.function_name = invocation.function_name
        self.function_version = invocation.function_version
        self.invoked_function_arn = invocation.function_arn
        self.memory_limit_in_mb = str(invocation.memory_limit_in_mb)
        """Megabytes, as text: Lambda takes it from the environment."""
        self.log_group_name = f"/aws/lambda/{invocation.function_name}"
        self.log_stream_name = log_stream_name
        self.identity = CognitoIdentity()
        self.client_context: Any = None
        """Set by mobile applications only."""
        self.tenant_id: str | None = None
        """Set for functions with tenant isolation only."""
        self.fencing_token = invocation.fencing_token
        """Ours: the epoch of the shard's lease, which grows with each change of owner; None for a queue's batch."""
        self.epoch_deadline_time_in_ms = int((clock.now() + invocation.timeout_seconds) * _MILLISECONDS)
        """Instant at which the handler's time is over, epoch milliseconds."""
        self._clock = clock

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function's timeout; 0 when it has passed."""
        return max(0, self.epoch_deadline_time_in_ms - int(self._clock.now() * _MILLISECONDS))

    def log(self, message: object) -> None:
        """Writes to standard output, without a line end."""
        sys.stdout.write(str(message))

    def w3c(self) -> dict[str, str]:
        """The W3C trace context of the caller: empty, since queues and streams hand over none."""
        return {}

    def __repr__(self) -> str:
        return f"LambdaContext(aws_request_id={self.aws_request_id}, invoked_function_arn={self.invoked_function_arn})"


def log_stream_name(clock: Clock, *, version: str, environment: str) -> str:
    """Lambda's form, one for each execution environment: `2026/11/05/[$LATEST]0123…`."""
    return f"{datetime.fromtimestamp(clock.now(), UTC):%Y/%m/%d}/[{version}]{environment}"
