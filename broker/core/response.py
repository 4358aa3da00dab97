"""What a handler's response says of its batch, under `FunctionResponseTypes: [ReportBatchItemFailures]`.

Rule: nothing reported is success; every reported identifier must be one of the batch's, else the whole batch failed.

* Nothing, `null`, `""`, `[]`, `{}`; `batchItemFailures` missing, `null` or `[]`: success.
* A list of objects, each with an `itemIdentifier` of this batch: these failed.
* Not JSON; any other scalar or list; `batchItemFailures` that is no list; an entry that is no object or has no
  `itemIdentifier`, an empty one, one that is no string, or one that is not of this batch: the whole batch failed.

Invariant: an identifier that is not in the batch never comes back from here.

Source: AWS Lambda Developer Guide, "Handling errors for an SQS event source", success and failure conditions, and
"Reporting batch item failures" for streams (read November 2026). `""` and `[]` were observed on streams; that SQS
takes them alike, that other scalars fail, and that `{}` as an entry fails is inferred.
"""

from collections.abc import Container, Iterable, Sequence
from typing import Any, Protocol

from broker.model.payload import Payload
from broker.model.record import Record

NOTHING_FAILED: frozenset[str] = frozenset()


def failed_identifiers(response: Payload, identifiers: Container[str]) -> frozenset[str] | None:
    """The records that the handler reported as failed; None where its answer makes the whole batch fail."""
    try:
        value = response.value
    except ValueError:
        return None
    if value in (None, "", []):
        return NOTHING_FAILED
    return _reported(value.get("batchItemFailures"), identifiers) if isinstance(value, dict) else None


def _reported(entries: Any, identifiers: Container[str]) -> frozenset[str] | None:
    if entries is None:
        return NOTHING_FAILED
    if not isinstance(entries, list):
        return None
    reported: list[Any] = [entry.get("itemIdentifier") if isinstance(entry, dict) else None for entry in entries]
    known = all(isinstance(identifier, str) and identifier in identifiers for identifier in reported)
    return frozenset(reported) if known else None


class Identified(Protocol):
    """A record of any source."""

    @property
    def identifier(self) -> str:
        """What responses name it by."""
        ...


def identifiers_of(records: Iterable[Identified]) -> frozenset[str]:
    """What responses and failures name the records by."""
    return frozenset([record.identifier for record in records])


def followers(records: Sequence[Record], failed: frozenset[str]) -> list[Record]:
    """Records that were not reported though they follow a failed one of their message group."""
    groups: set[str] = set()
    following: list[Record] = []
    for record in records:
        if record.group is not None and record.identifier in failed:
            groups.add(record.group)
        elif record.group in groups:
            following.append(record)
    return following
