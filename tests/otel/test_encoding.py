"""Events, changes of state and spans as the SDK encodes them: every field, its type, and limits."""

import json
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.trace import SpanContext, TraceFlags

from iris_exporter.core.failures import Failure
from iris_exporter.instruments import signals
from iris_exporter.otel import spans
from iris_exporter.otel.event_logger import MAX_METADATA_ATTRIBUTES, Arrival, EventConverter, EventRecord
from iris_exporter.otel.spans import begin, end, nanoseconds
from iris_exporter.transports.connection_events import StateChanged
from tests.otel.receivers import attributes
from tests.otel.samples import CONTEXT, NOW, Recorder, converter, event_record, events_into, tracer_into


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "redact", lambda text: text.replace("s3cret", "*"))


def logs(*records: EventRecord, convert: EventConverter | None = None) -> list[Any]:
    request = encode_logs([(convert or converter())(record) for record in records])
    (group,) = request.resource_logs
    assert attributes(group.resource.attributes) == {"service.name": "s"}
    (scope,) = group.scope_logs
    assert (scope.scope.name, scope.scope.version) == (signals.SCOPE, "1.2")
    return list(scope.log_records)


def test_an_event_is_a_log_record_with_all_its_fields() -> None:
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
    assert (record.trace_id, record.span_id, record.flags) == (b"\1" * 16, b"\2" * 8, 1)


def test_severities_have_otlps_numbers() -> None:
    words = ["info", "warning", "error", "critical", "low", "debug", "strange"]
    numbers = [record.severity_number for record in logs(*(event_record("1", severity=word) for word in words))]
    assert numbers == [9, 13, 17, 21, 9, 5, 0]


def test_an_event_without_a_timestamp_has_only_the_observed_one() -> None:
    (record,) = logs(event_record("1", timestamp=None))
    assert record.time_unix_nano == 0
    assert record.observed_time_unix_nano > 0


def test_no_secret_is_in_body_or_attributes() -> None:
    (record,) = logs(event_record("s3cret", message="key s3cret", metadata=b'{"k":"s3cret","l":["s3cret"]}'))
    assert b"s3cret" not in record.SerializeToString()


def test_metadata_beyond_the_limit_are_counted() -> None:
    metadata = json.dumps({str(number): number for number in range(MAX_METADATA_ATTRIBUTES + 5)}).encode()
    (record,) = logs(event_record("1", metadata=metadata))
    assert len(record.attributes) == 4 + MAX_METADATA_ATTRIBUTES
    assert record.dropped_attributes_count == 5
    (record,) = logs(event_record("1", metadata=metadata), convert=converter(10))
    assert len(record.attributes) == 10
    assert record.dropped_attributes_count == 4 + MAX_METADATA_ATTRIBUTES + 5 - 10


def test_texts_are_redacted_then_cut_and_always_utf8() -> None:
    record = event_record("a\ud800b", message="s3cret" + "x" * 20_000, metadata=b'{"k":"my s3cret text"}')
    (message,) = logs(record, convert=converter(128, 6))
    assert message.body.string_value.startswith("*x")
    assert len(message.body.string_value) == 16 * 1024
    found = attributes(message.attributes)
    assert (found["iris.event.id"], found["iris.event.metadata.k"]) == ("a?b", "my * t")


def test_where_there_are_too_many_attributes_those_of_the_event_stay() -> None:
    (message,) = logs(event_record("1"), convert=converter(4))
    assert set(attributes(message.attributes)) == {"iris.stream", "iris.event.id", "iris.project", "iris.event.type"}
    assert message.dropped_attributes_count == 1


def test_a_change_of_state_is_a_log_record() -> None:
    recorder = Recorder()
    change = StateChanged("live", "connecting", Failure("timeout", "s3cret"), 3, 1.23456)
    events_into(recorder).state(Arrival("s3cret", NOW, None), change)
    (message,) = encode_logs(recorder.records).resource_logs[0].scope_logs[0].log_records
    assert message.event_name == "iris.stream.state"
    assert message.time_unix_nano == message.observed_time_unix_nano == nanoseconds(NOW)
    assert (message.severity_number, message.severity_text) == (13, "WARN")
    assert message.body.string_value.startswith("live -> connecting: ")
    assert "s3cret" not in message.body.string_value
    assert attributes(message.attributes) == {
        "iris.stream": "*", "iris.state.from": "live", "iris.state.to": "connecting", "iris.state.attempt": 3,
        "iris.state.reason": "timeout", "iris.state.delay": 1.235,
    }  # fmt: skip
    assert message.trace_id == b""


def test_a_span_has_kind_times_parent_links_and_status() -> None:
    recorder = Recorder()
    origin = SpanContext(7, 8, is_remote=True, trace_flags=TraceFlags(1))
    given = {"iris.stream": "main", "n": 1, "r": 0.5}
    span = begin(tracer_into(recorder), signals.EVENT_SPAN, NOW, given, parent=CONTEXT, origin=origin)
    end(span, NOW + 1, "timeout")
    (message,) = encode_spans(recorder.minor).resource_spans[0].scope_spans[0].spans
    assert message.name == "iris.event"
    assert message.kind == 5
    assert (message.trace_id, message.parent_span_id) == (b"\1" * 16, b"\2" * 8)
    assert message.start_time_unix_nano == nanoseconds(NOW)
    assert message.end_time_unix_nano - message.start_time_unix_nano == 1_000_000_000
    assert attributes(message.attributes) == {"iris.stream": "main", "n": 1, "r": 0.5, "error.type": "timeout"}
    assert message.status.code == 2
    (link,) = message.links
    assert (int.from_bytes(link.trace_id, "big"), int.from_bytes(link.span_id, "big")) == (7, 8)
    assert link.flags & 0x300 == 0x300
    assert not message.events


def test_a_span_does_not_end_before_it_began() -> None:
    recorder = Recorder()
    end(begin(tracer_into(recorder), signals.SUMMARY, NOW, {}), NOW - 5)
    (span,) = recorder.records
    assert span.end_time == span.start_time


def test_timestamps_that_do_not_fit_are_unknown() -> None:
    assert nanoseconds(1e300) == 0
    assert nanoseconds(-1.0) == 0
    assert nanoseconds(float("nan")) == 0
    assert nanoseconds(1_700_000_000.123456) == 1_700_000_000_123_456_000
