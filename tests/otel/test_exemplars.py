"""Exemplars lead to spans that exist in what is exported, and are valid OpenMetrics whatever happens."""

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import format_span_id, format_trace_id
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from iris_exporter.decoding.messages import Event
from iris_exporter.instruments import catalog
from iris_exporter.instruments.exposition import Exposition, Source
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.instruments.stream_instruments import MAX_EVENT_EXEMPLARS, StreamInstruments
from iris_exporter.instruments.text import Exemplar, Format
from iris_exporter.otel.stream_tracer import StreamTracer
from iris_exporter.transports.connection_events import Connected, DialStarted, PingAnswered
from tests.fakes import FakeClock
from tests.instruments.oracle import prometheus_registry
from tests.instruments.support import link, picture
from tests.otel.samples import Recorder, tracer_into

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
KEY = ("p", "evaluation", "info")


class Bench:
    def __init__(self, *, sampled: bool = True) -> None:
        self.clock = FakeClock()
        self.traces = Recorder()
        self.instruments = StreamInstruments("s")
        tracer = tracer_into(self.traces, "always_on" if sampled else "always_off")
        self.telemetry = StreamTracer("s", "http://h/x", self.instruments, self.clock, tracer, None)
        source = Source(self.instruments, link(), picture("s", event_counts={KEY: 3, ("q", "x", "info"): 1}))
        self.exposition = Exposition(lambda: [source], SelfMetrics("1", "r", "3"), process_metrics=False)

    @property
    def spans(self) -> list[ReadableSpan]:
        return [*self.traces.records, *self.traces.minor]

    @property
    def exported(self) -> set[tuple[str, str]]:
        contexts = [span.context for span in self.spans]
        return {(format_trace_id(context.trace_id), format_span_id(context.span_id)) for context in contexts}

    def text(self, form: Format = Format.OPENMETRICS) -> str:
        return b"".join(self.exposition.render(form)).decode()

    def exemplars(self) -> dict[str, list[tuple[str, str]]]:
        """Trace and span ids by sample name, as a parser of OpenMetrics finds them."""
        found: dict[str, list[tuple[str, str]]] = {}
        for family in text_string_to_metric_families(self.text()):
            for sample in family.samples:
                if sample.exemplar is not None:
                    labels = sample.exemplar.labels
                    found.setdefault(sample.name, []).append((labels["trace_id"], labels["span_id"]))
        return found


async def drive(bench: Bench) -> None:
    telemetry, instruments = bench.telemetry, bench.instruments
    telemetry.on_event(DialStarted())
    instruments.on_event(Connected("sse", "http://h/x", 0.02, bench.clock.wall()))
    telemetry.on_event(Connected("sse", "http://h/x", 0.02, bench.clock.wall()))
    instruments.on_event(PingAnswered(0.003))
    telemetry.on_event(PingAnswered(0.003))
    instruments.delays([0.004, 0.3, 0.02])
    telemetry.arrived([Event("e1", 1.0, *KEY, traceparent=TRACEPARENT)], bench.clock.wall())
    telemetry.close()


async def test_each_exemplar_is_a_span_that_was_exported() -> None:
    bench = Bench()
    await drive(bench)
    found = bench.exemplars()
    assert set(found) == {
        "iris_stream_connect_duration_seconds_bucket",
        "iris_stream_heartbeat_rtt_seconds_bucket",
        "iris_stream_message_delay_seconds_bucket",
        "iris_events_total",
    }
    assert {ids for each in found.values() for ids in each} <= bench.exported
    assert len(found["iris_events_total"]) == 1


async def test_what_is_not_sampled_has_no_exemplar() -> None:
    bench = Bench(sampled=False)
    await drive(bench)
    assert bench.exemplars() == {}
    assert bench.spans == []


async def test_the_client_library_prints_the_same_exemplars() -> None:
    bench = Bench()
    await drive(bench)
    ours = [text for text in bench.text().splitlines() if " # {" in text]
    theirs = [
        text for text in generate_latest(prometheus_registry(bench.exposition)).decode().splitlines() if " # {" in text
    ]
    assert ours == theirs
    assert len(ours) == 4


async def test_text_has_none() -> None:
    bench = Bench()
    await drive(bench)
    assert " # {" not in bench.text(Format.TEXT)


def test_one_that_is_too_long_is_left_out_and_their_number_is_bounded() -> None:
    instruments = StreamInstruments("s")
    instruments.event_exemplar(KEY, Exemplar((("trace_id", "x" * 121),), 1.0))
    assert instruments.event_exemplars == {}
    instruments.histogram(catalog.MESSAGE_DELAY).mark(1.0, Exemplar((("trace_id", "x" * 121),), 1.0))
    assert not instruments.histogram(catalog.MESSAGE_DELAY).has_exemplars()
    for number in range(MAX_EVENT_EXEMPLARS + 10):
        instruments.event_exemplar((str(number), "", ""), Exemplar((("trace_id", "a"),), 1.0))
    assert len(instruments.event_exemplars) == MAX_EVENT_EXEMPLARS
    assert ("0", "", "") not in instruments.event_exemplars


@pytest.mark.parametrize("delays", [[], [float("nan")], [-1.0]])
def test_odd_delays_do_no_harm(delays: list[float]) -> None:
    instruments = StreamInstruments("s")
    instruments.exemplify = lambda value: Exemplar((("trace_id", "a"),), value)
    instruments.delays(delays)
    assert instruments.histogram(catalog.MESSAGE_DELAY).total == len(delays)
