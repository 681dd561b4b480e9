"""No secret leaves by any way: a tour of failures, and then a search through everything that can be read."""

import asyncio
import contextlib
import dataclasses
import io
import re
import traceback
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web

from iris_exporter import config, logs
from iris_exporter.app import Exporter
from iris_exporter.core.failures import TransportError
from iris_exporter.core.redaction import Redactor
from iris_exporter.errors import ConfigError
from iris_exporter.settings import Settings
from tests.http.test_tls import Place
from tests.transports.support import Proxy, Server, client, serve, serve_proxy, stream_or_socket
from tests.waiting import until

KEY = "s3cr3t-api-key-0123456789"
QUERY = "s3cr3t query+value/1"
TENANT = "s3cr3t-tenant-header"
COOKIE = "s3cr3t-cookie-header"
LOCATION = "s3cr3t-in-a-location"
WORD = "s3cr3t-proxy@word"
PASSWORD = "s3cr3t-url-password"
MARK = "s3cr3t"
ENCODED = (quote(QUERY), QUERY.replace(" ", "+"), quote(WORD), b64encode(f"me:{WORD}".encode()).decode())
SECRETS = (KEY, QUERY, TENANT, COOKIE, LOCATION, WORD, PASSWORD, MARK, *ENCODED)


def found_in(text: str) -> list[str]:
    """The secrets in a text, in any of their spellings."""
    return [secret for secret in SECRETS if secret in text]


async def refuse(request: web.Request) -> web.StreamResponse:
    """A source that is too talkative: it says back whatever it was told."""
    told = f"{request.headers.get('Authorization')} {request.path_qs} {request.headers.get('X-Tenant')}"
    if request.path == "/closes":
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.close(code=4401, message=f"bad {KEY}".encode())
        return socket
    if request.path == "/complains":
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        error = f'{{"type":"error","error":{{"code":"AUTH_REQUIRED","message":"bad {KEY}"}}}}'
        await response.write(f"data: {error}\n\ndata: {KEY}\n\n".encode())
        return response
    if request.path == "/garbage":
        return web.Response(text=told, content_type="text/html")
    return web.Response(status=401, text=told, reason=f"No {KEY}", headers={"WWW-Authenticate": told})


async def lead_away(request: web.Request) -> web.StreamResponse:
    """Redirects: to a page that needs a password, to nowhere, in circles."""
    where = {
        "/login": f"http://me:{PASSWORD}@127.0.0.1:1/{LOCATION}",
        "/nowhere": f"ftp://127.0.0.1/{LOCATION}",
        "/circle": f"/circle?token={LOCATION}",
        "/off": f"http://127.0.0.1:1/{LOCATION}?token={LOCATION}",
    }
    return web.Response(status=302, headers={"Location": where.get(request.path, "/circle")})


@dataclasses.dataclass
class Tour:
    """The servers of the tour and the file of streams that leads through them."""

    sources: Server
    leading: Server
    private: Server
    proxy: Proxy
    directory: Path

    def remove(self, name: str) -> None:
        """Take a file away."""
        (self.directory / name).unlink()

    def load(self) -> Settings:
        """Load the file as the program would."""
        return config.load({"config.file": str(self.directory / "iris.yaml"), "web.listen-address": "127.0.0.1:0"}, {})


STREAMS = {
    "refused": ("sources", "/refused", "auto"),
    "refused-socket": ("sources", "/refused-socket", "websocket"),
    "refused-poll": ("sources", "/refused-poll", "poll"),
    "closes": ("sources", "/closes", "websocket"),
    "complains": ("sources", "/complains", "sse"),
    "garbage": ("sources", "/garbage", "sse"),
    "login": ("leading", "/login", "sse"),
    "nowhere": ("leading", "/nowhere", "websocket"),
    "circle": ("leading", "/circle", "poll"),
    "off": ("leading", "/off", "sse"),
    "certificate": ("private", "/x", "websocket"),
}


