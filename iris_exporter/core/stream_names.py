"""Names of discovered streams, made of an address or of a Kubernetes object: unique, and without secrets. Pure.

A name becomes a label, a file name and a heading, so it holds nothing of an address that may be a secret: no user, no
query, no fragment. Two addresses may look alike once they are cut and cleaned; a name that was cut or cleaned ends in a
hash of the whole address, and no name without a hash can look like one with it. The hash, and so the name, is the same
in every process.

The short form without a hash is for the usual address: a host, or a host and a usual port, with the default scheme and
path. `iris-1:8080` is `iris-1-8080`; a host that is really called `iris-1-8080` gets the hash instead.
"""

import hashlib
import re
from urllib.parse import urlsplit

DEFAULT_SCHEME = "http"
DEFAULT_PATH = "/api/stream/overview"
MAX_CHARS = 64
"""What `stream.name` accepts."""
_DIGITS = 10
_MARK = "_"
_UNFIT = re.compile(r"[^A-Za-z0-9_.-]+")
_USUAL_PORT = r"(?:80|443|[1-9][0-9]{3,4})"
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?", re.ASCII)
_AUTHORITY = re.compile(rf"(?P<host>[A-Za-z0-9_.-]+):(?P<port>{_USUAL_PORT})", re.ASCII)
_LIKE_A_PORT = re.compile(rf".*-{_USUAL_PORT}", re.ASCII)
_LIKE_A_HASH = re.compile(rf".*{_MARK}[0-9a-f]{{{_DIGITS}}}", re.ASCII)


def from_address(address: str) -> str:
    """The name of the stream at an address with a scheme; two addresses that differ anywhere have two names."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return _with_hash("", address)
    authority = parts.netloc.rpartition("@")[2]
    short = _short(authority) if address == f"{DEFAULT_SCHEME}://{authority}{DEFAULT_PATH}" else None
    return short or _with_hash(f"{authority}{parts.path}", address)


def from_object(namespace: str, name: str) -> str:
    """The name of the stream that a Kubernetes object stands for; the namespace has no dots, so the two stay apart."""
    text = f"{namespace}.{name}"
    return text if _fits(text) else _with_hash(text, text)


def _short(authority: str) -> str | None:
    found = _AUTHORITY.fullmatch(authority)
    if found is not None:
        text = f"{found['host']}-{found['port']}"
        return text if _fits(text) else None
    return authority if _fits(authority) and not _LIKE_A_PORT.fullmatch(authority) else None


def _fits(text: str) -> bool:
    return len(text) <= MAX_CHARS and _HOST.fullmatch(text) is not None and not _LIKE_A_HASH.fullmatch(text)


def _with_hash(text: str, original: str) -> str:
    digest = hashlib.blake2b(original.encode("utf-8", "surrogatepass"), digest_size=_DIGITS // 2).hexdigest()
    plain = _UNFIT.sub("-", text).strip("-")[: MAX_CHARS - _DIGITS - len(_MARK)]
    return f"{plain or 'stream'}{_MARK}{digest}"
