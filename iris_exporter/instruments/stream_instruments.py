"""What happens to one stream, counted where it happens; what the source says is in `entities`."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from iris_exporter.core.doubts import Doubt
from iris_exporter.core.labels import clean_label
from iris_exporter.core.limits import DEFAULT_LIMITS, Limits
from iris_exporter.core.status import Counted
from iris_exporter.instruments import catalog
from iris_exporter.instruments.mapped import MappedCounts, label_values
from iris_exporter.instruments.metric import Kind, Metric, Subject
from iris_exporter.instruments.primitives import Counter, Histogram, Instrument
from iris_exporter.instruments.text import Exemplar, pairs_text
from iris_exporter.model.snapshot import EventKey
from iris_exporter.transports.connection_events import (
    Connected,
    ConnectionEvent,
    DialFailed,
    DialStarted,
    Disconnected,
    PingAnswered,
    PollAnswered,
    PollFailed,
    PollStarted,
)

if TYPE_CHECKING:
    from iris_exporter.mapping import spec

MAX_EVENT_EXEMPLARS = 1000
"""Label sets of the event counter whose last exemplar is stored, some 300 bytes each."""

_COUNTED = [metric for metric in catalog.CATALOG if metric.subject is Subject.STREAM and metric.value is None]
# Where each is in the lists of a stream: a thousand streams share these, and have no dictionary of their own.
_COUNTERS = {metric: index for index, metric in enumerate(each for each in _COUNTED if each.kind is Kind.COUNTER)}
_HISTOGRAMS = {metric: index for index, metric in enumerate(each for each in _COUNTED if each.kind is Kind.HISTOGRAM)}


class StreamInstruments:
    """The counters of one stream: its connection (`on_event`), and what decoding and the model report.

    Every call is quick, never raises for whatever a source may send, and takes numbers for whole batches. `limits` are
    those by which what its source says is shown; they may be replaced.
    """

    def __init__(self, stream: str, limits: Limits = DEFAULT_LIMITS) -> None:
        self.limits = limits
        self.stream = clean_label(stream)
        self.tail = f"{pairs_text([('stream', self.stream)])}}} "
        self._counters = [Counter(metric) for metric in _COUNTERS]
        self._histograms = [Histogram(metric) for metric in _HISTOGRAMS]
        self.mapped: MappedCounts | None = None
        """What is counted of a stream with a mapping alone; `follow` sets it."""
        # The hot path goes without a lookup by name.
        self._messages = self.counter(catalog.MESSAGES)
        self._received = self.counter(catalog.RECEIVED_BYTES)
        self._decoded = self.counter(catalog.DECODED_BYTES)
        self._delay = self.histogram(catalog.MESSAGE_DELAY)
        self.exemplify: Callable[[float], Exemplar | None] | None = None
        """Makes the exemplar of a delay that is being counted; None where there are no traces."""
        self.event_exemplars: dict[EventKey, Exemplar] = {}
        """Exemplars of the event counter, for the last `MAX_EVENT_EXEMPLARS` label sets that had one."""

    def counter(self, metric: Metric) -> Counter:
        """The counter of a metric of the catalogue; KeyError for one that is not counted here."""
        return self._counters[_COUNTERS[metric]]

    def histogram(self, metric: Metric) -> Histogram:
        """The histogram of a metric of the catalogue; KeyError for one that is not one."""
        return self._histograms[_HISTOGRAMS[metric]]

    def instrument(self, metric: Metric) -> Instrument:
        """What counts a metric of the catalogue; KeyError for one that is not counted here."""
        return self.counter(metric) if metric.kind is Kind.COUNTER else self.histogram(metric)

    def count(self, metric: Metric, amount: int = 1, label: str = "") -> None:
        """Add to a counter; `label` is the value of its own label, `other` where the catalogue does not know it."""
        self.counter(metric).inc(amount, label)

    def follow(self, mapping: "spec.Mapping", guarantee: Counted) -> None:
        """Count for a stream with this mapping from now on; what was counted for another one stays."""
        counts = MappedCounts(mapping, guarantee)
        if self.mapped is not None:
            counts.filtered, counts.problems = self.mapped.filtered, self.mapped.problems
            counts.doubts = self.mapped.doubts  # as what was counted stays
        self.mapped = counts
        for metric, values in label_values(mapping).items():
            self.counter(metric).know(values)

    def doubt(self, doubt: Doubt) -> None:
        """The stream has shown something against the guarantee of its mapping, if it has one."""
        if self.mapped is not None:
            self.mapped.doubt(doubt)

    # The connection.

    def on_event(self, event: ConnectionEvent) -> None:
        """Observe the connection; its state is read from `LinkStatus` when somebody scrapes."""
        match event:
            case DialStarted():
                self.count(catalog.CONNECT_ATTEMPTS)
            case DialFailed(failure=failure):
                self.count(catalog.CONNECT_FAILURES, 1, failure.reason)
            case Connected(seconds=seconds):
                self.histogram(catalog.CONNECT_DURATION).observe(seconds)
            case Disconnected(failure=failure):
                self.count(catalog.DISCONNECTS, 1, failure.reason)
            case PingAnswered(round_trip_seconds=seconds):
                self.histogram(catalog.HEARTBEAT_RTT).observe(seconds)
            case PollStarted():
                self.count(catalog.POLLS)
            case PollAnswered(wire_bytes=wire_bytes, inflated_bytes=inflated_bytes):
                self.received("poll", wire_bytes, inflated_bytes)
            case PollFailed(failure=failure):
                self.count(catalog.POLL_FAILURES, 1, failure.reason)

    def received(self, protocol: str, wire_bytes: int, inflated_bytes: int) -> None:
        """Bytes arrived: one read of a link, or the answer to a poll."""
        self._received.inc(wire_bytes, protocol)
        self._decoded.inc(inflated_bytes, protocol)

    # Messages.

    def message(self, message_type: str, count: int = 1) -> None:
        """`count` messages of a type, in the wire's spelling; an unknown type is counted as `other`."""
        self._messages.inc(count, message_type)

    def delays(self, seconds: Iterable[float]) -> None:
        """So long several messages took; a negative time (the source's clock is ahead) counts as 0.

        The slowest of them gets the exemplar, because it is the one to examine.
        """
        values = list(seconds)
        self._delay.observe_many(values)
        if values:
            self._exemplify(max(values))

    def delays_since(self, sent: Sequence[datetime], now: datetime) -> None:
        """The same for messages that were sent at these times, the earliest first, and have arrived now.

        Differences of two times are exact to the microsecond, and take a third of what seconds take.
        """
        if sent:
            self._delay.observe_since(sent, now)
            self._exemplify((now - sent[0]).total_seconds())

    def _exemplify(self, slowest: float) -> None:
        if self.exemplify is not None and (exemplar := self.exemplify(slowest)) is not None:
            self._delay.mark(slowest, exemplar)

    def event_exemplar(self, key: EventKey, exemplar: Exemplar) -> None:
        """An event of these labels has a span; one that is too long is left out."""
        if exemplar.fits():
            exemplars = self.event_exemplars
            exemplars.pop(key, None)
            exemplars[key] = exemplar
            if len(exemplars) > MAX_EVENT_EXEMPLARS:
                del exemplars[next(iter(exemplars))]
