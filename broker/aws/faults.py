"""From what AWS, its client and the network answer to the broker's own errors: once, here.

Both ways to a service, botocore's client and the signed call, end in the same `SourceError`s: a code, and a message
that says what failed, where, why, and what to do. `retryable` is true where the same request may succeed later without
a restart of the broker (somebody creates the queue, grants the permission, the network comes back).

Messages never hold credentials or payloads. Of a service's own text only the first line is used, cut to a bounded
length, and nothing of it where it may repeat the request (signature errors print the canonical request, token
included).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple

import aiohttp
from botocore import exceptions as botocore_errors
from botocore.parsers import ResponseParserError

from broker.errors import SourceError

QUEUE_MISSING = "AWS.SimpleQueueService.NonExistentQueue"
"""The code of a missing queue, whichever of its two names the service used."""
CLOCK_SKEW = "RequestTimeTooSkewed"
UNREADABLE = "UnreadableAnswer"
"""The service answered with what is not an answer (ours)."""
_TEXT_LIMIT = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What was asked of whom, for messages."""

    operation: str
    """AWS's name: `ReceiveMessage`."""
    resource: str = ""
    """ARN of the queue, where there is one."""
    endpoint: str = ""
    """Host, with its port where it is not the usual one."""

    def __str__(self) -> str:
        resource = f" of {self.resource}" if self.resource else ""
        endpoint = f" at {self.endpoint}" if self.endpoint else ""
        return f"{self.operation}{resource}{endpoint}"


class _Kind(NamedTuple):
    """What a group of codes means."""

    what: str
    remedy: str
    tells_text: bool = True
    """Whether the service's own text may be repeated."""
    retryable: bool = True
    may_have_taken_effect: bool = False
    """Whether the request went out and no answer came back."""


_KEYS = "Check the credentials in the environment, the profile or the role that the broker runs with."
_MISSING = _Kind("the queue does not exist", "Create it, or correct its ARN.", tells_text=False)
_DENIED = _Kind("access is denied", "Grant the permission to the identity that the broker runs with.")
_BAD_KEY = _Kind("the credentials are not accepted", _KEYS)
_EXPIRED = _Kind("the credentials have expired", "Renew them (`aws sso login`, say), or let them come from a role.")
_SIGNATURE = _Kind("the signature is not accepted", "Check the secret key and the region.", tells_text=False)
_SKEW = _Kind("the clock of this machine is wrong", "Set the clock.", tells_text=False)
_THROTTLED = _Kind("the service throttles", "Poll less, or ask AWS for a higher quota.")
_OVER_LIMIT = _Kind(
    "too many messages of the queue are in flight",
    "Settle or release some: SQS allows about 120,000.",
    tells_text=False,
)
_KMS = _Kind("the key that encrypts the source cannot be used", "Check the key's state and its policy.")
_DELETED_RECENTLY = _Kind("the queue was deleted less than 60 seconds ago", "Wait a minute.", tells_text=False)
_SERVER = _Kind("the service has a problem", "It should pass by itself.", tells_text=False)
_INVALID = _Kind(
    "the service does not understand the request", "Is this endpoint an SQS that speaks AWS JSON?", retryable=False
)
_OTHER = _Kind("the service refused", "See the code in AWS's documentation.")

