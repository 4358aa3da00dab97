"""What a handler's response says of its batch, under `FunctionResponseTypes: [ReportBatchItemFailures]`.

Rule: nothing reported is success; every reported identifier must be one of the batch's, else the whole batch failed.

| response | meaning |
| --- | --- |
| nothing, `null`, `""`, `[]`, `{}`; `batchItemFailures` missing, `null` or `[]` | success |
| a list of objects, each with an `itemIdentifier` of this batch | these failed |
| not JSON; another scalar or a list that is not empty; `batchItemFailures` no list; an entry that is no object, has no `itemIdentifier`, or an empty, non-string or unknown one | the whole batch failed |

Invariant: an identifier that is not in the batch never comes back from here.

Source: AWS Lambda Developer Guide, "Handling errors for an SQS event source", success and failure conditions, and
"Reporting batch item failures" for streams (read November 2026). `""` and `[]` were observed on streams; that SQS
takes them alike, that other scalars fail, and that `{}` as an entry fails is inferred.
"""

from collections.abc import Container
from typing import Any

from broker.model.payload import Payload

NOTHING_FAILED: frozenset[str] = frozenset()


def failed_identifiers(response: Payload, identifiers: Container[str]) -> frozenset[str] | None:
    """The records that the handler reported as failed; None where its answer makes the whole batch fail."""
    try:
        value = response.value
    except ValueError:
        return None
    if value is None or value == "" or value == []:
        return NOTHING_FAILED
    return _reported(value.get("batchItemFailures"), identifiers) if isinstance(value, dict) else None


def _reported(entries: Any, identifiers: Container[str]) -> frozenset[str] | None:
    if entries is None:
        return NOTHING_FAILED
    if not isinstance(entries, list):
        return None
    reported = [entry.get("itemIdentifier") if isinstance(entry, dict) else None for entry in entries]
    known = all(isinstance(identifier, str) and identifier in identifiers for identifier in reported)
    return frozenset(reported) if known else None
