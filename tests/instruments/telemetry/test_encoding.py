"""Records as OTLP messages: every field, its type, and limits."""

import json

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from iris_exporter.instruments import signals
from iris_exporter.instruments.exposition import Family
from iris_exporter.instruments.telemetry.encoding import MAX_REQUEST_BYTES, Encoder, nanoseconds
from iris_exporter.instruments.telemetry.metrics import MetricsEncoder
from iris_exporter.instruments.telemetry.records import Reading, Span, StateRecord
from iris_exporter.instruments.telemetry.settings import Limits
from iris_exporter.instruments.telemetry.values import MAX_METADATA_ATTRIBUTES
from iris_exporter.instruments.text import Exemplar, Sample
from tests.instruments.telemetry.receivers import attributes
from tests.instruments.telemetry.samples import CONTEXT, NOW, event_record


def encoder(limits: Limits | None = None) -> Encoder:
    return Encoder({"service.name": "s"}, "1.2", limits or Limits(128, None), lambda text: text.replace("s3cret", "*"))


def logs(*records: object, limits: Limits | None = None) -> list[object]:
    encoded = encoder(limits).logs(records)  # type: ignore[arg-type]
    request = ExportLogsServiceRequest.FromString(encoded.body)
    (group,) = request.resource_logs
    assert attributes(group.resource.attributes) == {"service.name": "s"}
    (scope,) = group.scope_logs
    assert (scope.scope.name, scope.scope.version) == (signals.SCOPE, "1.2")
    assert encoded.count == len(scope.log_records)
    return list(scope.log_records)


def test_an_event_is_a_log_record_with_all_that_it_says() -> None:
    (record,) = logs(event_record("e-1", severity="critical", message="it broke", metadata=b'{"a":{"b":true}}'))
    assert record.time_unix_nano == 1_700_000_000_500_000_000
    assert record.observed_time_unix_nano == 1_700_000_100_250_000_000
    assert (record.severity_number, record.severity_text) == (21, "critical")
    assert record.event_name == "iris.event"
    assert record.body.string_value == "it broke"
    assert attributes(record.attributes) == {
        "iris.stream": "main",
        "iris.event.id": "e-1",
        "iris.project": "search",
        "iris.event.type": "evaluation",
        "iris.event.metadata.a.b": True,
    }
    assert (record.trace_id, record.span_id, record.flags) == (CONTEXT.trace_id, CONTEXT.span_id, 1)


def test_severities_have_otlps_numbers() -> None:
    words = ["info", "warning", "error", "critical", "low", "debug", "strange"]
    numbers = [record.severity_number for record in logs(*(event_record("1", severity=word) for word in words))]
    assert numbers == [9, 13, 17, 21, 9, 5, 0]


def test_an_event_without_a_moment_has_only_the_observed_one() -> None:
    (record,) = logs(event_record("1", timestamp=None))
    assert record.time_unix_nano == 0
    assert record.observed_time_unix_nano > 0


def test_no_secret_leaves_in_body_or_attributes() -> None:
    (record,) = logs(event_record("s3cret", message="key s3cret", metadata=b'{"k":"s3cret","l":["s3cret"]}'))
    assert b"s3cret" not in record.SerializeToString()


def test_metadata_beyond_the_limit_are_counted() -> None:
    metadata = json.dumps({str(number): number for number in range(MAX_METADATA_ATTRIBUTES + 5)}).encode()
    (record,) = logs(event_record("1", metadata=metadata))
    assert len(record.attributes) == 4 + MAX_METADATA_ATTRIBUTES
    assert record.dropped_attributes_count == 5
    (record,) = logs(event_record("1", metadata=metadata), limits=Limits(10, None))
    assert len(record.attributes) == 10
    assert record.dropped_attributes_count == 4 + MAX_METADATA_ATTRIBUTES + 5 - 10


def test_a_change_of_state_is_a_log_record() -> None:
    record = StateRecord(signals.STATE_LOG, NOW, (13, "WARN"), "live -> error", {"iris.state.attempt": 3}, None)
    (message,) = logs(record)
    assert message.event_name == "iris.stream.state"
    assert (message.severity_number, message.severity_text) == (13, "WARN")
    assert attributes(message.attributes) == {"iris.state.attempt": 3}
    assert message.trace_id == b""


def test_a_large_batch_ends_before_a_collector_refuses_it() -> None:
    batch = [event_record(str(number), message="x" * 16_000) for number in range(512)]
    encoded = encoder().logs(batch)
    assert 100 < encoded.count < 512
    assert len(encoded.body) < MAX_REQUEST_BYTES + 20_000


