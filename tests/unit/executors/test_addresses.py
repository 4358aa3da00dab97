"""Addresses that are refused."""

import socket

import pytest

from broker.executors.addresses import is_refused, open_socket


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254", "169.254.0.1", "169.254.170.2", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fd00:ec2::23",
        "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
    ],
)  # fmt: skip
def test_link_local_and_metadata_addresses_are_refused(host: str) -> None:
    assert is_refused(host)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "::1",
        "10.0.0.1",
        "192.168.1.1",
        "8.8.8.8",
        "2001:db8::1",
        "fd12::1",
        "::ffff:10.0.0.1",
        "audit",
        "",
    ],
)
def test_other_addresses_and_names_are_not(host: str) -> None:
    assert not is_refused(host)


def test_no_socket_is_opened_to_a_refused_address() -> None:
    with pytest.raises(PermissionError, match="link-local or cloud metadata"):
        open_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 80)))


def test_a_socket_is_opened_to_others() -> None:
    with open_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))) as opened:
        assert opened.family == socket.AF_INET
