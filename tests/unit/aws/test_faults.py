"""Every fault says what failed, where, why and what to do, and never holds a credential."""

import ssl

import aiohttp
import pytest
from botocore import exceptions as botocore_errors
from botocore.parsers import ResponseParserError

from broker.aws.faults import (
    QUEUE_MISSING,
    THROTTLING_CODES,
    Call,
    Refusal,
    botocore_fault,
    credentials_missing,
    service_fault,
    skew_fault,
    translated,
    transport_fault,
    unreadable_fault,
)
from broker.errors import SourceError

ARN = "arn:aws:sqs:eu-west-1:123456789012:orders"
CALL = Call(operation="ReceiveMessage", resource=ARN, endpoint="sqs.eu-west-1.amazonaws.com")


def refused(code: str, text: str = "") -> SourceError:
    return service_fault(CALL, Refusal(code, text))


def test_a_message_names_the_operation_the_queue_and_the_endpoint() -> None:
    assert str(refused("QueueDoesNotExist")) == (
        f"ReceiveMessage of {ARN} at sqs.eu-west-1.amazonaws.com failed: the queue does not exist "
        f"(AWS.SimpleQueueService.NonExistentQueue). Create it, or correct its ARN."
    )


@pytest.mark.parametrize("code", [QUEUE_MISSING, "QueueDoesNotExist"])
def test_a_missing_queue_has_one_code(code: str) -> None:
    assert refused(code).code == QUEUE_MISSING


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("AccessDenied", "access is denied"),
        ("AccessDeniedException", "access is denied"),
        ("InvalidClientTokenId", "not accepted"),
        ("ExpiredToken", "have expired"),
        ("RequestThrottled", "throttles"),
        ("OverLimit", "in flight"),
        ("KMS.DisabledException", "key that encrypts"),
        ("KmsAccessDenied", "key that encrypts"),
        ("KmsThrottled", "throttles"),
        ("SignatureDoesNotMatch", "signature is not accepted"),
        ("InternalError", "has a problem"),
        ("503", "has a problem"),
        ("SomethingNew", "refused"),
    ],
)
def test_what_the_world_can_mend_is_retryable(code: str, said: str) -> None:
    fault = refused(code)
    assert said in str(fault)
    assert fault.code == code
    assert fault.retryable


@pytest.mark.parametrize(
    "code", ["ValidationException", "InvalidAction", "AWS.SimpleQueueService.UnsupportedOperation"]
)
def test_a_request_that_is_not_understood_is_not_retryable(code: str) -> None:
    assert not refused(code).retryable


def test_the_text_of_the_service_says_who_may_not_do_what() -> None:
    text = "User: arn:aws:iam::123456789012:user/x is not authorized to perform: sqs:receivemessage"
    assert f"access is denied: {text} (AccessDenied)" in str(refused("AccessDenied", f"{text}.\nmore"))


def test_a_long_text_is_cut() -> None:
    assert len(str(refused("SomethingNew", "x" * 10_000))) < 700


def test_a_signature_error_does_not_repeat_the_request_with_its_token() -> None:
    text = "The canonical string should have been 'POST / x-amz-security-token:SECRETTOKEN'"
    assert "SECRETTOKEN" not in str(refused("SignatureDoesNotMatch", text))


def test_a_page_of_html_is_not_repeated() -> None:
    assert "<html>" not in str(refused("502", "<html>Bad gateway</html>"))


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        (
            {"x-amzn-query-error": f"{QUEUE_MISSING};Sender"},
            {"__type": "com.amazonaws.sqs#QueueDoesNotExist"},
            QUEUE_MISSING,
        ),
        ({}, {"__type": "com.amazonaws.sqs#QueueDoesNotExist"}, "QueueDoesNotExist"),
        ({}, {"__type": "OverLimit:http://example"}, "OverLimit"),
        ({"x-amzn-query-error": "nonsense"}, {"__type": "OverLimit"}, "OverLimit"),
        ({}, {}, "500"),
        ({}, None, "500"),
        ({}, ["x"], "500"),
    ],
)
def test_the_code_of_an_error_answer_is_read_as_botocore_reads_it(headers, body, code: str) -> None:
    assert Refusal.of_answer(500, headers, body).code == code


