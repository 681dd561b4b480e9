"""Traces and logs of one stream: it observes the connection, and listens to the events.

Every call is quick, never raises for whatever a source may send, and ends in an append to a queue or in nothing.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from opentelemetry.trace import NoOpTracer, Span, SpanContext, Tracer, format_span_id, format_trace_id
from yarl import URL

from iris_exporter.clock import Clock
from iris_exporter.core.status import State
from iris_exporter.decoding.messages import Event, MappedEvent, UnmadeEvents, logged
from iris_exporter.http.handshakes import WATCHER
from iris_exporter.instruments import catalog, signals
from iris_exporter.instruments.metric import Metric
from iris_exporter.instruments.signals import SpanType
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.instruments.text import Exemplar
from iris_exporter.otel.event_logger import Arrival, EventLogger, event_attributes
from iris_exporter.otel.request_spans import CURRENT, Operation, address
from iris_exporter.otel.spans import Value, begin, end, parse_traceparent
from iris_exporter.otel.summary import summarise, totals
from iris_exporter.transports.connection_events import (
    Connected,
    ConnectionEvent,
    DialFailed,
    DialStarted,
    Disconnected,
    FirstRead,
    PingAnswered,
    PollAnswered,
    PollFailed,
    PollStarted,
    StateChanged,
)

SUMMARY_SECONDS = 60.0
EVENT_SPANS_PER_SECOND = 100
"""Spans of events that one stream makes in a second. A source that puts a trace context into each of a hundred
thousand events would otherwise get spans in place of ingest; a sampler is the way to choose among them."""

_STOPPED = "requested"


class StreamTracer:
    """Traces and logs of one stream. `tracer` or `events` is None where that signal is not exported.

    `phase` from 0 to 1 says how much of the first minute's summary is left out, so that the summaries of many streams
    do not end at the same time.
    """

    def __init__(
        self,
        name: str,
        url: str,
        instruments: StreamInstruments,
        clock: Clock,
        tracer: Tracer | None,
        events: EventLogger | None,
        phase: float = 0.0,
        on_close: Callable[["StreamTracer"], None] | None = None,
    ) -> None:
        self.name = name
        self._instruments = instruments
        self._clock = clock
        self._is_traced = tracer is not None
        self._tracer = NoOpTracer() if tracer is None else tracer
        self._events = events
        self._on_close = on_close
        self._address: dict[str, Value] = {}
        self.locate(url)
        self._operations: dict[asyncio.Task[object], Operation] = {}
        self._connection: SpanContext | None = None  # of the link that is open, or was last
        self._poll: SpanContext | None = None  # of the last poll; None while a link is open
        self._is_linked = False
        self._first_message: Span | None = None
        self._event_second = 0.0  # monotonic; when the second began in which `_event_spans` were made
        self._event_spans = 0
        self._is_polled = False
        self._granted: frozenset[str] | None = None  # on this connection, None without a subscription
        self._protocol = "none"  # the last one that was in use since the summary began
        self._state_changes = 0
        self._totals = totals(instruments)
        self._summary = self._begin_summary(clock.wall())
        self._due = clock.monotonic() + SUMMARY_SECONDS * (1.0 - phase)
        if tracer is not None:
            instruments.exemplify = self._exemplify_delay

    def locate(self, url: str) -> None:
        """Change the address of the stream."""
        self._address = {signals.STREAM.name: self.name, **address(URL(url, encoded=True))}

    # For exemplars

    def _exemplar(self, context: SpanContext | None, value: float) -> Exemplar | None:
        """A sample that leads to a span; None for one that is not exported."""
        if context is None or not context.trace_flags.sampled:
            return None
        ids = (("trace_id", format_trace_id(context.trace_id)), ("span_id", format_span_id(context.span_id)))
        return Exemplar(ids, value, self._clock.wall())

    def _exemplify_delay(self, seconds: float) -> Exemplar | None:
        """A delay leads to the summary of its minute, which has the percentiles and the link to the connection."""
        return self._exemplar(self._summary.get_span_context(), seconds)

    def _mark(self, metric: Metric, seconds: float, context: SpanContext | None) -> None:
        if exemplar := self._exemplar(context, seconds):
            self._instruments.histogram(metric).mark(seconds, exemplar)

    # The connection.

    def on_event(self, event: ConnectionEvent) -> None:
        """Observe the connection."""
        match event:
            case DialStarted():
                self._begin(signals.CONNECT, self._address)
            case Connected():
                self._connected(event)
            case FirstRead():
                self._first_arrived("")
            case PingAnswered(round_trip_seconds=seconds):
                self._mark(catalog.HEARTBEAT_RTT, seconds, self._connection)
            case Disconnected(failure=failure):
                self._is_linked = False
                self._first_arrived(failure.reason)
                self._sum_up("disconnect")
            case PollStarted(page=page):
                purpose = "page" if page else "snapshot" if self._is_linked else "poll"
                self._begin(signals.REQUEST_SPAN, {**self._address, signals.REQUEST.name: purpose})
            case PollAnswered(wire_bytes=wire_bytes):
                self._polled(wire_bytes)
            case DialFailed(failure=failure) | PollFailed(failure=failure):
                if (operation := self._operation()) is not None:
                    operation.finish(failure.reason)
            case StateChanged():
                self._state_changed(event)

    def _connected(self, event: Connected) -> None:
        self._protocol = event.protocol
        self._granted = None
        self._is_linked = True
        operation = self._operation()
        if operation is None:
            return
        operation.set(
            {
                signals.PROTOCOL.name: event.protocol,
                signals.ENCODING.name: event.encoding,
                signals.COMPRESSION.name: event.compression,
            }
        )
        operation.finish()
        self._connection = context = operation.context
        self._mark(catalog.CONNECT_DURATION, event.seconds, context)
        attributes: dict[str, Value] = {signals.STREAM.name: self.name, signals.PROTOCOL.name: event.protocol}
        self._first_message = begin(self._tracer, signals.FIRST_MESSAGE, event.at, attributes, context)

    def _state_changed(self, change: StateChanged) -> None:
        self._state_changes += change.previous != change.state
        self._is_polled = change.state == State.POLLING
        if self._is_polled:
            self._protocol = "poll"
        if self._events is not None:
            self._events.state(Arrival(self.name, self._clock.wall(), self._cause()), change)

    def _cause(self) -> SpanContext | None:
        """The span that a change of state belongs to: a dial or a poll that has just ended, or else the connection."""
        operation = self._operation()
        if operation is None or operation.purpose == "snapshot":
            return self._connection
        return operation.context

    # Events: see `streams.listener.EventListener`.

    def wanted(self, batch: UnmadeEvents) -> Sequence[Event]:
        """All events for the log, else those with a trace context (`EventListener`)."""
        if self._events is not None:
            return batch.events()
        return batch.traced() if self._is_traced and self._event_spans_left() > 0 else ()

    def granted(self, extensions: frozenset[str]) -> None:
        """The summaries of this connection name what was granted (`EventListener`)."""
        self._granted = extensions

    def arrived(self, events: Sequence[Event], at: float) -> None:
        """Log the events, and make spans of those with a trace context (`EventListener`)."""
        if self._events is not None:
            arrival = Arrival(self.name, at, self._connection if self._is_linked else self._poll)
            self._events.events(arrival, logged(events))
        if self._is_traced:
            self._trace([event for event in events if event.traceparent], at)

    def _event_spans_left(self) -> int:
        now = self._clock.monotonic()
        if now - self._event_second >= 1.0:
            self._event_second, self._event_spans = now, 0
        return EVENT_SPANS_PER_SECOND - self._event_spans

    def _trace(self, events: Sequence[Event], at: float) -> None:
        if not events or self._event_spans_left() <= 0:
            return
        for event in events:
            origin = parse_traceparent(event.traceparent)
            if origin is None:
                continue
            attributes = event_attributes(self.name, event)
            span = begin(self._tracer, signals.EVENT_SPAN, at, attributes, origin=origin)
            end(span, at)
            if exemplar := self._exemplar(span.get_span_context(), 1.0):
                if not isinstance(event, MappedEvent):  # which is not counted in iris_events_total
                    self._instruments.event_exemplar((event.project, event.event_type, event.severity), exemplar)
                self._event_spans += 1
                if self._event_spans >= EVENT_SPANS_PER_SECOND:
                    break

    # Summaries

    def tick(self) -> None:
        """Sum a minute up when it is over; call it every second or so."""
        if self._clock.monotonic() >= self._due:
            self._sum_up("minute")

    def close(self) -> None:
        """End all spans; the stream has ended."""
        for operation in list(self._operations.values()):
            operation.finish(_STOPPED)
        self._first_arrived(_STOPPED)
        self._sum_up("shutdown")
        if self._on_close is not None:
            self._on_close(self)

    def _sum_up(self, cause: str) -> None:
        before, after = self._totals, totals(self._instruments)
        span, now = self._summary, self._clock.wall()
        changes = self._state_changes
        self._totals, self._state_changes = after, 0
        self._summary = self._begin_summary(now)
        self._due = self._clock.monotonic() + SUMMARY_SECONDS
        if before == after and not changes and not self._is_linked and cause != "disconnect":
            return  # a stream that is off has no summaries
        attributes: dict[str, Value] = {
            signals.PROTOCOL.name: self._protocol,
            signals.CAUSE.name: cause,
            signals.STATE_CHANGES.name: changes,
            **summarise(before, after),
        }
        if self._granted is not None:
            attributes[signals.GRANTED.name] = tuple(sorted(self._granted))
        span.set_attributes(attributes)
        connection = self._connection if self._is_linked or cause == "disconnect" else self._poll
        if connection is not None and connection.trace_flags.sampled:
            span.add_link(connection)
        end(span, now)
        if not self._is_linked and not self._is_polled:
            self._protocol = "none"

    def _begin_summary(self, at: float) -> Span:
        return begin(self._tracer, signals.SUMMARY, at, {signals.STREAM.name: self.name})

    # Operations

    def _begin(self, kind: SpanType, attributes: Mapping[str, Value]) -> None:
        task = asyncio.current_task()
        operation = Operation(kind, self._tracer, self._stopwatch(), attributes)
        CURRENT.set(operation)
        WATCHER.set(operation.handshake)
        if task is None:
            return
        earlier = self._operations.get(task)
        if earlier is None:
            task.add_done_callback(self._task_ended)
        else:
            earlier.finish(_STOPPED)
        self._operations[task] = operation

    def _stopwatch(self) -> Callable[[], float]:
        """Wall time from now on, which does not jump when the system's clock is set."""
        monotonic = self._clock.monotonic
        offset = self._clock.wall() - monotonic()
        return lambda: offset + monotonic()

    def _task_ended(self, task: asyncio.Task[object]) -> None:
        """The task was cancelled if its operation is still open."""
        operation = self._operations.pop(task, None)
        if operation is not None:
            operation.finish(_STOPPED)

    def _operation(self) -> Operation | None:
        task = asyncio.current_task()
        return None if task is None else self._operations.get(task)

    def _polled(self, wire_bytes: int) -> None:
        """A body has arrived. Whether it can be used is known when this turn of the loop is over: `PollFailed`."""
        operation = self._operation()
        if operation is None:
            return
        if operation.kind is signals.REQUEST_SPAN:
            operation.set({signals.WIRE_BYTES.name: wire_bytes})
        else:
            operation.set({signals.PROTOCOL.name: "poll"})
        if not self._is_linked:
            self._poll = operation.context
        asyncio.get_running_loop().call_soon(operation.finish)

    def _first_arrived(self, error: str) -> None:
        if self._first_message is not None:
            end(self._first_message, self._clock.wall(), error)
            self._first_message = None
