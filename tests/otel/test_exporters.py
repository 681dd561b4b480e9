"""What a collector's answers mean, over HTTP and over gRPC, to the SDK's exporters and to us."""

import json
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from iris_exporter.instruments import signals
from iris_exporter.otel.exporters.base import ALL, UNENCODABLE
from iris_exporter.otel.exporters.renewed import RenewedExporter
from iris_exporter.otel.settings import Endpoint
from iris_exporter.otel.spans import begin, end
from tests.otel.receivers import grpc_receiver, http_receiver
from tests.otel.samples import Recorder, converter, event_record, log_records, tracer_into


def http(url: str, compression: str = "none", headers: dict[str, str] | None = None) -> RenewedExporter:
    endpoint = Endpoint("http/protobuf", f"{url}/v1/logs", headers or {}, compression, 5.0, insecure=True)
    return RenewedExporter("logs", endpoint, "agent/1")


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_http_carries_body_headers_and_agent(compression: str) -> None:
    with http_receiver() as receiver:
        exporter = http(receiver.url, compression, {"Authorization": "Bearer abc"})
        assert exporter.export(log_records(1)).reason == ""
        exporter.close()
        assert len(receiver.received.records) == 1
        assert receiver.received.paths == ["/v1/logs"]
        headers = receiver.received.headers[0]
        assert headers["content-type"] == "application/x-protobuf"
        assert headers["authorization"] == "Bearer abc"
        assert headers["user-agent"] == "agent/1"
        assert headers.get("content-encoding", "none") == compression


@pytest.mark.parametrize(
    "target",
    [
        "/v1/logs?sig=a%2Fb%2Bc%3D%3D&e=a%40b",
        "/%28x%29/%41/logs",
        "/a/../b/v1/logs",
        "/v1/logs?",
        "/(x)/v1/logs?a=b;c,d",
    ],
)
def test_the_address_of_a_collector_is_requested_as_it_is_written(target: str) -> None:
    with http_receiver() as receiver:
        exporter = RenewedExporter(
            "logs", Endpoint("http/protobuf", receiver.url + target, {}, "none", 5.0, insecure=True), "a/1"
        )
        exporter.export(log_records(1))
        exporter.close()
        assert receiver.received.paths == [target]


@pytest.mark.parametrize(
    ("status", "retry", "rejected", "too_large", "failure"),
    [
        (400, False, ALL, False, "http_client_error"),
        (401, False, ALL, False, "unauthorized"),
        (302, False, ALL, False, "redirect"),
        (413, False, ALL, True, "http_client_error"),
        (429, True, 0, False, "rate_limited"),
        (500, False, ALL, False, "http_server_error"),
        (502, True, 0, False, "http_server_error"),
        (503, True, 0, False, "unavailable"),
        (504, True, 0, False, "http_server_error"),
    ],
)
def test_the_status_decides_whether_to_try_again(
    status: int, retry: bool, rejected: int, too_large: bool, failure: str
) -> None:
    with http_receiver() as receiver:
        receiver.behaviour.status = status
        exporter = http(receiver.url)
        answer = exporter.export(log_records(3))
        exporter.close()
    assert (answer.retry, answer.rejected, answer.too_large) == (retry, rejected, too_large)
    assert (answer.reason, answer.failure) == (f"status {status}", failure)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    """As a GET it would be answered by any page, and other hosts would get the headers."""
    with http_receiver() as elsewhere, http_receiver() as receiver:
        receiver.behaviour.status = status
        receiver.behaviour.headers["Location"] = f"{elsewhere.url}/v1/logs"
        exporter = http(receiver.url, headers={"x-key": "abc"})
        answer = exporter.export(log_records(1))
        exporter.close()
        assert (answer.rejected, answer.failure) == (ALL, "redirect")
        assert elsewhere.received.paths == []


def test_retry_after_is_a_hint() -> None:
    with http_receiver() as receiver:
        receiver.behaviour.status = 503
        receiver.behaviour.headers["Retry-After"] = "7"
        exporter = http(receiver.url)
        assert exporter.export(log_records(1)).retry_after_seconds == 7
        exporter.close()


def test_a_partial_success_counts_the_rejected_records() -> None:
    with http_receiver() as receiver:
        receiver.behaviour.rejected = 2
        exporter = http(receiver.url)
        answer = exporter.export(log_records(3))
        exporter.close()
    assert (answer.rejected, answer.retry, answer.failure) == (2, False, "rejected")


def test_a_refused_connection_is_tried_again_and_its_reason_has_no_address() -> None:
    with http_receiver() as receiver:
        url = receiver.url
    exporter = http(url)
    answer = exporter.export(log_records(1))
    exporter.close()
    assert answer.retry
    assert (answer.reason, answer.failure) == ("ConnectionRefusedError", "connection_refused")


