"""What is invoked."""

from dataclasses import dataclass
from uuid import UUID

from broker.model.invocation import Invocation
from broker.model.payload import Payload

_PREFIX = 24
"""Characters of a UUID before its last 12 digits, which count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What every invocation of one mapping says of its function."""

    function_name: str
    function_arn: str
    function_version: str = "$LATEST"
    memory_limit_in_mb: int = 128
    timeout_seconds: float = 3.0

    def invocation(self, request_id: str, payload: Payload, *, fencing_token: int | None = None) -> Invocation:
        """One call of the function."""
        return Invocation(
            request_id=request_id,
            payload=payload,
            function_name=self.function_name,
            function_arn=self.function_arn,
            function_version=self.function_version,
            memory_limit_in_mb=self.memory_limit_in_mb,
            timeout_seconds=self.timeout_seconds,
            fencing_token=fencing_token,
        )


class NumberedIds:
    """Ids that are UUIDs and count: the same number has the same id within one run, and in no other."""

    __slots__ = ("_prefix",)

    def __init__(self, run_id: UUID) -> None:
        self._prefix = str(run_id)[:_PREFIX]

    def of(self, number: int) -> str:
        """The id of a batch, or of a receive."""
        return f"{self._prefix}{number:012x}"