@contextlib.asynccontextmanager
async def tour(directory: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Tour]:
    """Start the servers and write the configuration."""
    (directory / "key").write_text(KEY)
    (directory / "gone").write_text(KEY)
    (directory / "headers").write_text(f"Cookie: {COOKIE}\n")
    place = Place(directory)
    async with (
        serve(refuse) as sources,
        serve(lead_away) as leading,
        serve(stream_or_socket, place.server()) as private,
        serve_proxy() as proxy,
    ):
        proxy.refusal = f"HTTP/1.1 407 No {KEY}\r\nProxy-Authenticate: Basic {WORD}\r\n\r\n".encode()
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:{quote(WORD)}@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", f"127.0.0.1:{private.port}")
        made = Tour(sources, leading, private, proxy, directory)
        query = f"?api_key={quote(QUERY)}"
        streams = [
            f"- {{name: {name}, url: '{getattr(made, server).url}{path}{query if name != 'circle' else ''}', "
            f"protocol: {protocol}, api-key-file: key, headers-file: headers}}\n"
            for name, (server, path, protocol) in STREAMS.items()
        ]
        for name, host in (("proxy", "proxied.example.com"), ("proxy-socket", "other.example.com")):
            protocol = "websocket" if name.endswith("socket") else "sse"
            streams.append(
                f"- {{name: {name}, url: 'https://{host}/{query}', protocol: {protocol}, api-key-file: key}}\n"
            )
        streams.append(f"- {{name: unreadable, url: '{sources.url}/unreadable{query}', api-key-file: gone}}\n")
        defaults = f"defaults: {{headers: {{X-Tenant: {TENANT}}}}}\n"
        (directory / "iris.yaml").write_text(f"{defaults}streams:\n{''.join(streams)}")
        yield made


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Everything that is logged, tracebacks included, with a redaction that has seen no other test."""
    monkeypatch.setattr(logs, "_redactor", Redactor())
    stream = io.StringIO()
    logs.setup("debug", "json", stream)
    yield stream
    logs.setup("error", "logfmt", io.StringIO())


async def pages(address: str) -> dict[str, str]:
    """Every page and every answer, by what was asked for."""
    found: dict[str, str] = {}
    async with aiohttp.ClientSession() as session:

        async def get(path: str, method: str = "GET", **headers: str) -> str:
            async with session.request(method, address + path, headers=headers) as answer:
                found[f"{method} {path} {headers}"] = f"{answer.headers} {await answer.text()}"
                return found[f"{method} {path} {headers}"]

        for path in ("/", "/config", "/-/healthy", "/-/ready", "/metrics", "/api/v1/streams", f"/{KEY}"):
            await get(path)
        for accept in ("application/openmetrics-text; version=1.0.0", "text/plain; version=1.0.0"):
            await get("/metrics", Accept=accept)
        for name in (*STREAMS, "proxy", "proxy-socket", "unreadable", "none"):
            for path in ("", "/overview", "/events"):
                await get(f"/api/v1/streams/{name}{path}")
            await get(f"/api/v1/streams/{name}/connect", "POST")
        await get("/-/reload", "POST")
    return found


def parts_of(thing: object, seen: dict[int, object]) -> None:
    """Collect every object of ours that can be reached from `thing`."""
    if id(thing) in seen:
        return
    if isinstance(thing, Mapping):
        for each in (*thing.keys(), *thing.values()):
            parts_of(each, seen)
    elif isinstance(thing, list | tuple | set | frozenset):
        for each in thing:
            parts_of(each, seen)
    elif type(thing).__module__.startswith("iris_exporter") or callable(getattr(thing, "__func__", None)):
        seen[id(thing)] = thing
        slots = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
        inner = [getattr(thing, name, None) for name in slots if isinstance(name, str)]
        for each in (*inner, *vars(thing).values()) if hasattr(thing, "__dict__") else inner:
            parts_of(each, seen)
        parts_of(getattr(thing, "__self__", None), seen)


async def test_no_secret_in_logs_pages_metrics_settings_and_objects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    async with tour(tmp_path, monkeypatch) as made:
        settings = made.load()
        made.remove("gone")
        async with Exporter(settings, made.load) as exporter:
            streams = exporter.streams()
            await until(lambda: all(stream.status().failure is not None for stream in streams.values()))
            reasons = {name: stream.status().failure for name, stream in streams.items()}
            found = await pages(exporter.addresses[0])
            seen: dict[int, object] = {}
            parts_of((settings, exporter), seen)
            shown = [(type(thing).__name__, f"{thing!r} {thing}") for thing in seen.values()]
    # The tour has been where it should have been, and there was something to find.
    assert {name: failure.reason for name, failure in reasons.items() if failure is not None} == {
        "refused": "unauthorized", "refused-socket": "unauthorized", "refused-poll": "unauthorized",
        "closes": "unauthorized", "complains": "unauthorized", "garbage": "not_a_stream",
        "login": "redirect", "nowhere": "redirect", "circle": "redirect", "off": "connection_refused",
        "certificate": "tls_certificate", "proxy": "proxy_refused", "proxy-socket": "proxy_refused",
        "unreadable": "credentials",
    }  # fmt: skip
    assert f"Bearer {KEY}" in made.sources.sent("Authorization")
    assert TENANT in made.sources.sent("X-Tenant")
    assert COOKIE in made.sources.sent("Cookie")
    assert {"StreamSettings", "Settings", "Connection", "Stream", "Credentials", "Identity", "Failure"} <= {
        kind for kind, _ in shown
    }
    # And nothing was.
    assert found_in(log.getvalue()) == []
    assert log.getvalue().count("<redacted>") > 3
    assert {where: found_in(text.replace(f"/{KEY}", "")) for where, text in found.items() if found_in(text)} == {}
    assert [(kind, found_in(text)) for kind, text in shown if found_in(text)] == []
    printed = capsys.readouterr()
    assert found_in(printed.out + printed.err) == []


EVENT = f'{{"id":"{KEY}","event_type":"{KEY}","project":"{KEY}","severity":"{KEY}","message":"m {KEY}"}}'
PROJECT = f'{{"id":"{KEY}","name":"{KEY}","status":"{KEY}"}}'
TELLTALE = (
    f'{{"type":"update","data":{{"projects":[{PROJECT}],"events":[{EVENT}]}}}}',
    f'{{"type":"{KEY}","kind":"{KEY}"}}',
    f'{{"who":"{KEY}","name":"of {quote(KEY)}","{KEY}":"{KEY}"}}',
)
MAPPING = """
    namespace: told
    protocol: sse
    cursor: {path: meta.id}
    messages:
      - kind: told
        when: {$.who: {exists: true}}
        log: {body: $.who}
        metrics:
          - {name: told_total, type: counter, help: T., labels: {who: $.who, name: {path: $.name, pattern: "of (.*)"}}}
          - {name: whose_info, type: info, help: W., labels: {event: meta.event, id: meta.id}}
          - {name: said, type: stateset, help: S., states: [yes], state: $.who}
          - {name: said_ratio, type: gauge, help: S., value: $.who}
