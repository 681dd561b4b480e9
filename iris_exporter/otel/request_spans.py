"""One request, or the dial that may need several: a span, and below it one for each phase that somebody tells of.

An operation is made by the tracer of a stream and fed by the hooks of the HTTP client (`request_hooks`), which find it
in `CURRENT`: that is why a task sets it, and why nothing else reads it. Spans here are never made current for anybody
else, so a long-lived task that begins inside one has no parent (a reader started by a dial is not a part of it).
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass

from opentelemetry.trace import Span, SpanContext

from iris_exporter.core.failures import from_status
from iris_exporter.core.negotiation import is_page_address, without_credentials
from iris_exporter.instruments import signals
from iris_exporter.instruments.signals import SpanType
from iris_exporter.otel.spans import SpanMaker, Value, end

CURRENT: ContextVar["Operation | None"] = ContextVar("iris_exporter_operation", default=None)
"""The operation of the task that makes a request."""

_UNNAMED = "other"


@dataclass(slots=True)
class _Phase:
    """A span below a dial. It ends with the dial, since that may have to say why it broke."""

    type: SpanType
    span: Span
    end: float = 0.0
    error: str = ""


class Operation:
    """A dial (`kind` is `iris.connect`, with a span for each phase) or a poll (`kind` is `GET`, and no others).

    `now` gives Unix seconds that never go back while the operation lasts.
    """

    def __init__(
        self, kind: SpanType, spans: SpanMaker, now: Callable[[], float], attributes: Mapping[str, Value]
    ) -> None:
        self.kind = kind
        self.purpose = attributes.get(signals.REQUEST.name)
        self._spans = spans
        self._now = now
        self._stream = attributes[signals.STREAM.name]
        self._span = spans.begin(kind, now(), attributes)
        self.context: SpanContext = self._span.get_span_context()
        self._request: dict[str, Value] = {}
        self._open: list[_Phase] = []
        self._ended: list[_Phase] = []
        self._broken: list[_Phase] = []
        self.finished = False

    def set(self, attributes: Mapping[str, Value]) -> None:
        """Attributes of the operation's own span."""
        self._span.set_attributes(self._spans.cleaned(attributes))

    # What the HTTP client tells

    def requested(self, method: str, url: str, host: str | None, port: int | None) -> None:
        """A request begins; `url` may have secrets in it, which are left out."""
        shown = without_credentials(url)
        attributes: dict[str, Value] = {signals.URL_FULL.name: shown}
        if host is not None:
            attributes[signals.SERVER_ADDRESS.name] = host
        if port is not None:
            attributes[signals.SERVER_PORT.name] = port
        self._request = {signals.METHOD.name: method, signals.URL_FULL.name: shown}
        if self.kind is not signals.CONNECT:
            attributes[signals.METHOD.name] = method
            if is_page_address(url):
                attributes[signals.REQUEST.name] = self.purpose = "page"
        self.set(attributes)

    def resolving(self) -> None:
        """The host is looked up; the connection that had begun has not begun yet."""
        self._open = [phase for phase in self._open if phase.type is not signals.TCP]
        self.began(signals.DNS)

    def began(self, kind: SpanType) -> None:
        """A phase begins; one before it that is not known to have ended ends here."""
        if self.kind is not signals.CONNECT:
            return
        now = self._now()
        for phase in list(self._open):
            self._close(phase, now)
        span = self._spans.begin(kind, now, {signals.STREAM.name: self._stream}, self.context)
        self._open.append(_Phase(kind, span))

    def ended(self, *kinds: SpanType) -> None:
        """Phases have ended well; those that never began are ignored."""
        now = self._now()
        for phase in [phase for phase in self._open if phase.type in kinds]:
            self._close(phase, now)

    def shook(self, ended: bool) -> None:
        """A TLS handshake begins, or has succeeded: see `http.handshakes.WATCHER`."""
        if ended:
            self.ended(signals.TLS)
        else:
            self.began(signals.TLS)

    def sent(self) -> None:
        """The request is on its way, and its answer is awaited."""
        self.began(signals.HANDSHAKE)
        for phase in self._open:
            phase.span.set_attributes(self._spans.cleaned(self._request))

    def answered(self, status: int, version: str) -> None:
        """The head of an answer is here; `version` is that of HTTP."""
        facts: dict[str, Value] = {
            signals.STATUS_CODE.name: status,
            signals.NETWORK_PROTOCOL.name: "http",
            signals.NETWORK_VERSION.name: version,
        }
        if self.kind is signals.CONNECT:
            self.set({signals.STATUS_CODE.name: status})
            for phase in self._open:
                if phase.type is signals.HANDSHAKE:
                    phase.span.set_attributes(facts)
                    if status >= 400:
                        phase.error = from_status(status).reason
        else:
            self.set(facts)
        self.ended(signals.HANDSHAKE)

    def broke(self) -> None:
        """The request came to nothing; the reason is told by `finish`."""
        now = self._now()
        for phase in list(self._open):
            self._close(phase, now)
            self._broken.append(phase)

    # What the tracer tells

    def finish(self, error: str = "") -> None:
        """The operation is over: a reason of `core.failures`, or empty for success. Only the first call counts."""
        if self.finished:
            return
        self.finished = True
        self.broke()
        for phase in self._broken:
            # A dial that went on after a request had failed leaves one without a reason of its own.
            phase.error = phase.error or error or _UNNAMED
        end(self._span, self._now(), error)
        for phase in self._ended:
            end(phase.span, phase.end, phase.error)

    def _close(self, phase: _Phase, now: float) -> None:
        phase.end = now
        self._open.remove(phase)
        self._ended.append(phase)
