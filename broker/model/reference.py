"""What a mapping refers to: a kind of event source, and a function.

Source: AWS Lambda API, CreateEventSourceMapping, `FunctionName` (service model of botocore 1.43).
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

FUNCTION_REFERENCE = re.compile(
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?"
    r"([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)
"""AWS's pattern for a function's name, partial ARN or full ARN, each with an optional qualifier."""


class EventSourceKind(StrEnum):
    """What a mapping reads from."""

    QUEUE = "queue"
    """SQS, standard or FIFO."""
    STREAM = "stream"
    """Kinesis, DynamoDB Streams."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionReference:
    """A function as a mapping names it."""

    name: str
    """The bare name."""
    qualifier: str | None = None
    """Version, alias or `$LATEST`, where there is one."""
    region: str | None = None
    """Where the reference is an ARN that says so."""
    account_id: str | None = None
    """Where the reference is a partial or full ARN."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Takes a name, partial ARN or full ARN apart. Raises `ValueError` where the text is none of these."""
        found = FUNCTION_REFERENCE.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is neither a function's name nor its ARN")
        region, account_id = found[3], found[9]
        return cls(
            name=found[11],
            qualifier=found[13],
            region=region.rstrip(":") if region else None,
            account_id=account_id.rstrip(":") if account_id else None,
        )

    @property
    def qualified_name(self) -> str:
        """`name` or `name:qualifier`."""
        return f"{self.name}:{self.qualifier}" if self.qualifier else self.name
