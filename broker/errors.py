"""Every exception of the broker: the class says whose fault it is, `retryable` says what to do.

A failing handler is not an exception: executors return it as an `InvocationResult`.
"""

from collections.abc import Sequence
from dataclasses import dataclass


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


class ExecutorError(BrokerError):
    """An executor is broken; a handler that fails is an `InvocationResult`, not this."""


class ListenerError(BrokerError):
    """The HTTP listener could not be opened."""


class CommandError(BrokerError):
    """A command lacks something around it: an emulator, a running daemon, a file that can be read."""


class VirtualTimeStalled(BrokerError):  # noqa: N818 - what has happened
    """Under virtual time every task waits for something that cannot happen: a test would hang."""
