"""Which HTTP proxy a request goes through: the variables that programs have in common.

`http_proxy`, `https_proxy` and `no_proxy`, in lower case or, when that is not set, in upper case. A WebSocket follows
the variable of the scheme that it begins as. A proxy named without a scheme is an HTTP proxy. `no_proxy` is a list of
host names (which stand for their subdomains, too), of `host:port`, of addresses and of networks (`10.0.0.0/8`), or `*`.

The user and the password in a proxy's URL are taken out of it here, so that no error text of a library can quote them.
"""

import base64
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from iris_exporter.core.failures import Failure
from iris_exporter.core.redirects import origin


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy: `url` without user and password, and what they become.

    `authorization` is the value of Proxy-Authorization, None without a user; `secrets` are the texts to hide.
    """

    url: str
    authorization: str | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


def proxy_for(url: str, environment: Mapping[str, str]) -> Proxy | Failure | None:
    """The proxy for a request to `url`; None when it goes there directly, a failure when the variable is no URL."""
    scheme, host, port = origin(url)
    value = _variable(f"{scheme}_proxy", environment)
    # Under CGI, HTTP_PROXY is the client's header `Proxy`; only the lower case is safe there.
    if scheme == "http" and "REQUEST_METHOD" in environment:
        value = environment.get("http_proxy", "")
    if not value or _is_direct(host, port, _variable("no_proxy", environment)):
        return None
    return _parse(value, f"{scheme.upper()}_PROXY")


def _variable(name: str, environment: Mapping[str, str]) -> str:
    return (environment.get(name) or environment.get(name.upper()) or "").strip()


def _parse(value: str, variable: str) -> Proxy | Failure:
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        port = parts.port
        userinfo, _, _ = parts.netloc.rpartition("@")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return Failure("proxy", f"{variable} is not the URL of an HTTP proxy")
    except ValueError:
        return Failure("proxy", f"{variable} is not a URL")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    url = f"{parts.scheme}://{host}" + ("" if port is None else f":{port}")
    if not userinfo:
        return Proxy(url)
    user, _, password = (unquote(part) for part in userinfo.partition(":"))
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    return Proxy(url, f"Basic {token}", tuple(text for text in (password or user, token) if text))


def _is_direct(host: str, port: int, no_proxy: str) -> bool:
    if no_proxy == "*":
        return True
    return any(_matches(entry.strip().lower(), host, port) for entry in no_proxy.split(",") if entry.strip())


def _matches(entry: str, host: str, port: int) -> bool:
    name, _, number = entry.rpartition(":")
    if name and number.isdecimal() and (name.endswith("]") or ":" not in name):
        if number != str(port):
            return False
        entry = name
    entry = entry.strip("[]")
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:  # one of them is a name
        suffix = entry.removeprefix("*").strip(".")
        return bool(suffix) and (host.rstrip(".") == suffix or host.rstrip(".").endswith(f".{suffix}"))
