"""The pure parts: trace contexts, sampling, attributes within limits, summaries."""

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import Link, SpanContext, TraceFlags

from iris_exporter.core.failures import Failure
from iris_exporter.errors import Problem
from iris_exporter.instruments import catalog
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.otel.event_logger import MAX_METADATA_DEPTH, flattened
from iris_exporter.otel.provider import make_resource
from iris_exporter.otel.settings import OtelSettings, Sampling
from iris_exporter.otel.spans import make_sampler, parse_traceparent
from iris_exporter.otel.summary import quantile, summarise, totals
from iris_exporter.transports.connection_events import Disconnected

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(("text", "sampled"), [(GOOD, True), (GOOD[:-1] + "0", False), (f"cc-{GOOD[3:]}-later", True)])
def test_a_traceparent_is_read(text: str, sampled: bool) -> None:
    context = parse_traceparent(text)
    assert context is not None
    assert (context.trace_id, context.span_id) == (int(TRACE, 16), int(SPAN, 16))
    assert (bool(context.trace_flags.sampled), context.is_remote) == (sampled, True)


@pytest.mark.parametrize(
    "text",
    ["", "x", GOOD.upper(), GOOD + "-more", "ff" + GOOD[2:], f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01",
     GOOD[:-1]],
)  # fmt: skip
def test_a_traceparent_that_is_not_valid_is_none(text: str) -> None:
    assert parse_traceparent(text) is None


def samples(sampler: Sampler, trace_id: int, origin: SpanContext | None = None) -> bool:
    links = () if origin is None else (Link(origin),)
    return sampler.should_sample(Context(), trace_id, "n", links=links).decision.is_sampled()


@pytest.mark.parametrize(
    ("name", "ratio", "low", "high"),
    [
        ("always_on", 1.0, True, True),
        ("always_off", 1.0, False, False),
        ("traceidratio", 0.5, True, False),
        ("parentbased_traceidratio", 0.5, True, False),
        ("traceidratio", 0.0, False, False),
        ("traceidratio", 1.0, True, True),
    ],
)
def test_a_sampler_decides_by_the_trace_id(name: str, ratio: float, low: bool, high: bool) -> None:
    sampler = make_sampler(Sampling(name, ratio))
    assert samples(sampler, 0xFFFFFFFFFFFFFFFF << 64) is low
    assert samples(sampler, 0xFFFFFFFFFFFFFFFF) is high


def test_a_linked_span_decides_where_the_sampler_is_based_on_the_parent() -> None:
    sampled, unsampled = parse_traceparent(GOOD), parse_traceparent(GOOD[:-1] + "0")
    by_parent, own = make_sampler(Sampling("parentbased_always_on")), make_sampler(Sampling("always_on"))
    assert samples(by_parent, 1, sampled)
    assert not samples(by_parent, 1, unsampled)
    assert samples(own, 1, unsampled)


def test_by_ratio_a_linked_span_is_sampled_with_its_origin() -> None:
    sampler = make_sampler(Sampling("traceidratio", 0.5))
    high = SpanContext(0xFFFFFFFFFFFFFFFF, 1, is_remote=True, trace_flags=TraceFlags(1))
    assert samples(sampler, 1)
    assert not samples(sampler, 1, high)


def test_metadata_become_flat_attributes_of_their_types() -> None:
    metadata = b'{"a":{"b":1,"c":{"d":1.5}},"e":true,"f":null,"g":[1,"x"],"h":"text","i":123456789012345678901,"j":{}}'
    assert dict(flattened(metadata)) == {
        "iris.event.metadata.a.b": 1,
        "iris.event.metadata.a.c.d": 1.5,
        "iris.event.metadata.e": True,
        "iris.event.metadata.g": '[1,"x"]',
        "iris.event.metadata.h": "text",
        "iris.event.metadata.i": 123456789012345678901.0,
        "iris.event.metadata.j": "{}",
    }


def test_deep_metadata_end_as_text() -> None:
    metadata = b'{"a":' * 9 + b"1" + b"}" * 9
    ((key, value),) = flattened(metadata)
    assert key.count(".a") == MAX_METADATA_DEPTH
    assert str(value).startswith('{"a":')


def test_the_operator_decides_about_the_resource() -> None:
    given = OtelSettings(resource={"service.name": "mine", "k8s.pod.name": "p"})
    attributes = make_resource(given, "1.2").attributes
    assert attributes["service.name"] == "mine"
    assert attributes["service.version"] == "1.2"
    assert attributes["telemetry.sdk.name"] == "opentelemetry"
    assert attributes["telemetry.sdk.language"] == "python"
    assert attributes["k8s.pod.name"] == "p"
    plain = [make_resource(OtelSettings(), "1").attributes for _ in range(2)]
    assert plain[0]["service.name"] == "iris-exporter"
    assert plain[0]["service.instance.id"] != plain[1]["service.instance.id"]


def test_no_resource_attribute_is_taken_when_one_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "a=1,novalue")
    ignored = (Problem("environment", "OTEL_RESOURCE_ATTRIBUTES", "novalue", "key=value"),)
    assert "a" not in make_resource(OtelSettings(ignored=ignored), "1").attributes


@pytest.mark.parametrize(
    ("share", "cumulative", "expected"),
    [
        (0.5, [10, 10, 10], 0.5),
        (0.9, [0, 10, 10], 1.9),
        (0.5, [5, 10, 10], 1.0),
        (0.99, [0, 0, 4], 2.0),  # beyond the highest bound
    ],
)
def test_quantiles_are_linear_within_a_bucket(share: float, cumulative: list[int], expected: float) -> None:
    assert quantile(share, cumulative, (1.0, 2.0)) == pytest.approx(expected)


def test_a_summary_is_the_difference_of_two_totals() -> None:
    instruments = StreamInstruments("s")
    instruments.message("event", 3)
    before = totals(instruments)
    instruments.message("event", 2)
    instruments.message("update")
    instruments.received("sse", 700, 700)
    instruments.received("poll", 50, 50)
    instruments.delays([0.15] * 99 + [40.0])
    instruments.count(catalog.EVENTS_DUPLICATE, 4)
    instruments.count(catalog.EVENT_GAPS, 5)
    instruments.count(catalog.DECODE_ERRORS, 6, "not_json")
    instruments.count(catalog.RESUMES, 1, "full")
    instruments.on_event(Disconnected(Failure("closed")))
    found = summarise(before, totals(instruments))
    assert found["iris.summary.message_count"] == 3
    assert found["iris.summary.messages.event"] == 2
    assert found["iris.summary.messages.update"] == 1
    assert found["iris.summary.bytes"] == 750
    assert found["iris.summary.events.duplicate"] == 4
    assert found["iris.summary.events.missing"] == 5
    assert found["iris.summary.events.replayed"] == 0
    assert found["iris.summary.decode_errors"] == 6
    assert found["iris.summary.resumes.full"] == 1
    assert "iris.summary.resumes.none" not in found
    assert 0.1 < float(found["iris.summary.delay.p50"]) < 0.2
    assert float(found["iris.summary.delay.p99"]) <= 0.2


def test_a_summary_without_messages_has_no_delays() -> None:
    instruments = StreamInstruments("s")
    found = summarise(totals(instruments), totals(instruments))
    assert found["iris.summary.message_count"] == 0
    assert "iris.summary.delay.p50" not in found
