"""OTLP over HTTP: the SDK's exporter over a session whose adapter reads each answer.

Source: OTLP specification 1.x, "OTLP/HTTP": 429, 502, 503 and 504 are to be tried again, with `Retry-After`; any other
status from 400 on is a refusal for good; a 200 may carry a partial success.
"""

import os
import ssl
import time
from collections.abc import Sequence
from typing import Any

import requests
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from requests.adapters import HTTPAdapter
from typing_extensions import override

from iris_exporter.core.failures import from_status
from iris_exporter.http.classify import failure_of
from iris_exporter.http.proxies import proxy_for
from iris_exporter.http.retry_after import retry_after_seconds
from iris_exporter.otel.exporters.base import (
    ACCEPTED,
    ALL,
    MAX_REQUEST_BYTES,
    MAX_WORDS,
    NOT_OTLP,
    UNENCODABLE,
    Answer,
    Exporter,
    accepted,
)
from iris_exporter.otel.settings import TRACES, Endpoint

_RETRY = frozenset({429, 502, 503, 504})
_TOO_LARGE = 413
# An answer has some ten bytes.
_MAX_ANSWER_BYTES = 64 * 1024


class HttpExporter(Exporter):
    """Posts to one endpoint over one kept connection, through the proxy of the environment.

    Raises:
        TransportError: The proxy cannot be used.
    """

    def __init__(self, signal: str, endpoint: Endpoint, user_agent: str, context: ssl.SSLContext | None) -> None:
        self._adapter = _Adapter(signal, endpoint.url, context)
        session = _Session()
        # The library reads proxy variables differently, and would send passwords from .netrc.
        session.trust_env = False
        if proxy := proxy_for(endpoint.url, os.environ):
            session.proxies = {"all": proxy.full_url}
        for scheme in ("http://", "https://"):
            session.mount(scheme, self._adapter)
        self._exporter: Any = (OTLPSpanExporter if signal == TRACES else OTLPLogExporter)(
            endpoint=endpoint.url,
            headers={"User-Agent": user_agent, **endpoint.headers},
            timeout=endpoint.timeout_seconds,
            compression=Compression(endpoint.compression),
            session=session,
            max_request_size=MAX_REQUEST_BYTES,
            meter_provider=NoOpMeterProvider(),
        )

    @override
    def export(self, batch: Sequence[Any]) -> Answer:
        self._adapter.answer = UNENCODABLE  # unless there is a request
        self._exporter.export(batch)
        return self._adapter.answer

    @override
    def close(self) -> None:
        """A request under way goes on until its time is up."""
        self._exporter.shutdown()


class _Session(requests.Session):
    """Follows no redirect.

    The library would repeat most requests as a GET, without the records, and take its 200 for theirs; and would send
    all headers but `Authorization` to whatever host the answer names.
    """

    def get_redirect_target(self, _: requests.Response) -> None:
        """None, as for an answer that is no redirect."""


class _Adapter(HTTPAdapter):
    """Reads the collector's answers, and prevents the SDK from waiting and trying again.

    All connections use one context, to proxies and through them too; REQUESTS_CA_BUNDLE and the like have no effect.
    """

    def __init__(self, signal: str, url: str, context: ssl.SSLContext | None) -> None:
        self._signal = signal
        self._url = url
        self._target = url[url.index("/", url.index("//") + 2) :]
        self._context = context
        self.answer = ACCEPTED
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, ssl_context=self._context)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, **options, ssl_context=self._context)

    def cert_verify(self, *_: Any) -> None:
        """The context has all of it."""

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """As it is written, where the library resolves dots and drops a bare "?"."""
        return self._target if super().request_url(request, proxies).startswith("/") else self._url

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        # The SDK does not take a RequestException for a fault that it should wait for.
        try:
            with super().send(request, **{**options, "stream": True, "verify": True, "cert": None}) as response:
                body = response.raw.read(_MAX_ANSWER_BYTES, decode_content=True)
        except Exception as error:  # whatever it is, the collector has taken nothing
            cause = _innermost(error)
            failure = failure_of(cause)
            self.answer = Answer(
                retry=True, reason=type(cause).__name__, failure=failure.listed_reason, words=failure.detail[:MAX_WORDS]
            )
            raise requests.RequestException from error
        self.answer = self._read(response, body)
        if not response.ok:
            raise requests.RequestException
        return response

    def _read(self, response: requests.Response, body: bytes) -> Answer:
        status = response.status_code
        if 200 <= status < 300:
            kind: Any = ExportTraceServiceResponse if self._signal == TRACES else ExportLogsServiceResponse
            try:
                return accepted(self._signal, kind.FromString(body))
            except DecodeError:
                return Answer(words=f"{NOT_OTLP}: {_media_type(response)}")
        reason, failure, words = f"status {status}", from_status(status).listed_reason, _words(response, body)
        if status in _RETRY:
            hint = retry_after_seconds(response.headers.get("Retry-After"), time.time())
            return Answer(retry=True, retry_after_seconds=hint, reason=reason, failure=failure, words=words)
        return Answer(ALL, too_large=status == _TOO_LARGE, reason=reason, failure=failure, words=words)


def _media_type(response: requests.Response) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip()[:80] or "of no media type"


def _words(response: requests.Response, body: bytes) -> str:
    """Why a request was refused, or what the answer is instead of OTLP's `Status`."""
    location = f", to {_host(response.headers['Location'])}" if "Location" in response.headers else ""
    if not _media_type(response).endswith("protobuf"):
        return f"{_media_type(response)}{location}"
    try:
        return str(Status.FromString(body).message)[:MAX_WORDS]
    except DecodeError:
        return ""


def _host(location: str) -> str:
    """The host of an address; its path and query may hold a secret."""
    return location.partition("://")[2].partition("/")[0].rpartition("@")[2][:80] or "another path"


def _innermost(error: BaseException) -> BaseException:
    """The first cause. Only its class is shown: texts of the library quote the address."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error
