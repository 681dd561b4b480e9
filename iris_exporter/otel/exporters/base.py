"""What an exporter is, and what it says about a batch."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from iris_exporter.core.failures import Failure
from iris_exporter.http import tls
from iris_exporter.http.proxies import Proxy, with_credentials
from iris_exporter.logs import protect
from iris_exporter.otel.settings import Endpoint

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
    """Sends batches of one signal, one at a time, from one thread."""

    def export(self, batch: Sequence[Any], timeout_seconds: float) -> Answer:
        """Send records of the SDK; blocks, and never raises for the network."""

    def close(self) -> None:
        """Let the connection go; may be called from another thread, to end an export under way where that works."""


def partly(rejected: int, count: int) -> Answer:
    """The answer of a collector that has taken a batch of `count` records but for some."""
    return Answer(min(rejected, count), reason="partly rejected") if rejected > 0 else ACCEPTED


def unencodable(count: int) -> Answer:
    """The answer for a batch that was never sent: it is larger than a request may be, or cannot be encoded."""
    return Answer(count, too_large=True, reason="cannot be encoded")


def trusted_files(endpoint: Endpoint) -> tls.Files:
    """Whom an endpoint is believed to be, and the certificate that is shown to it.

    The authorities are the endpoint's own, or else the system's (SSL_CERT_FILE, as OpenSSL has it), or on a system
    without such a file those of the client library. Left alone, both libraries would use their own list everywhere, and
    an authority that the administrator has installed would not be trusted.
    """
    from requests.utils import DEFAULT_CA_BUNDLE_PATH  # here, because only TLS needs it

    system = ssl.get_default_verify_paths().cafile or DEFAULT_CA_BUNDLE_PATH
    return tls.Files(endpoint.certificate or Path(system), endpoint.client_certificate, endpoint.client_key)


@dataclass(frozen=True, slots=True)
class LibraryProxy:
    """What a client library is told: `url` with user and password, empty for none; `problem` when it cannot be used."""

    url: str = field(default="", repr=False)
    problem: str = ""


def of_environment(proxy: Proxy | Failure | None) -> LibraryProxy:
    """What `http.proxies` found, for a library; secrets are hidden from the log."""
    if proxy is None:
        return LibraryProxy()
    if isinstance(proxy, Failure):
        return LibraryProxy(problem=proxy.detail)
    for secret in proxy.secrets:
        protect(secret)
    return LibraryProxy(with_credentials(proxy))
