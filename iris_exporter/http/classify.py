"""Classifies errors: which failure an exception of a socket, of TLS or of aiohttp is.

Details of aiohttp's errors are written here, since its own texts may quote a URL.
"""

import errno
import socket
import ssl
import zlib

import aiohttp

from iris_exporter.core.failures import Failure, TransportError, from_status
from iris_exporter.errors import LimitExceededError


class AnswerError(aiohttp.ClientError):
    """A request has no answer, or one that breaks the protocol where aiohttp does not mind; `failure` says which."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


LINK_ERRORS = (aiohttp.ClientError, OSError, TimeoutError, EOFError, zlib.error, LimitExceededError, ValueError)
"""What a dial, a read or a poll may raise for reasons that lie outside this program."""

_RESET = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ESHUTDOWN})
_UNREACHABLE = frozenset(
    {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EACCES, errno.EPERM}
)  # the last two are how a local firewall refuses
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
# Alerts of the peer about our client certificate, as OpenSSL names them. TLS 1.2 reports a missing one as "handshake
# failure", which can have many other causes.
_ABOUT_OUR_CERTIFICATE = (
    "ALERT_BAD_CERTIFICATE",
    "ALERT_UNSUPPORTED_CERTIFICATE",
    "ALERT_CERTIFICATE_",
    "ALERT_UNKNOWN_CA",
)


# The first row that fits counts.
_FIXED: tuple[tuple[type[BaseException], Failure], ...] = (
    (zlib.error, Failure("protocol_error", "the compressed body is damaged")),
    (aiohttp.ClientProxyConnectionError, Failure("proxy", "the HTTP proxy could not be reached")),
    (aiohttp.ClientPayloadError, Failure("abnormal_closure", "the response ended in its middle")),
    (
        aiohttp.ServerDisconnectedError,
        Failure("connection_reset", "the server closed the connection without an answer"),
    ),
    (aiohttp.InvalidURL, Failure("redirect", "not an address that can be requested")),
    (TimeoutError, Failure("timeout", "no answer in time")),
    (ConnectionRefusedError, Failure("connection_refused", "nothing listens there")),
    (EOFError, Failure("abnormal_closure", "the connection ended")),
)


def failure_of(error: BaseException) -> Failure:
    """The failure that `error` is; an unknown error is `network`."""
    if isinstance(error, aiohttp.ClientOSError) and isinstance(error.__cause__, ssl.SSLError):
        error = error.__cause__  # what aiohttp makes of it has the number of quite another error of the system
    for classify in (_own, _tls, _fixed, _aiohttp, _system):
        failure = classify(error)
        if failure is not None:
            return failure
    return Failure("network", type(error).__name__)


def _own(error: BaseException) -> Failure | None:
    if isinstance(error, TransportError | AnswerError):
        return error.failure
    return Failure("message_too_large", str(error)) if isinstance(error, LimitExceededError) else None


def _fixed(error: BaseException) -> Failure | None:
    return next((failure for kind, failure in _FIXED if isinstance(error, kind)), None)


def _tls(error: BaseException) -> Failure | None:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Failure("tls_certificate", _certificate_text(error.certificate_error))
    if isinstance(error, ssl.SSLCertVerificationError):
        return Failure("tls_certificate", _certificate_text(error))
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        inner = getattr(error, "os_error", error)
        alert = getattr(inner, "reason", None) or type(error).__name__
        is_about_client = any(name in alert for name in _ABOUT_OUR_CERTIFICATE)
        return Failure("client_certificate" if is_about_client else "tls", alert)
    return None


def _certificate_text(error: BaseException) -> str:
    return getattr(error, "verify_message", None) or "the certificate could not be verified"


def _aiohttp(error: BaseException) -> Failure | None:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        for_now = error.os_error.errno == socket.EAI_AGAIN
        return Failure("dns", f"cannot resolve {error.host}" + (" for the moment" if for_now else ""))
    if isinstance(error, aiohttp.ClientHttpProxyError):
        # To CONNECT: a status of 4xx refuses us, any other reports a failure to reach the source.
        reason = "proxy_refused" if 400 <= error.status < 500 else "proxy"
        return Failure(reason, f"the HTTP proxy answered with status {error.status}")
    if isinstance(error, aiohttp.ClientConnectorError):
        return failure_of(error.os_error)
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return from_status(error.status) if error.status != 101 else Failure("handshake", error.message)
    if isinstance(error, aiohttp.ClientResponseError):
        return Failure("protocol_error", "the answer is not valid HTTP")
    return None


def _system(error: BaseException) -> Failure | None:
    if isinstance(error, socket.gaierror):
        return Failure("dns", error.strerror or "cannot resolve the host name")
    if isinstance(error, OSError):
        if error.errno in _RESET or isinstance(error, ConnectionError):
            return Failure("connection_reset", "the connection was reset")
        if error.errno in _UNREACHABLE:
            return Failure("unreachable", error.strerror or "no route")
        if error.errno in _EXHAUSTED:
            return Failure("internal", error.strerror or "no resources")
        return Failure("network", error.strerror or type(error).__name__)
    return None
