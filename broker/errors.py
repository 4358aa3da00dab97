"""Every exception of the broker: the class says whose fault it is, `retryable` says what to do.

A failing handler is not an exception: executors return it as an `InvocationResult`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class BrokerError(Exception):
    """What the broker raises on purpose. The message says what failed, where, and what happens next."""

    retryable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One thing that is wrong with what a stranger wrote."""

    message: str
    """What is wrong and what to do, one sentence."""
    path: str = ""
    """Where: `EventSourceMappings[0].BatchSize`; empty for the whole."""
    place: str = ""
    """File, line and column as `broker.yaml:12:5`; empty where there is no file."""

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.place, self.path) if part)
        return f"{where}: {self.message}" if where else self.message


class ConfigurationError(BrokerError):
    """The user's mistakes, all of them at once."""

    def __init__(self, mistakes: Sequence[Mistake] | str) -> None:
        self.mistakes = (Mistake(message=mistakes),) if isinstance(mistakes, str) else tuple(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


class InvalidPattern(ConfigurationError):  # noqa: N818 - the field's word
    """A filter pattern that does not follow the grammar. The message is AWS's, `reason` says what exactly is wrong."""

    def __init__(self, reason: str) -> None:
        super().__init__("Invalid filter pattern definition.")
        self.reason = reason


class SourceError(BrokerError):
    """A queue or stream did not do what it was asked."""

    def __init__(
        self, message: str, *, code: str = "", retryable: bool = True, may_have_taken_effect: bool = False
    ) -> None:
        """`may_have_taken_effect` where the call was sent and no answer came."""
        super().__init__(message)
        self.code = code
        self.retryable = retryable
        self.may_have_taken_effect = may_have_taken_effect


class ReadFault(StrEnum):
    """Why a shard could not be read, as far as it decides what happens next."""

    EXPIRED_ITERATOR = "expired iterator"
    """The place in the shard is to be opened again."""
    THROTTLED = "throttled"
    """The shard's throughput is used up."""
    TRIMMED = "trimmed"
    """What should be read next is older than the stream keeps."""
    SHARD_GONE = "shard gone"
    """The stream is there and does not know the shard."""
    STREAM_GONE = "stream gone"
    """There is no such stream, or no such consumer of it."""
    OTHER = "other"


class ShardReadError(SourceError):
    """A shard could not be read."""

    def __init__(self, message: str, *, fault: ReadFault, code: str = "", retryable: bool = True) -> None:
        super().__init__(message, code=code, retryable=retryable)
        self.fault = fault


class StoreError(BrokerError):
    """The state store did not do what it was asked; whether a write took effect may be unknown."""

    retryable = True

    def __init__(self, message: str, *, code: str = "", retryable: bool = True) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable


class EnabledElsewhere(BrokerError):  # noqa: N818 - what is happening
    """Another broker is writing the rows that a mapping begins with: it is waited for."""

    retryable = True


class RowConflict(StoreError):  # noqa: N818 - what has happened
    """Somebody else has written the row meanwhile: nothing was written."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=False)


class LeaseLost(StoreError):  # noqa: N818 - the field's word
    """The lease is somebody else's by now: whatever was to be done under it must not happen."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=False)


class DestinationError(BrokerError):
    """An on-failure destination did not take a record."""

    def __init__(self, message: str, *, code: str = "", retryable: bool = True, too_large: bool = False) -> None:
        """`too_large` where the destination can never take this very record."""
        super().__init__(message)
        self.code = code
        self.retryable = retryable
        self.too_large = too_large


class ExecutorError(BrokerError):
    """An executor is broken; a handler that fails is an `InvocationResult`, not this."""


class ListenerError(BrokerError):
    """The HTTP listener could not be opened."""


class CommandError(BrokerError):
    """A command lacks something around it: an emulator, a running daemon, a file that can be read."""


class VirtualTimeStalled(BrokerError):  # noqa: N818 - what has happened
    """Under virtual time every task waits for something that cannot happen: a test would hang."""