@pytest.mark.parametrize(("body", "text"), [({"message": "a"}, "a"), ({"Message": "b"}, "b"), ({}, "")])
def test_the_text_of_an_error_answer_has_two_spellings(body, text: str) -> None:
    assert Refusal.of_answer(400, {}, body).text == text


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (aiohttp.ServerDisconnectedError(), "ConnectionClosedError"),
        (aiohttp.ClientPayloadError("x"), "ConnectionClosedError"),
        (aiohttp.ConnectionTimeoutError("x"), "ConnectTimeoutError"),
        (aiohttp.SocketTimeoutError("x"), "ReadTimeoutError"),
        (TimeoutError(), "ReadTimeoutError"),
        (aiohttp.ClientOSError(104, "Connection reset by peer"), "EndpointConnectionError"),
        (OSError(24, "Too many open files"), "EndpointConnectionError"),
        (aiohttp.ClientConnectionError("x"), "EndpointConnectionError"),
        (aiohttp.ClientHttpProxyError(None, (), status=407), "ProxyConnectionError"),  # type: ignore[arg-type]
        (aiohttp.InvalidURL("x"), "HTTPClientError"),
    ],
)
def test_faults_of_the_network_have_the_names_that_botocore_gives_them(error: Exception, code: str) -> None:
    assert transport_fault(CALL, error).code == code


def test_faults_of_the_network_say_what_the_system_said() -> None:
    fault = transport_fault(CALL, aiohttp.ClientOSError(104, "Connection reset by peer"))
    assert "cannot be reached: Connection reset by peer (EndpointConnectionError)" in str(fault)


def test_what_the_system_said_is_found_behind_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    cause = aiohttp.ClientOSError(111, "Connection refused")
    fault = botocore_fault(CALL, botocore_errors.EndpointConnectionError(endpoint_url="http://x", error=cause))
    assert "Connection refused" in str(fault)


def test_a_fault_of_tls_names_the_setting() -> None:
    error = botocore_errors.SSLError(endpoint_url="https://x", error=ssl.SSLError("bad"))
    assert "AWS_CA_BUNDLE" in str(botocore_fault(CALL, error))


@pytest.mark.parametrize(
    ("error", "said", "retryable"),
    [
        (botocore_errors.NoCredentialsError(), "AWS_ACCESS_KEY_ID", True),
        (botocore_errors.UnauthorizedSSOTokenError(), "aws sso login", True),
        (botocore_errors.CredentialRetrievalError(provider="process", error_msg="it broke"), "it broke", True),
        (botocore_errors.ProfileNotFound(profile="nobody"), "nobody", False),
        (botocore_errors.NoRegionError(), "region", False),
        (FileNotFoundError(2, "No such file", "login-helper"), "login-helper", True),
        (ValueError("Invalid endpoint: x"), "Invalid endpoint: x", False),
    ],
)
def test_faults_of_the_client_say_what_to_do(error: Exception, said: str, retryable: bool) -> None:
    fault = botocore_fault(CALL, error)
    assert said in str(fault)
    assert fault.code == type(error).__name__
    assert fault.retryable is retryable


@pytest.mark.parametrize(
    "error", [ResponseParserError("<Secret>…"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")]
)
def test_an_answer_that_botocore_cannot_parse_is_not_repeated(error: Exception) -> None:
    fault = botocore_fault(CALL, error)
    assert fault.code == "UnreadableAnswer"
    assert "Secret" not in str(fault)


def test_missing_credentials_are_one_fault_on_both_ways() -> None:
    ours, botocores = credentials_missing(CALL), botocore_fault(CALL, botocore_errors.NoCredentialsError())
    assert (str(ours), ours.code) == (str(botocores), botocores.code)


def test_a_clock_that_is_behind_is_said_with_its_delay() -> None:
    assert "3600 s behind" in str(skew_fault(CALL, behind_seconds=3600.0))
    assert "42 s ahead" in str(skew_fault(CALL, behind_seconds=-42.0))


def test_an_answer_that_cannot_be_understood_is_retryable() -> None:
    assert unreadable_fault(CALL).retryable


def test_translation_keeps_the_original_as_cause_and_lets_others_pass() -> None:
    original = botocore_errors.NoCredentialsError()
    with pytest.raises(SourceError) as caught, translated(CALL):
        raise original
    assert caught.value.__cause__ is original
    with pytest.raises(ZeroDivisionError), translated(CALL):
        raise ZeroDivisionError


def test_a_call_without_resource_and_endpoint_is_named_by_its_operation() -> None:
    assert str(Call(operation="GetCallerIdentity")) == "GetCallerIdentity"


def test_throttling_codes_are_known_to_those_who_repeat() -> None:
    assert {"RequestThrottled", "ThrottlingException"} <= THROTTLING_CODES
