"""What an HTTP answer means, row by row."""

import pytest
from multidict import CIMultiDict

from broker.executors.http_replies import Reply, result_of, retry_after_seconds
from broker.model.invocation import HandlerFailed, InvocationResult, Succeeded, Throttled, TimedOut, Unavailable

ERROR = b'{"errorMessage":"bad order","errorType":"ValueError","requestId":"r-1","stackTrace":["  File ...\\n"]}'
FAILED = HandlerFailed(error_type="ValueError", message="bad order", stack_trace=("  File ...\n",))


def at(status: int, body: bytes | None = b"", *, speaks_lambda: bool = True, **headers: str) -> InvocationResult:
    named = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    reply = Reply(status=status, headers=named, body=body)
    return result_of(reply, where="http://audit:8080/", speaks_lambda=speaks_lambda)


def at_lambda(status: int, body: bytes | None = b"", **headers: str) -> InvocationResult:
    return at(status, body, speaks_lambda=True, **headers)


def at_web(status: int, body: bytes | None = b"", **headers: str) -> InvocationResult:
    return at(status, body, speaks_lambda=False, **headers)


@pytest.mark.parametrize("speaks_lambda", [True, False])
@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_success_carries_its_body_unread(status: int, speaks_lambda: bool) -> None:
    result = at(status, b"not json", speaks_lambda=speaks_lambda)
    assert isinstance(result, Succeeded)
    assert result.response.bytes == b"not json"


