"""What a collector's answer says in its body: a partial success, or when to come again."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

_RETRY_INFO = b"type.googleapis.com/google.rpc.RetryInfo"


def rejected_in(signal: str, body: bytes) -> int:
    """How many records the collector says it did not take; 0 also for a body that cannot be read."""
    try:
        if signal == "traces":
            rejected = ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans
        elif signal == "logs":
            rejected = ExportLogsServiceResponse.FromString(body).partial_success.rejected_log_records
        else:
            rejected = ExportMetricsServiceResponse.FromString(body).partial_success.rejected_data_points
    except DecodeError:
        return 0
    return max(0, rejected)


def retry_delay_in(status: bytes) -> float | None:
    """Seconds that a `google.rpc.RetryInfo` among a status's details asks for; None without one.

    The message classes of google.rpc are in a package of their own. Of a RetryInfo we need one field, so the bytes are
    looked at directly: after the type's name come the tag of `Any.value` and a length, then the tag of `retry_delay`
    and a length, then a Duration.
    """
    at = status.find(_RETRY_INFO)
    if at < 0:
        return None
    rest = status[at + len(_RETRY_INFO) :]
    if len(rest) < 4 or rest[0] != 0x12 or rest[2] != 0x0A:
        return None
    try:
        delay = Duration.FromString(rest[4 : 4 + rest[3]])
    except DecodeError:
        return None
    return max(0.0, delay.seconds + delay.nanos / 1e9)
