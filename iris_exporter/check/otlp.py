"""Whether an OTLP endpoint takes a span and a log record: sent by the exporter's own exporters, as they would send.

The way is gone first, step by step, since gRPC has one status for all of its faults. After a refusal that could be one
of two causes, one more connection finds out what the port speaks.
Source: OTLP specification 1.x; RFC 9113, section 3.4 (what an HTTP/2 server sends first).
"""

import os
import ssl

from iris_exporter import logs
from iris_exporter.check.diagnosis import EXPIRES_SOON_DAYS
from iris_exporter.check.findings import Found
from iris_exporter.check.observations import Service, Way
from iris_exporter.check.reaching import Progress, Reaching, Steps
from iris_exporter.check.ways import service_finding
from iris_exporter.clock import Clock
from iris_exporter.core.failures import Failure, TransportError
from iris_exporter.http import tls
from iris_exporter.http.classify import LINK_ERRORS, failure_of
from iris_exporter.http.proxies import proxy_for, proxy_for_grpc
from iris_exporter.http.redirects import origin
from iris_exporter.http.resolver import connect_timeout
from iris_exporter.otel.exporters.base import NOT_OTLP, Answer
from iris_exporter.otel.exporters.renewed import RenewedExporter, trusted_files
from iris_exporter.otel.settings import LOGS, TRACES, Endpoint, OtelSettings
from iris_exporter.process.blocking import BlockedError, Pool
from iris_exporter.version import version_info

_EXTRA_SECONDS = 3.0
"""For what the timeout of the request leaves out: a name server, an answer that comes in drops."""
_SPOKEN_SECONDS = 3.0
_UNCLEAR = frozenset(
    {
        *("other", "network", "connection_reset", "abnormal_closure", "protocol_error", "not_json"),
        *("unavailable", "timeout", "http_client_error", "server_error", "tls", "not_found"),
    }
)
"""Failures that a port which speaks something else can look like."""
_ENDED = frozenset({"network", "connection_reset", "abnormal_closure", "protocol_error", "unavailable", "tls"})
"""Failures that the end of a connection without a word can look like."""
_BY_FAILURE = {
    "unauthorized": "otlp_unauthorized",
    "forbidden": "otlp_forbidden",
    "rate_limited": "otlp_rate_limited",
    "unavailable": "otlp_unavailable",
    "try_again_later": "otlp_unavailable",
    "http_server_error": "otlp_server_error",
    "server_error": "otlp_server_error",
    "redirect": "otlp_redirect",
    "rejected": "otlp_partial",
    "timeout": "otlp_timeout",
    "proxy": "otlp_proxy",
    "proxy_refused": "otlp_proxy",
    "client_certificate": "otlp_client_certificate",
    "connection_reset": "otlp_closed",
    "abnormal_closure": "otlp_closed",
    "network": "otlp_closed",
    "protocol_error": "otlp_closed",
}


async def examine_otlp(settings: OtelSettings, clock: Clock, progress: Progress) -> list[Service]:
    """Try each signal that has an endpoint, one after another."""
    for secret in settings.secrets():
        logs.protect(secret)
    asked = []
    for signal, about in ((TRACES, settings.traces), (LOGS, settings.logs)):
        if about is not None and about.endpoint is not None:
            service = Service(f"otlp {signal}", about.endpoint.url.partition("?")[0])
            await _examine(service, signal, about.endpoint, settings, clock, progress)
            asked.append(service)
    return asked


def variable_findings(settings: OtelSettings, *, wanted: bool) -> list[Found]:
    """What is wrong with the variables themselves; `wanted` when an endpoint was given."""
    found = [Found("otlp_ignored", str(problem)) for problem in settings.ignored]
    if wanted and not any(each and each.endpoint for each in (settings.traces, settings.logs)):
        found.append(Found("otlp_off"))
    return found


async def _examine(
    service: Service, signal: str, endpoint: Endpoint, settings: OtelSettings, clock: Clock, progress: Progress
) -> None:
    steps, way = Steps(service.steps, clock, progress), Way()
    steps.begin("configuration", "reading the variables")
    secured = "no TLS" if endpoint.url.startswith("http:") or endpoint.insecure else "TLS"
    steps.done(f"{endpoint.protocol}, {secured}, compression {endpoint.compression}", timed=False)
    _, host, port = origin(endpoint.url)
    reaching = Reaching(steps, way, clock, host, port, endpoint.timeout_seconds)
    try:
        is_direct = await _approach(steps, reaching, endpoint, clock, way)
    except TransportError as error:
        steps.failed(error.failure)
        service.found.append(Found(service_finding("otlp", error.failure, steps.current), error.failure.detail))
        return
    if way.certificate_days is not None and way.certificate_days < EXPIRES_SOON_DAYS:
        service.found.append(Found("otlp_tls_expires_soon", f"in {way.certificate_days:.0f} days"))
    steps.begin("export", f"sending one record of {signal}")
    answer = await _sent(signal, endpoint, settings, clock)
    found = _of_answer(answer, endpoint)
    if found is not None and answer.failure in _ENDED and way.asks_for_certificate and not endpoint.client_certificate:
        found = Found("otlp_client_certificate", _shown(answer))
    elif found is not None and is_direct and answer.failure in _UNCLEAR:
        found = await _spoken(reaching, endpoint) or found
    steps.done(_shown(answer), ok=found is None or found.id == "otlp_remark")
    if found is not None:
        service.found.append(found)