@pytest.mark.parametrize("speaks_lambda", [True, False])
def test_a_response_that_is_too_large_is_a_function_error(speaks_lambda: bool) -> None:
    result = at(200, None, speaks_lambda=speaks_lambda)
    assert result == HandlerFailed(
        error_type="Function.ResponseSizeTooLarge",
        message="Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    )


@pytest.mark.parametrize("speaks_lambda", [True, False])
def test_the_function_error_header_makes_a_success_a_failure(speaks_lambda: bool) -> None:
    assert at(200, ERROR, speaks_lambda=speaks_lambda, x_amz_function_error="Unhandled") == FAILED


def test_the_function_error_header_counts_even_where_the_body_says_nothing() -> None:
    result = at_lambda(200, b"[]", X_Amz_Function_Error="Unhandled")
    assert result == HandlerFailed(error_type="Unhandled", message="the body does not say why")


def test_an_error_without_a_type_is_unhandled() -> None:
    result = at_lambda(200, b'{"errorMessage":"gone","stackTrace":"none"}', X_Amz_Function_Error="Unhandled")
    assert result == HandlerFailed(error_type="Unhandled", message="gone")


@pytest.mark.parametrize(
    "body",
    [
        b'{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: 1a Error: Task timed out after 30.00 seconds"}',
        b'{"errorMessage":"2026-01-01T00:00:00.000Z 1a-2b Task timed out after 30.00 seconds"}',
    ],
)
def test_both_forms_of_lambdas_timeout_are_recognised(body: bytes) -> None:
    expected = TimedOut(message="Task timed out after 30.00 seconds")
    assert at_lambda(200, body, X_Amz_Function_Error="Unhandled") == expected


def test_an_exception_that_speaks_of_a_timeout_is_an_exception() -> None:
    body = b'{"errorType":"TimeoutError","errorMessage":"Task timed out after 30.00 seconds"}'
    assert isinstance(at_lambda(200, body, X_Amz_Function_Error="Unhandled"), HandlerFailed)


def test_the_emulators_timeout_is_text_with_status_200() -> None:
    assert at_lambda(200, b"Task timed out after 3.00 seconds") == TimedOut(message="Task timed out after 3.00 seconds")
    assert isinstance(at_web(200, b"Task timed out after 3.00 seconds"), Succeeded)


@pytest.mark.parametrize(
    "body",
    [
        b"2026-01-01T00:00:00.000Z 1a-2b Task timed out after 3.00 seconds",
        b"2026-01-01T00:00:00.000Z 1a-2b Task timed out after 3.00 seconds\n\n",
        b'"2026-01-01T00:00:00.000Z 1a-2b Task timed out after 3.00 seconds"',
        b'{"half": 2026-01-01T00:00:00.000Z 1a-2b Task timed out after 3.00 seconds',
        b"RequestId: 1a-2b Error: Task timed out after 3.00 seconds",
        b"x" * 600 + b"\n2026-01-01T00:00:00.000Z 1a-2b Task timed out after 3.00 seconds",
    ],
)
def test_lambdas_timeout_with_instant_and_request_id_is_no_success(body: bytes) -> None:
    assert at_lambda(200, body) == TimedOut(message="Task timed out after 3.00 seconds")


def test_a_response_that_quotes_a_timeout_is_a_response() -> None:
    body = b'{"log":"2026-01-01T00:00:00.000Z 1a-2b Task timed out after 3.00 seconds"}'
    assert isinstance(at_lambda(200, body), Succeeded)
    assert isinstance(at_lambda(200, b"the handler says: Task timed out after 3.00 seconds"), Succeeded)


def test_the_emulators_error_is_an_object_with_both_keys() -> None:
    assert at_lambda(200, ERROR) == FAILED
    assert isinstance(at_web(200, ERROR), Succeeded)


@pytest.mark.parametrize(
    "body",
    [
        b'{"errorType":"x"}',
        b'{"errorMessage":"x"}',
        b'["errorType"]',
        b'"Task timed out after 3.00 seconds"',
        b"errorType",
        b"Task timed out, says the handler",
    ],
)
def test_an_object_with_one_of_the_keys_is_a_response(body: bytes) -> None:
    assert isinstance(at_lambda(200, body), Succeeded)


@pytest.mark.parametrize("speaks_lambda", [True, False])
def test_redirects_are_not_followed(speaks_lambda: bool) -> None:
    result = at(307, speaks_lambda=speaks_lambda)
    assert isinstance(result, Unavailable)
    assert result.message.startswith("http://audit:8080/ answered 307 Temporary Redirect, which is not followed")


@pytest.mark.parametrize("status", [302, 303, 304])
def test_a_redirect_that_a_handler_may_answer_after_its_work_is_a_failure(status: int) -> None:
    assert isinstance(at_web(status), HandlerFailed)
    assert isinstance(at_lambda(status), Unavailable)


@pytest.mark.parametrize("speaks_lambda", [True, False])
@pytest.mark.parametrize("status", [407, 421, 425, 426])
def test_where_no_handler_was_reached_the_function_is_unavailable(status: int, speaks_lambda: bool) -> None:
    assert isinstance(at(status, b"{}", speaks_lambda=speaks_lambda), Unavailable)


@pytest.mark.parametrize("status", [401, 403, 404, 405, 408, 415])
def test_a_refusal_is_lambdas_own_at_its_path_and_perhaps_the_handlers_elsewhere(status: int) -> None:
    assert isinstance(at_lambda(status, b"{}"), Unavailable)
    result = at_web(status, b'{"detail":"order 7 not found"}')
    assert isinstance(result, HandlerFailed)
    assert result.error_type == f"Http.{status}"


@pytest.mark.parametrize("speaks_lambda", [True, False])
def test_too_many_requests_throttle_for_as_long_as_the_answer_says(speaks_lambda: bool) -> None:
    said = "http://audit:8080/ answered 429 Too Many Requests"
    assert at(429, speaks_lambda=speaks_lambda) == Throttled(message=said)
    expected = Throttled(message=said, retry_after_seconds=7.0)
    assert at(429, speaks_lambda=speaks_lambda, retry_after="7") == expected


@pytest.mark.parametrize("speaks_lambda", [True, False])
def test_service_unavailable_throttles_only_where_it_says_for_how_long(speaks_lambda: bool) -> None:
    assert isinstance(at(503, speaks_lambda=speaks_lambda), Unavailable)
    assert isinstance(at(503, speaks_lambda=speaks_lambda, retry_after="7"), Throttled)


def test_the_emulators_empty_400_means_busy() -> None:
    assert isinstance(at_lambda(400), Throttled)
    assert isinstance(at_lambda(400, b'{"Type":"User"}'), Unavailable)
    assert at_web(400) == HandlerFailed(error_type="Http.400", message="http://audit:8080/ answered 400 Bad Request")


def test_an_event_that_is_too_large_fails_since_it_always_will() -> None:
    result = at_lambda(413)
    assert isinstance(result, HandlerFailed)
    assert result.error_type == "RequestTooLargeException"
    assert isinstance(at_web(413), HandlerFailed)


def test_a_server_error_is_the_service_at_lambda_and_the_handler_elsewhere() -> None:
    assert isinstance(at_lambda(500), Unavailable)
    assert isinstance(at_web(500), HandlerFailed)
    assert at_web(500, ERROR) == FAILED


def test_a_bad_gateway_is_the_function_only_where_the_runtime_says_so() -> None:
    assert at_lambda(502, ERROR) == FAILED
    assert isinstance(at_lambda(502, b"<html>"), Unavailable)
    assert isinstance(at_lambda(502, None), Unavailable)
    assert isinstance(at_web(502, ERROR), Unavailable)


def test_a_gateway_timeout_may_have_run_the_handler() -> None:
    result = at_lambda(504)
    assert isinstance(result, HandlerFailed)
    assert result.error_type == "Sandbox.Failure"
    assert isinstance(at_web(504), HandlerFailed)


@pytest.mark.parametrize("status", [409, 418, 422, 501, 599])
def test_any_other_failure_may_have_run_the_handler(status: int) -> None:
    for result in (at_lambda(status), at_web(status)):
        assert isinstance(result, HandlerFailed)
        assert result.error_type == f"Http.{status}"


def test_bodies_that_may_hold_data_are_not_quoted() -> None:
    assert "secret" not in repr(at_web(500, b"a secret of the customer"))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "120"}, 120.0),
        ({"Retry-After": "Fri, 02 Jan 2026 00:00:30 GMT", "Date": "Fri, 02 Jan 2026 00:00:00 GMT"}, 30.0),
        ({"Retry-After": "Fri, 02 Jan 2026 00:00:00 GMT", "Date": "Fri, 02 Jan 2026 00:00:30 GMT"}, 0.0),
        ({"Retry-After": "Fri, 02 Jan 2026 00:00:30 GMT"}, None),
        ({"Retry-After": "Fri, 02 Jan 2026 00:00:30", "Date": "Fri, 02 Jan 2026 00:00:30 GMT"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after_seconds(CIMultiDict(headers)) == expected
