"""Addresses that no function's `Url` may lead to: those that hand a machine's credentials to whoever asks.

The check is made on the address of each connection, after its name was resolved, so that neither a name nor an odd
spelling of a number nor a second answer of the name server gets around it.

Source: RFC 3927 and RFC 4291 (link-local), RFC 6052 and RFC 3056 (IPv4 addresses inside IPv6 ones), and the metadata
addresses that AWS, Google Cloud, Alibaba Cloud, Oracle Cloud and Azure document (read November 2026).
"""

import errno
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

_Address = IPv4Address | IPv6Address

_REFUSED = tuple(
    ip_network(network)
    for network in (
        "169.254.0.0/16",  # link-local; metadata of AWS (EC2, ECS, EKS), Google, Azure, Oracle
        "fe80::/10",  # link-local
        "fd00:ec2::/32",  # AWS: EC2 metadata fd00:ec2::254, EKS Pod Identity fd00:ec2::23
        "fd20:ce::254/128",  # Google
        "100.100.100.200/32",  # Alibaba
        "192.0.0.192/32",  # Oracle
        "168.63.129.16/32",  # Azure's host
    )
)
_NAT64 = ip_network("64:ff9b::/96")


def is_refused(host: str) -> bool:
    """Whether `host` is an IP address, as text, that is refused. Names are not: resolve them first."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return any(inner in network for inner in _with_embedded(address) for network in _REFUSED)


def refusal(host: str) -> str:
    """Why, and what to do."""
    return f"{host} is a link-local or cloud metadata address, which functions may not lead to unless that is allowed"


def open_socket(address_info: tuple[Any, ...]) -> socket.socket:
    """A socket for one result of `getaddrinfo`.

    Raises:
        PermissionError: the address is refused.
    """
    family, kind, protocol, _, socket_address = address_info
    if is_refused(socket_address[0]):
        raise PermissionError(errno.EACCES, refusal(socket_address[0]))
    return socket.socket(family, kind, protocol)


def _with_embedded(address: _Address) -> tuple[_Address, ...]:
    if isinstance(address, IPv4Address):
        return (address,)
    inner = address.ipv4_mapped or address.sixtofour
    if address in _NAT64:
        inner = IPv4Address(int(address) & 0xFFFF_FFFF)
    return (address, inner) if inner else (address,)
