"""The way to a host, step by step: its addresses, a connection to each of them, and a TLS connection.

Each connection is closed before the next one is made.
"""

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from iris_exporter.check.observations import Step, Way
from iris_exporter.clock import Clock
from iris_exporter.core.failures import Failure, TransportError
from iris_exporter.http import tls
from iris_exporter.http.classify import LINK_ERRORS, failure_of
from iris_exporter.http.resolver import Resolver, connect_timeout

MAX_ADDRESSES = 8
"""So many addresses of a host are tried."""
_MAX_NAMES = 5
_MAX_CERTIFICATES = 6
_DAY_SECONDS = 86400
_HANDSHAKE, _CERTIFICATE_REQUEST = 22, 13  # RFC 8446, appendix B

Progress = Callable[[str], None]
"""Is told what happens now."""


class Steps:
    """Notes the steps of a way in `taken`, each with its time."""

    def __init__(self, taken: list[Step], clock: Clock, progress: Progress) -> None:
        self._taken, self._clock, self._progress = taken, clock, progress
        self.current = ""
        self._begun = clock.monotonic()

    @property
    def seconds(self) -> float:
        """Since the step under way began."""
        return self._clock.monotonic() - self._begun

    def begin(self, step: str, what: str) -> None:
        """A step begins; `what` is shown while it lasts."""
        self.current, self._begun = step, self._clock.monotonic()
        self._progress(what)

    def done(self, text: str, *, ok: bool = True, timed: bool = True) -> None:
        """The step has ended."""
        self._taken.append(Step(self.current, text, self.seconds if timed else None, ok))

    def failed(self, failure: Failure) -> None:
        """The step has ended the way."""
        hint = failure.retry_after_seconds
        self.done(str(failure) + (f"; asks to come back in {hint:g} s" if hint is not None else ""), ok=False)


