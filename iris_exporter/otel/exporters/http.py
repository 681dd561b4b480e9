"""OTLP over HTTP: the SDK's exporter over a session of ours, which sees each answer and keeps the SDK from waiting.

Source: OTLP specification 1.x, "OTLP/HTTP": 429, 502, 503 and 504 are to be tried again, with `Retry-After`; any other
status from 400 on is a refusal for good; a 200 may carry a partial success.
"""

import io
import os
import re
import ssl
import time
from collections.abc import Sequence
from typing import Any

import requests
from google.protobuf.message import DecodeError
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from requests.adapters import HTTPAdapter

from iris_exporter.http import tls
from iris_exporter.http.proxies import proxy_for
from iris_exporter.http.retry_after import retry_after_seconds
from iris_exporter.otel.exporters.base import (
    MAX_REQUEST_BYTES,
    Answer,
    of_environment,
    partly,
    trusted_files,
    unencodable,
)
from iris_exporter.otel.settings import TRACES, Endpoint

_RETRY = frozenset({429, 502, 503, 504})
_TOO_LARGE = 413
# An answer is some ten bytes; what is longer is not one.
_TARGET = re.compile(r"[^/?#]*//[^/?#]*")  # what stands before the target of a request
_MAX_ANSWER_BYTES = 64 * 1024
# The exporter's own limit, in seconds; each request has a shorter one.
_LONGEST_SECONDS = 3600.0


class HttpExporter:
    """Posts to one endpoint over one kept connection. Proxies are those of the environment, see `http.proxies`."""

    def __init__(self, signal: str, endpoint: Endpoint, user_agent: str) -> None:
        self._signal = signal
        self._adapter = _Adapter(None if endpoint.insecure else tls.build(trusted_files(endpoint)), endpoint.url)
        session = requests.Session()
        # The library would read proxy variables in its own way, and send what .netrc says to a collector.
        session.trust_env = False
        self._proxy = of_environment(proxy_for(endpoint.url, os.environ))
        if self._proxy.url:
            session.proxies = dict.fromkeys(("http", "https"), self._proxy.url)
        session.mount("http://", self._adapter)
        session.mount("https://", self._adapter)
        self._exporter: Any = (OTLPSpanExporter if signal == TRACES else OTLPLogExporter)(
            endpoint=endpoint.url,
            headers={"User-Agent": user_agent, **endpoint.headers},
            timeout=_LONGEST_SECONDS,
            compression=Compression.Gzip if endpoint.compression == "gzip" else Compression.NoCompression,
            session=session,
            max_request_size=MAX_REQUEST_BYTES,
            meter_provider=NoOpMeterProvider(),
        )

    def export(self, batch: Sequence[Any], timeout_seconds: float) -> Answer:
        """See `Exporter.export`."""
        if self._proxy.problem:
            return Answer(retry=True, reason=self._proxy.problem)
        count = len(batch)
        self._adapter.begin(timeout_seconds)
        self._exporter.export(batch)
        seen = self._adapter.seen
        if seen is None:
            return unencodable(count)
        if isinstance(seen, Exception):
            return Answer(retry=True, reason=_name(seen))
        if 200 <= seen.status < 300:
            return partly(_rejected(self._signal, seen.body), count)
        reason = f"status {seen.status}"
        if seen.status in _RETRY:
            hint = retry_after_seconds(seen.retry_after, time.time())
            return Answer(retry=True, retry_after_seconds=hint, reason=reason)
        return Answer(count, too_large=seen.status == _TOO_LARGE, reason=reason)

    def close(self) -> None:
        """See `Exporter.close`: a request under way goes on until its time is up."""
        self._exporter.shutdown()


class _Seen:
    """What an answer said."""

    def __init__(self, status: int, retry_after: str | None, body: bytes) -> None:
        self.status = status
        self.retry_after = retry_after
        self.body = body


class _Refused(requests.RequestException):
    """Ends the attempt: the SDK does not take this kind for a broken connection, and does not wait to try again."""


class _Adapter(HTTPAdapter):
    """Remembers what became of the request, and gives it the time that is left.

    Connections are made over one context, to proxies and through them too; REQUESTS_CA_BUNDLE and the like change
    nothing.
    """

    def __init__(self, context: ssl.SSLContext | None, url: str) -> None:
        self._context = context
        self._target = _TARGET.sub("", url, 1).partition("#")[0]
        self._seconds = 0.0
        self.seen: _Seen | Exception | None = None
        super().__init__()

    def begin(self, seconds: float) -> None:
        """The next request is another one; None is seen where it is never made."""
        self._seconds = seconds
        self.seen = None

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """See `HTTPAdapter.init_poolmanager`."""
        super().init_poolmanager(*arguments, **options, ssl_context=self._context)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """See `HTTPAdapter.proxy_manager_for`."""
        return super().proxy_manager_for(proxy, **options, ssl_context=self._context)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """See `HTTPAdapter.cert_verify`: the context has all of it."""

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """See `HTTPAdapter.request_url`: what the library has resolved and escaped anew goes out as it was written."""
        known = super().request_url(request, proxies)
        head = _TARGET.match(known)
        if not self._target.startswith("/"):
            return known
        return self._target if head is None else head[0] + self._target

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        """See `HTTPAdapter.send`."""
        try:
            response = super().send(
                request, stream=True, timeout=self._seconds, verify=True, proxies=options.get("proxies")
            )
            with response:
                body = response.raw.read(_MAX_ANSWER_BYTES, decode_content=True)
        except Exception as error:  # whatever it is, it is the same to us: none was taken
            self.seen = error
            raise _Refused from error
        self.seen = _Seen(response.status_code, response.headers.get("Retry-After"), body)
        if not 200 <= response.status_code < 300:
            raise _Refused
        response.raw = io.BytesIO(body)
        return response


def _rejected(signal: str, body: bytes) -> int:
    """How many records the collector says it did not take; 0 also for a body that cannot be read."""
    try:
        if signal == TRACES:
            return ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans
        return ExportLogsServiceResponse.FromString(body).partial_success.rejected_log_records
    except DecodeError:
        return 0


def _name(error: BaseException) -> str:
    """The class of the innermost error: texts of the library quote the address."""
    inner: BaseException = error
    for _ in range(10):
        cause = getattr(inner, "reason", None)
        deeper = cause if isinstance(cause, BaseException) else (inner.__cause__ or inner.__context__)
        if deeper is None:
            break
        inner = deeper
    return type(inner).__name__
