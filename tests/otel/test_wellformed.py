"""The receivers' own check can fail: otherwise every test that uses them would pass whatever is sent."""

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from iris_exporter.instruments import signals
from tests.otel.samples import log_records
from tests.otel.wellformed import problems_in

BODY = encode_logs(log_records()).SerializeToString()


def spoilt(spoil: Callable[[Any], None]) -> list[str]:
    request = ExportLogsServiceRequest.FromString(BODY)
    spoil(request.resource_logs[0].scope_logs[0].log_records[0])
    return problems_in("logs", request)


def test_what_we_send_is_well_formed() -> None:
    assert spoilt(lambda _: None) == []


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda record: setattr(record, "trace_id", b"short"), "ids"),
        (lambda record: setattr(record, "observed_time_unix_nano", 0), "observed time"),
        (lambda record: setattr(record.body, "int_value", 3), "severity or body"),
        (lambda record: setattr(record, "event_name", "other"), "not in the catalogue"),
        (lambda record: record.attributes.add(key="iris.unheard_of"), "iris.unheard_of is not in the catalogue"),
        (lambda record: record.attributes.extend(record.attributes[:1]), "an attribute twice"),
        (
            lambda record: next(
                setattr(pair.value, "int_value", 3) for pair in record.attributes if pair.key == signals.STREAM.name
            ),
            "iris.stream is a int",
        ),
    ],
)
def test_each_fault_is_found(spoil: Callable[[Any], None], problem: str) -> None:
    assert any(problem in found for found in spoilt(spoil))
