"""Receivers of OTLP for tests: over HTTP and over gRPC, in threads of this process, that misbehave on request."""

import gzip
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from tests.otel.wellformed import problems_in
from tests.waiting import BUSY

REQUESTS: dict[str, type[Message]] = {
    "traces": trace_service_pb2.ExportTraceServiceRequest,
    "logs": logs_service_pb2.ExportLogsServiceRequest,
}
ANSWERS: dict[str, type[Message]] = {
    "traces": trace_service_pb2.ExportTraceServiceResponse,
    "logs": logs_service_pb2.ExportLogsServiceResponse,
}


@dataclass
class Received:
    """What has arrived, whole requests in order, by signal."""

    requests: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in REQUESTS})
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def take(self, signal: str, body: bytes, headers: dict[str, str], path: str) -> None:
        request = REQUESTS[signal]()
        request.ParseFromString(body)
        with self.arrived:
            self.requests[signal].append(request)
            self.headers.append(headers)
            self.paths.append(path)
            self.problems += problems_in(signal, request)
            self.arrived.notify_all()

    def wait(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        with self.arrived:
            assert self.arrived.wait_for(condition, seconds * BUSY), "nothing more arrived in time"

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for request in list(self.requests["traces"])
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]

    @property
    def records(self) -> list[Any]:
        return [
            record
            for request in list(self.requests["logs"])
            for group in request.resource_logs
            for scope in group.scope_logs
            for record in scope.log_records
        ]


@dataclass
class Behaviour:
    """What the receiver answers; `status` may be a function of the number of records."""

    status: int | Callable[[int], int] = 200
    headers: dict[str, str] = field(default_factory=dict)
    rejected: int = 0


class HttpReceiver:
    """Listens on a port of its own choice, with TLS if there is a `context`; `stop` and `start` again keep the port."""

    def __init__(self, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self._context = context
        self.received = Received()
        self.behaviour = Behaviour()
        self.port = port
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                owner._answer(self, body, headers)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True
            connections: list[Any]

            def process_request(self, request: Any, client_address: Any) -> None:
                self.connections.append(request)
                super().process_request(request, client_address)

        Server.connections = []
        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        if self._context is not None:
            self._server.socket = self._context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Go away as a killed collector does: open connections end too."""
        server, thread = self._server, self._thread
        if server is None or thread is None:
            return
        self._server = None
        server.shutdown()
        server.server_close()
        for connection in server.connections:  # type: ignore[attr-defined]
            with suppress(OSError):
                connection.shutdown(2)
            connection.close()
        thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler, body: bytes, headers: dict[str, str]) -> None:
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        signal = handler.path.partition("?")[0].rpartition("/")[2]
        status = self.behaviour.status
        if callable(status):
            status = status(_count(signal, body))
        answer = ANSWERS[signal]()
        if status == 200:
            self.received.take(signal, body, headers, handler.path)
            if self.behaviour.rejected:
                partial = {
                    "traces": "rejected_spans",
                    "logs": "rejected_log_records",
                }[signal]
                setattr(answer.partial_success, partial, self.behaviour.rejected)  # type: ignore[attr-defined]
        text = answer.SerializeToString()
        handler.send_response(status)
        for name, value in self.behaviour.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Type", "application/x-protobuf")
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)


def _count(signal: str, body: bytes) -> int:
    received = Received()
    received.take(signal, body, {}, "")
    return len(received.spans) + len(received.records)


@contextmanager
def http_receiver(context: ssl.SSLContext | None = None, port: int = 0) -> Iterator[HttpReceiver]:
    receiver = HttpReceiver(context, port)
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.stop()
    assert receiver.received.problems == []


class GrpcReceiver:
    """The services of OTLP over gRPC, with TLS if there are `credentials`."""

    def __init__(self, credentials: grpc.ServerCredentials | None = None, port: int = 0) -> None:
        self.received = Received()
        self.code: grpc.StatusCode | None = None
        self.rejected = 0
        self.trailing: tuple[tuple[str, bytes], ...] = ()
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        for service, signal in (("trace", "traces"), ("logs", "logs")):
            name = f"opentelemetry.proto.collector.{service}.v1.{service.capitalize()}Service"
            handler = grpc.unary_unary_rpc_method_handler(self._handler(signal))
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {"Export": handler}),))
        self.port = (
            self._server.add_insecure_port(f"127.0.0.1:{port}")
            if credentials is None
            else self._server.add_secure_port(f"127.0.0.1:{port}", credentials)
        )
        self._server.start()

    def _handler(self, signal: str) -> Callable[[bytes, Any], bytes]:
        def export(body: bytes, context: Any) -> bytes:
            if self.code is not None:
                context.set_trailing_metadata(self.trailing)
                context.abort(self.code, "no")
            self.received.take(signal, body, dict(context.invocation_metadata()), "")
            answer: Any = ANSWERS[signal]()
            if self.rejected and signal == "logs":
                answer.partial_success.rejected_log_records = self.rejected
            return bytes(answer.SerializeToString())

        return export

    def stop(self) -> None:
        self._server.stop(0).wait()


@contextmanager
def grpc_receiver(credentials: grpc.ServerCredentials | None = None, port: int = 0) -> Iterator[GrpcReceiver]:
    receiver = GrpcReceiver(credentials, port)
    try:
        yield receiver
    finally:
        receiver.stop()
    assert receiver.received.problems == []


def attributes(pairs: Any) -> dict[str, Any]:
    """Name to value, each with the Python type that its OTLP type stands for."""
    found: dict[str, Any] = {}
    pair: KeyValue
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        assert kind in ("string_value", "bool_value", "int_value", "double_value"), (pair.key, kind)
        assert pair.key not in found, f"{pair.key} is there twice"
        found[pair.key] = getattr(pair.value, kind)
    return found
