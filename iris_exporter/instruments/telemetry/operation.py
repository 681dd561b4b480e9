"""One request, or the dial that may need several: a span, and below it one for each phase that somebody tells of.

An operation is made by the tracer of a stream and fed by the hooks of the HTTP client (`hooks`), which find it in
`CURRENT`: that is why a task sets it, and why nothing else reads it. Spans here are never made current for anybody
else, so a long-lived task that begins inside one has no parent (a reader started by a dial is not a part of it).
"""

from collections.abc import Callable
from contextvars import ContextVar

from iris_exporter.core.detection import is_page_address, without_credentials
from iris_exporter.core.failures import from_status
from iris_exporter.instruments import signals
from iris_exporter.instruments.signals import SpanType
from iris_exporter.instruments.telemetry.context import Ids
from iris_exporter.instruments.telemetry.records import Span, Value

CURRENT: ContextVar["Operation | None"] = ContextVar("iris_exporter_operation", default=None)
"""The operation of the task that makes a request."""

_UNNAMED = "other"


class Operation:
    """A dial (`span` is `iris.connect`, with a span for each phase) or a poll (`span` is `GET`, and no others).

    `now` gives Unix seconds that never go back while the operation lasts. `emit` takes spans that have ended.
    """

    def __init__(self, span: Span, ids: Ids, now: Callable[[], float], emit: Callable[[list[Span]], object]) -> None:
        self.span = span
        self._ids = ids
        self._now = now
        self._emit = emit
        self._phases = span.type is signals.CONNECT
        self._request: dict[str, Value] = {}
        self._open: list[Span] = []
        self._ended: list[Span] = []
        self._broken: list[Span] = []
        self.finished = False

    # What the HTTP client tells

    def requested(self, method: str, url: str, host: str | None, port: int | None) -> None:
        """A request begins; `url` may have secrets in it, which are left out."""
        shown = without_credentials(url)
        attributes = self.span.attributes
        attributes[signals.URL_FULL.name] = shown
        if host is not None:
            attributes[signals.SERVER_ADDRESS.name] = host
        if port is not None:
            attributes[signals.SERVER_PORT.name] = port
        self._request = {signals.METHOD.name: method, signals.URL_FULL.name: shown}
        if not self._phases:
            attributes[signals.METHOD.name] = method
            if is_page_address(url):
                attributes[signals.REQUEST.name] = "page"

    def resolving(self) -> None:
        """The host is looked up; the connection that had begun has not begun yet."""
        self._open = [span for span in self._open if span.type is not signals.TCP]
        self.began(signals.DNS)

    def began(self, phase: SpanType) -> None:
        """A phase begins; one before it that is not known to have ended ends here."""
        if not self._phases:
            return
        now = self._now()
        for span in list(self._open):
            self._close(span, now)
        span = Span(phase, self._ids.child(self.span.context), now, self.span.context.span_id)
        span.attributes[signals.STREAM.name] = self.span.attributes[signals.STREAM.name]
        self._open.append(span)

    def ended(self, *phases: SpanType) -> None:
        """Phases have ended well; those that never began are ignored."""
        now = self._now()
        for span in [span for span in self._open if span.type in phases]:
            self._close(span, now)

    def shook(self, ended: bool) -> None:
        """A TLS handshake begins, or has succeeded: see `transports.handshakes.WATCHER`."""
        if ended:
            self.ended(signals.TLS)
        else:
            self.began(signals.TLS)

    def sent(self) -> None:
        """The request is on its way, and its answer is awaited."""
        self.began(signals.HANDSHAKE)
        for span in self._open:
            span.attributes.update(self._request)

    def answered(self, status: int, version: str) -> None:
        """The head of an answer is here; `version` is that of HTTP."""
        facts: dict[str, Value] = {
            signals.STATUS_CODE.name: status,
            signals.NETWORK_PROTOCOL.name: "http",
            signals.NETWORK_VERSION.name: version,
        }
        if self._phases:
            self.span.attributes[signals.STATUS_CODE.name] = status
            for span in self._open:
                if span.type is signals.HANDSHAKE:
                    span.attributes.update(facts)
                    if status >= 400:
                        span.error = from_status(status).reason
        else:
            self.span.attributes.update(facts)
        self.ended(signals.HANDSHAKE)

    def broke(self) -> None:
        """The request came to nothing; the reason is told by `finish`."""
        now = self._now()
        for span in list(self._open):
            self._close(span, now)
            self._broken.append(span)

    # What the tracer tells

    def finish(self, error: str = "") -> None:
        """The operation is over: a reason of `core.failures`, or empty for success. Only the first call counts."""
        if self.finished:
            return
        self.finished = True
        self.broke()
        for span in self._broken:
            # A dial that went on after a request had failed leaves one without a reason of its own.
            span.error = span.error or error or _UNNAMED
        self.span.error = error
        self.span.end = self._now()
        self._emit([self.span, *self._ended])

    def _close(self, span: Span, now: float) -> None:
        span.end = now
        self._open.remove(span)
        self._ended.append(span)
