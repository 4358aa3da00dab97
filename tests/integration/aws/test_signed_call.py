"""Signed calls do what botocore's client does, and fail as it fails."""

import datetime
import ssl
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from pathlib import Path

import pytest

from broker.aws.clients import Clients
from broker.aws.faults import Call, translated
from broker.errors import SourceError
from tests.integration.aws.conftest import QUICK
from tests.integration.aws.raw_server import Bad, RawServer, answer, raw_server

pytestmark = pytest.mark.asyncio

REGION = "eu-west-1"
ARN = f"arn:aws:sqs:{REGION}:123456789012:orders"
REQUEST = {"QueueUrl": "http://elsewhere/1/orders", "MaxNumberOfMessages": 10}
CERTIFICATE = Path(__file__).parent / "tls" / "certificate.pem"
MISSING = "AWS.SimpleQueueService.NonExistentQueue"


async def call_signed(clients: Clients) -> None:
    endpoint = await clients.json_endpoint("sqs", REGION)
    await endpoint.call("ReceiveMessage", REQUEST, resource=ARN)


async def call_botocore(clients: Clients) -> None:
    client = await clients.client("sqs", REGION)
    call = Call(operation="ReceiveMessage", resource=ARN, endpoint=client.meta.endpoint_url.rpartition("/")[2])
    with translated(call):
        await client.receive_message(**REQUEST)


async def fault_of(ask: Callable[[Clients], Awaitable[None]], clients: Clients) -> SourceError:
    with pytest.raises(SourceError) as caught:
        await ask(clients)
    assert caught.value.__cause__ is not None or ask is call_signed
    return caught.value


async def assert_same_fault(clients: Clients, code: str) -> SourceError:
    signed, botocores = await fault_of(call_signed, clients), await fault_of(call_botocore, clients)
    assert signed.code == code
    assert (str(signed), signed.code, signed.retryable) == (str(botocores), botocores.code, botocores.retryable)
    for secret in ("SECRETEXAMPLE", "TOKENEXAMPLE", "AKIDEXAMPLE"):
        assert secret not in str(signed)
    return signed


def told(query_code: str) -> dict[str, str]:
    """The header that tells the older code."""
    return {"x_amzn_query_error": f"{query_code};Sender"}


@pytest.mark.parametrize(
    ("status", "body", "headers", "code"),
    [
        (400, {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "gone"}, told(MISSING), MISSING),
        (400, {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "gone"}, {}, MISSING),
        (403, {"__type": "AccessDeniedException", "Message": "User is not authorized"}, {}, "AccessDeniedException"),
        (403, {"__type": "InvalidClientTokenId", "message": "invalid"}, {}, "InvalidClientTokenId"),
        (403, {"__type": "ExpiredToken", "message": "expired"}, {}, "ExpiredToken"),
        (403, {"__type": "SignatureDoesNotMatch", "message": "TOKENEXAMPLE"}, {}, "SignatureDoesNotMatch"),
        (400, {"__type": "RequestThrottled", "message": "slow"}, told("RequestThrottled"), "RequestThrottled"),
        (400, {"__type": "OverLimit", "message": "many"}, told("OverLimit"), "OverLimit"),
        (400, {"__type": "KmsDisabled", "message": "off"}, told("KMS.DisabledException"), "KMS.DisabledException"),
        (400, {"__type": "InvalidParameterValue", "message": "bad"}, {}, "InvalidParameterValue"),
        (418, {"__type": "SomethingNew", "message": "new"}, {}, "SomethingNew"),
        (500, {"__type": "InternalError"}, {}, "InternalError"),
        (500, b"<html>oops</html>", {}, "500"),
        (503, b"", {}, "503"),
        (429, b"slow down", {}, "429"),
    ],
)
async def test_error_answers_are_the_same_faults_on_both_ways(
    server: RawServer, clients: Clients, *, status: int, body: object, headers: dict[str, str], code: str
) -> None:
    server.reply = answer(body, status=status, **headers)
    await assert_same_fault(clients, code)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Bad.DROPS, "ConnectionClosedError"),
        (Bad.BREAKS_OFF, "ConnectionClosedError"),
        (Bad.STAYS_SILENT, "ReadTimeoutError"),
        (b"this is not HTTP\r\n\r\n", "HTTPClientError"),
    ],
)
async def test_failing_connections_are_the_same_faults_on_both_ways(
    server: RawServer, clients: Clients, reply: bytes | Bad, code: str
) -> None:
    server.reply = reply
    assert (await assert_same_fault(clients, code)).retryable


