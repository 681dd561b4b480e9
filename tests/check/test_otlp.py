"""What is asked of an OTLP endpoint, and each way in which it can fail; a real collector takes both records."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from aiohttp import web
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from iris_exporter.check.diagnosis import main_finding
from iris_exporter.check.findings import FINDINGS
from iris_exporter.check.observations import Service
from iris_exporter.check.otlp import examine_otlp, variable_findings
from iris_exporter.clock import SystemClock
from iris_exporter.otel.environment import read_otel
from tests.check.sources import certificate
from tests.integration.collector import collector
from tests.otel.receivers import grpc_receiver, http_receiver
from tests.ports import free_port
from tests.transports.support import Handler, serve, serve_bytes, serve_proxy
from tests.web.config.certificates import Authority

HTTP, GRPC = "http/protobuf", "grpc"
SECRET = "secret-of-the-collector"
Target = Callable[[Path], AbstractAsyncContextManager[dict[str, str]]]
"""Makes an endpoint, and gives variables without OTEL_EXPORTER_OTLP_."""


async def examined(variables: dict[str, str], protocol: str, signal: str = "TRACES") -> Service:
    """What is found of one signal; the header is in no output."""
    other = "LOGS" if signal == "TRACES" else "TRACES"
    settings = read_otel(
        {
            f"OTEL_{other}_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_TIMEOUT": "5000",
            **{f"OTEL_EXPORTER_OTLP_{name}": value for name, value in variables.items()},
        }
    )
    (service,) = await examine_otlp(settings, SystemClock(), lambda _: None)
    assert SECRET not in repr(service)
    return service


def answering(handler: Handler, tls: Callable[[Path], ssl.SSLContext] | None = None, **variables: str) -> Target:
    @asynccontextmanager
    async def run(directory: Path) -> AsyncIterator[dict[str, str]]:
        async with serve(handler, None if tls is None else tls(directory)) as server:
            authorities = {"CERTIFICATE": str(directory / "ca.pem")} if (directory / "ca.pem").exists() else {}
            yield {"ENDPOINT": server.url, **authorities, **variables}

    return run


def status(code: int, body: bytes = b"", media_type: str = "application/x-protobuf", **variables: str) -> Target:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(status=code, body=body, content_type=media_type)

    return answering(handler, **variables)


def over_tls(*, scheme: str = "https", trusted: bool = True, self_signed: bool = False, **about: object) -> Target:
    """A receiver behind a certificate; `trusted`: its authority is known."""

    def context(directory: Path) -> ssl.SSLContext:
        authority = Authority()
        if trusted:
            (directory / "ca.pem").write_text(authority.pem)
        return certificate(directory, None if self_signed else authority, **about)  # type: ignore[arg-type]

    @asynccontextmanager
    async def run(directory: Path) -> AsyncIterator[dict[str, str]]:
        async with status_of(context)(directory) as variables:
            yield {**variables, "ENDPOINT": variables["ENDPOINT"].replace("https", scheme)}

    return run


def status_of(context: Callable[[Path], ssl.SSLContext]) -> Target:
    async def taken(_: web.Request) -> web.StreamResponse:
        return web.Response(content_type="application/x-protobuf")

    return answering(taken, context)


def refused_by_grpc(code: grpc.StatusCode, **variables: str) -> Target:
    @asynccontextmanager
    async def run(_: Path) -> AsyncIterator[dict[str, str]]:
        with grpc_receiver() as receiver:
            receiver.code = code
            yield {"ENDPOINT": f"http://127.0.0.1:{receiver.port}", **variables}

    return run


@asynccontextmanager
async def grpc_that_wants_a_certificate(directory: Path) -> AsyncIterator[dict[str, str]]:
    authority = Authority()
    certificate_file, key = directory / "server.pem", directory / "key.pem"
    authority.issue(certificate_file, key)
    (directory / "ca.pem").write_text(authority.pem)
    pair = (key.read_bytes(), certificate_file.read_bytes())
    with grpc_receiver(grpc.ssl_server_credentials([pair], authority.pem.encode(), True)) as receiver:
        yield {"ENDPOINT": f"https://localhost:{receiver.port}", "CERTIFICATE": str(directory / "ca.pem")}


@asynccontextmanager
async def plain_grpc(_: Path) -> AsyncIterator[dict[str, str]]:
    with grpc_receiver() as receiver:
        yield {"ENDPOINT": f"http://127.0.0.1:{receiver.port}"}


@asynccontextmanager
async def plain_http(_: Path) -> AsyncIterator[dict[str, str]]:
    with http_receiver() as receiver:
        yield {"ENDPOINT": receiver.url}


def at(endpoint: str) -> Target:
    @asynccontextmanager
    async def run(_: Path) -> AsyncIterator[dict[str, str]]:
        yield {"ENDPOINT": endpoint, "TIMEOUT": "1000"}

    return run


@asynccontextmanager
async def full(_: Path) -> AsyncIterator[dict[str, str]]:
    """A port whose queue of connections is full, so that the system drops what else comes."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listening.getsockname())
        yield {"ENDPOINT": f"http://127.0.0.1:{listening.getsockname()[1]}", "TIMEOUT": "500"}
        for each in waiting:
            each.close()


