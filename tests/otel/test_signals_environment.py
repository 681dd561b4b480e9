"""Variables that the SDK reads by itself: none of them may keep us from starting or from sending."""

import pytest

from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.otel.environment import read_otel
from iris_exporter.otel.exporters.renewed import RenewedExporter
from iris_exporter.otel.provider import Telemetry
from tests.fakes import FakeClock
from tests.otel.receivers import grpc_receiver, http_receiver
from tests.otel.samples import log_records

HOSTILE = [
    ("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "nosuch,otel"),
    ("OTEL_RESOURCE_ATTRIBUTES", "a=1,novalue,%ff=%00"),
    ("OTEL_PROPAGATORS", "nosuch"),
    ("OTEL_PYTHON_ID_GENERATOR", "nosuch"),
    ("OTEL_PYTHON_TRACER_PROVIDER", "nosuch"),
    ("OTEL_PYTHON_METER_PROVIDER", "nosuch"),
    ("OTEL_ATTRIBUTE_COUNT_LIMIT", "x"),
    ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "-1"),
    ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "x"),
    ("OTEL_SPAN_EVENT_COUNT_LIMIT", "x"),
    ("OTEL_SPAN_LINK_COUNT_LIMIT", "x"),
    ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "x"),
    ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "x"),
    ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "x"),
    ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
    ("OTEL_TRACES_SAMPLER_ARG", "x"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "x"),
    ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "x"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
    ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "zstd"),
    ("OTEL_EXPORTER_OTLP_INSECURE", "maybe"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
]


@pytest.mark.parametrize(("name", "value"), HOSTILE)
def test_a_value_that_makes_no_sense_is_no_reason_not_to_export(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http_receiver() as over_http, grpc_receiver() as over_grpc:
        for protocol, port in (("http/protobuf", over_http.port), ("grpc", over_grpc.port)):
            variables = {
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
                "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": protocol,
                name: value,
            }
            for each, text in variables.items():
                monkeypatch.setenv(each, text)
            settings = read_otel(variables)
            Telemetry(settings, FakeClock(), "1", SelfMetrics("1", "r", "3"))
            assert settings.logs is not None
            exporter = RenewedExporter("logs", settings.logs.endpoint, "agent/1")
            assert exporter.export(log_records()).reason == ""
            exporter.close()


def test_endpoints_and_files_of_the_environment_are_those_of_our_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK would read them where we give it nothing; what was checked at the start is what is used."""
    with http_receiver() as receiver:
        settings = read_otel({"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url})
        for name in ("ENDPOINT", "LOGS_ENDPOINT"):
            monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", "http://127.0.0.1:9")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere")
        assert settings.logs is not None
        exporter = RenewedExporter("logs", settings.logs.endpoint, "agent/1")
        assert exporter.export(log_records()).reason == ""
        exporter.close()
