"""Who may come in, and who may switch something: passwords by bcrypt, and one decision about control.

A bcrypt takes some 60 ms at cost 10, by design. It runs in a thread of its own, one at a time, so that neither the
event loop nor all processors of a machine are at the disposal of somebody who guesses. Verdicts are remembered: a
scraper pays once. An unknown user costs as much as a wrong password, so that time does not tell names.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

CHALLENGE = 'Basic realm="iris-exporter", charset="UTF-8"'
"""For `WWW-Authenticate`. Source: RFC 7617."""
MAX_VERDICTS = 100
"""Right and wrong passwords remembered, each: far more than there are scrapers, and a guesser evicts no right one."""
MAX_WAITING = 16
"""Passwords in line for the one thread: a second of work at cost 10. More are turned away at once."""
MAX_PASSWORD_BYTES = 72
"""All that bcrypt looks at; a longer password has no hash that could be meant."""


class BusyError(Exception):
    """Too many passwords wait to be verified."""


class Passwords:
    """Verifies passwords; `close` when the server ends."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
        self._waiting: dict[bytes, asyncio.Future[bool]] = {}
        self._thread: ThreadPoolExecutor | None = None

    async def verify(self, users: Mapping[str, str], name: str, password: bytes) -> bool:
        """Return whether `password` is the one whose bcrypt hash `users` has for `name`.

        Raises:
            BusyError: `MAX_WAITING` others are being verified.
        """
        known = name in users
        hashed = users[name] if known else _dummy_hash(users)
        key = self._key(name, hashed, password, known=known)
        for verdict, remembered in ((True, self._right), (False, self._wrong)):
            if key in remembered:
                remembered.move_to_end(key)
                return verdict
        future = self._waiting.get(key)
        if future is None:
            if len(self._waiting) >= MAX_WAITING:
                raise BusyError
            future = self._begin(key, hashed, password, known=known)
        # Shielded: a client that leaves must not take the verdict away from another one with the same password.
        return await asyncio.shield(future)

    def _begin(self, key: bytes, hashed: str, password: bytes, *, known: bool) -> asyncio.Future[bool]:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "bcrypt")
        future = asyncio.get_running_loop().run_in_executor(self._thread, _matches, hashed, password)
        self._waiting[key] = future

        def done(finished: asyncio.Future[bool]) -> None:
            del self._waiting[key]
            if finished.cancelled() or finished.exception() is not None:
                return
            remembered = self._right if finished.result() and known else self._wrong
            remembered[key] = None
            while len(remembered) > MAX_VERDICTS:
                remembered.popitem(last=False)

        future.add_done_callback(done)
        return future

    def _key(self, name: str, hashed: str, password: bytes, *, known: bool) -> bytes:
        """What stands for a password in memory; the hash is part of it, so that a new one is verified anew."""
        parts = (name.encode("utf-8", "surrogatepass"), hashed.encode(), password, b"known" if known else b"")
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._secret, message, hashlib.sha256)

    def close(self) -> None:
        """Forget what waits; the one bcrypt under way ends by itself."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)


def _dummy_hash(users: Mapping[str, str]) -> str:
    """A hash that no password has, as costly as the costliest of `users`."""
    cost = max((hashed[4:6] for hashed in users.values()), default="10")
    return f"$2b${cost}${'.' * 53}"


def _matches(hashed: str, password: bytes) -> bool:
    import bcrypt  # in the thread that needs it

    short = password[:MAX_PASSWORD_BYTES]
    # Verified even when too long: the time must not tell, and bcrypt itself raises an error.
    matches = bcrypt.checkpw(short, hashed.encode())
    return matches and len(password) <= MAX_PASSWORD_BYTES


def credentials(header: str) -> tuple[str, bytes] | None:
    """Return name and password of an `Authorization` header; None when it is not Basic, or not well formed."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (name.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None


def control_refusal(mode: str, *, on_loopback: bool, authenticated: bool, host: str) -> str | None:
    """Return why a request may not switch anything, as a sentence for the operator; None when it may.

    Args:
        mode: `--web.enable-control`: `auto`, `always` or `never`.
        on_loopback: Whether the address that is listened on can be reached from this machine alone.
        authenticated: Whether nobody gets this far without a password or a client certificate.
        host: The `Host` header. A browser can be led to a loopback address under a foreign name (DNS rebinding);
            then that name stands here.
    """
    if mode == "always":
        return None
    if mode == "never":
        return "control is switched off by --web.enable-control=never"
    if authenticated:
        return None
    if not on_loopback:
        return (
            "control is off on an address that other machines can reach: set up passwords or client certificates "
            "with --web.config.file, listen on 127.0.0.1, or allow it with --web.enable-control=always"
        )
    if not _is_local_name(host):
        return (
            "control without a password is for requests to localhost or to an address: use one of these, set up "
            "passwords with --web.config.file, or allow it with --web.enable-control=always"
        )
    return None


def is_loopback(address: str) -> bool:
    """Whether an IP address can be reached from this machine alone."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def _is_local_name(host: str) -> bool:
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        if name == "localhost" or name.endswith(".localhost"):
            return True
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
