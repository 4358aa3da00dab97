"""Tests of addresses: `{"cidr": "10.0.0.0/24"}`.

Rule: a string that is an IP address inside the block; other strings and the other address family do not match. Masks go
to /31 and /127, as EventBridge has it. Inferred: bits below the mask are ignored.

Source: Amazon EventBridge User Guide, "Comparison operators for use in event patterns"; README of aws/event-ruler
(both read November 2026).
"""

import ipaddress
import re
from typing import Final

from broker.core.patterns_text import TextTest
from broker.errors import InvalidPattern

LONGEST_ADDRESS: Final = 45
"""Characters of the longest spelling of an address: longer strings are not looked at."""
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,9}")
_ADDRESS: Final = re.compile(r"[0-9]+(\.[0-9]+){3}|[0-9a-fA-F:]*:[0-9a-fA-F:]*")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def compile_cidr(block: str) -> TextTest:
    """Strings that are addresses in this block. Raises `InvalidPattern`."""
    network = ipaddress.ip_network(_parse_block(block), strict=False)

    def accepts(text: str) -> bool:
        if len(text) > LONGEST_ADDRESS:
            return False
        try:
            return ipaddress.ip_address(text) in network
        except ValueError:
            return False

    return accepts


def _parse_block(block: str) -> tuple[_Address, int]:
    address, _, mask = block.partition("/")
    if not mask or "/" in mask:
        raise InvalidPattern("Malformed CIDR, one '/' required")
    if not _INTEGER.fullmatch(mask):
        raise InvalidPattern("Malformed CIDR, mask bits must be an integer")
    bits = int(mask)
    if bits < 0:
        raise InvalidPattern("Malformed CIDR, mask bits must not be negative")
    parsed = _parse_address(address)
    if bits >= parsed.max_prefixlen:
        raise InvalidPattern(f"IPv{parsed.version} mask bits must be < {parsed.max_prefixlen}")
    return parsed, bits


def _parse_address(address: str) -> _Address:
    if not _ADDRESS.fullmatch(address):
        raise InvalidPattern(f"Nonstandard IP address: {address}")
    try:
        return ipaddress.ip_address(address)
    except ValueError as error:
        raise InvalidPattern(f"Invalid IP address: {address}") from error
