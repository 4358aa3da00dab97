"""What a mapping refers to: a kind of event source, a stream, and a function.

Source: AWS Lambda API, CreateEventSourceMapping, `EventSourceArn` and `FunctionName` (service model of botocore 1.43);
Kinesis Data Streams API, CreateStream and RegisterStreamConsumer, for names.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from broker.model.arn import Arn

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


class StreamService(StrEnum):
    """Whose streams: the service in their ARNs."""

    KINESIS = "kinesis"
    DYNAMODB = "dynamodb"


_STREAMS = {
    StreamService.KINESIS: re.compile(
        r"stream/(?P<name>[A-Za-z0-9_.-]{1,128})(/consumer/(?P<consumer>[A-Za-z0-9_.-]{1,128}:[0-9]+))?"
    ),
    StreamService.DYNAMODB: re.compile(r"table/(?P<name>[A-Za-z0-9_.-]{1,255})/stream/(?P<label>[^/]+)"),
}
STREAM_FORMS = {
    StreamService.KINESIS: (
        "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks",
        "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks/consumer/shop:1700000000",
    ),
    StreamService.DYNAMODB: ("arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-01-31T09:00:00.000",),
}
"""What the ARNs of each service's streams look like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamReference:
    """A stream as a mapping names it."""

    service: StreamService
    stream_arn: str
    """The stream's own ARN, without the consumer."""
    name: str
    """The stream's name; the table's for DynamoDB."""
    label: str = ""
    """DynamoDB only: tells the streams of a table apart, the time at which this one was made."""
    consumer: str = ""
    """Kinesis only: name and creation time of a registered consumer, as `shop:1700000000`; empty without fan-out."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Takes a stream's or consumer's ARN apart. Raises `ValueError` where it is the ARN of neither."""
        arn = Arn.parse(text)
        service = StreamService(arn.service)
        found = _STREAMS[service].fullmatch(arn.resource)
        if found is None:
            raise ValueError(f"the ARN of a stream looks like {' or '.join(STREAM_FORMS[service])}, not {text!r}")
        parts = found.groupdict(default="")
        consumer = parts.get("consumer", "")
        return cls(
            service=service,
            stream_arn=text.removesuffix(f"/consumer/{consumer}") if consumer else text,
            name=parts["name"],
            label=parts.get("label", ""),
            consumer=consumer,
        )


class StoreKind(StrEnum):
    """Where state is kept."""

    MEMORY = "memory"
    SQLITE = "sqlite"
    DYNAMODB = "dynamodb"


_STORE_FORMS = "memory:, sqlite:, sqlite:PATH or dynamodb:TABLE_PREFIX"
_TABLE_PREFIX = re.compile(r"[A-Za-z0-9_.-]{1,200}")
"""Shorter than the 255 characters of a table's name, so that something can follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreReference:
    """A state store as the settings name it."""

    kind: StoreKind
    place: str = ""
    """The file's path, empty for the default one; or the prefix of the table's name."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Takes `sqlite:PATH` and the like apart. Raises `ValueError`, with a message fit for users."""
        kind, colon, place = text.partition(":")
        if not colon or kind not in set(StoreKind):
            raise ValueError(f"{text!r} is not a state store: use {_STORE_FORMS}")
        if place.startswith("//"):
            raise ValueError(
                f"{text!r} is not a state store: write the path after the colon, as sqlite:/var/lib/x.sqlite"
            )
        if kind == StoreKind.MEMORY and place:
            raise ValueError(f"{text!r} is not a state store: memory: takes nothing after the colon")
        if kind == StoreKind.DYNAMODB and not _TABLE_PREFIX.fullmatch(place):
            raise ValueError(f"{text!r} is not a state store: dynamodb: takes the beginning of a table's name")
        return cls(kind=StoreKind(kind), place=place)
