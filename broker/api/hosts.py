"""Which `Host` headers the control plane answers.

A web page may point a name of its own at 127.0.0.1 and have the browser of whoever visits it ask us ("DNS
rebinding"). The browser then sends that name as `Host`; so only names that cannot be an attacker's are answered:
loopback, the address that the request came in on, and the configured host.
"""

from ipaddress import ip_address


def is_trusted_host(header: str, *, configured: str, arrived_at: str) -> bool:
    """Whether a request with this `Host` header may see the control plane.

    `configured` is the host of `ControlPlane.Listen`, `arrived_at` the local address of the connection.
    """
    host = host_name(header)
    return is_loopback(host) or host in {host_name(configured), host_name(arrived_at)}


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by definition: `localhost`, 127.0.0.0/8, `::1`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def host_name(header: str) -> str:
    """The host of `host:port`, `[v6]:port` or a bare host, in lower case."""
    header = header.strip().lower()
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header if header.count(":") > 1 else header.partition(":")[0]
