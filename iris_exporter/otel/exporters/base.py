"""What became of a batch, and what the connections over HTTP and gRPC have in common."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from iris_exporter.core.failures import Failure
from iris_exporter.http import tls
from iris_exporter.http.proxies import Proxy, with_credentials
from iris_exporter.logs import protect
from iris_exporter.otel.settings import TRACES, Endpoint

MAX_REQUEST_BYTES = 3 * 1024 * 1024
"""Collectors take 4 MiB over gRPC unless told otherwise; this leaves room for what is weighed too lightly."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one batch.

    `rejected` of its records were refused for good; with `retry` none was taken, and all may be sent again after
    `retry_after_seconds` (None: the collector did not say). `too_large`: it should be sent again in smaller pieces, and
    `rejected` counts when that is not possible. `reason` is for our own log, short and without secrets.
    """

    rejected: int = 0
    retry: bool = False
    retry_after_seconds: float | None = None
    too_large: bool = False
    reason: str = ""


ACCEPTED = Answer()


class Exporter(Protocol):
    """An exporter of the SDK that is asked afterwards what became of the batch."""

    def export(self, batch: Sequence[Any]) -> Answer:
        """Send records of the SDK; blocks, and never raises for the network."""

    def close(self) -> None:
        """Close the connection; may be called from another thread, to end an export where that works."""


class UnusableProxyError(Exception):
    """The proxy variables of the environment name a proxy that cannot be used; the text says why."""


def accepted(signal: str, response: Any, count: int) -> Answer:
    """The answer of a collector that has taken a batch of `count` records, but for those that `response` names."""
    partial = response.partial_success
    rejected = partial.rejected_spans if signal == TRACES else partial.rejected_log_records
    return Answer(min(rejected, count), reason="partly rejected") if rejected > 0 else ACCEPTED


def unencodable(count: int) -> Answer:
    """The answer for a batch that was never sent: it is larger than a request may be, or cannot be encoded."""
    return Answer(count, too_large=True, reason="cannot be encoded")


def trusted_files(endpoint: Endpoint) -> tls.Files:
    """The authorities that an endpoint is checked with, and the certificate that it is shown.

    The authorities are the endpoint's own, or else the system's (SSL_CERT_FILE, as OpenSSL has it), or on a system
    without such a file those of the client library. Left alone, both libraries would use their own list everywhere, and
    an authority that the administrator has installed would not be trusted.
    """
    from requests.utils import DEFAULT_CA_BUNDLE_PATH  # here, because only TLS needs it

    system = ssl.get_default_verify_paths().cafile or DEFAULT_CA_BUNDLE_PATH
    return tls.Files(endpoint.certificate or Path(system), endpoint.client_certificate, endpoint.client_key)


def proxy_url(proxy: Proxy | Failure | None) -> str:
    """The address of a proxy with user and password, for a library; empty for none. The log hides its secrets.

    Raises:
        UnusableProxyError: It cannot be used.
    """
    if isinstance(proxy, Failure):
        raise UnusableProxyError(proxy.detail)
    if proxy is None:
        return ""
    for secret in proxy.secrets:
        protect(secret)
    return with_credentials(proxy)
