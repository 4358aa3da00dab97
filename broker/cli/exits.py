"""Exit codes, and what a failure says on standard error."""

from collections.abc import Iterator
from enum import IntEnum

from broker.errors import BrokerError, ConfigurationError

SIGNAL_BASE = 128
"""A command that a signal cut short exits with this plus the signal's number."""


class ExitCode(IntEnum):
    """What the caller learns."""

    OK = 0
    """Done; also after a drain."""
    WORLD = 1
    """Something around the broker failed: a port, a service, an account; or the broker itself."""
    USER = 2
    """A mistake in what the user wrote."""


def broker_errors(error: BaseException) -> list[BrokerError] | None:
    """The errors that were raised on purpose, taken out of their groups; None where there is anything else."""
    errors = list(_leaves(error))
    known = [leaf for leaf in errors if isinstance(leaf, BrokerError)]
    return known if len(known) == len(errors) else None


def exit_code(errors: list[BrokerError]) -> ExitCode:
    """2 for the user's mistakes, 1 for the world's; a mistake wins because only the user can mend it."""
    return ExitCode.USER if any(isinstance(error, ConfigurationError) for error in errors) else ExitCode.WORLD


def messages(errors: list[BrokerError]) -> list[str]:
    """One line for each mistake, each once."""
    lines = [line for error in errors for line in str(error).splitlines()]
    return list(dict.fromkeys(lines))


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