"""


async def test_no_secret_that_a_source_says_back_as_data(tmp_path: Path, log: io.StringIO) -> None:
    """It is masked in labels and answers, and what is masked in a label is counted."""
    follows = asyncio.Event()

    async def tell(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write("".join(f"event: {KEY}\nid: {KEY}\ndata: {text}\n\n" for text in TELLTALE).encode())
        await follows.wait()
        await response.write(f'data: {{"type":"event","data":{EVENT.replace(KEY, "1", 1)}}}\n\n'.encode())
        return response

    def load() -> Settings:
        return config.load({"config.file": str(tmp_path / "iris.yaml"), "web.listen-address": "127.0.0.1:0"}, {})

    (tmp_path / "key").write_text(KEY)
    async with serve(tell) as source:
        (tmp_path / "iris.yaml").write_text(
            f"defaults: {{api-key-file: key, protocol: sse}}\nstreams: [{{name: iris, url: '{source.url}/iris'}}, "
            f"{{name: mapped, url: '{source.url}/json', mapping: told}}]\nmappings:\n  told:{MAPPING}"
        )
        async with Exporter(load(), load) as exporter, aiohttp.ClientSession(exporter.addresses[0]) as session:
            found: dict[str, str] = {}

            async def is_told() -> bool:
                for path in ("/", "/metrics", "/api/v1/streams", *TOLD):
                    async with session.get(path) as answer:
                        found[path] = await answer.text()
                return "told_whose_info{" in found["/metrics"] and "iris_project_info{" in found["/metrics"]

            while not await is_told():
                pass
            async with session.get("/api/v1/follow") as answer:
                await answer.content.readline()
                follows.set()
                told = [await answer.content.readuntil(end) for end in (b"event: event", b"\n\n")]
                found["/api/v1/follow"] = b"".join(told).decode()
    assert {path: text for path, text in found.items() if KEY in text} == {}
    assert KEY not in log.getvalue()
    assert 'told_told_total{name="<redacted>' in found["/metrics"]
    assert re.search('iris_project_info{.*"<redacted>', found["/metrics"])
    assert [path for path in (*TOLD, "/api/v1/follow") if "<redacted>" not in found[path]] == []
    assert 'iris_stream_dropped_total{kind="label_text",stream="mapped"} 0' not in found["/metrics"]


TOLD = ("/api/v1/streams/iris/overview", "/api/v1/streams/iris/events")


async def test_no_secret_in_what_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text of an error and of all that it is chained to, as Python prints it, before any redaction."""
    echoes = {"closes", "complains"}  # end their link after the dial, in the words of the source
    async with tour(tmp_path, monkeypatch) as made:
        for stream in made.load().streams:
            if stream.protocol == "poll":
                continue
            async with client(**dataclasses.asdict(stream)) as each:
                for ask in (each.dial, lambda each=each, url=stream.url: each.poller.fetch(url)):
                    try:
                        link = await ask()
                    except TransportError as error:
                        text = "".join(traceback.format_exception(error)) + repr(error) + repr(error.failure)
                        assert found_in(text) == [], stream.name
                        assert error.__cause__ is None
                    else:
                        assert stream.name in echoes
                        await link.close()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text",
    [
        f"stream: {{url: 'https://me:{PASSWORD}@iris.example.com/x?token={LOCATION}'}}",
        f"stream: {{url: 'http://h/', headers: {{Host: {TENANT}}}}}",
        f"stream: {{url: 'http://h/', headers: ['{COOKIE}']}}",
        "stream: {url: 'http://h/', headers-file: broken}",
        f"stream: {{url: 'http://h/', api-key-file: {KEY}}}",
        f"stream: {{url: 'http://h/', api-key: {KEY}}}",
        f"stream: {{url: 'http://h/', headers: {{X-A: '{TENANT}é'}}}}",
    ],
)
def test_no_secret_in_errors_of_the_configuration(text: str, tmp_path: Path) -> None:
    (tmp_path / "broken").write_text(f"X-A: 1\n{COOKIE}\n")
    (tmp_path / "iris.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.load({"config.file": str(tmp_path / "iris.yaml")}, {})
    assert found_in(str(caught.value) + repr(caught.value)) == []
