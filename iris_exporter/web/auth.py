"""Passwords by bcrypt, and the one decision about who may change something.

A bcrypt takes some 60 ms at cost 10, by design. It runs in a thread of its own, one at a time, so that a client that
guesses can occupy neither the event loop nor all processors of a machine. Clients wait in queues of their own
(`core.fair_queue`), so that a client that guesses waits behind itself. Results are remembered: a scraper pays once. An
unknown user costs as much as a wrong password, so that the time does not reveal names.
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
from dataclasses import dataclass
from urllib.parse import urlsplit

from iris_exporter.core.fair_queue import FairQueue, QueueFullError
from iris_exporter.process.blocking import PASSWORDS

CHALLENGE = 'Basic realm="iris-exporter", charset="UTF-8"'
"""For `WWW-Authenticate`. Source: RFC 7617."""
MAX_REMEMBERED = 100
"""Right and wrong passwords remembered, each: far more than there are scrapers, and guesses evict no right one."""
MAX_WAITING_PER_CLIENT = 16
"""Passwords of one client in line for the one thread: a second of work at cost 10. More are turned away at once."""
MAX_WAITING = 64
"""Passwords of all clients in line; beyond that the longest line gives way to a shorter one."""
MAX_PASSWORD_BYTES = 72
"""All that bcrypt uses; a longer password has no hash that could be meant."""


@dataclass(frozen=True, slots=True)
class _Check:
    """A password that waits to be verified."""

    key: bytes
    hashed: str
    password: bytes
    known: bool
    result: asyncio.Future[bool]


class BusyError(Exception):
    """Too many passwords wait to be verified."""


class Passwords:
    """Verifies passwords; `close` when the server ends."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
        self._checks: dict[bytes, _Check] = {}  # those in line and the one under way
        self._line: FairQueue[_Check] = FairQueue(MAX_WAITING, MAX_WAITING_PER_CLIENT)
        self._busy = False

    async def verify(self, users: Mapping[str, str], name: str, password: bytes, client: str = "") -> bool:
        """Return whether `password` is the one whose bcrypt hash `users` has for `name`.

        `client` is whose queue the password waits in: `rate_limits.client_of` the address.

        Raises:
            BusyError: The client has `MAX_WAITING_PER_CLIENT` others in line, or all clients together have too many.
        """
        key, hashed, known = self._identify(users, name, password)
        remembered = self._recall(key)
        if remembered is not None:
            return remembered
        check = self._checks.get(key)
        if check is None:
            check = _Check(key, hashed, password, known, asyncio.get_running_loop().create_future())
            self._enter(client, check)
        # Shielded: a client that disconnects must not cancel the result of another one with the same password.
        return await asyncio.shield(check.result)

    def remembers(self, users: Mapping[str, str], name: str, password: bytes) -> bool:
        """Whether `verify` would answer at once."""
        return self._recall(self._identify(users, name, password)[0]) is not None

    def _identify(self, users: Mapping[str, str], name: str, password: bytes) -> tuple[bytes, str, bool]:
        """What stands for a password in memory, the hash to verify it by, and whether the user is known.

        The hash is part of the first, so that a new one is verified anew.
        """
        known = name in users
        hashed = users[name] if known else _dummy_hash(users)
        parts = (name.encode("utf-8", "surrogatepass"), hashed.encode(), password, b"known" if known else b"")
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._secret, message, hashlib.sha256), hashed, known

    def _recall(self, key: bytes) -> bool | None:
        for result, remembered in ((True, self._right), (False, self._wrong)):
            if key in remembered:
                remembered.move_to_end(key)
                return result
        return None

    def _enter(self, client: str, check: _Check) -> None:
        try:
            displaced = self._line.enter(client, check)
        except QueueFullError:
            raise BusyError from None
        self._checks[check.key] = check
        if displaced is not None:
            del self._checks[displaced.key]
            displaced.result.set_exception(BusyError())
            displaced.result.exception()  # whoever waited may have left
        self._next()

    def _next(self) -> None:
        check = None if self._busy else self._line.take()
        if check is None:
            return
        self._busy = True
        running = asyncio.ensure_future(PASSWORDS.run(lambda: _matches(check.hashed, check.password), None))

        def done(finished: asyncio.Future[bool]) -> None:
            self._busy = False
            del self._checks[check.key]
            if finished.cancelled():
                check.result.cancel()
                return
            error = finished.exception()
            if error is not None:
                check.result.set_exception(error)
                check.result.exception()
            else:
                self._remember(check, finished.result())
            self._next()

        running.add_done_callback(done)

    def _remember(self, check: _Check, matches: bool) -> None:
        right = matches and check.known
        remembered = self._right if right else self._wrong
        remembered[check.key] = None
        while len(remembered) > MAX_REMEMBERED:
            remembered.popitem(last=False)
        check.result.set_result(right)

    def close(self) -> None:
        """Forget what waits; the one bcrypt under way ends by itself, and is not waited for."""
        while (check := self._line.take()) is not None:
            del self._checks[check.key]
            check.result.cancel()


def _dummy_hash(users: Mapping[str, str]) -> str:
    """A hash that no password has, as costly as the costliest of `users`."""
    cost = max((hashed[4:6] for hashed in users.values()), default="10")
    return f"$2b${cost}${'.' * 53}"


def _matches(hashed: str, password: bytes) -> bool:
    import bcrypt  # in the thread that needs it

    short = password[:MAX_PASSWORD_BYTES]
    # Verified even when too long: the time must not reveal that, and bcrypt itself raises an error.
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