async def test_an_endpoint_that_nobody_serves_is_the_same_fault_on_both_ways(
    environment: pytest.MonkeyPatch, clients: Clients
) -> None:
    async with raw_server() as server:
        environment.setenv("AWS_ENDPOINT_URL", server.url)
    fault = await assert_same_fault(clients, "EndpointConnectionError")
    assert f"127.0.0.1:{server.port}" in str(fault)


async def test_a_name_that_does_not_resolve_is_the_same_fault_on_both_ways(
    environment: pytest.MonkeyPatch, clients: Clients
) -> None:
    environment.setenv("AWS_ENDPOINT_URL_SQS", "http://no-such-host.invalid:1")
    await assert_same_fault(clients, "EndpointConnectionError")


@pytest.mark.parametrize("body", [b"<html>please log in</html>", b"[]", b"null"])
async def test_success_that_is_no_json_object_is_a_fault_and_not_an_empty_queue(
    server: RawServer, clients: Clients, body: bytes
) -> None:
    server.reply = answer(body)
    fault = await fault_of(call_signed, clients)
    assert fault.code == "UnreadableAnswer"
    assert "log in" not in str(fault)


async def test_a_call_is_one_attempt(server: RawServer, clients: Clients) -> None:
    server.reply = answer(b"", status=500)
    await fault_of(call_signed, clients)
    assert len(server.requests) == 1


async def test_a_redirect_is_not_followed(server: RawServer, clients: Clients) -> None:
    server.reply = answer(b"", status=307, Location="/elsewhere")
    assert (await fault_of(call_signed, clients)).code == "307"
    assert len(server.requests) == 1


async def test_the_request_is_the_one_that_botocore_sends(server: RawServer, clients: Clients) -> None:
    server.reply = answer({})
    await call_signed(clients)
    await call_botocore(clients)
    ours, botocores = server.requests
    assert (ours.line, ours.json) == (botocores.line, botocores.json)
    for name in ("host", "content-type", "x-amz-target", "x-amzn-query-mode", "x-amz-security-token"):
        assert ours.headers[name] == botocores.headers[name]
    assert ours.headers["user-agent"].startswith("event-source-broker/")


async def test_connections_are_used_again(server: RawServer, clients: Clients) -> None:
    server.reply = answer({})
    for _ in range(3):
        await call_signed(clients)
    assert server.connections == 1


async def test_an_answer_may_take_its_long_poll_and_a_margin(server: RawServer, clients: Clients) -> None:
    server.reply = Bad.STAYS_SILENT
    endpoint = await clients.json_endpoint("sqs", REGION)
    started_at = time.monotonic()
    with pytest.raises(SourceError, match="did not answer in time"):
        await endpoint.call("ReceiveMessage", REQUEST, poll_seconds=0.5)
    assert time.monotonic() - started_at >= 0.5 + QUICK.answer_seconds - 0.05


async def test_the_time_of_the_answer_is_read_from_its_date(server: RawServer, clients: Clients) -> None:
    endpoint = await clients.json_endpoint("sqs", REGION)
    for date, sent_at in [("Sat, 21 Nov 2026 12:00:00 GMT", 1795262400.0), ("yesterday", None), ("", None)]:
        server.reply = answer({"a": 1}, Date=date)
        assert await endpoint.call("ReceiveMessage", REQUEST) == ({"a": 1}, sent_at)


