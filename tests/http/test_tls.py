"""TLS of a stream: own authorities, client certificates, server names, and contexts that are shared."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from iris_exporter import logs
from iris_exporter.core.failures import Failure
from iris_exporter.http import tls
from iris_exporter.http.credentials import Credentials
from iris_exporter.http.tls import Files, UnusableFileError
from tests.settings import stream_settings
from tests.transports.support import client, reason, serve, serve_bytes, serve_proxy, stream_or_socket
from tests.web.config.certificates import Authority

PROTOCOLS = ["sse", "websocket", "poll"]


class Place:
    """An authority, what it signed, and where that is."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = Authority()
        self.ca = directory / "ca.pem"
        self.ca.write_text(self.authority.pem)

    def issue(self, name: str, *names: str, authority: Authority | None = None) -> tuple[Path, Path]:
        """Write a certificate and its key; return their files."""
        files = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        (authority or self.authority).issue(*files, *names)
        return files

    def server(self, *names: str, ask: bool = False, tls_1_2: bool = False) -> ssl.SSLContext:
        """A server's context; `ask` for a certificate of the client."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self.issue("server", *(names or ("127.0.0.1",))))
        if tls_1_2:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        if ask:
            context.load_verify_locations(self.ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def ask(url: str, protocol: str = "sse", **settings: object) -> object:
    async with client(url + "/s", protocol=protocol, **settings) as made:
        return await (made.polled() if protocol == "poll" else made.outcome())


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_authority_of_ones_own_is_trusted_when_it_is_named(protocol: str, place: Place) -> None:
    async with serve(stream_or_socket, place.server()) as server:
        assert reason(await ask(server.url, protocol)) == "tls_certificate"
        assert await ask(server.url, protocol, tls_ca_file=place.ca) == (b"{}" if protocol == "poll" else protocol)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_the_name_in_the_certificate_counts(protocol: str, place: Place) -> None:
    async with serve(stream_or_socket, place.server("iris.internal")) as server:
        outcome = await ask(server.url, protocol, tls_ca_file=place.ca)
        assert reason(outcome) == "tls_certificate"
        assert "127.0.0.1" in str(outcome)
        named = {"tls_ca_file": place.ca, "tls_server_name": "iris.internal"}
        assert not isinstance(await ask(server.url, protocol, **named), Failure)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_the_systems_authorities_are_read_again_when_they_change(
    protocol: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file named by SSL_CERT_FILE is rotated like any other, while the process goes on."""
    bundle = place.directory / "bundle.pem"
    bundle.write_text(Authority("Stranger").pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    async with serve(stream_or_socket, place.server()) as server:
        assert reason(await ask(server.url, protocol)) == "tls_certificate"
        bundle.write_text(place.authority.pem)
        assert await ask(server.url, protocol) == (b"{}" if protocol == "poll" else protocol)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_redirect_to_tls_trusts_the_systems_authorities(
    protocol: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are loaded then: a stream without TLS costs no memory for them."""

    async def lead_on(_: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": f"{secure.url}/s"})

    bundle = place.directory / "bundle.pem"
    bundle.write_text(Authority("Stranger").pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    async with serve(stream_or_socket, place.server()) as secure, serve(lead_on) as plain:
        async with client(f"{plain.url}/s", protocol=protocol) as made:
            outcome = await (made.polled() if protocol == "poll" else made.outcome())
            assert reason(outcome) == "tls_certificate"
            bundle.write_text(place.authority.pem)
            outcome = await (made.polled() if protocol == "poll" else made.outcome())
        assert outcome == (b"{}" if protocol == "poll" else protocol)


@pytest.mark.parametrize("protocol", ["sse", "poll"])
async def test_a_proxy_over_tls_needs_a_certificate_of_the_systems_authorities(
    protocol: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for an address without TLS, which it is asked for without a tunnel."""
    bundle = place.directory / "bundle.pem"
    bundle.write_text(Authority("Stranger").pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    async with serve(stream_or_socket, place.server()) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert isinstance(await ask("http://source.invalid", protocol), Failure)
        assert proxy.requests == []
        bundle.write_text(place.authority.pem)
        assert not isinstance(await ask("http://source.invalid", protocol), Failure)
        assert proxy.sent("Host") == ["source.invalid"]


async def test_without_verification_any_certificate_is_accepted_with_a_warning(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.setup("info", "logfmt")
    async with serve(stream_or_socket, place.server("other.example.com")) as server:
        assert await ask(server.url, tls_insecure_skip_verify=True) == "sse"
    assert "stream.tls_not_verified" in capsys.readouterr().err
    Credentials(stream_settings())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("tls_1_2", [False, True])
async def test_a_client_certificate_is_shown_to_who_asks(protocol: str, tls_1_2: bool, place: Place) -> None:
    certificate, key = place.issue("client")
    async with serve(stream_or_socket, place.server(ask=True, tls_1_2=tls_1_2)) as server:
        ours = {"tls_ca_file": place.ca, "tls_cert_file": certificate, "tls_key_file": key}
        assert not isinstance(await ask(server.url, protocol, **ours), Failure)


@asynccontextmanager
async def strict_server(context: ssl.SSLContext) -> AsyncIterator[str]:
    """A server whose alerts arrive: asyncio's own ends the connection before it has sent them."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls_object = context.wrap_bio(incoming, outgoing, server_side=True)
        with suppress(ssl.SSLError):
            while piece := await reader.read(65536):
                incoming.write(piece)
                with suppress(ssl.SSLWantReadError):
                    tls_object.do_handshake()
                    tls_object.read(65536)
                writer.write(outgoing.read())
        writer.write(outgoing.read())
        await reader.read()

    async with serve_bytes(handle) as port:
        yield f"https://127.0.0.1:{port}"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("of", ["nobody", "another"])
async def test_a_refused_client_certificate_has_its_reason(protocol: str, of: str, place: Place) -> None:
    settings: dict[str, object] = {"tls_ca_file": place.ca}
    if of == "another":
        certificate, key = place.issue("client", authority=Authority("Another"))
        settings |= {"tls_cert_file": certificate, "tls_key_file": key}
    async with strict_server(place.server(ask=True)) as url:
        assert reason(await ask(url, protocol, **settings)) == "client_certificate"


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_renewed_files_are_used_at_the_next_dial(protocol: str, place: Place) -> None:
    """Also where the key did not change: a refused certificate is tried once more when its file has changed."""
    certificate, key = place.issue("client", authority=Authority("Another"))
    settings = {"tls_ca_file": place.ca, "tls_cert_file": certificate, "tls_key_file": key}
    async with (
        serve(stream_or_socket, place.server(ask=True)) as server,
        client(server.url + "/s", protocol=protocol, **settings) as made,
    ):
        take = made.polled if protocol == "poll" else made.outcome
        assert isinstance(await take(), Failure)
        assert not await made.dialer.key_changed()
        place.issue("client")
        assert await made.dialer.key_changed()
        assert not isinstance(await take(), Failure)


async def test_a_file_that_is_missing_or_broken_is_a_failure_that_names_it(place: Place) -> None:
    certificate, key = place.issue("client")
    async with serve(stream_or_socket, place.server()) as server:
        url = f"{server.url}/s"
        async with client(url, tls_ca_file=place.ca, tls_cert_file=certificate, tls_key_file=key) as made:
            for file in (place.ca, certificate, key):
                kept = file.read_bytes()
                for content in (None, b"", b"-----BEGIN nothing-----\n"):
                    file.unlink()
                    if content is not None:
                        file.write_bytes(content)
                    outcome = await made.outcome()
                    assert reason(outcome) == "credentials"
                    assert str(file) in str(outcome)
                    file.write_bytes(kept)
            assert await made.outcome() == "sse"


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_encrypted_source_is_never_left_for_a_plain_one(protocol: str, place: Place) -> None:
    async def down(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": f"{plain.url}/s"})

    async with serve(stream_or_socket) as plain, serve(down, place.server()) as server:
        outcome = await ask(server.url, protocol, tls_ca_file=place.ca)
        assert reason(outcome) == "redirect"
        assert plain.requests == []


async def test_another_origin_sees_no_certificate_and_is_verified_for_its_own_name(place: Place) -> None:
    certificate, key = place.issue("client")
    shown: list[object] = []

    async def look(request: web.Request) -> web.StreamResponse:
        shown.append(request.get_extra_info("peercert"))
        return await stream_or_socket(request)

    optional = place.server(ask=True)
    optional.verify_mode = ssl.CERT_OPTIONAL
    settings = {"tls_ca_file": place.ca, "tls_cert_file": certificate, "tls_key_file": key}
    async with serve(look, optional) as other:

        async def away(request: web.Request) -> web.StreamResponse:
            shown.append(request.get_extra_info("peercert"))
            return web.Response(status=302, headers={"Location": f"{other.url}/x"})

        async with serve(away, place.server("iris.internal", ask=True)) as home:
            assert await ask(home.url, tls_server_name="iris.internal", **settings) == "sse"
            assert shown[0]
            assert not shown[1]


async def test_a_redirect_does_not_take_the_lack_of_verification_along(place: Place) -> None:
    async with serve(stream_or_socket, place.server()) as other:

        async def away(request: web.Request) -> web.StreamResponse:
            return web.Response(status=302, headers={"Location": f"{other.url}/x"})

        async with serve(away, place.server()) as home:
            assert reason(await ask(home.url, tls_insecure_skip_verify=True)) == "tls_certificate"


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_tls_goes_through_a_tunnel_of_the_proxy(
    protocol: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = place.issue("client")
    async with serve(stream_or_socket, place.server("iris.internal", ask=True)) as server, serve_proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:s3cret-word@127.0.0.1:{proxy.port}")
        settings = {"tls_ca_file": place.ca, "tls_cert_file": certificate, "tls_key_file": key}
        key_file = place.directory / "api-key"
        key_file.write_text("s3cret-key")
        outcome = await ask(server.url, protocol, tls_server_name="iris.internal", api_key_file=key_file, **settings)
        assert outcome == (b"{}" if protocol == "poll" else protocol)
        assert len(proxy.heads) == 1
        assert proxy.heads[0].startswith(f"CONNECT 127.0.0.1:{server.port} ")
        assert "s3cret" not in proxy.heads[0]
        assert server.sent("Authorization") == ["Bearer s3cret-key"]
        assert server.sent("Proxy-Authorization") == [None]


def test_streams_with_equal_settings_share_a_context_and_a_changed_file_makes_another(place: Place) -> None:
    files = Files(place.ca, *place.issue("client"))
    first = tls.current(files)
    assert all(tls.current(Files(*map(Path, (files.authorities, files.certificate, files.key)))) is first  # type: ignore[arg-type]
               for _ in range(1000))  # fmt: skip
    assert tls.current(files, verify=False) is not first
    os.utime(place.ca, ns=(1, 1))
    again = tls.current(files)
    assert again is not first
    assert tls.current(files) is again


def test_old_protocols_are_not_spoken(place: Place) -> None:
    assert tls.build(Files(place.ca)).minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_problem_names_the_file_at_fault(place: Place) -> None:
    certificate, _ = place.issue("one")
    _, other = place.issue("two")
    with pytest.raises(UnusableFileError) as caught:
        tls.build(Files(None, certificate, other))
    assert caught.value.path == other
    with pytest.raises(UnusableFileError) as caught:
        tls.build(Files(None, other, other))
    assert caught.value.path == other
