"""The HTTP client of signed calls: one pool for all endpoints, with the proxies and certificates that botocore takes.

Source: botocore, "Configuration" guide (AWS_CA_BUNDLE, HTTP_PROXY, HTTPS_PROXY, NO_PROXY), read November 2026; the
client certificate and the CA bundle of a proxy, which only code can set there, have no counterpart here.
"""

import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from anyio import to_thread
from botocore.httpsession import ProxyConfiguration, create_urllib3_context, get_cert_path
from botocore.utils import get_environ_proxies

_KEEPALIVE_SECONDS = 12.0
"""An idle connection is not used again after this: less than AWS's load balancers keep it (aiobotocore's value)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """What stands between here and one endpoint."""

    url: str
    """May hold a user name and password: never printed."""
    headers: dict[str, str]
    """`Proxy-Authorization`, where the URL has a password."""


def proxy_of(endpoint_url: str) -> Proxy | None:
    """The proxy that the environment names for `endpoint_url`, as botocore reads it."""
    proxies = ProxyConfiguration(proxies=get_environ_proxies(endpoint_url))
    url = proxies.proxy_url_for(endpoint_url)
    return Proxy(url=url, headers=proxies.proxy_headers_for(url)) if url else None


@asynccontextmanager
async def open_http(
    *, connections: int, connect_seconds: float, ca_bundle: str | None, user_agent: str
) -> AsyncIterator[aiohttp.ClientSession]:
    """Opens a pool of at most `connections` connections (0: as many as there are calls at once).

    `ca_bundle` is the path of `AWS_CA_BUNDLE` or of the profile's `ca_bundle`. Raises `OSError` where it is unreadable.
    """
    # Reading a CA bundle takes some 20 ms: not on the event loop.
    tls = await to_thread.run_sync(_tls_context, ca_bundle)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, ssl=tls, keepalive_timeout=_KEEPALIVE_SECONDS),
        timeout=aiohttp.ClientTimeout(sock_connect=connect_seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": user_agent, "Accept-Encoding": "identity"},
        skip_auto_headers=("Accept",),
        auto_decompress=False,
    ) as session:
        yield session


def _tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    context: ssl.SSLContext = create_urllib3_context()
    context.check_hostname = True
    context.load_verify_locations(get_cert_path(ca_bundle or os.environ.get("REQUESTS_CA_BUNDLE") or True))
    return context
