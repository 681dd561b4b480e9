"""Every error of a socket, of TLS, of a resolver and of aiohttp has a reason, and no detail quotes an address."""

import errno
import socket
import ssl
import zlib
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from iris_exporter.errors import LimitExceededError
from iris_exporter.http.classify import failure_of

KEY = cast("ConnectionKey", SimpleNamespace(host="iris.example.com", port=443, is_ssl=True, ssl=True))
REQUEST = aiohttp.RequestInfo(
    URL("http://h/?api_key=hidden-1"),
    "GET",
    CIMultiDictProxy(CIMultiDict({"Authorization": "Bearer hidden-2"})),
    URL("http://h/?api_key=hidden-1"),
)


def resolver(number: int) -> aiohttp.ClientConnectorDNSError:
    return aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(number, "text"))


def alert(words: str) -> ssl.SSLError:
    error = ssl.SSLError(1, words)
    error.reason = words
    return error


def wrapped(error: ssl.SSLError) -> aiohttp.ClientOSError:
    made = aiohttp.ClientOSError(*error.args)
    made.__cause__ = error
    return made


def answered(kind: Any, status: int) -> aiohttp.ClientResponseError:
    return cast("aiohttp.ClientResponseError", kind(REQUEST, (), status=status, message="hidden-3"))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (resolver(socket.EAI_AGAIN), "dns"),
        (resolver(socket.EAI_NONAME), "dns"),
        (socket.gaierror(socket.EAI_NONAME, "no such host"), "dns"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "connection_refused"),
        (aiohttp.ClientConnectorError(KEY, ConnectionRefusedError(errno.ECONNREFUSED, "no")), "connection_refused"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "connection_reset"),
        (BrokenPipeError(errno.EPIPE, "pipe"), "connection_reset"),
        (aiohttp.ServerDisconnectedError(), "connection_reset"),
        (OSError(errno.ENETUNREACH, "no network"), "unreachable"),
        (aiohttp.ClientConnectorError(KEY, OSError(errno.EHOSTUNREACH, "no route")), "unreachable"),
        (OSError(errno.ETIMEDOUT, "timed out"), "timeout"),
        (TimeoutError(), "timeout"),
        (aiohttp.ServerTimeoutError(), "timeout"),
        (OSError(errno.EMFILE, "too many open files"), "internal"),
        (aiohttp.ClientConnectorError(KEY, OSError(errno.EADDRNOTAVAIL, "no port")), "internal"),
        (OSError(errno.EIO, "odd"), "network"),
        (ssl.SSLCertVerificationError(1, "expired"), "tls_certificate"),
        (aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError("name")), "tls_certificate"),
        (alert("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "client_certificate"),
        (alert("TLSV1_ALERT_UNKNOWN_CA"), "client_certificate"),
        (alert("SSLV3_ALERT_CERTIFICATE_EXPIRED"), "client_certificate"),
        (aiohttp.ClientConnectorSSLError(KEY, alert("SSLV3_ALERT_BAD_CERTIFICATE")), "client_certificate"),
        (wrapped(alert("TLSV13_ALERT_CERTIFICATE_REQUIRED")), "client_certificate"),
        (alert("SSLV3_ALERT_HANDSHAKE_FAILURE"), "tls"),
        (alert("WRONG_VERSION_NUMBER"), "tls"),
        (aiohttp.ClientProxyConnectionError(KEY, ConnectionRefusedError(errno.ECONNREFUSED, "no")), "proxy"),
        (answered(aiohttp.ClientHttpProxyError, 407), "proxy_refused"),
        (answered(aiohttp.ClientHttpProxyError, 403), "proxy_refused"),
        (answered(aiohttp.ClientHttpProxyError, 502), "proxy"),
        (answered(aiohttp.ClientHttpProxyError, 302), "proxy"),
        (answered(aiohttp.ClientResponseError, 400), "protocol_error"),
        (aiohttp.ClientPayloadError("cut"), "abnormal_closure"),
        (aiohttp.InvalidURL("http://h/?api_key=hidden-1"), "redirect"),
        (EOFError(), "abnormal_closure"),
        (zlib.error("bad"), "protocol_error"),
        (LimitExceededError("body", 10), "message_too_large"),
        (ValueError("hidden-4"), "network"),
    ],
)
def test_an_error_has_its_reason_and_no_secret(error: BaseException, reason: str) -> None:
    failure = failure_of(error)
    assert failure.reason == reason
    assert "hidden" not in failure.detail


def test_a_resolver_without_an_answer_differs_from_a_host_that_does_not_exist() -> None:
    assert failure_of(resolver(socket.EAI_AGAIN)).detail == "cannot resolve iris.example.com for the moment"
    assert failure_of(resolver(socket.EAI_NONAME)).detail == "cannot resolve iris.example.com"