class Reaching:
    """Goes to a host and fills in `way`. `resolve`, `connect` and `secure` are its steps; TransportError ends it."""

    def __init__(self, steps: Steps, way: Way, clock: Clock, host: str, port: int, timeout_seconds: float) -> None:
        self._steps, self._way, self._clock = steps, way, clock
        self._host, self._port, self._timeout = host, port, timeout_seconds

    async def resolve(self) -> list[str]:
        """All addresses of the host."""
        host = self._host
        self._steps.begin("dns", f"looking up {host}")
        with contextlib.suppress(ValueError):
            self._steps.done(f"{ipaddress.ip_address(host)} (an address)", timed=False)
            return [host]
        resolver = Resolver()
        try:
            async with connect_timeout(self._timeout):
                results = await resolver.resolve(host, self._port)
        except OSError as error:
            failure = failure_of(error)
            raise TransportError(Failure("dns", f"cannot resolve {host}: {failure.detail}")) from None
        finally:
            await resolver.close()
        addresses = list(dict.fromkeys(result["host"] for result in results))
        self._steps.done(", ".join(f"{address} (IPv{6 if ':' in address else 4})" for address in addresses))
        return addresses

    async def connect(self, addresses: list[str], *, to_proxy: bool) -> None:
        """Connect to each address, one after another; the way ends when none answers."""
        way, first = self._way, None
        for address in addresses[:MAX_ADDRESSES]:
            self._steps.begin("tcp", f"connecting to {address} port {self._port}")
            try:
                async with connect_timeout(self._timeout):
                    _, writer = await asyncio.open_connection(address, self._port)
            except (OSError, TimeoutError) as error:
                failure = failure_of(error)
                first = failure if first is None else first
                if not _is_harmless(address, failure):
                    way.bad_addresses.append(f"{address} ({failure.reason})")
                if address != addresses[-1] or way.good_addresses:
                    self._steps.done(f"{address}: {failure}", ok=False)
                continue
            way.good_addresses.append(address)
            self._steps.done(f"{address} port {self._port}")
            await closed(writer)
        if not way.good_addresses and first is not None:
            raise TransportError(Failure("proxy", f"the HTTP proxy: {first}") if to_proxy else first)

    async def secure(self, context: ssl.SSLContext, server_name: str) -> None:
        """Make a TLS connection, and note what the certificate says. A refused one is read once more, unverified."""
        self._steps.begin("tls", "making a TLS connection")
        try:
            self._steps.done(await self._certificate(context, server_name))
        except LINK_ERRORS as error:
            failure = failure_of(error)
            if failure.reason == "tls_certificate":
                with contextlib.suppress(*LINK_ERRORS):
                    presented = await self._certificate(tls.build(tls.Files(), verify=False), server_name)
                    failure = Failure(failure.reason, f"{failure.detail}; presented: {presented}")
            raise TransportError(failure) from None

    async def _certificate(self, context: ssl.SSLContext, server_name: str) -> str:
        """The version of TLS and the certificates of one connection."""
        with self._requests_noted(context):
            writer = await self.opened(context, server_name)
        secured = writer.get_extra_info("ssl_object")
        certificates = _chain(secured)
        await closed(writer)
        if certificates and context.verify_mode is ssl.CERT_REQUIRED:
            self._way.certificate_days = min(self._days_left(each) for each in certificates)
        verified = "verified" if context.verify_mode is ssl.CERT_REQUIRED else "not verified"
        return ", ".join([f"{secured.version()}, {verified}", *self._described(certificates)])

    @contextlib.contextmanager
    def _requests_noted(self, context: ssl.SSLContext) -> Iterator[None]:
        """Note whether the server asks for a certificate of the client, which a handshake over TLS 1.3 survives."""

        def note(_: object, direction: str, __: object, content: int, message: int, ___: bytes) -> None:
            if (direction, int(content), int(message)) == ("read", _HANDSHAKE, _CERTIFICATE_REQUEST):
                self._way.asks_for_certificate = True

        context._msg_callback = note  # type: ignore[attr-defined]  # noqa: SLF001 (there is no other way to see it)
        try:
            yield
        finally:
            context._msg_callback = None  # type: ignore[attr-defined]  # noqa: SLF001

    async def opened(self, context: ssl.SSLContext, server_name: str) -> asyncio.StreamWriter:
        """A TLS connection to the first address that answered. Raises one of LINK_ERRORS."""
        async with connect_timeout(self._timeout):
            _, writer = await asyncio.open_connection(
                self._way.good_addresses[0], self._port, ssl=context, server_hostname=server_name
            )
        return writer

    async def is_tls(self) -> bool:
        """Whether the port speaks TLS, whatever its certificate is."""
        if not self._way.good_addresses:
            return False
        try:
            await closed(await self.opened(tls.build(tls.Files(), verify=False), self._host))
        except LINK_ERRORS:
            return False
        return True

    async def first_bytes(self, context: ssl.SSLContext | None) -> bytes:
        """The first bytes of the answer to a plain HTTP/1.1 request, of which an HTTP/2 server sends a frame."""
        reader, writer = await asyncio.open_connection(
            self._way.good_addresses[0], self._port, ssl=context, server_hostname=self._host if context else None
        )
        try:
            writer.write(f"GET / HTTP/1.1\r\nHost: {self._host}\r\nConnection: close\r\n\r\n".encode())
            return await reader.read(16)
        finally:
            await closed(writer)

    def _described(self, certificates: list[dict[str, Any]]) -> Iterable[str]:
        """What the certificates say, in words: the first in full, of the others names and days."""
        if not certificates:
            return
        first = certificates[0]
        names = ", ".join(str(value) for _, value in first.get("subjectAltName", ())[:_MAX_NAMES])
        yield f"for {names or 'no name'}, by {_common_name(first, 'issuer')}"
        yield self._validity(first)
        if len(certificates) > 1:
            above = (f"{_common_name(each, 'subject')} ({self._validity(each)})" for each in certificates[1:])
            yield f"chain: {' < '.join([_common_name(first, 'subject'), *above])}"

    def _validity(self, certificate: dict[str, Any]) -> str:
        before = (ssl.cert_time_to_seconds(certificate["notBefore"]) - self._clock.wall()) / _DAY_SECONDS
        if before > 0:
            return f"not valid before {_span(before)} have passed"
        days = self._days_left(certificate)
        return f"expires in {_span(days)}" if days >= 0 else f"expired {_span(-days)} ago"

    def _days_left(self, certificate: dict[str, Any]) -> float:
        return (ssl.cert_time_to_seconds(certificate["notAfter"]) - self._clock.wall()) / _DAY_SECONDS


def _chain(secured: Any) -> list[dict[str, Any]]:
    """The certificates of a connection, the server's first; of an unverified one those that were presented.

    Python has a public name for this from 3.13 on, which gives them encoded, and no decoder.
    """
    inner = secured._sslobj  # noqa: SLF001
    read = inner.get_verified_chain if secured.context.verify_mode is ssl.CERT_REQUIRED else inner.get_unverified_chain
    return [each.get_info() for each in (read() or ())[:_MAX_CERTIFICATES]]


def _span(days: float) -> str:
    return f"{days:.0f} days" if days >= 2 else f"{days * 24:.0f} hours"


def _common_name(certificate: dict[str, Any], whose: str) -> str:
    names = dict(pair for entry in certificate.get(whose, ()) for pair in entry)
    return str(names.get("commonName") or names.get("organizationName") or "?")


def _is_harmless(address: str, failure: Failure) -> bool:
    """Whether it costs nothing that this address, one of several, does not answer.

    A name such as localhost often has an IPv6 address that nobody uses, and a machine without IPv6 knows at once that
    it cannot go there.
    """
    is_loopback = ipaddress.ip_address(address.partition("%")[0]).is_loopback
    return is_loopback or (":" in address and failure.reason in ("unreachable", "internal"))


async def closed(writer: asyncio.StreamWriter) -> None:
    """Close a connection, and wait a little for it."""
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(1.0):
            await writer.wait_closed()