@pytest.mark.parametrize("code", ["RequestTimeTooSkewed", "InvalidSignatureException", "SignatureDoesNotMatch"])
async def test_a_wrong_clock_is_told_and_corrected_by_the_date_of_the_server(
    server: RawServer, clients: Clients, code: str
) -> None:
    hour_ahead = time.time() + 3600
    server.reply = answer({"__type": code}, status=403, Date=formatdate(hour_ahead, usegmt=True))
    fault = await fault_of(call_signed, clients)
    assert fault.code == "RequestTimeTooSkewed"
    assert "behind" in str(fault)
    server.reply = answer({})
    await call_signed(clients)
    stamp = datetime.datetime.strptime(server.requests[-1].headers["x-amz-date"], "%Y%m%dT%H%M%S%z")
    assert abs(stamp.timestamp() - hour_ahead) < 60


async def test_a_wrong_secret_is_not_blamed_on_the_clock(server: RawServer, clients: Clients) -> None:
    server.reply = answer({"__type": "SignatureDoesNotMatch"}, status=403, Date=formatdate(usegmt=True))
    assert (await fault_of(call_signed, clients)).code == "SignatureDoesNotMatch"


def tls_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, CERTIFICATE.with_name("key.pem"))
    return context


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
async def test_a_ca_bundle_of_the_environment_is_trusted(
    environment: pytest.MonkeyPatch, clients: Clients, variable: str
) -> None:
    async with raw_server(tls_context()) as server:
        server.reply = answer({})
        environment.setenv("AWS_ENDPOINT_URL", server.url)
        environment.setenv(variable, str(CERTIFICATE))
        await call_signed(clients)
        await call_botocore(clients)


async def test_a_certificate_that_is_not_trusted_is_the_same_fault_on_both_ways(
    environment: pytest.MonkeyPatch, clients: Clients
) -> None:
    async with raw_server(tls_context()) as server:
        environment.setenv("AWS_ENDPOINT_URL", server.url)
        await assert_same_fault(clients, "SSLError")


async def test_a_ca_bundle_that_cannot_be_read_is_named(server: RawServer, environment, clients: Clients) -> None:
    environment.setenv("AWS_CA_BUNDLE", "/no/such/bundle.pem")
    with pytest.raises(SourceError, match=r"/no/such/bundle\.pem"):
        await call_signed(clients)


async def test_a_proxy_of_the_environment_is_asked_with_its_password(
    environment: pytest.MonkeyPatch, clients: Clients
) -> None:
    async with raw_server() as proxy:
        proxy.reply = answer({})
        environment.setenv("AWS_ENDPOINT_URL", "http://sqs.example.test")
        environment.setenv("HTTP_PROXY", f"http://user:word@127.0.0.1:{proxy.port}")
        await call_signed(clients)
    (request,) = proxy.requests
    assert request.line == "POST http://sqs.example.test/ HTTP/1.1"
    assert request.headers["proxy-authorization"] == "Basic dXNlcjp3b3Jk"


async def test_a_proxy_is_not_asked_where_no_proxy_excludes_the_endpoint(
    server: RawServer, environment: pytest.MonkeyPatch, clients: Clients
) -> None:
    environment.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    environment.setenv("NO_PROXY", "127.0.0.1")
    server.reply = answer({})
    await call_signed(clients)
    assert server.requests[0].line == "POST / HTTP/1.1"


async def test_a_proxy_that_nobody_serves_is_the_same_fault_on_both_ways(
    environment: pytest.MonkeyPatch, clients: Clients
) -> None:
    async with raw_server() as proxy:
        environment.setenv("AWS_ENDPOINT_URL", "http://sqs.example.test")
        environment.setenv("HTTP_PROXY", f"http://user:word@127.0.0.1:{proxy.port}")
    fault = await assert_same_fault(clients, "ProxyConnectionError")
    assert "word" not in str(fault)
