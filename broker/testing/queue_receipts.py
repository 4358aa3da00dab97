"""When SQS refuses a receipt handle, and with which words.

Source: Amazon SQS API reference, DeleteMessage, ChangeMessageVisibility and their batch forms (read November 2026); the
texts are those that AWS was seen to answer. Inferred: what a standard queue says to a change with a stale receipt.
"""

import base64

from broker.errors import SourceError
from broker.model.record import Failure
from broker.testing.messages import StoredMessage

LONGEST_VISIBILITY_SECONDS = 43_200
"""Twelve hours: the longest visibility timeout, and the longest that one receive may last in all."""

UNKNOWN_RECEIPT = Failure(
    code="ReceiptHandleIsInvalid", message="The input receipt handle is not a valid receipt handle.", final=True
)
NOT_IN_FLIGHT = Failure(
    code="AWS.SimpleQueueService.MessageNotInflight", message="The specified message isn't in flight.", final=True
)


def make_receipt(arn: str, message: StoredMessage) -> str:
    """A receipt handle for the latest receive; the same in every run."""
    text = f"{arn}/{message.identifier}/{message.receive_count}"
    return "AQEB" + base64.b64encode(text.encode()).decode()


def refuse_delete(message: StoredMessage, receipt: str, now: float, *, fifo: bool) -> Failure | None:
    """Why a delete with this receipt fails; None where it is answered with success, whatever it does."""
    return _expired(receipt) if fifo and not is_current(message, receipt, now) else None


def refuse_change(
    message: StoredMessage | None, receipt: str, seconds: int, now: float, *, fifo: bool
) -> Failure | None:
    """Why a change of the visibility timeout with this receipt fails; None where it takes effect."""
    if not 0 <= seconds <= LONGEST_VISIBILITY_SECONDS:
        return _invalid(
            f"Value {seconds} for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and 43200."
        )
    if message is None:
        return _unavailable(receipt)
    if not is_current(message, receipt, now):
        return _refuse_stale(message, receipt, now, fifo=fifo)
    if now + seconds > message.received_at + LONGEST_VISIBILITY_SECONDS:
        return _invalid(
            f"Value {seconds} for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the "
            "message is beyond the limit [43200 seconds]."
        )
    return None


def _refuse_stale(message: StoredMessage, receipt: str, now: float, *, fifo: bool) -> Failure:
    if fifo:
        return _expired(receipt)
    return _unavailable(receipt) if message.is_in_flight(now) else NOT_IN_FLIGHT


def is_current(message: StoredMessage, receipt: str, now: float) -> bool:
    """Whether the message is in flight with this very receipt."""
    return message.receipt == receipt and message.is_in_flight(now)


def _expired(receipt: str) -> Failure:
    return _invalid(f"Value {receipt} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.")


def _unavailable(receipt: str) -> Failure:
    return _invalid(
        f"Value {receipt} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available "
        "for visibility timeout change."
    )


def _invalid(message: str) -> Failure:
    return Failure(code="InvalidParameterValue", message=message, final=True)


def refusal(message: str, *, code: str = "InvalidParameterValue") -> SourceError:
    """The error of a request that can never succeed."""
    return SourceError(message, code=code, retryable=False)
