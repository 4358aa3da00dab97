"""Signature Version 4 for AWS JSON requests, without what does not change from one request to the next.

botocore's signer sorts, quotes and joins every header of every request. Here the service, the endpoint and the headers
are known beforehand, so a signature is two hashes and one HMAC; the key that is derived from the secret and the day is
kept. Tests compare the result with botocore's.

Source: AWS Identity and Access Management User Guide, "Create a signed AWS API request" (read November 2026).
"""

import hashlib
import hmac
import time
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote, urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


class FrozenCredentials(Protocol):
    """Credentials at one instant, as botocore freezes them."""

    @property
    def access_key(self) -> str:
        """`AKIA…`, `ASIA…`."""
        ...

    @property
    def secret_key(self) -> str:
        """Never sent."""
        ...

    @property
    def token(self) -> str | None:
        """The session token of temporary credentials."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonApi:
    """How one service wants its AWS JSON requests."""

    service: str
    """The name to sign for: `sqs`."""
    region: str
    """The region to sign for."""
    endpoint_url: str
    """Where requests go; it may have a path."""
    target_prefix: str
    """What precedes the operation in `X-Amz-Target`: `AmazonSQS`."""
    json_version: str = "1.0"
    """Of the content type `application/x-amz-json-…`."""
    query_compatible: bool = False
    """Whether the service tells its older error codes when asked to (`x-amzn-query-mode`)."""

    @property
    def host(self) -> str:
        """The `Host` header: lower case, with the port unless it is the scheme's own."""
        parts = urlsplit(self.endpoint_url)
        name = parts.hostname or ""
        name = f"[{name}]" if ":" in name else name
        return name if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f"{name}:{parts.port}"

    @property
    def path(self) -> str:
        """The path of the endpoint, quoted as the signature wants it."""
        return quote(urlsplit(self.endpoint_url).path, safe="/~") or "/"

    @property
    def url(self) -> str:
        """Where requests go, with at least a slash for path."""
        return self.endpoint_url if urlsplit(self.endpoint_url).path else f"{self.endpoint_url}/"


class RequestSigner:
    """Makes the signed headers of requests to one service."""

    def __init__(self, api: JsonApi) -> None:
        self._api = api
        self._host = api.host
        self._fixed = {"Host": self._host, "Content-Type": f"application/x-amz-json-{api.json_version}"}
        self._names = ["content-type", "host", "x-amz-date", "x-amz-target"]
        self._query_line = ""
        if api.query_compatible:
            self._fixed["x-amzn-query-mode"] = "true"
            self._names.append("x-amzn-query-mode")
            self._query_line = "x-amzn-query-mode:true\n"
        self._head = f"POST\n{api.path}\n\ncontent-type:{self._fixed['Content-Type']}\nhost:{self._host}\nx-amz-date:"
        self._signed = ";".join(self._names)
        self._signed_with_token = ";".join(sorted([*self._names, "x-amz-security-token"]))
        self._stamp = (-1, "")
        self._key: tuple[str, str, bytes] = ("", "", b"")

    def headers(self, operation: str, body: bytes, credentials: FrozenCredentials, *, at: float) -> dict[str, str]:
        """All headers of a request that asks for `operation` with `body`, signed for the instant `at` (epoch)."""
        stamp = self._stamp_of(int(at))
        target = f"{self._api.target_prefix}.{operation}"
        headers = {**self._fixed, "X-Amz-Date": stamp, "X-Amz-Target": target}
        if token := credentials.token:
            headers["X-Amz-Security-Token"] = token
            signed, token_line = self._signed_with_token, f"x-amz-security-token:{token}\n"
        else:
            signed, token_line = self._signed, ""
        canonical = (
            f"{self._head}{stamp}\n{token_line}x-amz-target:{target}\n{self._query_line}\n"
            f"{signed}\n{hashlib.sha256(body).hexdigest()}"
        )
        scope = f"{stamp[:8]}/{self._api.region}/{self._api.service}/aws4_request"
        signature = self._signature(canonical, stamp, scope, credentials.secret_key)
        headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={signed}, Signature={signature}"
        )
        return headers

    def _signature(self, canonical: str, stamp: str, scope: str, secret_key: str) -> str:
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
        return hmac.digest(self._key_of(secret_key, stamp[:8]), text.encode(), "sha256").hex()

    def _stamp_of(self, second: int) -> str:
        if self._stamp[0] != second:
            self._stamp = (second, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second)))
        return self._stamp[1]

    def _key_of(self, secret_key: str, day: str) -> bytes:
        known_secret, known_day, key = self._key
        if known_secret != secret_key or known_day != day:
            key = f"AWS4{secret_key}".encode()
            for part in (day, self._api.region, self._api.service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key = (secret_key, day, key)
        return key
