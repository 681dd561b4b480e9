"""One request, or the dial that may need several: a span, and below it one for each phase.

The tracer of a stream makes an operation and sets it in `CURRENT`, for the task that makes the requests; the hooks of
the HTTP client (`trace_config`) find it there, and nothing else reads it. Spans here are never made current for anybody
else, so a long-lived task that begins inside one has no parent (a reader started by a dial is not a part of it).
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import aiohttp
from opentelemetry.trace import Span, SpanContext, Tracer
from yarl import URL

from iris_exporter.core.failures import from_status
from iris_exporter.core.negotiation import without_credentials
from iris_exporter.http.session import RedirectedError
from iris_exporter.instruments import signals
from iris_exporter.instruments.signals import SpanType
from iris_exporter.otel.spans import Value, begin, cleaned, end

CURRENT: ContextVar["Operation | None"] = ContextVar("iris_exporter_operation", default=None)
"""The operation of the task that makes a request."""

_UNNAMED = "other"


class Operation:
    """A dial (`kind` is `iris.connect`, with a span for each phase) or a poll (`kind` is `GET`, and no others).

    `now` gives Unix seconds that never go back while the operation lasts.
    """

    def __init__(
        self, kind: SpanType, tracer: Tracer, now: Callable[[], float], attributes: Mapping[str, Value]
    ) -> None:
        self.kind = kind
        self.purpose = attributes.get(signals.REQUEST.name)
        self._tracer = tracer
        self._now = now
        self._stream = attributes[signals.STREAM.name]
        self._span = begin(tracer, kind, now(), attributes)
        self.context: SpanContext = self._span.get_span_context()
        self._request: dict[str, Value] = {}
        self._phase: tuple[SpanType, Span] | None = None  # the one under way
        self._broken: list[tuple[Span, float]] = []  # phases and their ends; `finish` is given the reason
        self._is_finished = False

    def set(self, attributes: Mapping[str, Value]) -> None:
        """Set attributes of the operation's own span."""
        self._span.set_attributes(cleaned(attributes))

    # The HTTP client reports:

    def requested(self, method: str, url: URL) -> None:
        """A request begins; secrets in `url` are left out."""
        attributes = address(url)
        self._request = {signals.METHOD.name: method, signals.URL_FULL.name: attributes[signals.URL_FULL.name]}
        if self.kind is not signals.CONNECT:
            attributes[signals.METHOD.name] = method
        self.set(attributes)

    def resolving(self) -> None:
        """The host is looked up: the connection that was reported before has not begun yet."""
        if self._phase is not None and self._phase[0] is signals.TCP:
            self._phase = None
        self.began(signals.DNS)

    def began(self, kind: SpanType, **attributes: Value) -> None:
        """A phase begins; one that is still under way ends here."""
        if self.kind is not signals.CONNECT:
            return
        self._end_phase()
        attributes[signals.STREAM.name] = self._stream
        self._phase = kind, begin(self._tracer, kind, self._now(), attributes, self.context)

    def ended(self, *kinds: SpanType) -> None:
        """The phase under way has ended well, if it is one of these."""
        if self._phase is not None and self._phase[0] in kinds:
            self._end_phase()

    def handshake(self, has_ended: bool) -> None:
        """A TLS handshake begins, or has succeeded: see `http.handshakes.WATCHER`."""
        if has_ended:
            self.ended(signals.TLS)
        else:
            self.began(signals.TLS)

    def sent(self) -> None:
        """The request is on its way, and its answer is awaited."""
        self.began(signals.HANDSHAKE, **self._request)

    def answered(self, answer: aiohttp.ClientResponse) -> None:
        """The head of an answer is here."""
        status, version = answer.status, answer.version
        attributes: dict[str, Value] = {
            signals.STATUS_CODE.name: status,
            signals.NETWORK_PROTOCOL.name: "http",
            signals.NETWORK_VERSION.name: "1.1" if version is None else f"{version.major}.{version.minor}",
        }
        if self.kind is not signals.CONNECT:
            self.set(attributes)
            return
        self.set({signals.STATUS_CODE.name: status})
        if self._phase is not None and self._phase[0] is signals.HANDSHAKE:
            self._phase[1].set_attributes(attributes)
            self._end_phase(from_status(status).reason if status >= 400 else "")

    def broke(self, error: BaseException | None = None) -> None:
        """The request failed; `finish` is given the reason. A redirect is an answer and no failure."""
        if isinstance(error, RedirectedError):
            self._end_phase()
        elif self._phase is not None:
            self._broken.append((self._phase[1], self._now()))
            self._phase = None

    # The tracer reports:

    def finish(self, error: str = "") -> None:
        """The operation is over: a reason of `core.failures`, or empty for success. Only the first call counts."""
        if self._is_finished:
            return
        self._is_finished = True
        self.broke()
        end(self._span, self._now(), error)
        for span, at in self._broken:
            # A dial that succeeds after a failed request has no reason for the failed phase.
            end(span, at, error or _UNNAMED)

    def _end_phase(self, error: str = "") -> None:
        if self._phase is not None:
            end(self._phase[1], self._now(), error)
            self._phase = None


def address(url: URL) -> dict[str, Value]:
    """The attributes of an address, without its secrets."""
    return {
        signals.SERVER_ADDRESS.name: url.host or "",
        signals.SERVER_PORT.name: url.port or 0,
        signals.URL_FULL.name: without_credentials(str(url)),
    }


class _Request(SimpleNamespace):
    """aiohttp makes one in the task that makes the request; the lookup of a host may run in another task."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.operation: Operation | None = CURRENT.get()


def trace_config() -> aiohttp.TraceConfig:
    """Hooks for a client session, one of its `trace_configs`; requests outside operations have no effect."""
    config = aiohttp.TraceConfig(trace_config_ctx_factory=_Request)
    connected = (signals.DNS, signals.TCP, signals.TLS)
    hooks: tuple[tuple[Any, Callable[[Operation, Any], None]], ...] = (
        (config.on_request_start, lambda operation, params: operation.requested(params.method, params.url)),
        (config.on_connection_create_start, lambda operation, _: operation.began(signals.TCP)),
        (config.on_dns_resolvehost_start, lambda operation, _: operation.resolving()),
        (config.on_dns_resolvehost_end, lambda operation, _: operation.began(signals.TCP)),
        (config.on_connection_create_end, lambda operation, _: operation.ended(*connected)),
        (config.on_request_headers_sent, lambda operation, _: operation.sent()),
        (config.on_request_end, lambda operation, params: operation.answered(params.response)),
        (config.on_request_exception, lambda operation, params: operation.broke(params.exception)),
    )
    for signal, report in hooks:
        signal.append(_hook(report))
    return config


def _hook(report: Callable[[Operation, Any], None]) -> Callable[..., Any]:
    async def hook(_session: aiohttp.ClientSession, request: _Request, params: Any) -> None:
        if request.operation is not None:
            report(request.operation, params)

    return hook
