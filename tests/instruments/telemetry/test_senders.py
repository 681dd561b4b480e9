"""What a collector's answers mean, over HTTP and over gRPC."""

import io
import json
from pathlib import Path

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration

from iris_exporter.instruments.telemetry.encoding import Encoder
from iris_exporter.instruments.telemetry.pipe import make_sender
from iris_exporter.instruments.telemetry.senders.answers import retry_delay_in
from iris_exporter.instruments.telemetry.senders.console import ConsoleSender
from iris_exporter.instruments.telemetry.senders.http import HttpSender
from iris_exporter.instruments.telemetry.settings import Endpoint, Limits
from iris_exporter.transports import tls
from tests.instruments.telemetry.receivers import grpc_receiver, http_receiver
from tests.instruments.telemetry.samples import event_record

BODY = Encoder({"service.name": "s"}, "1", Limits(128, None), str).logs([event_record("1")]).body


def http(url: str, compression: str = "none", headers: dict[str, str] | None = None) -> HttpSender:
    return HttpSender("logs", Endpoint("http/protobuf", f"{url}/v1/logs", headers or {}, compression, 5.0), "agent/1")


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_http_carries_body_headers_and_agent(compression: str) -> None:
    with http_receiver() as receiver:
        sender = http(receiver.url, compression, {"Authorization": "Bearer abc"})
        assert sender.send(BODY, 1, 5.0).reason == ""
        sender.close()
        assert len(receiver.received.records) == 1
        assert receiver.received.paths == ["/v1/logs"]
        headers = receiver.received.headers[0]
        assert headers["content-type"] == "application/x-protobuf"
        assert headers["authorization"] == "Bearer abc"
        assert headers["user-agent"] == "agent/1"
        assert headers.get("content-encoding", "none") == compression


@pytest.mark.parametrize(
    ("status", "retry", "rejected", "too_large"),
    [
        (400, False, 3, False),
        (401, False, 3, False),
        (302, False, 3, False),
        (413, False, 3, True),
        (429, True, 0, False),
        (500, False, 3, False),
        (502, True, 0, False),
        (503, True, 0, False),
        (504, True, 0, False),
    ],
)
def test_a_status_says_whether_to_come_again(status: int, retry: bool, rejected: int, too_large: bool) -> None:
    with http_receiver() as receiver:
        receiver.behaviour.status = status
        sender = http(receiver.url)
        answer = sender.send(BODY, 3, 5.0)
        sender.close()
    assert (answer.retry, answer.rejected, answer.too_large) == (retry, rejected, too_large)
    assert answer.reason == f"status {status}"


def test_retry_after_is_a_hint() -> None:
    with http_receiver() as receiver:
        receiver.behaviour.status = 503
        receiver.behaviour.headers["Retry-After"] = "7"
        sender = http(receiver.url)
        assert sender.send(BODY, 1, 5.0).retry_after_seconds == 7
        sender.close()


def test_a_partial_success_names_what_was_rejected() -> None:
    with http_receiver() as receiver:
        receiver.behaviour.rejected = 2
        sender = http(receiver.url)
        answer = sender.send(BODY, 3, 5.0)
        sender.close()
    assert (answer.rejected, answer.retry) == (2, False)


def test_nobody_there_is_a_reason_to_come_again_and_names_no_address() -> None:
    with http_receiver() as receiver:
        url = receiver.url
    sender = http(url)
    answer = sender.send(BODY, 1, 5.0)
    sender.close()
    assert answer.retry
    assert answer.reason == "ConnectionRefusedError"


def test_grpc_carries_body_and_headers() -> None:
    with grpc_receiver() as receiver:
        endpoint = Endpoint("grpc", f"http://127.0.0.1:{receiver.port}", {"x-key": "abc"}, "gzip", 5.0, insecure=True)
        sender = make_sender("logs", endpoint, "agent/1")
        assert sender.send(BODY, 1, 5.0).reason == ""
        sender.close()
        assert len(receiver.received.records) == 1
        assert receiver.received.headers[0]["x-key"] == "abc"
        assert receiver.received.headers[0]["user-agent"].startswith("agent/1")


def status_details(seconds: int) -> bytes:
    """A `google.rpc.Status` with a RetryInfo, built by hand."""
    duration = Duration(seconds=seconds, nanos=500_000_000).SerializeToString()
    info = AnyMessage(
        type_url="type.googleapis.com/google.rpc.RetryInfo", value=b"\x0a" + bytes([len(duration)]) + duration
    ).SerializeToString()
    return b"\x08\x08" + b"\x1a" + bytes([len(info)]) + info


def test_the_time_of_a_retry_info_is_found() -> None:
    assert retry_delay_in(status_details(9)) == 9.5
    assert retry_delay_in(b"\x08\x08") is None
    assert retry_delay_in(status_details(9)[:-3]) is None


@pytest.mark.parametrize(
    ("code", "details", "retry", "hint"),
    [
        (grpc.StatusCode.UNAVAILABLE, False, True, None),
        (grpc.StatusCode.UNAVAILABLE, True, True, 9.5),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, True, True, 9.5),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, False, False, None),
        (grpc.StatusCode.UNAUTHENTICATED, False, False, None),
        (grpc.StatusCode.INVALID_ARGUMENT, False, False, None),
    ],
)
def test_a_code_says_whether_to_come_again(
    code: grpc.StatusCode, details: bool, retry: bool, hint: float | None
) -> None:
    with grpc_receiver() as receiver:
        receiver.code = code
        receiver.trailing = (("grpc-status-details-bin", status_details(9)),) if details else ()
        endpoint = Endpoint("grpc", f"http://127.0.0.1:{receiver.port}", {}, "none", 5.0, insecure=True)
        sender = make_sender("logs", endpoint, "agent/1")
        answer = sender.send(BODY, 3, 5.0)
        sender.close()
    assert (answer.retry, answer.retry_after_seconds, answer.reason) == (retry, hint, code.name)
    assert answer.rejected == (0 if retry else 3)


def test_a_certificate_that_grpc_cannot_read_is_a_reason_to_come_again(tmp_path: Path) -> None:
    """The file was readable at the start; it may be on its way back."""
    endpoint = Endpoint("grpc", "https://127.0.0.1:1", {}, "none", 5.0, certificate=tmp_path / "gone")
    with pytest.raises(tls.UnusableFileError, match="gone"):
        make_sender("logs", endpoint, "agent/1").send(BODY, 3, 5.0)


def test_the_console_prints_otlp_json_with_hexadecimal_ids() -> None:
    out = io.StringIO()
    assert ConsoleSender("logs", out).send(BODY, 1, 1.0).reason == ""
    (record,) = json.loads(out.getvalue())["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    assert record["traceId"] == "01" * 16
    assert record["spanId"] == "02" * 8
    assert record["severityNumber"] == 13
