"""OTLP over HTTP, as binary protobuf.

Source: OTLP specification 1.x, "OTLP/HTTP": 429, 502, 503 and 504 are to be tried again, with `Retry-After`; any other
status from 400 on is a refusal for good; a 200 may carry a partial success.
"""

import gzip
import os
import ssl
import time
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from iris_exporter.core.headers import retry_after_seconds
from iris_exporter.core.proxies import proxy_for
from iris_exporter.instruments.telemetry.senders.answers import rejected_in
from iris_exporter.instruments.telemetry.senders.base import ACCEPTED, Answer, of_environment, trusted_files
from iris_exporter.instruments.telemetry.settings import Endpoint
from iris_exporter.transports import tls

_RETRY = frozenset({429, 502, 503, 504})
_TOO_LARGE = 413
# An answer is some ten bytes; what is longer is not one.
_MAX_ANSWER_BYTES = 64 * 1024


class HttpSender:
    """Posts to one endpoint over one kept connection. Proxies are those of the environment, see `core.proxies`."""

    def __init__(self, signal: str, endpoint: Endpoint, user_agent: str) -> None:
        self._signal = signal
        self._endpoint = endpoint
        self._session = requests.Session()
        self._session.headers.update({"User-Agent": user_agent, "Content-Type": "application/x-protobuf"})
        # The library would read proxy variables in its own way, and send what .netrc says to a collector.
        self._session.trust_env = False
        self._proxy = of_environment(proxy_for(endpoint.url, os.environ))
        if self._proxy.url:
            self._session.proxies = dict.fromkeys(("http", "https"), self._proxy.url)
        self._session.headers.update(endpoint.headers)
        if not endpoint.insecure:
            self._session.mount("https://", _TlsAdapter(tls.build(trusted_files(endpoint))))

    def send(self, body: bytes, count: int, timeout_seconds: float) -> Answer:
        """See `Sender.send`."""
        if self._proxy.problem:
            return Answer(retry=True, reason=self._proxy.problem)
        headers = {}
        if self._endpoint.compression == "gzip":
            body = gzip.compress(body, 5)
            headers["Content-Encoding"] = "gzip"
        try:
            response = self._session.post(
                self._endpoint.url,
                data=body,
                headers=headers,
                timeout=timeout_seconds,
                allow_redirects=False,
                stream=True,
            )
            with response:
                answer = response.raw.read(_MAX_ANSWER_BYTES, decode_content=True)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            return Answer(retry=True, reason=_name(error))
        return self._read(response, answer, count)

    def _read(self, response: requests.Response, answer: bytes, count: int) -> Answer:
        status = response.status_code
        if 200 <= status < 300:
            rejected = rejected_in(self._signal, answer)
            return Answer(min(rejected, count), reason="partly rejected") if rejected else ACCEPTED
        reason = f"status {status}"
        if status in _RETRY:
            hint = retry_after_seconds(response.headers.get("Retry-After"), time.time())
            return Answer(retry=True, retry_after_seconds=hint, reason=reason)
        return Answer(count, too_large=status == _TOO_LARGE, reason=reason)

    def close(self) -> None:
        """See `Sender.close`: a request under way goes on until its time is up."""
        self._session.close()


class _TlsAdapter(HTTPAdapter):
    """Connections over one context, to proxies and through them too; REQUESTS_CA_BUNDLE and the like change nothing."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """See `HTTPAdapter.init_poolmanager`."""
        super().init_poolmanager(*arguments, **options, ssl_context=self._context)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """See `HTTPAdapter.proxy_manager_for`."""
        return super().proxy_manager_for(proxy, **options, ssl_context=self._context)

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        """See `HTTPAdapter.send`: what it would add to the context is left out."""
        return super().send(request, *arguments, **{**options, "verify": True, "cert": None})

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """See `HTTPAdapter.cert_verify`: the context has all of it."""


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
