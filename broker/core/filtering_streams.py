"""Which records of a stream pass a mapping's filters.

Rule: a record passes when any pattern matches it. A DynamoDB record is matched as Lambda delivers it: the values of its
images keep their types (`{"dynamodb": {"NewImage": {"state": {"S": ["paid"]}}}}`), numbers among them are strings.

A Kinesis record is matched as Lambda delivers it, with two differences. What a pattern says of `data`, at its top, is
matched against the JSON that the data holds. And the members of `kinesis` but the data can be named at the top too.

| data | object pattern | no pattern for `data` |
|---|---|---|
| JSON | is matched | metadata alone decide |
| not JSON, or not UTF-8 | does not match | metadata alone decide |

A plain pattern (a list) for the data key, `data` or `dynamodb`, is refused. Records that do not pass are passed over.

How it works: each alternative of a pattern is split at the data key, as for queues. The data is decoded and parsed when
the first alternative needs it, once for all patterns. Metadata that every record has at hand are read from its
attributes; its whole event is built only for patterns that name something else.

Invariants: the record is never changed · a predicate never raises · the order of patterns does not matter · a pattern
that names only the data key never looks at the event.

Inferred: that metadata can be named at the top and, as delivered, below `kinesis`, where `kinesis.data` is the base64
text; that a list for the data key is refused whatever it holds, `exists` included.

Source: AWS Lambda Developer Guide, "Using event filtering with a Kinesis event source", "Properly filtering Kinesis
messages", and "Using event filtering with a DynamoDB event source" (read November 2026).
"""

from binascii import Error as NotBase64
from binascii import a2b_base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, cast

from broker.core.filtering import DataPredicate, compile_data, split_branch
from broker.core.filtering_json import Document, number_of
from broker.core.patterns import Branch, parse_pattern
from broker.core.patterns_match import compile_branch
from broker.errors import InvalidPattern
from broker.model.reference import StreamService
from broker.model.stream import StreamRecord

DATA_KEYS: Final[Mapping[StreamService, str]] = {StreamService.KINESIS: "data", StreamService.DYNAMODB: "dynamodb"}
_AT_HAND: Final = frozenset({"partitionKey", "sequenceNumber", "approximateArrivalTimestamp"})
"""Members of `kinesis` that are attributes of a record."""

_Accepts = Callable[[StreamRecord], bool]


class KinesisData(StreamRecord, Protocol):
    """What filters look at in a Kinesis record, besides its event."""

    @property
    def data(self) -> str:
        """The base64 text, as it was sent."""
        ...

    @property
    def partition_key(self) -> str:
        """As it was sent."""
        ...


class DynamoDbChange(StreamRecord, Protocol):
    """What filters look at in a DynamoDB record."""

    @property
    def shown(self) -> Mapping[str, Any]:
        """Its event, which stays the record's: who takes `event` leaves the next one to be built anew."""
        ...


_KinesisPredicate = Callable[[KinesisData, "_LazyDocument"], bool]


def compile_stream_filter(pattern: str, service: StreamService) -> _Accepts:
    """Compiles one pattern to a predicate over a stream's records: what it says alone. Raises `InvalidPattern`."""
    return _any_of([pattern], service)


def compile_stream_filters(patterns: Sequence[str], service: StreamService) -> _Accepts | None:
    """Compiles the patterns of a mapping, of which a record must match one; None where everything passes.

    Records are to have the attributes of `KinesisData`, or of `DynamoDbChange`.

    Raises:
        InvalidPattern: one of the texts does not follow the grammar; `reason` says why.
    """
    return _any_of(patterns, service) if patterns else None


def _any_of(patterns: Sequence[str], service: StreamService) -> _Accepts:
    branches = [branch for pattern in patterns for branch in parse_pattern(pattern)]
    data_key = DATA_KEYS[service]
    if any((data_key,) in branch for branch in branches):
        raise InvalidPattern(f'"{data_key}" must be an object')
    return _of_kinesis(branches) if service is StreamService.KINESIS else _of_dynamodb(branches)


def _of_dynamodb(branches: Sequence[Branch]) -> _Accepts:
    predicates = [compile_branch(branch) for branch in branches]

    def accepts(record: StreamRecord) -> bool:
        event = cast("DynamoDbChange", record).shown  # the records of a DynamoDB stream's source
        return any(matches(event, number_of) for matches in predicates)

    return accepts


def _of_kinesis(branches: Sequence[Branch]) -> _Accepts:
    predicates = [_compile_kinesis_branch(branch) for branch in branches]

    def accepts(record: StreamRecord) -> bool:
        known = cast("KinesisData", record)  # the records of a Kinesis stream's source
        document = _LazyDocument(known)
        return any(matches(known, document) for matches in predicates)

    return accepts


def _compile_kinesis_branch(branch: Branch) -> _KinesisPredicate:
    metadata, data = split_branch(branch, DATA_KEYS[StreamService.KINESIS])
    suits = compile_data(data) if data else None
    if not metadata:
        return lambda _, document: document.satisfies(suits)
    fits, view = compile_branch(metadata), _view_for(metadata)
    return lambda record, document: fits(view(record), number_of) and document.satisfies(suits)


def _view_for(metadata: Branch) -> Callable[[KinesisData], Mapping[str, Any]]:
    """How to see a record: the cheapest way that shows all that a pattern names."""
    return _attributes_of if {path[0] for path in metadata} <= _AT_HAND else _whole_of


def _attributes_of(record: KinesisData) -> Mapping[str, Any]:
    return {
        "partitionKey": record.partition_key,
        "sequenceNumber": record.identifier,
        "approximateArrivalTimestamp": record.arrived_at,
    }


def _whole_of(record: KinesisData) -> Mapping[str, Any]:
    event = record.event
    return {**event["kinesis"], **event}


class _LazyDocument:
    """The data of one record, decoded when a pattern looks at it first."""

    __slots__ = ("_document", "_record")

    def __init__(self, record: KinesisData) -> None:
        self._record = record

    def satisfies(self, suits: DataPredicate | None) -> bool:
        """Whether the data is JSON and `suits` it; so does whatever is asked of nothing."""
        if suits is None:
            return True
        document = self._decoded()
        return document is not None and document.satisfies(suits)

    def _decoded(self) -> Document | None:
        try:
            return self._document
        except AttributeError:
            self._document: Document | None = _document_of(self._record.data)
            return self._document


def _document_of(data: str) -> Document | None:
    """The text that base64 data holds; None where it is not UTF-8."""
    try:
        return Document(a2b_base64(data).decode())
    except (NotBase64, UnicodeDecodeError):
        return None