_SERVICE_KINDS: dict[str, _Kind] = {
    QUEUE_MISSING: _MISSING,
    "AWS.SimpleQueueService.QueueDeletedRecently": _DELETED_RECENTLY,
    "QueueDeletedRecently": _DELETED_RECENTLY,
    CLOCK_SKEW: _SKEW,
    **dict.fromkeys(["AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"], _DENIED),
    **dict.fromkeys(
        ["InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "MissingAuthenticationToken"],
        _BAD_KEY,
    ),
    **dict.fromkeys(["InvalidSecurity", "OptInRequired", "NotAuthorized", "AuthFailure"], _BAD_KEY),
    **dict.fromkeys(["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"], _EXPIRED),
    **dict.fromkeys(["SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature"], _SIGNATURE),
    **dict.fromkeys(["RequestExpired", "RequestInTheFuture"], _SIGNATURE),
    **dict.fromkeys(["RequestThrottled", "Throttling", "ThrottlingException", "ThrottledException"], _THROTTLED),
    **dict.fromkeys(["RequestThrottledException", "TooManyRequestsException", "RequestLimitExceeded"], _THROTTLED),
    **dict.fromkeys(["SlowDown", "429"], _THROTTLED),
    **dict.fromkeys(["OverLimit", "AWS.SimpleQueueService.OverLimit"], _OVER_LIMIT),
    **dict.fromkeys(["InternalError", "InternalFailure", "InternalServerError", "ServiceUnavailable"], _SERVER),
    **dict.fromkeys(["ValidationException", "ValidationError", "InvalidParameterValue", "MissingParameter"], _INVALID),
    **dict.fromkeys(["InvalidAction", "InvalidAttributeName", "UnknownOperationException"], _INVALID),
    **dict.fromkeys(["UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation"], _INVALID),
}
_ALIASES = {"QueueDoesNotExist": QUEUE_MISSING, "NonExistentQueue": QUEUE_MISSING}
THROTTLING_CODES = frozenset(code for code, kind in _SERVICE_KINDS.items() if kind is _THROTTLED)
"""What says that the same request may succeed a little later."""
_SIGNATURE_CODES = frozenset(code for code, kind in _SERVICE_KINDS.items() if kind in (_SIGNATURE, _SKEW))

_UNREACHABLE = _Kind(
    "the endpoint cannot be reached", "Check the network, the region and AWS_ENDPOINT_URL.", tells_text=False
)
_LOST = _Kind(
    "the connection was lost before the answer",
    "It should pass by itself.",
    tells_text=False,
    may_have_taken_effect=True,
)
_SILENT = _Kind(
    "the endpoint did not answer in time", "It should pass by itself.", tells_text=False, may_have_taken_effect=True
)
_TLS = _Kind("TLS failed", "Check AWS_CA_BUNDLE and what stands between here and the endpoint.", tells_text=False)
_PROXY = _Kind("the proxy failed", "Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY.", tells_text=False)
_GARBAGE = _Kind(
    "the endpoint answered what is not HTTP",
    "Check AWS_ENDPOINT_URL.",
    tells_text=False,
    may_have_taken_effect=True,
)

_TRANSPORT_KINDS: dict[str, _Kind] = {
    "EndpointConnectionError": _UNREACHABLE,
    "ConnectTimeoutError": _UNREACHABLE,
    "ConnectionClosedError": _LOST,
    "ReadTimeoutError": _SILENT,
    "SSLError": _TLS,
    "ProxyConnectionError": _PROXY,
    "HTTPClientError": _GARBAGE,
}
"""By the name of botocore's exception, which is the code as well."""

_TRANSPORT_CODES: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ClientSSLError, "SSLError"),
    (aiohttp.ClientProxyConnectionError, "ProxyConnectionError"),
    (aiohttp.ClientHttpProxyError, "ProxyConnectionError"),
    (aiohttp.ServerDisconnectedError, "ConnectionClosedError"),
    (aiohttp.ClientPayloadError, "ConnectionClosedError"),
    (aiohttp.ConnectionTimeoutError, "ConnectTimeoutError"),
    (aiohttp.ServerTimeoutError, "ReadTimeoutError"),
    (aiohttp.ClientConnectionError, "EndpointConnectionError"),
    (TimeoutError, "ReadTimeoutError"),
    (OSError, "EndpointConnectionError"),
)
"""aiohttp's exceptions as aiobotocore translates them, the special before the general."""

_NO_CREDENTIALS = _Kind(
    "no AWS credentials were found",
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role.",
    tells_text=False,
)
_CREDENTIALS = _Kind("the credentials cannot be fetched", _KEYS)
_LOGIN = _Kind("the login has expired", "Log in again (`aws sso login`, `aws login`).", tells_text=False)
_CONFIGURATION = _Kind("the AWS configuration is wrong", "Correct the environment or ~/.aws/config.", retryable=False)

_CLIENT_KINDS: tuple[tuple[type[BaseException], _Kind], ...] = (
    (botocore_errors.NoCredentialsError, _NO_CREDENTIALS),
    (botocore_errors.NoAuthTokenError, _NO_CREDENTIALS),
    (botocore_errors.SSOError, _LOGIN),
    (botocore_errors.LoginError, _LOGIN),
    (botocore_errors.TokenRetrievalError, _LOGIN),
    (botocore_errors.CredentialRetrievalError, _CREDENTIALS),
    (botocore_errors.MetadataRetrievalError, _CREDENTIALS),
    (OSError, _CREDENTIALS),
    (botocore_errors.BotoCoreError, _CONFIGURATION),
    (ValueError, _CONFIGURATION),
)
"""What botocore raises without having asked the service: `OSError` for a credential process that does not start,
`ValueError` for a malformed endpoint."""
_GARBLED = (ResponseParserError, UnicodeDecodeError)
_CLIENT_ERRORS = (botocore_errors.ClientError, botocore_errors.BotoCoreError, OSError, ValueError, *_GARBLED)


