"""Sources for the diagnosis: each is an async context manager that gives the settings of a stream."""

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from iris_exporter.settings import StreamSettings
from tests.faults.proxy import FaultProxy, Faults
from tests.settings import stream_settings
from tests.transports.support import Handler, serve, serve_bytes
from tests.web.config.certificates import Authority

Source = Callable[[Path], AbstractAsyncContextManager[StreamSettings]]

PATH = "/api/stream/events"
QUICK = {
    "connect_timeout_seconds": 1.0,
    "heartbeat_interval_seconds": 0.3,
    "heartbeat_timeout_seconds": 0.9,
    "stale_after_seconds": 1.0,
}
UNTIL_IT_ENDS = 60.0
"""How long a check listens, at the most, to a connection that ends by itself: the check ends with it."""
BACKEND = BackendSettings(port=0, seed=1, rate=20, update_interval_seconds=0.2, heartbeat_interval_seconds=0.1)


def stream(url: str, **changes: object) -> StreamSettings:
    """Settings with the minutes of production as seconds."""
    return stream_settings(url=url, **{**QUICK, **changes})


def backend(*faults: str, path: str = PATH, source: dict[str, object] | None = None, **changes: object) -> Source:
    """The reference backend with these faults; `source` are other settings of it."""

    @asynccontextmanager
    async def run(_: Path) -> AsyncIterator[StreamSettings]:
        async with Backend(replace(BACKEND, faults=faults, **(source or {}))) as running:  # type: ignore[arg-type]
            yield stream(running.url + path, **changes)

    return run


def keyed(right: bool, **changes: object) -> Source:
    """The reference backend with a key, and the right or another one for the stream."""

    @asynccontextmanager
    async def run(directory: Path) -> AsyncIterator[StreamSettings]:
        key, other = directory / "key", directory / "other"
        key.write_text("the-key-of-the-source")
        other.write_text("the-key-of-somebody")
        async with Backend(replace(BACKEND, api_key_file=key)) as running:
            yield stream(running.url + PATH, api_key_file=key if right else other, **changes)

    return run


_AT_STEPS: dict[str, Callable[[], None]] = {}


def reached(step: str) -> None:
    """The diagnosis begins a step: bring the fault that waits for it."""
    if (bring := _AT_STEPS.pop(step, None)) is not None:
        bring()


def through_proxy(
    fault: Faults | str, after: float | None = None, path: str = PATH, at_step: str = "", **changes: object
) -> Source:
    """The reference backend behind the fault proxy.

    The fault begins at once; or, for links that are open, `after` seconds; or when the diagnosis begins `at_step`.
    """

    @asynccontextmanager
    async def run(_: Path) -> AsyncIterator[StreamSettings]:
        async with Backend(BACKEND) as running, FaultProxy(int(running.url.rpartition(":")[2])) as proxy:

            def bring() -> None:
                if isinstance(fault, Faults):
                    proxy.set(fault)
                else:
                    getattr(proxy, fault)()

            handle = None
            if at_step:
                _AT_STEPS[at_step] = bring
            elif after is None:
                bring()
            else:
                handle = asyncio.get_running_loop().call_later(after, bring)
            try:
                yield stream(proxy.url + path, **changes)
            finally:
                _AT_STEPS.clear()
                if handle is not None:
                    handle.cancel()

    return run


def answering(handler: Handler, tls: Callable[[Path], ssl.SSLContext] | None = None, **changes: object) -> Source:
    """A server with one handler."""

    @asynccontextmanager
    async def run(directory: Path) -> AsyncIterator[StreamSettings]:
        async with serve(handler, None if tls is None else tls(directory)) as server:
            yield stream(server.url + PATH, **changes)

    return run


def saying(reply: bytes, *, once: bool = False, **changes: object) -> Source:
    """A server that answers each request with these bytes; `once`: and closes the connection."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        if not once:
            await reader.read()

    @asynccontextmanager
    async def run(_: Path) -> AsyncIterator[StreamSettings]:
        async with serve_bytes(handle) as port:
            yield stream(f"http://127.0.0.1:{port}{PATH}", **changes)

    return run


def at(url: str, **changes: object) -> Source:
    """An address, whatever is there."""

    @asynccontextmanager
    async def run(_: Path) -> AsyncIterator[StreamSettings]:
        yield stream(url, **changes)

    return run


# TLS


def certificate(
    directory: Path,
    authority: Authority | None,
    *,
    name: str = "127.0.0.1",
    begins_days: float = -10,
    ends_days: float = 100,
    ask: bool = False,
) -> ssl.SSLContext:
    """A server's context with a certificate of that time; without an authority it is signed by itself."""
    now = datetime.datetime.now(datetime.UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "source")])
    names = x509.SubjectAlternativeName([_general(name)])
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if authority is None else authority.name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now + datetime.timedelta(days=begins_days))
        .not_valid_after(now + datetime.timedelta(days=ends_days))
        .add_extension(names, critical=False)
        .sign(key if authority is None else authority.key, hashes.SHA256())
    )
    file = directory / "server.pem"
    file.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    if ask and authority is not None:
        context.load_verify_locations(cadata=authority.pem)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _general(name: str) -> x509.GeneralName:
    return x509.DNSName(name) if name[0].isalpha() else x509.IPAddress(ipaddress.ip_address(name))


def over_tls(*, trusted: bool = True, self_signed: bool = False, scheme: str = "https", **about: object) -> Source:
    """The stream of a healthy source over TLS; `trusted`: its authority is known."""

    @asynccontextmanager
    async def run(directory: Path) -> AsyncIterator[StreamSettings]:
        authority = Authority()
        ca = directory / "ca.pem"
        ca.write_text(authority.pem)
        context = certificate(directory, None if self_signed else authority, **about)  # type: ignore[arg-type]
        async with serve(small_stream, context) as server:
            url = server.url.replace("https", scheme) + PATH
            yield stream(url, tls_ca_file=ca if trusted else None)

    return run


async def small_stream(request: web.Request) -> web.StreamResponse:
    """An update, then an event each 50 ms; a snapshot for those who want JSON."""
    if "text/event-stream" not in request.headers.get("Accept", ""):
        return web.json_response({"metrics": {"totalProjects": 3}})
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b'data: {"type":"update","data":{"metrics":{"totalProjects":3}}}\n\n')
    number = 0
    while True:
        number += 1
        await response.write(b'data: {"type":"event","data":{"id":"e%d","message":"m"}}\n\n' % number)
        await asyncio.sleep(0.05)