@asynccontextmanager
async def hanging(_: Path) -> AsyncIterator[dict[str, str]]:
    async def handle(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass

    async with serve_bytes(handle) as port:
        yield {"ENDPOINT": f"http://127.0.0.1:{port}", "TIMEOUT": "500"}


@asynccontextmanager
async def dripping(_: Path) -> AsyncIterator[dict[str, str]]:
    """An answer of which a byte comes before each timeout of the client's library: only a limit for all of it helps."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.1)

    async with serve_bytes(handle) as port:
        yield {"ENDPOINT": f"http://127.0.0.1:{port}", "TIMEOUT": "500"}


@asynccontextmanager
async def closing(_: Path) -> AsyncIterator[dict[str, str]]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.close()

    async with serve_bytes(handle) as port:
        yield {"ENDPOINT": f"http://127.0.0.1:{port}"}


async def to_login(request: web.Request) -> web.StreamResponse:
    if request.method == "GET":
        return web.Response(text="<h1>Please sign in</h1>", content_type="text/html")
    raise web.HTTPFound("/login?token=query-secret")


def partial(rejected: int, words: str) -> bytes:
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = rejected
    answer.partial_success.error_message = words
    return answer.SerializeToString()


@dataclass(frozen=True)
class Case:
    """An endpoint, and the ids of which the diagnosis is one."""

    target: Target
    ids: tuple[str, ...]
    protocols: tuple[str, ...] = (HTTP,)
    words: str = ""
    variables: dict[str, str] = field(default_factory=dict)


KEY = {"HEADERS": f"x-key={SECRET}"}
BOTH = (HTTP, GRPC)
CASES = {
    "taken": Case(status(200), ()),
    "taken over gRPC": Case(plain_grpc, (), (GRPC,)),
    "taken over TLS": Case(over_tls(), ()),
    "taken with a remark": Case(status(200, partial(0, "attributes were cut")), (), words="attributes were cut"),
    "partial success": Case(status(200, partial(1, "quota")), ("otlp_partial",), words="quota"),
    "a page in place of an answer": Case(status(200, b"<html>", "text/html"), ("otlp_not_otlp",), words="text/html"),
    "a login that redirects": Case(answering(to_login), ("otlp_redirect",)),
    "400": Case(status(400, Status(message="bad span").SerializeToString()), ("otlp_refused",), words="bad span"),
    "401 without a header": Case(status(401), ("otlp_key_missing",)),
    "401 with a header": Case(status(401), ("otlp_unauthorized",), variables=KEY),
    "403": Case(status(403), ("otlp_forbidden",)),
    "404": Case(status(404, b"404 page not found", "text/plain"), ("otlp_not_found",)),
    "405": Case(status(405), ("otlp_refused",)),
    "413": Case(status(413), ("otlp_refused",)),
    "415": Case(status(415), ("otlp_refused",)),
    "429": Case(status(429), ("otlp_rate_limited",)),
    "500": Case(status(500), ("otlp_server_error",)),
    "502": Case(status(502, b"<html>", "text/html"), ("otlp_server_error",)),
    "503": Case(status(503), ("otlp_unavailable",)),
    **{
        f"gRPC {code.name}": Case(refused_by_grpc(code), (found,), (GRPC,), words="no")
        for code, found in {
            grpc.StatusCode.UNAUTHENTICATED: "otlp_key_missing",
            grpc.StatusCode.PERMISSION_DENIED: "otlp_forbidden",
            grpc.StatusCode.UNIMPLEMENTED: "otlp_no_service",
            grpc.StatusCode.INVALID_ARGUMENT: "otlp_refused",
            grpc.StatusCode.RESOURCE_EXHAUSTED: "otlp_rate_limited",
            grpc.StatusCode.UNAVAILABLE: "otlp_unavailable",
            grpc.StatusCode.INTERNAL: "otlp_server_error",
            grpc.StatusCode.ABORTED: "otlp_failed",
        }.items()
    },
    "gRPC UNAUTHENTICATED with a header": Case(
        refused_by_grpc(grpc.StatusCode.UNAUTHENTICATED), ("otlp_unauthorized",), (GRPC,), variables=KEY
    ),
    "HTTP to a port for gRPC": Case(plain_grpc, ("otlp_wrong_protocol",), words="HTTP/2"),
    "gRPC to a port for HTTP": Case(plain_http, ("otlp_wrong_protocol",), (GRPC,), words="HTTP/1.1"),
    "gRPC to a port for HTTP over TLS": Case(over_tls(), ("otlp_wrong_protocol",), (GRPC,), words="HTTP/1.1"),
    "nothing listens": Case(at(f"http://127.0.0.1:{free_port()}"), ("otlp_unreachable",), BOTH, "connection_refused"),
    "no such host": Case(at("http://nothing.invalid:4318"), ("otlp_dns",), BOTH),
    "packets are dropped": Case(full, ("otlp_connect_timeout",), BOTH),
    "no answer": Case(hanging, ("otlp_timeout",), BOTH),
    "an answer in drops": Case(dripping, ("otlp_timeout",)),
    "closed": Case(closing, ("otlp_closed",)),
    "closed, gRPC": Case(closing, ("otlp_closed", "otlp_unavailable"), (GRPC,)),
    "certificate expired": Case(over_tls(begins_days=-20, ends_days=-1), ("otlp_tls_expired",), BOTH, "presented"),
    "certificate not yet valid": Case(over_tls(begins_days=3), ("otlp_tls_not_yet_valid",), BOTH),
    "another name": Case(over_tls(name="collector.example"), ("otlp_tls_wrong_name",), BOTH, "collector.example"),
    "self-signed": Case(over_tls(self_signed=True), ("otlp_tls_self_signed",), BOTH),
    "unknown authority": Case(over_tls(trusted=False), ("otlp_tls_unknown_authority",), BOTH),
    "no TLS where it is spoken": Case(over_tls(scheme="http"), ("otlp_tls_expected",), BOTH),
    "TLS where it is not spoken": Case(at("https://127.0.0.1:1"), ("otlp_unreachable",), BOTH),
    "client certificate wanted": Case(over_tls(ask=True), ("otlp_client_certificate",)),
    "client certificate wanted, gRPC": Case(grpc_that_wants_a_certificate, ("otlp_client_certificate",), (GRPC,)),
    "certificate expires soon": Case(over_tls(ends_days=5), ("otlp_tls_expires_soon",)),
}


@pytest.mark.time_limit(60)
@pytest.mark.parametrize(("name", "protocol"), [(name, each) for name in CASES for each in CASES[name].protocols])
async def test_the_diagnosis_names_the_cause(name: str, protocol: str, tmp_path: Path) -> None:
    case = CASES[name]
    async with case.target(tmp_path) as variables:
        service = await examined({**variables, **case.variables}, protocol)
    first = main_finding(service.found)
    assert (None if first is None else first.id) in (case.ids or (None,)), service
    assert case.words in " ".join([each.detail for each in service.found] + [step.text for step in service.steps])
    assert "query-secret" not in repr(service)
    assert all(step.is_ok for step in service.steps) == (first is None or first.id == "otlp_tls_expires_soon")


def test_every_finding_of_the_endpoint_is_tried_here() -> None:
    tried = {each for case in CASES.values() for each in case.ids}
    elsewhere = {"otlp_tls_not_spoken", "otlp_proxy", "otlp_ignored", "otlp_off", "otlp_remark"}
    by_words_alone = {"otlp_tls", "otlp_tls_certificate"}  # what OpenSSL says in no other way
    assert {name for name in FINDINGS if name.startswith("otlp_")} == tried | elsewhere | by_words_alone


@pytest.mark.parametrize("protocol", BOTH)
async def test_tls_to_a_port_without_it(protocol: str, tmp_path: Path) -> None:
    async with plain_http(tmp_path) as variables:
        service = await examined({"ENDPOINT": variables["ENDPOINT"].replace("http:", "https:")}, protocol)
    assert [each.id for each in service.found] == ["otlp_tls_not_spoken"]


async def test_a_collector_without_logs_is_found_for_logs_alone(tmp_path: Path) -> None:
    """Both signals are tried, and one that fails says nothing of the other."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=200 if request.path == "/v1/traces" else 404, content_type="application/x-protobuf")

    async with serve(handler) as server:
        settings = read_otel({"OTEL_EXPORTER_OTLP_ENDPOINT": server.url})
        services = await examine_otlp(settings, SystemClock(), lambda _: None)
    assert [(each.name, [found.id for found in each.found]) for each in services] == [
        ("otlp traces", []),
        ("otlp logs", ["otlp_not_found"]),
    ]


async def test_headers_compression_and_agent_are_those_of_the_exporter() -> None:
    with http_receiver() as receiver:
        service = await examined({"ENDPOINT": receiver.url, "COMPRESSION": "gzip", **KEY}, HTTP, "LOGS")
        assert service.found == []
        (headers,) = receiver.received.headers
    assert (headers["x-key"], headers["content-encoding"]) == (SECRET, "gzip")
    assert headers["user-agent"].startswith("iris-exporter/")


@pytest.mark.parametrize("protocol", BOTH)
async def test_through_a_proxy(protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that works says nothing; one that is not there is named."""
    target = plain_grpc if protocol == GRPC else plain_http
    async with serve_proxy() as proxy, target(tmp_path) as variables:
        monkeypatch.setenv("HTTP_PROXY", f"http://user:{SECRET}@127.0.0.1:{proxy.port}")
        assert (await examined(variables, protocol)).found == []
        assert proxy.heads
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
        assert [each.id for each in (await examined(variables, protocol)).found] == ["otlp_proxy"]


def test_variables_that_make_no_sense_or_switch_it_off_are_findings() -> None:
    settings = read_otel({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1", "OTEL_BSP_SCHEDULE_DELAY": "soon"})
    (found,) = variable_findings(settings, wanted=True)
    assert (found.id, "OTEL_BSP_SCHEDULE_DELAY" in found.detail) == ("otlp_ignored", True)
    settings = read_otel({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1", "OTEL_SDK_DISABLED": "true"})
    assert [each.id for each in variable_findings(settings, wanted=True)] == ["otlp_off"]
    assert variable_findings(settings, wanted=False) == []


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.needs("otelcol")
async def test_a_real_collector(tmp_path: Path) -> None:
    """It takes both records over both protocols; each port refuses the other protocol; a wrong path is named."""
    async with collector(tmp_path) as server:
        for endpoint, protocol in ((server.http_endpoint, HTTP), (server.grpc_endpoint, GRPC)):
            for signal in ("TRACES", "LOGS"):
                assert (await examined({"ENDPOINT": endpoint}, protocol, signal)).found == []
        for endpoint, protocol in ((server.http_endpoint, GRPC), (server.grpc_endpoint, HTTP)):
            service = await examined({"ENDPOINT": endpoint}, protocol)
            assert [each.id for each in service.found] == ["otlp_wrong_protocol"]
            service = await examined({"ENDPOINT": endpoint.replace("http:", "https:")}, protocol)
            assert [each.id for each in service.found] == ["otlp_tls_not_spoken"]
        service = await examined({"ENDPOINT": f"{server.http_endpoint}/elsewhere"}, HTTP)
        assert [each.id for each in service.found] == ["otlp_not_found"]
        assert [span.body["name"] for span in server.spans()] == ["iris.check"] * 2
        assert {span.resource_attributes["service.name"] for span in server.spans()} == {"iris-exporter"}
        assert [record.body["body"] for record in server.logs()] == [{"stringValue": "iris-exporter check"}] * 2
