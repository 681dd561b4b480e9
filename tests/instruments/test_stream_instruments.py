"""What each report of the connection, the decoder and the model adds to which counter."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from iris_exporter.core.failures import Failure
from iris_exporter.instruments import catalog
from iris_exporter.instruments.metric import Kind, Metric
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.transports.connection_events import (
    Connected,
    DialFailed,
    DialStarted,
    Disconnected,
    PingAnswered,
    PollFailed,
    PollStarted,
    StateChanged,
)
from tests.instruments.oracle import counted


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def counts(instruments: StreamInstruments) -> dict[tuple[str, str], float]:
    """Every series that is not 0, by metric and first label."""
    found = {}
    for metric in catalog.CATALOG:
        if metric.kind in (Kind.COUNTER, Kind.HISTOGRAM) and metric.group in (catalog.LINK, catalog.TRAFFIC):
            for sample in counted(metric, instruments):
                if sample.value and not sample.name.endswith(("_bucket", "_sum")):
                    label = next(iter(sample.labels.values()), "")
                    found[sample.name, label] = sample.value
    return found


@pytest.mark.parametrize(
    ("report", "metric", "label", "count"),
    [
        (lambda s: s.on_event(DialStarted()), catalog.CONNECT_ATTEMPTS, "", 1),
        (lambda s: s.on_event(DialFailed(Failure("tls"), 1.0)), catalog.CONNECT_FAILURES, "tls", 1),
        (lambda s: s.on_event(DialFailed(Failure("made up"), 1.0)), catalog.CONNECT_FAILURES, "other", 1),
        (lambda s: s.on_event(Disconnected(Failure("closed"))), catalog.DISCONNECTS, "closed", 1),
        (lambda s: s.received("websocket", 77, 77), catalog.RECEIVED_BYTES, "websocket", 77),
        (lambda s: s.on_event(PollStarted()), catalog.POLLS, "", 1),
        (lambda s: s.on_event(PollFailed(Failure("unavailable"))), catalog.POLL_FAILURES, "unavailable", 1),
        (lambda s: s.message("ping"), catalog.MESSAGES, "ping", 1),
        (lambda s: s.message("event", 40), catalog.MESSAGES, "event", 40),
        (lambda s: s.count(catalog.DECODE_ERRORS, 3, "too_deep"), catalog.DECODE_ERRORS, "too_deep", 3),
        (lambda s: s.count(catalog.UPSTREAM_ERRORS, 1, "AUTH_REQUIRED"), catalog.UPSTREAM_ERRORS, "AUTH_REQUIRED", 1),
        (lambda s: s.count(catalog.UPSTREAM_ERRORS, 1, "auth"), catalog.UPSTREAM_ERRORS, "other", 1),
        (lambda s: s.count(catalog.EVENTS_DUPLICATE, 4), catalog.EVENTS_DUPLICATE, "", 4),
        (lambda s: s.count(catalog.EVENTS_REPLAYED, 5), catalog.EVENTS_REPLAYED, "", 5),
        (lambda s: s.count(catalog.EVENT_GAPS, 6), catalog.EVENT_GAPS, "", 6),
        (lambda s: s.count(catalog.RESUMES, 1, "full"), catalog.RESUMES, "full", 1),
    ],
)
def test_each_report_moves_one_counter(
    report: Callable[[StreamInstruments], None], metric: Metric, label: str, count: int
) -> None:
    instruments = StreamInstruments("s")
    report(instruments)
    moved = counts(instruments)
    assert moved.pop((catalog.DECODED_BYTES.name, label), count) == count
    assert moved == {(metric.name, label): count}
    assert instruments.counter(metric).counts()[label] == count


@pytest.mark.parametrize(
    ("report", "metric", "total", "count"),
    [
        (lambda s: s.on_event(Connected("sse", "http://h/", 0.25, 1.0)), catalog.CONNECT_DURATION, 0.25, 1),
        (lambda s: s.on_event(PingAnswered(0.5)), catalog.HEARTBEAT_RTT, 0.5, 1),
        (lambda s: s.delays([0.25, 0.5]), catalog.MESSAGE_DELAY, 0.75, 2),
        (lambda s: s.delays_since([at(0.25), at(0.5)], at(1.0)), catalog.MESSAGE_DELAY, 1.25, 2),
        (lambda s: s.delays_since([at(0.25), at(1.5)], at(1.0)), catalog.MESSAGE_DELAY, 0.75, 2),
    ],
)
def test_each_duration_is_observed_once(
    report: Callable[[StreamInstruments], None], metric: Metric, total: float, count: int
) -> None:
    instruments = StreamInstruments("s")
    report(instruments)
    assert counts(instruments) == {(f"{metric.name}_count", ""): count}
    assert instruments.histogram(metric).sum == total


def test_a_change_of_state_is_in_no_counter() -> None:
    instruments = StreamInstruments("s")
    instruments.on_event(StateChanged("live", "connecting", Failure("closed"), 1, 3.0))
    assert counts(instruments) == {}


def test_a_strange_name_of_a_stream_is_made_printable() -> None:
    instruments = StreamInstruments('a"b\n' + "\ud800" + "x" * 400)
    assert len(instruments.stream) == 200
    assert instruments.tail.startswith('stream="a\\"b\\n\ufffdxxx')
