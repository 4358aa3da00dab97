import pytest

from broker.api.hosts import host_name, is_trusted_host


@pytest.mark.parametrize(
    "header", ["localhost", "localhost:3001", "127.0.0.1:3001", "127.9.9.9", "[::1]:3001", "LOCALHOST"]
)
def test_loopback_names_are_answered(header: str) -> None:
    assert is_trusted_host(header, configured="127.0.0.1", arrived_at="127.0.0.1")


@pytest.mark.parametrize("header", ["evil.example", "evil.example:3001", "127.0.0.1.evil.example", "", "10.0.0.7"])
def test_a_foreign_name_is_refused(header: str) -> None:
    assert not is_trusted_host(header, configured="127.0.0.1", arrived_at="127.0.0.1")


def test_the_configured_host_and_the_address_of_the_connection_are_answered() -> None:
    assert is_trusted_host("broker.internal:3001", configured="broker.internal", arrived_at="10.0.0.7")
    assert is_trusted_host("10.0.0.7:3001", configured="0.0.0.0", arrived_at="10.0.0.7")


@pytest.mark.parametrize(
    ("header", "host"),
    [("a:1", "a"), ("a", "a"), ("[::1]:9", "::1"), ("::1", "::1"), (" A:1 ", "a"), ("[fe80::1]", "fe80::1")],
)
def test_a_host_is_read_without_its_port(header: str, host: str) -> None:
    assert host_name(header) == host
