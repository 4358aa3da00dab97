"""Why a destination did not take a failure record.

Source: Amazon SQS API Reference, SendMessage; Amazon SNS API Reference, Publish; Amazon S3 API Reference, PutObject and
"Error responses" (read November 2026). Which texts of `InvalidParameter…` mean the size is as observed.
"""

import re
from typing import NamedTuple

from broker.aws.faults import Call
from broker.errors import DestinationError, SourceError

_SIZE_CODES = frozenset({"EntityTooLarge", "MessageTooLong"})
_SIZE_TEXT = re.compile("too long|shorter than", re.IGNORECASE)
"""What services say of a message that is too large; no name of a resource holds a space."""


class _Kind(NamedTuple):
    what: str
    remedy: str


_TOO_LARGE = _Kind("the record is too large for it", "A bucket takes up to 5 GB.")
_KEY = _Kind("the key that encrypts it cannot be used", "Check the key's state and its policy.")
_TOPIC = _Kind("the topic does not exist", "Create it, or correct OnFailure.Destination.")
_BUCKET = _Kind("the bucket does not exist", "Create it, or correct OnFailure.Destination.")
_KINDS = {"NotFound": _TOPIC, "NotFoundException": _TOPIC, "NoSuchBucket": _BUCKET}
"""What the clients' own translation does not know, because it reads queues."""


def destination_error(error: SourceError, call: Call) -> DestinationError:
    """The fault of one delivery. Whatever an operator can mend is worth another attempt; the size is not."""
    if _is_of_size(error):
        return _told(_TOO_LARGE, error, call, retryable=False, too_large=True)
    if kind := _KEY if error.code.lower().startswith("kms") else _KINDS.get(error.code):
        return _told(kind, error, call, retryable=True)
    return DestinationError(str(error), code=error.code, retryable=error.retryable)


def _is_of_size(error: SourceError) -> bool:
    told = error.code.startswith("InvalidParameter") and _SIZE_TEXT.search(str(error))
    return bool(told) or error.code in _SIZE_CODES


def _told(kind: _Kind, error: SourceError, call: Call, *, retryable: bool, too_large: bool = False) -> DestinationError:
    message = f"{call} failed: {kind.what} ({error.code}). {kind.remedy}"
    return DestinationError(message, code=error.code, retryable=retryable, too_large=too_large)