def test_a_record_that_cannot_be_encoded_is_left_out_and_counted() -> None:
    batch = [event_record("1"), event_record("2", message=None), event_record("3")]
    encoded = encoder().logs(batch)
    assert (encoded.count, encoded.failed) == (2, 1)


def test_a_span_has_kind_times_parent_links_and_status() -> None:
    span = Span(
        signals.EVENT_SPAN,
        CONTEXT,
        NOW,
        parent=b"\3" * 8,
        end=NOW + 1,
        error="timeout",
        attributes={"iris.stream": "main", "n": 1, "r": 0.5, "t": "s3cret"},
        links=(CONTEXT,),
    )
    request = ExportTraceServiceRequest.FromString(encoder().spans([span]).body)
    (message,) = request.resource_spans[0].scope_spans[0].spans
    assert message.name == "iris.event"
    assert message.kind == 5
    assert (message.trace_id, message.span_id, message.parent_span_id) == (b"\1" * 16, b"\2" * 8, b"\3" * 8)
    assert message.end_time_unix_nano - message.start_time_unix_nano == 1_000_000_000
    assert attributes(message.attributes) == {
        "iris.stream": "main", "n": 1, "r": 0.5, "t": "*", "error.type": "timeout",
    }  # fmt: skip
    assert message.status.code == 2
    assert message.flags == 0x101
    (link,) = message.links
    assert (link.trace_id, link.span_id, link.flags) == (b"\1" * 16, b"\2" * 8, 0x301)
    assert not message.events


def test_moments_that_do_not_fit_are_unknown() -> None:
    assert nanoseconds(1e300) == 0
    assert nanoseconds(-1.0) == 0
    assert nanoseconds(float("nan")) == 0
    assert nanoseconds(1_700_000_000.123456) == 1_700_000_000_123_456_000


def test_metrics_keep_names_and_kinds() -> None:
    exemplar = Exemplar((("trace_id", "01" * 16), ("span_id", "02" * 8)), 0.15, NOW)
    families = [
        (Family("a", "a_total", "counter", "help", ""), [Sample("a_total", {"stream": "s"}, 7)]),
        (Family("b_seconds", "b_seconds", "gauge", "help", "seconds"), [Sample("b_seconds", {}, 1.5)]),
        (Family("i", "i_info", "info", "help", ""), [Sample("i_info", {"v": "1"}, 1)]),
        (
            Family("h_seconds", "h_seconds", "histogram", "help", "seconds"),
            [
                Sample("h_seconds_bucket", {"le": "0.1", "stream": "s"}, 2),
                Sample("h_seconds_bucket", {"le": "0.2", "stream": "s"}, 5, exemplar),
                Sample("h_seconds_bucket", {"le": "+Inf", "stream": "s"}, 6),
                Sample("h_seconds_count", {"stream": "s"}, 6),
                Sample("h_seconds_sum", {"stream": "s"}, 1.25),
            ],
        ),
    ]
    encoded = MetricsEncoder({"service.name": "s"}, "1", NOW - 60).encode([Reading(NOW, families)])
    request = ExportMetricsServiceRequest.FromString(encoded.body)
    counter, gauge, info, histogram = request.resource_metrics[0].scope_metrics[0].metrics
    assert (counter.name, counter.description, counter.unit) == ("a_total", "help", "")
    assert counter.sum.is_monotonic
    assert counter.sum.aggregation_temporality == 2
    (point,) = counter.sum.data_points
    assert point.as_int == 7
    assert point.time_unix_nano - point.start_time_unix_nano == 60_000_000_000
    assert attributes(point.attributes) == {"stream": "s"}
    assert (gauge.name, gauge.unit, gauge.gauge.data_points[0].as_double) == ("b_seconds", "s", 1.5)
    assert (info.name, attributes(info.gauge.data_points[0].attributes)) == ("i_info", {"v": "1"})
    assert histogram.histogram.aggregation_temporality == 2
    (bars,) = histogram.histogram.data_points
    assert list(bars.explicit_bounds) == [0.1, 0.2]
    assert list(bars.bucket_counts) == [2, 3, 1]
    assert (bars.count, bars.sum) == (6, 1.25)
    (shown,) = bars.exemplars
    assert (shown.trace_id, shown.span_id, shown.as_double) == (b"\1" * 16, b"\2" * 8, 0.15)
