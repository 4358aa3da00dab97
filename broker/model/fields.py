"""The class of every field that AWS's requests have: honoured, stored or refused; made from the models themselves."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from broker.model.function import Function
from broker.model.queue_mapping import QueueMapping
from broker.model.stream_mapping import StreamMapping
from broker.model.written import Written

BOTOCORE_VERSION = "1.43.117"
"""The version whose service model the tables were last compared with."""
_AS_ON_AWS = "For other kinds of event source, as on AWS."
_NOT_EVERYWHERE = {
    ("MaximumBatchingWindowInSeconds", "SQS FIFO"),
    ("StartingPositionTimestamp", "DynamoDB Streams"),
}
"""What one of the columns that share a model refuses."""


class FieldClass(StrEnum):
    """What becomes of a field that is written."""

    HONOURED = "honoured"
    """It does what it does on AWS."""
    STORED = "stored"
    """Kept and shown, without effect here, with one warning. Never a field that changes delivery."""
    REFUSED = "refused"
    """A mistake, with a sentence that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRow:
    """One field, and its class in each column."""

    name: str
    """AWS's name, or ours."""
    classes: tuple[FieldClass, ...]
    note: str
    """What the field does, or why it is refused."""


MAPPING_COLUMNS = ("SQS standard", "SQS FIFO", "Kinesis", "DynamoDB Streams")
FUNCTION_COLUMNS = ("Callable", "Url")


def mapping_fields() -> tuple[FieldRow, ...]:
    """The fields of a mapping, in alphabetical order, by kind of source."""
    queues = {row.name: row for row in _rows(QueueMapping, (QueueMapping.stored,))}
    streams = {row.name: row for row in _rows(StreamMapping, (StreamMapping.stored,))}
    return _sorted(_in_four_columns(queues[name], streams[name]) for name in queues)


def function_fields() -> tuple[FieldRow, ...]:
    """The fields of a function, in alphabetical order, by what runs its handler."""
    rows = _rows(Function, (Function.stored, Function.stored | Function.stored_with_url))
    executors = [_only_in(row, FUNCTION_COLUMNS) if row.name in FUNCTION_COLUMNS else row for row in rows]
    return _sorted(executors)


def field_table() -> str:
    """Both tables as Markdown, for the README."""
    return "\n".join(
        [
            "### Event source mappings",
            "",
            *_markdown(MAPPING_COLUMNS, mapping_fields()),
            "",
            "### Functions",
            "",
            *_markdown(FUNCTION_COLUMNS, function_fields()),
            "",
        ]
    )


def _rows(model: type[Written], stored: Sequence[frozenset[str]]) -> Iterator[FieldRow]:
    for name, field in model.model_fields.items():
        alias = field.alias or name
        classes = tuple(FieldClass.STORED if alias in names else FieldClass.HONOURED for names in stored)
        yield FieldRow(name=alias, classes=classes, note=" ".join((field.description or "").split()))
    for alias, reason in model.refused.items():
        note = _AS_ON_AWS if reason.startswith("Unsupported") else reason
        yield FieldRow(name=alias, classes=(FieldClass.REFUSED,) * len(stored), note=note)


def _in_four_columns(queue: FieldRow, stream: FieldRow) -> FieldRow:
    classes = tuple(
        FieldClass.REFUSED if (queue.name, column) in _NOT_EVERYWHERE else row.classes[0]
        for column, row in zip(MAPPING_COLUMNS, (queue, queue, stream, stream), strict=True)
    )
    return FieldRow(name=queue.name, classes=classes, note=_note_of(queue, stream))


def _note_of(queue: FieldRow, stream: FieldRow) -> str:
    """That of the source which has the field; of both, where it means something else for each."""
    notes = [row.note for row in (queue, stream) if row.classes != (FieldClass.REFUSED,)] or [_AS_ON_AWS]
    if len(set(notes)) == 1:
        return notes[0]
    return f"Queues: {queue.note} Streams: {stream.note}"


def _only_in(row: FieldRow, columns: Sequence[str]) -> FieldRow:
    classes = tuple(FieldClass.HONOURED if column == row.name else FieldClass.REFUSED for column in columns)
    return FieldRow(name=row.name, classes=classes, note=row.note)


def _sorted(rows: Iterable[FieldRow]) -> tuple[FieldRow, ...]:
    return tuple(sorted(rows, key=lambda row: row.name.lower()))


def _markdown(columns: Sequence[str], rows: Iterable[FieldRow]) -> Iterator[str]:
    yield f"| Field | {' | '.join(columns)} | |"
    yield "|---" * (len(columns) + 2) + "|"
    for row in rows:
        note = row.note.replace("|", r"\|")
        yield f"| `{row.name}` | {' | '.join(row.classes)} | {note} |"
