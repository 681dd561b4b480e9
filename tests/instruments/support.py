"""Streams to print."""

from typing import Any

from iris_exporter.core.failures import Failure
from iris_exporter.core.status import LinkStatus, State
from iris_exporter.decoding.messages import Anomaly, Metrics, Project
from iris_exporter.instruments import catalog
from iris_exporter.instruments.exposition import Exposition, Source
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.instruments.signals import ExportCounts
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.instruments.text import Exemplar, Format
from iris_exporter.model.snapshot import DataFlow, Snapshot
from iris_exporter.transports.connection_events import (
    Connected,
    DialFailed,
    DialStarted,
    Disconnected,
    PingAnswered,
    PollFailed,
    PollStarted,
)

NOON = 1_700_000_000.0


def link(state: State = State.LIVE, **changes: Any) -> LinkStatus:
    is_live = state is State.LIVE
    fields: dict[str, Any] = {
        "state": state, "protocol": "sse", "endpoint": "http://iris.test/api/stream/overview", "attempt": 0,
        "next_attempt_at": None, "connected_at": NOON, "last_message": NOON + 1.5, "failure": None,
        "failing_since": None, "last_failure_at": None, "state_changed_at": NOON,
        "encoding": "protobuf" if is_live else "none", "compression": "gzip" if is_live else "none",
        "extensions": frozenset({"batch", "delta"}) if is_live else None, "oldest_waiting": (NOON + 1, None),
    }  # fmt: skip
    return LinkStatus(**{**fields, **changes})


def picture(stream: str = "main", *, stale: bool = False, **changes: Any) -> Snapshot:
    if stale:
        changes["flow"] = DataFlow.SILENT
    fields: dict[str, Any] = {
        "stream": stream, "metrics": None, "projects": (), "anomalies": (), "events": (), "event_counts": {},
        "last_data_timestamp": None, "flow": DataFlow.FLOWING,
    }  # fmt: skip
    return Snapshot(**{**fields, **changes})


def source(stream: str = "main", status: LinkStatus | None = None, **changes: Any) -> Source:
    return Source(StreamInstruments(stream), status or link(), picture(stream, **changes))


def exposition(*sources: Source, process_metrics: bool = False) -> Exposition:
    self_metrics = SelfMetrics("1.2.3", "abc", "3.11.7")
    return Exposition(lambda: sources, self_metrics, process_metrics=process_metrics)


def text(printer: Exposition, form: Format = Format.TEXT, names: list[str] | None = None) -> str:
    return b"".join(printer.render(form, names)).decode()


def series(printer: Exposition, name: str) -> list[str]:
    """The sample lines of one metric."""
    return [line for line in text(printer).splitlines() if line.startswith((name + "{", name + " "))]


def busy_exposition() -> Exposition:
    """Two streams to which everything has happened that can be seen, with text that needs care."""
    main = source(
        "main",
        metrics=Metrics(
            projects=3.0, healthy_projects=1.0, warning_projects=1.0, critical_projects=1.0, runs_today=1234567.0,
            success_ratio=0.925, active_experts=7.0, reflexions=12.0,
        ),
        projects=(
            Project(
                id="alpha", name='Al "the first" \\ pha\n', status="healthy", health_ratio=0.97, success_ratio=1.0,
                runs=2e6, active_experts=3.0, reflexions=4.0, latency_seconds=0.2345, last_run_timestamp=NOON,
            ),
            Project(id="bêta", name="", status="strange", health_ratio=0.0, runs=5.0),
            Project(id="", status="critical", latency_seconds=1e-05),
        ),
        anomalies=(
            Anomaly(id="1", project="alpha", severity="critical"),
            Anomaly(id="2", project="alpha", severity="critical"),
            Anomaly(id="3", project="alpha", severity="high"),
            Anomaly(id="4", project="unknown", severity="info"),
            Anomaly(id="5", project="alpha", severity="warning", resolved=True),
        ),
        event_counts={("alpha", "evaluation", "info"): 17, ("bêta", 'odd"type', "error"): 2_000_000},
        last_data_timestamp=NOON,
    )  # fmt: skip
    main.instruments.on_event(DialStarted())
    main.instruments.on_event(Connected("sse", "http://iris.test/", 0.034, NOON))
    main.instruments.message("event", 17)
    main.instruments.message("surprise")
    main.instruments.received("sse", 123_456_789, 987_654_321)
    main.instruments.delays([0.004, 0.005, 0.0051, 0.3, 99.0])
    main.instruments.delays([0.07])
    exemplar = Exemplar((("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"),), 0.07, NOON)
    main.instruments.histogram(catalog.MESSAGE_DELAY).mark(0.07, exemplar)
    main.instruments.on_event(PingAnswered(0.0125))
    main.instruments.count(catalog.DECODE_ERRORS, 2, "not_json")
    main.instruments.count(catalog.UPSTREAM_ERRORS, 1, "RATE_LIMIT_EXCEEDED")
    main.instruments.count(catalog.UPSTREAM_ERRORS, 1, "SOMETHING_NEW")
    main.instruments.count(catalog.RESUMES, 1, "partial")
    main.instruments.count(catalog.EVENTS_REPLAYED, 3)
    main.instruments.count(catalog.EVENTS_DUPLICATE, 2)
    main.instruments.count(catalog.EVENTS_OVERTAKING, 4)
    main.instruments.count(catalog.SOURCE_DROPPED, 5)
    main.instruments.count(catalog.DELTA_RESYNCS, 1)
    main.instruments.histogram(catalog.BATCH_MESSAGES).observe_many([2, 100, 3])
    main.instruments.count(catalog.EVENT_GAPS, 1)
    waiting = link(
        State.CONNECTING, protocol="none", endpoint="", attempt=3, next_attempt_at=NOON + 6, connected_at=None,
        last_message=None, failure=Failure("dns", "no such host"),
        failing_since=NOON - 5, last_failure_at=NOON + 0.5, state_changed_at=NOON - 7,
    )  # fmt: skip
    other = source("other", waiting)
    other.instruments.on_event(DialStarted())
    other.instruments.on_event(DialFailed(Failure("dns"), 0.1))
    other.instruments.on_event(Disconnected(Failure("going_away")))
    other.instruments.on_event(PollStarted())
    other.instruments.on_event(PollFailed(Failure("not_json")))
    printer = exposition(main, other)
    printer.self_metrics.config_reloaded(True, NOON)
    printer.self_metrics.config_reloaded(False, NOON + 60)
    printer.self_metrics.watch_exports(lambda: {"traces": ExportCounts(7, 5, 0, 0, 2)})
    printer.self_metrics.report("otlp_traces", "connection_refused")
    printer.self_metrics.report("live", "timeout")
    printer.self_metrics.report("live", None)
    printer.self_metrics.set(catalog.SCRAPE_DURATION, 0.25)
    return printer
