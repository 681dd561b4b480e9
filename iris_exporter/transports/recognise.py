"""Which failure an exception of a socket, of TLS or of aiohttp is. Details are ours: theirs may quote a URL."""

import errno
import socket
import ssl
import zlib

import aiohttp

from iris_exporter.core.failures import Failure, from_status
from iris_exporter.errors import LimitExceededError
from iris_exporter.transports.base import TransportError

LINK_ERRORS = (aiohttp.ClientError, OSError, TimeoutError, EOFError, zlib.error, LimitExceededError, ValueError)
"""What a dial, a read or a poll may raise for reasons that lie outside this program."""

_RESET = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ESHUTDOWN})


def failure_of(error: BaseException) -> Failure:
    """Name the failure that `error` is; what is not recognised is `network`."""
    for recogniser in (_own, _tls, _aiohttp, _system):
        failure = recogniser(error)
        if failure is not None:
            return failure
    return Failure("network", type(error).__name__)


def _own(error: BaseException) -> Failure | None:
    if isinstance(error, TransportError):
        return error.failure
    if isinstance(error, LimitExceededError):
        return Failure("message_too_large", str(error))
    if isinstance(error, zlib.error):
        return Failure("protocol_error", "the compressed body is damaged")
    return None


def _tls(error: BaseException) -> Failure | None:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Failure("tls_certificate", _certificate_text(error.certificate_error))
    if isinstance(error, ssl.SSLCertVerificationError):
        return Failure("tls_certificate", _certificate_text(error))
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        inner = getattr(error, "os_error", error)
        return Failure("tls", getattr(inner, "reason", None) or type(error).__name__)
    return None


def _certificate_text(error: BaseException) -> str:
    return getattr(error, "verify_message", None) or "the certificate could not be verified"


def _aiohttp(error: BaseException) -> Failure | None:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Failure("dns", f"cannot resolve {error.host}")
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return Failure("proxy", "the HTTP proxy refused or could not be reached")
    if isinstance(error, aiohttp.ClientConnectorError):
        return _system(error.os_error) or Failure("network", error.strerror or "cannot connect")
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return from_status(error.status) if error.status != 101 else Failure("handshake", error.message)
    if isinstance(error, aiohttp.ClientPayloadError):
        return Failure("abnormal_closure", "the response ended in its middle")
    if isinstance(error, aiohttp.ServerTimeoutError):
        return Failure("timeout", "no answer in time")
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return Failure("connection_reset", "the server closed the connection without an answer")
    if isinstance(error, aiohttp.ClientResponseError):
        return Failure("protocol_error", "the answer is not valid HTTP")
    if isinstance(error, aiohttp.InvalidURL):
        return Failure("redirect", "not an address that can be requested")
    return None


def _system(error: BaseException | None) -> Failure | None:
    if isinstance(error, TimeoutError):
        return Failure("timeout", "no answer in time")
    if isinstance(error, socket.gaierror):
        return Failure("dns", error.strerror or "cannot resolve the host name")
    if isinstance(error, ConnectionRefusedError):
        return Failure("connection_refused", "nothing listens there")
    if isinstance(error, OSError):
        if error.errno in _RESET or isinstance(error, ConnectionError):
            return Failure("connection_reset", "the connection was reset")
        return Failure("network", error.strerror or type(error).__name__)
    if isinstance(error, EOFError):
        return Failure("abnormal_closure", "the connection ended")
    return None
