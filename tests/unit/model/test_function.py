"""A function runs where it says, once, and within AWS's limits."""

from typing import Any

import pytest
from pydantic import ValidationError

from broker.model.function import DEFAULT_TIMEOUT_SECONDS, Function


def function(**fields: Any) -> Function:
    return Function.model_validate({"FunctionName": "orders", **fields})


def mistakes(**fields: Any) -> dict[str, str]:
    with pytest.raises(ValidationError) as raised:
        function(**fields)
    return {path(each): each["msg"] for each in raised.value.errors()}


def path(error: Any) -> str:
    parts = error["loc"][:-1] if error["type"] == "wrong_as_a_whole" else error["loc"]
    return ".".join(map(str, parts))


def test_a_function_has_awss_defaults() -> None:
    made = function(Callable="shop.handlers:orders")
    assert (made.timeout, made.memory_size) == (DEFAULT_TIMEOUT_SECONDS, 128) == (3, 128)
    assert made.reserved_concurrent_executions is None
    assert made.stored_fields == ()


def test_the_library_may_pass_the_handler_itself() -> None:
    def handler(event: object, context: object) -> None: ...

    assert Function(function_name="orders", callable=handler).callable is handler


@pytest.mark.parametrize("text", ["app", "app:", ":handler", "a b:c", "app.:handler", "app:handler.", "app/x:h", "1:h"])
def test_a_handler_that_cannot_be_imported_by_that_name_is_refused(text: str) -> None:
    assert mistakes(Callable=text) == {"Callable": f'the handler is written "package.module:function", not {text!r}'}


def test_a_handler_that_is_neither_text_nor_callable_is_refused() -> None:
    assert set(mistakes(Callable=3)) == {"Callable"}


@pytest.mark.parametrize("text", ["app:handler", "a.b.c:Class.method", "_x:_y"])
def test_a_handler_is_named_by_module_and_attribute(text: str) -> None:
    assert function(Callable=text).callable == text


@pytest.mark.parametrize("url", ["http://audit:8080/2015-03-31/functions/function/invocations", "https://[::1]/x?y=1"])
def test_a_handler_may_be_behind_a_url(url: str) -> None:
    assert function(Url=url).url == url


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("audit:8080", "a URL that begins with http:// or https://"),
        ("ftp://audit/x", "a URL that begins with http:// or https://"),
        ("http://", "a URL that begins with http:// or https://"),
        ("http://audit:0/", "a URL that begins with http:// or https://"),
        ("http://audit:99999/", "'http://audit:99999/' is not a URL"),
        ("http://[::1/", "'http://[::1/' is not a URL"),
        ("http://me:secret@audit/", "a URL with a user or password"),
        ("http://audit/#x", "a URL with a fragment"),
    ],
)
def test_a_url_that_cannot_be_invoked_is_refused(url: str, text: str) -> None:
    assert mistakes(Url=url)["Url"].startswith(text)


def test_a_secret_in_a_url_is_not_repeated() -> None:
    assert "secret" not in mistakes(Url="http://me:secret@audit/")["Url"]


@pytest.mark.parametrize("fields", [{}, {"Callable": "a:b", "Url": "http://a"}, {"Callable": None, "Url": None}])
def test_exactly_one_of_callable_and_url_is_needed(fields: dict[str, Any]) -> None:
    assert mistakes(**fields) == {"": "a function needs exactly one of Callable and Url"}


@pytest.mark.parametrize(
    "fields",
    [
        {"Timeout": 0},
        {"Timeout": 901},
        {"MemorySize": 127},
        {"MemorySize": 10241},
        {"ReservedConcurrentExecutions": -1},
        {"Role": "admin"},
        {"Description": "x" * 257},
        {"FunctionName": "x" * 65},
        {"FunctionName": "orders:live"},
        {"FunctionName": ""},
    ],
)
def test_what_awss_model_forbids_is_forbidden(fields: dict[str, Any]) -> None:
    assert set(mistakes(Callable="a:b", **fields)) == set(fields)


def test_a_function_that_would_never_run_is_refused() -> None:
    assert mistakes(Callable="a:b", ReservedConcurrentExecutions=0) == {
        "ReservedConcurrentExecutions": (
            "0 would never run the handler: set Enabled: false on the function's mappings instead"
        )
    }
    assert function(Callable="a:b", ReservedConcurrentExecutions=1).reserved_concurrent_executions == 1


def test_memory_has_an_effect_only_in_the_broker() -> None:
    assert function(Callable="a:b", MemorySize=256).stored_fields == ()
    assert function(Url="http://a", MemorySize=256).stored_fields == ("MemorySize",)


def test_fields_without_effect_are_named_when_they_are_written() -> None:
    assert function(Callable="a:b", VpcConfig={"SubnetIds": []}, KMSKeyArn="k").stored_fields == (
        "VpcConfig",
        "KMSKeyArn",
    )


@pytest.mark.parametrize("name", ["Runtime", "Handler", "CodeUri", "Zip", "Arn"])
def test_executors_of_later_versions_are_refused_by_name(name: str) -> None:
    assert Function.refused[name] == f"{name} is not supported by this version: use Callable or Url"


def test_a_wrong_handler_is_not_reported_as_missing() -> None:
    assert set(mistakes(Callable=3)) == {"Callable"}
