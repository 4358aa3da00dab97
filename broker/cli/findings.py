"""What `broker validate` has found, and what it makes of an error."""

from dataclasses import dataclass
from typing import Literal, assert_never

from broker.cli.exits import ExitCode
from broker.errors import SourceError

DENIED_CODES = frozenset(
    {"AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException"}
    | {"UnauthorizedOperation", "403"}
)
"""What services answer to whom they do not permit what he asks; S3 says no more than 403 to a HEAD."""

Severity = Literal["error", "warning", "ok"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that AWS said."""

    severity: Severity
    path: str
    """Where in the file: `EventSourceMappings[0].EventSourceArn`."""
    message: str
    exit_code: int = ExitCode.OK
    """2 where the file or what it names must be mended, 1 where the world failed."""


def good(path: str, message: str) -> Finding:
    """Something is as it should be."""
    return Finding(severity="ok", path=path, message=message)


def warning(path: str, message: str) -> Finding:
    """Something will work, and hardly as it is meant."""
    return Finding(severity="warning", path=path, message=message)


def mistake(path: str, message: str) -> Finding:
    """The file, or what it names, must be mended."""
    return Finding(severity="error", path=path, message=message, exit_code=ExitCode.USER)


def failure(path: str, message: str) -> Finding:
    """The world failed, or refused."""
    return Finding(severity="error", path=path, message=message, exit_code=ExitCode.WORLD)


def permission(path: str, action: str, error: SourceError | None) -> Finding:
    """Whether an action is permitted, by the error of a call that could do nothing; None where it had none."""
    if error is not None and error.code in DENIED_CODES:
        return failure(path, f"{action} is not permitted: {error}")
    return good(path, f"{action} is permitted")


def sign(severity: Severity) -> str:
    """One character for a terminal."""
    match severity:
        case "ok":
            return "✓"
        case "warning":
            return "!"
        case "error":
            return "✗"
        case _:
            assert_never(severity)
