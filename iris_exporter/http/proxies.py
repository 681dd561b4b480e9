"""Which HTTP proxy a request goes through: the variables that programs have in common.

`http_proxy`, `https_proxy` and `no_proxy`, in lower case or, when that is not set, in upper case. A WebSocket follows
the variable of the scheme that it begins as. A proxy named without a scheme is an HTTP proxy. `no_proxy` is a list,
with commas or blanks between its entries: host names (which stand for their subdomains, too), `host:port`, addresses
and networks (`10.0.0.0/8`), or `*` for everything. Every request of this program uses these rules; libraries would
each read the variables in their own way.

User and password are removed from a proxy's URL, so that no error text of a library can quote them; the log hides them.
"""

import base64
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from iris_exporter import logs
from iris_exporter.core.failures import Failure, TransportError
from iris_exporter.http.redirects import origin


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy: `url` is without user and password, `full_url` is with them, for libraries that take them from there.

    `authorization` is the value of Proxy-Authorization, None without a user.
    """

    url: str
    full_url: str = field(repr=False)
    authorization: str | None = field(default=None, repr=False)


def proxy_for(url: str, environment: Mapping[str, str]) -> Proxy | None:
    """The proxy for a request to `url`; None for a direct request.

    Raises:
        TransportError: The variable is not the URL of an HTTP proxy.
    """
    scheme, host, port = origin(url)
    value = _variable(f"{scheme}_proxy", environment)
    # Under CGI, HTTP_PROXY is the client's header `Proxy`; only the lower case is safe there.
    if scheme == "http" and "REQUEST_METHOD" in environment:
        value = environment.get("http_proxy", "")
    if not value or _is_direct(host, port, _variable("no_proxy", environment)):
        return None
    return _parse(value, f"{scheme.upper()}_PROXY")


def proxy_for_grpc(url: str, environment: Mapping[str, str]) -> Proxy | None:
    """The proxy for a gRPC channel to `url`, which is always a tunnel: the first variable of those that gRPC reads.

    Raises as `proxy_for` does. Source: gRPC, "Environment variables": `grpc_proxy`, `https_proxy`, `http_proxy`.
    """
    _, host, port = origin(url)
    for name in ("grpc_proxy", "https_proxy", "http_proxy"):
        if value := _variable(name, environment):
            direct = _is_direct(
                host, port, _variable("no_grpc_proxy", environment) or _variable("no_proxy", environment)
            )
            return None if direct else _parse(value, name.upper())
    return None


def is_of_proxy(status: int, headers: Mapping[str, str]) -> bool:
    """Whether the answer of a proxy without a tunnel means that the proxy did not reach the source.

    502 and 504 may also come from a gateway in front of the source; the answers do not differ. Squid reports a source
    that it cannot reach by 503 and a header of its own.
    Source: RFC 9110, sections 15.5.8, 15.6.3 and 15.6.5; RFC 9209 (Proxy-Status).
    """
    if status in (407, 502, 504):
        return True
    return status >= 500 and ("X-Squid-Error" in headers or "error=" in headers.get("Proxy-Status", ""))


def _variable(name: str, environment: Mapping[str, str]) -> str:
    return environment.get(name, "").strip() or environment.get(name.upper(), "").strip()


def _parse(value: str, variable: str) -> Proxy:
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        port = parts.port
        userinfo, _, _ = parts.netloc.rpartition("@")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise TransportError(Failure("proxy", f"{variable} is not the URL of an HTTP proxy"))
    except ValueError:
        raise TransportError(Failure("proxy", f"{variable} is not a URL")) from None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    authority = host if port is None else f"{host}:{port}"
    url = f"{parts.scheme}://{authority}"
    if not userinfo:
        return Proxy(url, url)
    user, _, password = (unquote(part) for part in userinfo.partition(":"))
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    for secret in (password or user, token):
        logs.protect(secret)
    full_url = f"{parts.scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{authority}"
    return Proxy(url, full_url, f"Basic {token}")


def _is_direct(host: str, port: int, no_proxy: str) -> bool:
    return any(_matches(entry.lower(), host, port) for entry in re.split(r"[,\s]+", no_proxy) if entry)


def _matches(entry: str, host: str, port: int) -> bool:
    name, _, number = entry.rpartition(":")
    if name and number.isdecimal() and (name.endswith("]") or ":" not in name):
        if number != str(port):
            return False
        entry = name
    if entry == "*":
        return True
    entry = entry.strip("[]")
    try:
        return _address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:  # one of them is a name
        suffix = entry.removeprefix("*").strip(".")
        return bool(suffix) and (host.rstrip(".") == suffix or host.rstrip(".").endswith(f".{suffix}"))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address; an IPv4-mapped one (`::ffff:10.0.0.1`) counts as IPv4."""
    address = ipaddress.ip_address(host.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address
