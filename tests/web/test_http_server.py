"""The HTTP server over real sockets: TLS, passwords, headers, rates, control and limits."""

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import bcrypt
import pytest

from iris_exporter.clock import SystemClock
from iris_exporter.instruments import catalog
from iris_exporter.logs import get_logger
from iris_exporter.web import access, rate_limits
from iris_exporter.web.rate_limits import Timeouts
from tests.fakes import FakeClock
from tests.web.config.certificates import Authority
from tests.web.http_servers import LARGE, RunningServer, ended, http_server, raw, until
from tests.web.support import FakeCheckpoints
from tests.web.test_scrape import many_projects

TLS = "tls_server_config: {cert_file: server.crt, key_file: server.key%s}\n"
HASH = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()
USERS = f"basic_auth_users: {{alice: {HASH}}}\n"


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


ALICE = basic("alice", "open sesame")
CONNECT = "/api/v1/streams/main/connect"


class Shop:
    """A directory with an authority, a server's certificate and a configuration file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = Authority()
        (directory / "ca.crt").write_text(self.authority.pem)
        self.serial = self.rotate()
        self.path = directory / "web.yml"

    def write(self, text: str) -> Path:
        new = self.directory / "new"
        new.write_text(text)
        new.replace(self.path)
        return self.path

    def rotate(self) -> int:
        return self.authority.issue(self.directory / "server.crt", self.directory / "server.key")

    def client(self, *names: str, authority: Authority | None = None) -> ssl.SSLContext:
        """A client that trusts the server; with names, it has a certificate for them."""
        context = ssl.create_default_context(cadata=self.authority.pem)
        if names:
            pair = self.directory / "client.crt", self.directory / "client.key"
            (authority or self.authority).issue(*pair, *names)
            context.load_cert_chain(*pair)
        return context

    async def seen_serial(self, one: RunningServer) -> int:
        """The serial number of the certificate that a new connection gets."""
        _, writer = await one.dial(self.client())
        serial = int(writer.get_extra_info("peercert")["serialNumber"], 16)
        writer.close()
        await writer.wait_closed()
        return serial


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


async def test_without_a_file_it_is_plain_http_for_everybody() -> None:
    async with http_server() as one:
        assert (await one.ask()).status == 200
        assert one.url.startswith("http://")


async def test_tls_is_spoken_and_plain_http_is_cut(shop: Shop) -> None:
    async with http_server(shop.write(TLS % "")) as one:
        assert one.url.startswith("https://")
        assert (await one.ask(tls=shop.client())).status == 200
        with pytest.raises(aiohttp.ClientError):
            await one.ask()
        await until(
            lambda: one.metrics.shown(catalog.CONNECTIONS_CUT)["tls_handshake"] >= 1
        )  # the client tries a GET twice


async def test_http2_is_not_negotiated(shop: Shop) -> None:
    async with http_server(shop.write(TLS % "")) as one:
        context = shop.client()
        context.set_alpn_protocols(["h2", "http/1.1"])
        _, writer = await one.dial(context)
        chosen = writer.get_extra_info("ssl_object")
        assert (chosen.selected_alpn_protocol(), chosen.version()) == ("http/1.1", "TLSv1.3")
        writer.close()


@pytest.mark.parametrize(
    ("settings", "version", "works"),
    [("", ssl.TLSVersion.TLSv1_2, True), (", min_version: TLS13", ssl.TLSVersion.TLSv1_2, False),
     (", max_version: TLS12", ssl.TLSVersion.TLSv1_3, False),
     (", cipher_suites: [TLS_AES_128_GCM_SHA256]", ssl.TLSVersion.TLSv1_2, False)],
)  # fmt: skip
async def test_only_the_configured_versions_are_spoken(
    shop: Shop, settings: str, version: ssl.TLSVersion, works: bool
) -> None:
    async with http_server(shop.write(TLS % settings)) as one:
        context = shop.client()
        context.minimum_version = context.maximum_version = version
        if works:
            assert (await one.ask(tls=context)).status == 200
        else:
            with pytest.raises(aiohttp.ClientError):
                await one.ask(tls=context)


async def test_ciphers_and_curves_are_those_of_the_file(shop: Shop) -> None:
    text = (
        ", max_version: TLS12, cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384], curve_preferences: [CurveP384]"
    )
    async with http_server(shop.write(TLS % text)) as one:
        _, writer = await one.dial(shop.client())
        assert writer.get_extra_info("cipher")[0] == "ECDHE-ECDSA-AES256-GCM-SHA384"
        writer.close()
        context = shop.client()
        context.set_ecdh_curve("prime256v1")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await one.dial(context)


async def test_a_rotated_certificate_is_used_by_the_next_handshake(shop: Shop) -> None:
    async with http_server(shop.write(TLS % "")) as one:
        assert await shop.seen_serial(one) == shop.serial
        new = shop.rotate()
        await one.later()
        assert await shop.seen_serial(one) == new
        assert new != shop.serial


async def test_a_broken_certificate_leaves_the_old_one_in_use_and_a_gauge_says_so(shop: Shop) -> None:
    async with http_server(shop.write(TLS % "")) as one:
        (shop.directory / "server.crt").write_text("not a certificate")
        await one.later()
        assert await shop.seen_serial(one) == shop.serial
        assert one.metrics.shown(catalog.WEB_CONFIG_SUCCESSFUL) == 0
        new = shop.rotate()
        await one.later()
        assert await shop.seen_serial(one) == new
        assert one.metrics.shown(catalog.WEB_CONFIG_SUCCESSFUL) == 1


async def test_tls_can_be_switched_on_and_idle_plain_connections_end_with_it(shop: Shop) -> None:
    async with http_server(shop.write("http_server_config: {}\n")) as one:
        reader, writer = await one.dial()
        assert await raw(reader, writer) == 200
        shop.write(TLS % "")
        await one.later()
        assert (await one.ask(tls=shop.client())).status == 200
        assert await ended(reader)
        writer.close()


async def test_a_rotation_closes_idle_connections_at_once_and_others_with_their_answer(shop: Shop) -> None:
    async with http_server(shop.write(TLS % "")) as one:
        reader, writer = await one.dial(shop.client())
        idle, other_writer = await one.dial(shop.client())
        assert await raw(reader, writer) == await raw(idle, other_writer) == 200
        writer.write(b"GET /-/healthy HTTP/1.1\r\n")
        await until(
            lambda: (
                sum(each.timer is not None and each.timer.is_idle for each in one.server.connections._connections) == 1
            )
        )
        shop.rotate()
        await one.later()
        assert await ended(idle)
        writer.write(b"Host: localhost\r\nConnection: keep-alive\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        assert (await reader.read()).endswith(b"is healthy\n")
        for each in (writer, other_writer):
            each.close()


MUTUAL = ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.crt"


async def test_a_required_client_certificate_is_required_and_verified(shop: Shop) -> None:
    async with http_server(shop.write(TLS % MUTUAL)) as one:
        assert (await one.ask(tls=shop.client("prometheus.example.com"))).status == 200
        for context in (shop.client(), shop.client("prometheus.example.com", authority=Authority("Stranger"))):
            with pytest.raises((aiohttp.ClientError, ConnectionError)):
                await one.ask(tls=context)
        await until(lambda: one.metrics.shown(catalog.CONNECTIONS_CUT)["tls_handshake"] >= 2)


async def test_a_certificate_that_may_be_given_is_verified_when_it_is(shop: Shop) -> None:
    text = ", client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.crt"
    async with http_server(shop.write(TLS % text)) as one:
        assert (await one.ask(tls=shop.client())).status == 200
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await one.ask(tls=shop.client("x.example.com", authority=Authority("Stranger")))


@pytest.mark.parametrize(
    ("names", "works"),
    [(("prometheus.example.com",), True), (("other.example.com", "::1"), True), (("spiffe://iris/prometheus",), True),
     (("other.example.com",), False), (("prometheus.example.com.attacker.example",), False)],
)  # fmt: skip
async def test_a_client_certificate_has_to_have_one_of_the_names(
    shop: Shop, names: tuple[str, ...], works: bool
) -> None:
    sans = ", client_allowed_sans: [prometheus.example.com, '0:0::1', 'spiffe://iris/prometheus']"
    async with http_server(shop.write(TLS % (MUTUAL + sans))) as one:
        if works:
            assert (await one.ask(tls=shop.client(*names))).status == 200
            return
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await one.ask(tls=shop.client(*names))
        assert one.metrics.shown(catalog.CONNECTIONS_CUT)["client_certificate"] >= 1


async def test_passwords_are_asked_for_everywhere(shop: Shop) -> None:
    async with http_server(shop.write(USERS)) as one:
        for path in ("/metrics", "/", "/-/healthy", "/config", "/api/v1/streams", "/nowhere"):
            reply = await one.ask(path)
            assert (reply.status, reply.headers["WWW-Authenticate"]) == (
                401,
                'Basic realm="iris-exporter", charset="UTF-8"',
            )
        assert (await one.ask("/metrics", headers=ALICE)).status == 200
        assert (await one.ask("/nowhere", headers=ALICE)).status == 404
        for user, password in (("alice", "x"), ("bob", "open sesame"), ("alice", "y" * 80)):
            assert (await one.ask(headers=basic(user, password))).status == 401
        assert (await one.ask(headers={"Authorization": "Basic %%"})).status == 401
        assert one.metrics.shown(catalog.REQUESTS_REFUSED)["unauthorized"] == 10


async def test_a_changed_password_holds_from_the_next_look_on(shop: Shop) -> None:
    async with http_server(shop.write(USERS)) as one:
        assert (await one.ask(headers=ALICE)).status == 200
        shop.write(USERS.replace(HASH, bcrypt.hashpw(b"new", bcrypt.gensalt(4)).decode()))
        await one.later()
        assert (await one.ask(headers=ALICE)).status == 401
        assert (await one.ask(headers=basic("alice", "new"))).status == 200


async def test_nothing_of_a_password_is_logged(
    shop: Shop, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tests before this one may have used up the lines of this minute.
    monkeypatch.setattr(access, "_limited_log", get_logger(access.__name__).limited(6))
    caplog.set_level("DEBUG")
    async with http_server(shop.write(USERS)) as one:
        await one.ask(headers=basic("s3cr3t-name", "s3cr3t-word"))
        await one.ask(headers=ALICE)
    printed = str([record.__dict__ for record in caplog.records])
    assert "web.unauthorized" in printed
    assert not any(word in printed for word in ("s3cr3t", "open sesame", HASH))


async def test_too_many_passwords_at_once_are_turned_away(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iris_exporter.web.auth.MAX_WAITING_PER_CLIENT", 1)
    slow = bcrypt.hashpw(b"x", bcrypt.gensalt(10)).decode()
    async with http_server(shop.write(USERS.replace(HASH, slow))) as one:
        guesses = [one.ask(headers=basic("alice", f"guess {number}")) for number in range(4)]
        replies = await asyncio.gather(*guesses)
        busy = [reply for reply in replies if reply.status == 503]
        assert {reply.status for reply in replies} == {401, 503}
        assert {reply.headers["Retry-After"] for reply in busy} == {"1"}
        assert one.metrics.shown(catalog.REQUESTS_REFUSED)["busy"] == len(busy)


async def test_the_rate_limit_comes_before_the_password(shop: Shop) -> None:
    async with http_server(shop.write(USERS + "rate_limit: {interval: 2500ms, burst: 2}\n")) as one:
        replies = [await one.ask("/config") for _ in range(3)]
        assert [reply.status for reply in replies] == [401, 401, 429]
        assert replies[2].headers["Retry-After"] == "3"
        assert (await one.ask("/config", headers=ALICE)).status == 429
        await one.later(2.5)
        assert (await one.ask("/config", headers=ALICE)).status == 200
        assert one.metrics.shown(catalog.REQUESTS_REFUSED)["rate_limited"] == 2
        shop.write(USERS)
        await one.later()
        assert [(await one.ask(headers=ALICE)).status for _ in range(5)] == [200] * 5


@pytest.mark.parametrize("secure", [False, True])
async def test_probes_are_answered_while_everything_else_is_limited(shop: Shop, secure: bool) -> None:
    text = (TLS % "" if secure else "") + USERS + "rate_limit: {interval: 1h, burst: 1}\n"
    async with http_server(shop.write(text)) as one:
        tls = shop.client() if secure else None
        assert (await one.ask("/metrics", tls=tls)).status == 401
        assert (await one.ask("/metrics", tls=tls, headers=ALICE)).status == 429
        for _ in range(5):
            for path in ("/-/healthy", "/-/ready"):
                assert (await one.ask(path, tls=tls, headers=ALICE)).status == 200
                assert (await one.ask(path, "HEAD", tls=tls, headers=ALICE)).status == 200
                assert (await one.ask(path, tls=tls)).status == 401
        assert (await one.ask("/-/healthy", "POST", tls=tls, headers=ALICE)).status == 429
        assert (await one.ask("/-/reload", "POST", tls=tls, headers=ALICE)).status == 429


async def test_nobody_guesses_by_way_of_the_probes(shop: Shop) -> None:
    async with http_server(shop.write(USERS + "rate_limit: {interval: 1h, burst: 2}\n")) as one:
        replies = [await one.ask("/-/ready", headers=basic("alice", f"guess {number}")) for number in range(4)]
        assert [reply.status for reply in replies] == [401, 401, 429, 429]


async def test_headers_of_the_file_are_on_every_answer_and_go_before_our_own(shop: Shop) -> None:
    text = "http_server_config: {headers: {X-Frame-Options: deny, Content-Security-Policy: default-src https}}\n"
    async with http_server(shop.write(text)) as one:
        for path in ("/metrics", "/", "/nowhere"):
            reply = await one.ask(path)
            assert (reply.headers["X-Frame-Options"], reply.headers["Content-Security-Policy"]) == (
                "deny",
                "default-src https",
            )


# Control


async def test_on_loopback_anybody_may_switch_and_sees_the_buttons() -> None:
    async with http_server() as one:
        assert (await one.ask(CONNECT, "POST")).status == 200
        assert (await one.ask("/-/reload", "POST")).status == 200
        assert "<button>" in (await one.ask("/")).text
        assert one.context.controls["main"].calls == ["connect"]


@pytest.mark.parametrize(
    "path", [CONNECT, "/api/v1/streams/main/reset", "/api/v1/streams/main/disconnect", "/-/reload"]
)
async def test_beyond_loopback_everything_is_read_only(path: str) -> None:
    async with http_server(host="0.0.0.0") as one:
        reply = await one.ask(path, "POST")
        assert reply.status == 403
        assert "--web.config.file" in reply.text
        assert "--web.enable-control=always" in reply.text
        assert one.context.controls["main"].calls == []
        assert one.context.reloads == 0
        page = await one.ask("/")
        assert (page.status, "<button>" in page.text, "Read-only: " in page.text) == (200, False, True)
        assert (await one.ask("/api/v1/streams")).status == 200
        assert one.metrics.shown(catalog.REQUESTS_REFUSED)["control"] == 1


async def test_beyond_loopback_a_password_or_the_option_allows_control(shop: Shop) -> None:
    async with http_server(shop.write(USERS), host="0.0.0.0") as one:
        assert (await one.ask(CONNECT, "POST")).status == 401
        assert (await one.ask(CONNECT, "POST", headers=ALICE)).status == 200
    async with http_server(host="0.0.0.0", enable_control="always") as one:
        assert (await one.ask(CONNECT, "POST")).status == 200
    async with http_server(enable_control="never") as one:
        assert (await one.ask(CONNECT, "POST")).status == 403


async def test_a_page_under_a_foreign_name_for_this_machine_cannot_switch() -> None:
    async with http_server() as one:
        headers = {"Host": "attacker.example:14747", "Origin": "http://attacker.example:14747"}
        assert (await one.ask(CONNECT, "POST", headers=headers)).status == 403
        assert one.context.controls["main"].calls == []


async def test_what_does_not_exist_says_so_rather_than_forbidden() -> None:
    async with http_server(host="0.0.0.0") as one:
        assert (await one.ask("/metrics", "POST")).status == 405
        assert (await one.ask("/nowhere", "POST")).status == 404


# Limits


async def test_a_small_body_is_taken_and_a_large_one_refused() -> None:
    async def drip() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 100

    async with http_server() as one:
        assert (await one.ask(CONNECT, "POST", data=b"x" * rate_limits.MAX_BODY_BYTES)).status == 200
        assert (await one.ask(CONNECT, "POST", data=b"x" * (rate_limits.MAX_BODY_BYTES + 1))).status == 413
        assert (await one.ask(CONNECT, "POST", data=drip())).status == 413
        assert one.context.controls["main"].calls == ["connect"]
        assert one.metrics.shown(catalog.REQUESTS_REFUSED)["body"] == 2


async def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "BODY_SECONDS", 0.1)
    async with http_server() as one:
        reader, writer = await one.dial()
        writer.write(b"POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc")
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 408 ")
        await reader.read()
        writer.close()
        assert one.context.reloads == 0


async def test_connections_beyond_the_limit_are_refused_and_room_is_made_by_leaving() -> None:
    async with http_server(max_connections=8) as one:  # two for one client
        opened = [await one.dial() for _ in range(2)]
        assert [await raw(*each) for each in opened] == [200, 200]
        reader, writer = await one.dial()
        assert await ended(reader)
        writer.close()
        assert one.metrics.shown(catalog.CONNECTIONS_CUT)["client_limit"] == 1
        opened[0][1].close()
        await until(lambda: len(one.server.connections) == 1)
        reader, writer = await one.dial()
        assert await raw(reader, writer) == 200
        writer.close()
        opened[1][1].close()


IMPATIENT = Timeouts(head_seconds=0.3, stall_seconds=0.6)


async def test_connections_that_wait_make_room_for_a_client_that_has_fewer() -> None:
    async with http_server(max_connections=8) as one:
        crowd = [
            await asyncio.open_connection("127.0.0.1", one.port, local_addr=(f"127.0.0.{number}", 0))
            for number in (2, 2, 3, 3, 4, 4, 5, 5)
        ]
        await until(lambda: len(one.server.connections) == 8)
        for _ in range(3):
            assert (await one.ask()).status == 200
        assert one.metrics.shown(catalog.CONNECTIONS_CUT)["displaced"] >= 1
        assert one.metrics.shown(catalog.CONNECTIONS_CUT)["limit"] == 0
        for _, writer in crowd:
            writer.close()


async def test_a_request_that_never_ends_is_cut() -> None:
    async with http_server(clock=SystemClock(), timeouts=IMPATIENT) as one:
        for beginning in (b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "):
            reader, writer = await one.dial()
            writer.write(beginning)
            assert await ended(reader)
            writer.close()
        assert one.metrics.shown(catalog.CONNECTIONS_CUT)["head_timeout"] == 2


async def test_a_handshake_that_never_ends_is_cut(shop: Shop) -> None:
    async with http_server(shop.write(TLS % ""), clock=SystemClock(), timeouts=IMPATIENT) as one:
        reader, writer = await one.dial()
        assert await ended(reader)
        writer.close()
        await until(lambda: one.metrics.shown(catalog.CONNECTIONS_CUT)["tls_handshake"] == 1)
        assert len(one.server.connections) == 0


async def test_a_bug_in_the_handshake_is_counted_and_an_error_in_the_log(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def mistake(*_: object) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr("iris_exporter.web.connection_filter.has_allowed_san", mistake)
    async with http_server(shop.write(TLS % "")) as one:
        reader, writer = await one.dial(shop.client())
        assert await ended(reader)
        writer.close()
        assert one.metrics.shown(catalog.CONNECTIONS_CUT)["tls_handshake"] == 1
        assert len(one.server.connections) == 0
    (line,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert (line.name, line.getMessage()) == ("iris_exporter.web.connection_filter", "web.handshake_failed")


async def test_an_idle_connection_ends() -> None:
    async with http_server(timeouts=Timeouts(idle_seconds=0.3)) as one:
        reader, writer = await one.dial()
        assert await raw(reader, writer) == 200
        assert await ended(reader)
        writer.close()
        assert one.metrics.shown(catalog.CONNECTIONS_CUT)["head_timeout"] == 0


@pytest.mark.parametrize("projects", [1, 3000])
@pytest.mark.parametrize("secure", [False, True])
async def test_a_scrape_commits_its_checkpoint_before_its_last_byte(shop: Shop, secure: bool, projects: int) -> None:
    async with http_server(shop.write(TLS % "") if secure else None) as one:
        many_projects(one.context, projects)
        one.context.checkpoints = FakeCheckpoints()
        for encoding in ("gzip", "identity"):
            headers = {"Accept": "text/plain;version=0.0.4", "Accept-Encoding": encoding}
            reply = await one.ask("/metrics", headers=headers, tls=shop.client() if secure else None)
            assert (reply.status, reply.text[-1]) == (200, "\n")
        steps = one.context.checkpoints.steps
        await until(lambda: steps == ["begin", "stage", "commit", "discard"] * 2)


@pytest.mark.parametrize("secure", [False, True])
async def test_an_answer_that_nobody_reads_is_aborted_and_counted(shop: Shop, secure: bool) -> None:
    config = shop.write(TLS % "") if secure else None
    async with http_server(config, clock=SystemClock(), timeouts=IMPATIENT) as one:
        client = socket.create_connection(("127.0.0.1", one.port))
        if secure:
            client = await asyncio.to_thread(shop.client().wrap_socket, client, server_hostname="127.0.0.1")
        client.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await until(lambda: one.metrics.shown(catalog.CONNECTIONS_CUT)["stalled"] == 1)
        await until(lambda: len(one.server.connections) == 0)
        client.close()


async def test_an_answer_that_is_read_slowly_is_not_cut() -> None:
    clock = FakeClock()
    async with http_server(clock=clock, timeouts=IMPATIENT) as one:
        reader, writer = await one.dial()
        writer.write(b"GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        started, size = clock.now, 0
        while chunk := await reader.read(1 << 20):
            size += len(chunk)
            # A read brings some 200 KiB: what the buffers of a system hold is read well in time.
            clock.now += IMPATIENT.stall_seconds / 50
            one.tick()
        assert clock.now - started > IMPATIENT.stall_seconds
        assert size > len(LARGE)
        writer.close()
        assert one.metrics.shown(catalog.CONNECTIONS_CUT)["stalled"] == 0


async def test_nothing_is_left_of_connections_that_ended_in_every_way(shop: Shop) -> None:
    async with http_server(shop.write(TLS % "")) as one:
        for _ in range(5):
            await one.ask(tls=shop.client())
            _, writer = await one.dial()
            writer.close()  # before the handshake
            _, writer = await one.dial(shop.client())
            writer.transport.abort()
        filter_ = one.server.connections
        await until(lambda: not filter_._connections and not len(filter_._limiter))


async def test_a_stop_does_not_wait_for_a_handshake(shop: Shop) -> None:
    async with http_server(shop.write(TLS % "")) as one:
        _, writer = await one.dial()
        await until(lambda: len(one.server.connections) == 1)
    writer.close()


# Health


async def test_healthy_fails_when_tasks_have_died_or_the_loop_is_blocked() -> None:
    async with http_server() as one:
        assert (await one.ask()).status == 200
        one.trouble.append("the tasks of these streams have died: main")
        reply = await one.ask()
        assert (reply.status, reply.text) == (
            503,
            "iris-exporter is not healthy: the tasks of these streams have died: main\n",
        )
        one.trouble.clear()
        # As after a loop that was blocked: the timer's own next turn comes only after this answer.
        assert isinstance(one.clock, FakeClock)
        one.server._timer.cancel()  # type: ignore[union-attr]
        one.clock.now += rate_limits.TICK_SECONDS + rate_limits.MAX_BLOCKED_SECONDS
        reply = await one.ask()
        assert (reply.status, "silent for 10 s" in reply.text) == (503, True)
        one.tick()
        assert (await one.ask()).status == 503  # blocked for ten of the last thirty seconds
        for _ in range(130):
            one.clock.now += rate_limits.TICK_SECONDS
            one.tick()
        assert (await one.ask()).status == 200


async def test_gauges_show_connections_and_delay() -> None:
    async with http_server() as one:
        samples = {metric.name: value for metric in gauges() if (value := one.metrics.shown(metric)) is not None}
        assert samples["iris_exporter_http_connections"] == 0
        reader, writer = await one.dial()
        await raw(reader, writer)
        await one.later(rate_limits.TICK_SECONDS + 2)
        samples = {metric.name: value for metric in gauges() if (value := one.metrics.shown(metric)) is not None}
        assert samples["iris_exporter_http_connections"] == 1
        assert samples["iris_exporter_loop_delay_seconds"] == pytest.approx(2)
        assert "iris_exporter_web_config_last_reload_successful" not in samples
        writer.close()


def gauges() -> tuple:  # type: ignore[type-arg]
    return catalog.CONNECTIONS, catalog.LOOP_DELAY, catalog.WEB_CONFIG_SUCCESSFUL