def test_grpc_carries_body_and_headers() -> None:
    with grpc_receiver() as receiver:
        endpoint = Endpoint("grpc", f"http://127.0.0.1:{receiver.port}", {"x-key": "abc"}, "gzip", 5.0, insecure=True)
        exporter = RenewedExporter("logs", endpoint, "agent/1")
        assert exporter.export(log_records(1)).reason == ""
        exporter.close()
        assert len(receiver.received.records) == 1
        assert receiver.received.headers[0]["x-key"] == "abc"
        assert receiver.received.headers[0]["user-agent"].startswith("agent/1")


def status_details(seconds: int) -> bytes:
    status = Status(code=8)
    status.details.add().Pack(RetryInfo(retry_delay=Duration(seconds=seconds, nanos=500_000_000)))
    return bytes(status.SerializeToString())


@pytest.mark.parametrize(
    ("code", "details", "retry", "hint", "failure"),
    [
        (grpc.StatusCode.UNAVAILABLE, False, True, None, "unavailable"),
        (grpc.StatusCode.UNAVAILABLE, True, True, 9.5, "unavailable"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, True, True, 9.5, "rate_limited"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, False, False, None, "rate_limited"),
        (grpc.StatusCode.UNAUTHENTICATED, False, False, None, "unauthorized"),
        (grpc.StatusCode.INVALID_ARGUMENT, False, False, None, "http_client_error"),
        (grpc.StatusCode.ABORTED, False, True, None, "other"),
    ],
)
def test_the_code_decides_whether_to_try_again(
    code: grpc.StatusCode, details: bool, retry: bool, hint: float | None, failure: str
) -> None:
    with grpc_receiver() as receiver:
        receiver.code = code
        receiver.trailing = (("grpc-status-details-bin", status_details(9)),) if details else ()
        endpoint = Endpoint("grpc", f"http://127.0.0.1:{receiver.port}", {}, "none", 5.0, insecure=True)
        exporter = RenewedExporter("logs", endpoint, "agent/1")
        answer = exporter.export(log_records(3))
        exporter.close()
    assert (answer.retry, answer.retry_after_seconds, answer.reason) == (retry, hint, code.name)
    assert answer.failure == failure
    assert answer.rejected == (0 if retry else ALL)


def test_a_missing_certificate_is_a_reason_to_try_again(tmp_path: Path) -> None:
    """The file was readable at the start; it may be on its way back."""
    endpoint = Endpoint("grpc", "https://127.0.0.1:1", {}, "none", 5.0, certificate=tmp_path / "gone")
    answer = RenewedExporter("logs", endpoint, "agent/1").export(log_records(3))
    assert (answer.retry, answer.rejected, answer.failure) == (True, 0, "credentials")
    assert "gone" in answer.reason


def test_rubbish_where_details_should_be_is_no_hint() -> None:
    with grpc_receiver() as receiver:
        receiver.code = grpc.StatusCode.UNAVAILABLE
        receiver.trailing = (("grpc-status-details-bin", b"\xff\xff"),)
        endpoint = Endpoint("grpc", f"http://127.0.0.1:{receiver.port}", {}, "none", 5.0, insecure=True)
        exporter = RenewedExporter("logs", endpoint, "agent/1")
        answer = exporter.export(log_records())
        exporter.close()
    assert (answer.retry, answer.retry_after_seconds) == (True, None)


def test_a_partial_success_over_grpc_counts_the_rejected_records() -> None:
    with grpc_receiver() as receiver:
        receiver.rejected = 2
        endpoint = Endpoint("grpc", f"http://127.0.0.1:{receiver.port}", {}, "none", 5.0, insecure=True)
        exporter = RenewedExporter("logs", endpoint, "agent/1")
        answer = exporter.export(log_records(3))
        exporter.close()
    assert (answer.rejected, answer.retry, answer.failure) == (2, False, "rejected")


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_batch_that_cannot_be_encoded_is_sent_in_pieces_and_then_refused(protocol: str) -> None:
    """A time before 1970: nothing is sent, and the others of the batch go on without it."""
    with http_receiver() as over_http, grpc_receiver() as over_grpc:
        url = f"http://127.0.0.1:{over_grpc.port}" if protocol == "grpc" else f"{over_http.url}/v1/logs"
        exporter = RenewedExporter("logs", Endpoint(protocol, url, {}, "none", 5.0, insecure=True), "agent/1")
        bad = converter()(event_record("1"))
        bad.log_record.timestamp = -1
        answer = exporter.export([bad, *log_records(1)])
        assert answer == exporter.export([bad]) == UNENCODABLE
        assert exporter.export(log_records(1)).reason == ""
        exporter.close()


def test_the_console_prints_a_line_of_json_for_each_record(capsys: pytest.CaptureFixture[str]) -> None:
    assert RenewedExporter("logs", None, "agent/1").export(log_records(2)).reason == ""
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["attributes"]["iris.event.id"] == "1"
    assert first["trace_id"] == "0x" + "01" * 16
    assert second["severity_number"] == 13
    recorder = Recorder()
    span = begin(tracer_into(recorder), signals.SUMMARY, 1.0, {"iris.stream": "s"})
    end(span, 2.0)
    assert RenewedExporter("traces", None, "agent/1").export(recorder.records).reason == ""
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["name"] == "iris.stream.summary"