async def _approach(steps: Steps, reaching: Reaching, endpoint: Endpoint, clock: Clock, way: Way) -> bool:
    """Go to the endpoint, or to the proxy before it; whether it is the endpoint. Raises TransportError."""
    steps.begin("proxy", "looking for a proxy")
    find = proxy_for_grpc if endpoint.protocol == "grpc" else proxy_for
    proxy = find(endpoint.url, os.environ)
    steps.done("none" if proxy is None else proxy.url, timed=False)
    if proxy is not None:
        _, host, port = origin(proxy.url)
        to_proxy = Reaching(steps, way, clock, host, port, endpoint.timeout_seconds)
        await to_proxy.connect(await to_proxy.resolve(), to_proxy=True)
        return False
    await reaching.connect(await reaching.resolve(), to_proxy=False)
    if (context := _context(endpoint)) is not None:
        await reaching.secure(context, origin(endpoint.url)[1])
    return True


def _context(endpoint: Endpoint) -> ssl.SSLContext | None:
    if endpoint.insecure or endpoint.url.startswith("http:"):
        return None
    try:
        return tls.build(trusted_files(endpoint))
    except (tls.UnusableFileError, OSError) as error:
        raise TransportError(Failure("tls", str(error))) from None


async def _sent(signal: str, endpoint: Endpoint, settings: OtelSettings, clock: Clock) -> Answer:
    """The answer to one record; one that does not come in time is a timeout."""
    from iris_exporter.otel.probe_record import probe_batch  # with the SDK, which takes a while to import

    version = version_info().version
    exporter = RenewedExporter(signal, endpoint, f"iris-exporter/{version}")
    pool = Pool("otlp-check", 1, endpoint.timeout_seconds + _EXTRA_SECONDS)
    try:
        return await pool.run(
            lambda: exporter.export(probe_batch(signal, settings, version, clock.wall())), endpoint.url
        )
    except BlockedError as error:
        return Answer(retry=True, reason=str(error.strerror), failure="timeout")
    finally:
        exporter.close()


def _shown(answer: Answer) -> str:
    return ": ".join(part for part in (answer.reason, answer.words) if part) or "the record was taken"


def _of_answer(answer: Answer, endpoint: Endpoint) -> Found | None:
    """What an answer means; None for a record that was taken without a word."""
    if not answer.retry and not answer.rejected:
        if answer.words.startswith(NOT_OTLP):
            return Found("otlp_not_otlp", answer.words)
        return Found("otlp_remark", answer.words) if answer.words else None
    detail = _shown(answer)
    if answer.failure == "unauthorized" and not endpoint.headers:
        return Found("otlp_key_missing", detail)
    if answer.failure in ("not_found", "gone"):
        return Found("otlp_no_service" if endpoint.protocol == "grpc" else "otlp_not_found", detail)
    if answer.failure in ("http_client_error", "conflict", "misdirected"):
        return Found("otlp_refused", detail)
    if answer.failure.startswith("tls") or answer.failure in ("dns", "connection_refused", "unreachable"):
        return Found(service_finding("otlp", Failure(answer.failure, answer.words), "export"), detail)
    return Found(_BY_FAILURE.get(answer.failure, "otlp_failed"), detail)


async def _spoken(reaching: Reaching, endpoint: Endpoint) -> Found | None:
    """What the port speaks, where that explains the failure: TLS or not, HTTP/1 or HTTP/2."""
    context = _context(endpoint)
    if context is None and await reaching.is_tls():
        return Found("otlp_tls_expected")
    wanted = "h2" if endpoint.protocol == "grpc" else "http/1.1"
    if context is not None:
        context.set_alpn_protocols(["h2", "http/1.1"] if wanted == "h2" else ["http/1.1"])
    try:
        async with connect_timeout(_SPOKEN_SECONDS):
            first = await reaching.first_bytes(context)
    except LINK_ERRORS as error:
        failure = failure_of(error)
        is_about_client = failure.reason == "client_certificate"
        return Found("otlp_client_certificate", failure.detail) if is_about_client else None
    found = "http/1.1" if first.startswith(b"HTTP/1.") else "h2" if first[3:4] == b"\x04" else ""
    if found and found != wanted:
        return Found("otlp_wrong_protocol", f"it speaks {'HTTP/2' if found == 'h2' else 'HTTP/1.1'}")
    return None
