"""One operation of an AWS JSON service, called without botocore's client.

botocore spends some 650 µs a call on endpoint rules, serialising, hooks and signing, and parses the answer in Python.
Here a call is a body, a signature, one HTTP exchange and one JSON parse. Credentials, endpoint, region, proxies and
certificates are those of botocore's chain, and so are the errors. A call is one attempt: nothing is repeated.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, NamedTuple

import aiohttp
import orjson

from broker.aws.event_stream import EventStream
from broker.aws.faults import (
    CLOCK_SKEW,
    Call,
    Refusal,
    service_fault,
    skew_fault,
    transport_fault,
    unreadable_fault,
)
from broker.aws.hand_over import HandOverClock
from broker.aws.signature import FrozenCredentials, JsonApi, RequestSigner
from broker.aws.transport import Proxy
from broker.errors import SourceError

_SKEW_SECONDS = 240.0
"""AWS refuses signatures that are more than five minutes old; less is not the reason for a refusal."""


class Answer(NamedTuple):
    """What a service returned."""

    value: dict[str, Any]
    """The parsed body: blobs are base64 text."""
    sent_at: float | None
    """The service's time as it answered (`Date`, whole epoch seconds); None where it did not say."""


class JsonEndpoint:
    """One service in one region, at one endpoint. Made by `Clients.json_endpoint`."""

    def __init__(
        self,
        *,
        api: JsonApi,
        http: aiohttp.ClientSession,
        credentials: Callable[[Call], Awaitable[FrozenCredentials]],
        proxy: Proxy | None,
        connect_seconds: float,
        answer_seconds: float,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`credentials` gives those of this instant; `answer_seconds` is what an answer may take beyond its long poll.

        `wall_clock` is what the signature's date is taken from (epoch seconds): AWS compares it with its own.
        """
        self.api = api
        self.hand_over = HandOverClock()
        """When this endpoint sends what is read here."""
        self._url = api.url
        self._host = api.host
        self._http = http
        self._credentials = credentials
        self._via: dict[str, Any] = {"proxy": proxy.url, "proxy_headers": proxy.headers} if proxy else {}
        self._connect_seconds = connect_seconds
        self._answer_seconds = answer_seconds
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}
        self._signer = RequestSigner(api)
        self._wall_clock = wall_clock
        self._skew_seconds = 0.0
        self._date: tuple[str | None, float | None] = (None, None)

    async def call(
        self, operation: str, request: Mapping[str, Any], *, resource: str = "", poll_seconds: float = 0.0
    ) -> Answer:
        """Asks for `operation` with the members of `request`, once.

        `resource` is the ARN that error messages name; `poll_seconds` is how long the service may wait before it
        answers. Raises `SourceError`.
        """
        call = Call(operation=operation, resource=resource, endpoint=self._host)
        body = orjson.dumps(request)
        headers = await self._headers(call, body)
        try:
            response = await self._post(body, headers, poll_seconds)
            data = await response.read()  # gives the connection back, or closes it where it fails
        except (aiohttp.ClientError, OSError) as error:
            raise transport_fault(call, error) from error
        sent_at = self._sent_at(response.headers.get("Date"))
        if response.status != HTTPStatus.OK:
            raise self._refused(call, response, data, sent_at)
        return Answer(_value_of(call, data), sent_at)

    async def open_stream(
        self, operation: str, request: Mapping[str, Any], *, resource: str = "", silence_seconds: float = 0.0
    ) -> EventStream:
        """Asks for `operation`, once, whose answer is a stream of events; whoever opens it closes it.

        `silence_seconds` is how long the service may be silent between two events. Raises `SourceError`.
        """
        call = Call(operation=operation, resource=resource, endpoint=self._host)
        body = orjson.dumps(request)
        headers = await self._headers(call, body)
        try:
            response = await self._post(body, headers, silence_seconds)
            refusal = b"" if response.status == HTTPStatus.OK else await response.read()
        except (aiohttp.ClientError, OSError) as error:
            raise transport_fault(call, error) from error
        sent_at = self._sent_at(response.headers.get("Date"))
        if response.status != HTTPStatus.OK:
            raise self._refused(call, response, refusal, sent_at)
        return EventStream(call, response, sent_at)

    async def _headers(self, call: Call, body: bytes) -> dict[str, str]:
        credentials = await self._credentials(call)
        signed_at = self._wall_clock() + self._skew_seconds
        return self._signer.headers(call.operation, body, credentials, at=signed_at)

    async def _post(self, body: bytes, headers: dict[str, str], poll_seconds: float) -> aiohttp.ClientResponse:
        return await self._http.post(
            self._url,
            data=body,
            headers=headers,
            timeout=self._timeout(poll_seconds),
            allow_redirects=False,
            **self._via,
        )

    def _timeout(self, poll_seconds: float) -> aiohttp.ClientTimeout:
        timeout = self._timeouts.get(poll_seconds)
        if timeout is None:
            timeout = aiohttp.ClientTimeout(
                sock_connect=self._connect_seconds, sock_read=poll_seconds + self._answer_seconds
            )
            self._timeouts[poll_seconds] = timeout
        return timeout

    def _sent_at(self, date: str | None) -> float | None:
        # Many answers of one second carry the same text.
        if date != self._date[0]:
            self._date = (date, _epoch_of(date))
        return self._date[1]

    def _refused(self, call: Call, response: aiohttp.ClientResponse, data: bytes, sent_at: float | None) -> SourceError:
        refusal = Refusal.of_answer(response.status, response.headers, _parsed(data))
        if refusal.doubts_signature and sent_at is not None:
            skew = sent_at - self._wall_clock()
            if refusal.code == CLOCK_SKEW or abs(skew - self._skew_seconds) > _SKEW_SECONDS:
                self._skew_seconds = skew
                return skew_fault(call, behind_seconds=skew)
        return service_fault(call, refusal)


def _value_of(call: Call, data: bytes) -> dict[str, Any]:
    value = _parsed(data)
    if not isinstance(value, dict):
        raise unreadable_fault(call)
    return value


def _parsed(data: bytes) -> Any:
    """The JSON document; None where it is none. An empty body is an empty object, as botocore reads it."""
    try:
        return orjson.loads(data) if data else {}
    except orjson.JSONDecodeError:
        return None


def _epoch_of(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except ValueError:
        return None
