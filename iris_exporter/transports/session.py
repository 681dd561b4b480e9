"""The HTTP client that all streams share: one connector, no cookies, no automatic anything."""

import aiohttp

from iris_exporter import __version__


def open_session() -> aiohttp.ClientSession:
    """A client session without limits on the number of links, since the configuration names every one of them."""
    return aiohttp.ClientSession(
        # Links are long, polls are rare: nothing is gained by keeping idle connections for long.
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=75),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_read=None),
        headers={"User-Agent": f"iris-exporter/{__version__}"},
        auto_decompress=False,
    )
