"""What a sender is, and what it says about a batch."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from iris_exporter.instruments.telemetry.settings import Endpoint
from iris_exporter.transports import tls


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one batch.

    `rejected` of its records were refused for good; with `retry` none was taken, and all may be sent again after
    `retry_after_seconds` (None: the collector did not say). `too_large`: it should be sent again in smaller pieces.
    `reason` is for our own log, short and without secrets; empty on success.
    """

    rejected: int = 0
    retry: bool = False
    retry_after_seconds: float | None = None
    too_large: bool = False
    reason: str = ""


ACCEPTED = Answer()


class Sender(Protocol):
    """Sends batches of one signal, one at a time, from one thread."""

    def send(self, body: bytes, count: int, timeout_seconds: float) -> Answer:
        """Send an encoded `Export...ServiceRequest` with `count` records; blocks, and never raises for the network."""

    def close(self) -> None:
        """Let the connection go; may be called from another thread, to end a `send` under way where that works."""


def trusted_files(endpoint: Endpoint) -> tls.Files:
    """Whom an endpoint is believed to be, and the certificate that is shown to it.

    The authorities are the endpoint's own, or else the system's (SSL_CERT_FILE, as OpenSSL has it), or on a system
    without such a file those of the client library. Left alone, both libraries would use their own list everywhere, and
    an authority that the administrator has installed would not be trusted.
    """
    from requests.utils import DEFAULT_CA_BUNDLE_PATH  # here, because only TLS needs it

    system = ssl.get_default_verify_paths().cafile or DEFAULT_CA_BUNDLE_PATH
    return tls.Files(endpoint.certificate or Path(system), endpoint.client_certificate, endpoint.client_key)
