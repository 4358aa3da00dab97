"""The names that AWS gives to event sources and functions, taken apart.

Source: AWS Lambda API, CreateEventSourceMapping, `EventSourceArn` and `FunctionName` (service model of botocore 1.43).
Regions are not checked against AWS's list, because emulators have their own.
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

_ARN = re.compile(r"arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9-]+):([a-z0-9-]*):(\d{12})?:(.+)")
_QUEUE_NAME = re.compile(r"(?=.{1,80}\Z)[A-Za-z0-9_-]+(\.fifo)?")


class EventSourceKind(StrEnum):
    """What a mapping reads from."""

    QUEUE = "queue"
    """SQS, standard or FIFO."""
    STREAM = "stream"
    """Kinesis, DynamoDB Streams."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arn:
    """An Amazon Resource Name."""

    partition: str
    """`aws`, `aws-cn`, …"""
    service: str
    """`sqs`, `kinesis`, …"""
    region: str
    """May be empty."""
    account_id: str
    """12 digits; may be empty."""
    resource: str
    """What follows the fifth colon."""

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Takes an ARN apart; None where the text is not one."""
        found = _ARN.fullmatch(text)
        if found is None:
            return None
        partition, service, region, account_id, resource = found.groups()
        return cls(partition=partition, service=service, region=region, account_id=account_id or "", resource=resource)

    @property
    def is_queue(self) -> bool:
        """Whether this is the complete ARN of an SQS queue."""
        return (
            self.service == "sqs"
            and bool(self.region and self.account_id)
            and _QUEUE_NAME.fullmatch(self.resource) is not None
        )


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
    def parse(cls, text: str) -> Self | None:
        """Takes a name, partial ARN or full ARN apart; None where the text is none of these."""
        found = FUNCTION_REFERENCE.fullmatch(text)
        if found is None:
            return None
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