class Refusal(NamedTuple):
    """An error answer of a service, in the parts that botocore takes from it."""

    code: str
    text: str = ""

    @classmethod
    def of_answer(cls, status: int, headers: Mapping[str, str], body: Any) -> "Refusal":
        """Reads the code as botocore's JSON parser does: `x-amzn-query-error`, else `__type`, else the status."""
        members = body if isinstance(body, dict) else {}
        text = members.get("message") or members.get("Message") or ""
        code = str(members.get("__type") or status).split(":", 1)[0].rsplit("#", 1)[-1]
        parts = headers.get("x-amzn-query-error", "").split(";")
        if len(parts) == 2 and parts[0]:  # noqa: PLR2004 - code and side at fault
            code = parts[0]
        return cls(code, str(text))

    @property
    def doubts_signature(self) -> bool:
        """Whether a wrong clock may be the cause."""
        return self.code in _SIGNATURE_CODES


def service_fault(call: Call, refusal: Refusal) -> SourceError:
    """The service answered with an error."""
    code = _ALIASES.get(refusal.code, refusal.code)
    return _fault(call, code, _service_kind(code), refusal.text)


def skew_fault(call: Call, *, behind_seconds: float) -> SourceError:
    """The service refused the signature because this machine's clock differs from its own."""
    way = "behind" if behind_seconds > 0 else "ahead"
    kind = _SKEW._replace(
        what=f"the clock of this machine is {abs(behind_seconds):.0f} s {way}",
        remedy="Set the clock; until then requests are signed with the service's time.",
    )
    return _fault(call, CLOCK_SKEW, kind)


def unreadable_fault(call: Call) -> SourceError:
    """The service answered with success, but not with what the operation returns."""
    return _fault(call, UNREADABLE, _GARBAGE._replace(what="the answer cannot be understood"))


def transport_fault(call: Call, error: BaseException) -> SourceError:
    """The HTTP client could not bring request and answer across."""
    code = next((code for kind, code in _TRANSPORT_CODES if isinstance(error, kind)), "HTTPClientError")
    return _fault(call, code, _TRANSPORT_KINDS[code], reason=_system_reason(error))


def credentials_missing(call: Call) -> SourceError:
    """The chain of credential providers found nothing."""
    return _fault(call, "NoCredentialsError", _NO_CREDENTIALS)


class translated:  # noqa: N801 - reads as a verb
    """Turns what botocore raises inside into `SourceError`: `with translated(call): …`, around nothing else."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, _CLIENT_ERRORS):
            raise botocore_fault(self._call, error) from error


def botocore_fault(call: Call, error: Exception) -> SourceError:
    """The client of botocore raised."""
    if isinstance(error, botocore_errors.ClientError):
        told = error.response.get("Error", {})
        return service_fault(call, Refusal(str(told.get("Code", "")), str(told.get("Message", ""))))
    if isinstance(error, _GARBLED):
        return unreadable_fault(call)
    code = type(error).__name__
    if kind := _TRANSPORT_KINDS.get(code):
        return _fault(call, code, kind, reason=_system_reason(error))
    kind = next(kind for type_, kind in _CLIENT_KINDS if isinstance(error, type_))
    return _fault(call, code, kind, str(error))


def _service_kind(code: str) -> _Kind:
    if code.lower().startswith("kms"):
        return _THROTTLED if "throttl" in code.lower() else _KMS
    if code.isdecimal() and int(code) >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _SERVER
    return _SERVICE_KINDS.get(code, _OTHER)


def _fault(call: Call, code: str, kind: _Kind, text: str = "", *, reason: str = "") -> SourceError:
    told = _first_line(text) if kind.tells_text and not code.isdecimal() else reason
    detail = f": {told}" if told else ""
    return SourceError(
        f"{call} failed: {kind.what}{detail} ({code}). {kind.remedy}",
        code=code,
        retryable=kind.retryable,
        may_have_taken_effect=kind.may_have_taken_effect,
    )


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0].strip().rstrip(".")
    return line if len(line) <= _TEXT_LIMIT else f"{line[:_TEXT_LIMIT]}…"


def _system_reason(error: BaseException | None) -> str:
    """What the operating system said (`Connection refused`), wherever in the chain of causes it stands."""
    while error is not None:
        inner = getattr(error, "os_error", None) or error
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
        error = getattr(error, "kwargs", {}).get("error") or error.__cause__ or error.__context__
    return ""
