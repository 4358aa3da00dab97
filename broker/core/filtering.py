"""Which records of a queue pass a mapping's filters.

Rule: a record passes when any pattern matches it. A pattern is matched against the record as Lambda delivers it, with
one difference: what it says of `body` is matched against the JSON that the body holds. A pattern for `body` is *plain*
(a list: `{"body": ["x"]}`) or an *object* (`{"body": {"kind": ["order"]}}`), and must suit the body:

| body | plain pattern | object pattern | no pattern for `body` |
|---|---|---|---|
| not JSON | is matched | does not match | metadata alone decide |
| JSON | does not match | is matched | metadata alone decide |

Records that do not pass are deleted from the queue by whoever asks.

How it works: each alternative of a pattern is split at `body`; the rest is matched against the record, then what lies
below `body` against the body, which is parsed when the first alternative needs it and shared by all patterns. Nothing
here knows that the key is called `body` but one constant; `filtering_streams` splits off the data key of Kinesis alike.

Invariants: the record is never changed, its body is delivered byte for byte · a body is parsed only for patterns that
name it, and once for a record (once more, exactly, where a compared number may have been rounded) · a predicate never
raises · the order of patterns does not matter.

Inferred: metadata (`messageId`, `attributes`, `messageAttributes`, `eventSourceARN` …) can be named beside `body`; the
guide speaks both of the body only and of metadata keys. A JSON body that is a lone string, number, boolean or null
suits both kinds. A plain pattern sees it as it was sent (`42`, `"x"` with its quotes) and as the value it stands for
(42, x): either may match, and `anything-but` rejects it when either is listed. An object pattern finds no keys in it. A
body that is absent, or no string, is matched as it stands.

Source: AWS Lambda Developer Guide, "Control which events Lambda sends to your function" and "Using event filtering with
an Amazon SQS event source", "Properly filtering Amazon SQS messages" (read November 2026).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from broker.core.filtering_json import NOT_JSON, Document, NumberOf, number_of
from broker.core.patterns import Branch, parse_pattern
from broker.core.patterns_match import compile_branch
from broker.core.patterns_values import Leaf
from broker.model.record import Record

QUEUE_DATA_KEY: Final = "body"

DataPredicate = Callable[[str, Any, NumberOf], bool]
"""Takes the text of the data key, its parsed value (or `NOT_JSON`) and the reader of numbers."""
_RecordPredicate = Callable[[Mapping[str, Any], Document], bool]
"""Takes the record's event and the document under its data key."""


def compile_pattern(text: str) -> Callable[[Any], bool]:
    """Compiles one pattern to a predicate over events, parsed JSON whose strings are not looked into.

    Raises:
        InvalidPattern: the text does not follow the grammar; `reason` says why.
    """
    branches = [compile_branch(branch) for branch in parse_pattern(text)]
    return lambda event: any(matches(event, number_of) for matches in branches)


def compile_queue_filter(pattern: str) -> Callable[[Record], bool]:
    """Compiles one pattern to a predicate over a queue's records: what it says alone. Raises `InvalidPattern`."""
    return _any_of([pattern])


def compile_queue_filters(patterns: Sequence[str]) -> Callable[[Record], bool] | None:
    """Compiles the patterns of a mapping, of which a record must match one; None where everything passes.

    Raises:
        InvalidPattern: one of the texts does not follow the grammar; `reason` says why.
    """
    return _any_of(patterns) if patterns else None


def _any_of(patterns: Sequence[str]) -> Callable[[Record], bool]:
    branches = [
        _compile_record_branch(branch, QUEUE_DATA_KEY) for pattern in patterns for branch in parse_pattern(pattern)
    ]
    as_it_stands = [compile_pattern(pattern) for pattern in patterns]

    def accepts(record: Record) -> bool:
        event = record.event
        data = event.get(QUEUE_DATA_KEY)
        if type(data) is not str:
            return any(matches(event) for matches in as_it_stands)
        document = Document(data)
        return any(matches(event, document) for matches in branches)

    return accepts


def _compile_record_branch(branch: Branch, data_key: str) -> _RecordPredicate:
    """Splits an alternative at the data key."""
    metadata, data = split_branch(branch, data_key)
    if not data:
        matches = compile_branch(metadata)
        return lambda event, _: matches(event, number_of)
    suits = compile_data(data)
    if not metadata:
        return lambda _, document: document.satisfies(suits)
    fits = compile_branch(metadata)
    return lambda event, document: fits(event, number_of) and document.satisfies(suits)


def split_branch(branch: Branch, data_key: str) -> tuple[Branch, Branch]:
    """What an alternative says of metadata, and what of the data key, whose paths then begin below it."""
    metadata = {path: leaf for path, leaf in branch.items() if path[0] != data_key}
    data = {path[1:]: leaf for path, leaf in branch.items() if path[0] == data_key}
    return metadata, data


def compile_data(data: Branch) -> DataPredicate:
    """What an alternative says of the data key: a list, an object, or (in two spellings) both.

    The paths of `data` begin below the data key.
    """
    below = {path: leaf for path, leaf in data.items() if path}
    predicates = [_compile_plain(leaf) for path, leaf in data.items() if not path]
    if below:
        predicates.append(_compile_fields(below))
    return lambda text, value, number_of: all(suits(text, value, number_of) for suits in predicates)


def _compile_plain(leaf: Leaf) -> DataPredicate:
    def suits(text: str, value: Any, number_of: NumberOf) -> bool:
        if isinstance(value, dict | list):
            return False
        forms = (text,) if value is NOT_JSON else (text, value)
        return any(
            (all if test.negated else any)(test.accepts(form, number_of) for form in forms) for test in leaf.tests
        )

    return suits


def _compile_fields(below: Branch) -> DataPredicate:
    matches = compile_branch(below)
    return lambda _, value, number_of: value is not NOT_JSON and matches(value, number_of)
