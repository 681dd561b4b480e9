"""What can go wrong with a stream, and what to do about it: one table, nothing else decides.

A failure has a *reason* (`core.reasons`), and a reason has one *remedy*. HTTP statuses, WebSocket close codes and the
source's own error codes map to reasons here; `http.classify` does the same for socket,
DNS and TLS errors. What is unknown is retried: a source that invents a status must not silence its stream for ever.

Source: the IRIS wire, sections 2 and 4; RFC 9110 section 15; RFC 6455 section 7.4 and IANA's registry of close codes.
"""

from dataclasses import dataclass, field

from iris_exporter.core.reasons import REASONS, Reason, Remedy
from iris_exporter.errors import SourceError

RETRY_AFTER_CAP_SECONDS = 3600.0
"""The longest hint of a source that is obeyed; a wrong header must not silence a stream for a day."""

REQUEST_REFUSED = frozenset({"not_found", "gone", "http_client_error"})
"""Reasons with which a source refuses a request: for the position in it, or for anything else."""

HTTP_STATUS: dict[int, str] = {
    101: "handshake",  # to a request that asked for no upgrade
    204: "no_content",  # WHATWG HTML, 9.2.3: how a server tells an event source to stop reconnecting
    205: "no_content",  # the same section puts it beside 204
    304: "not_a_stream",  # to a request without a condition
    401: "unauthorized",
    402: "forbidden",
    403: "forbidden",
    404: "not_found",
    407: "proxy_refused",
    408: "timeout",
    409: "conflict",
    410: "gone",
    420: "rate_limited",  # not registered, but in use
    421: "misdirected",
    423: "try_again_later",
    424: "try_again_later",
    425: "try_again_later",
    426: "upgrade_refused",
    429: "rate_limited",
    440: "unauthorized",  # IIS: the session has expired
    451: "forbidden",
    498: "unauthorized",  # ArcGIS: the token has expired
    503: "unavailable",
    509: "rate_limited",  # hosting panels: the bandwidth is used up
    511: "proxy_refused",
    529: "try_again_later",  # in use for: the site is overloaded
}
"""Statuses with a rule of their own; all others follow their class."""

STATUS_CLASS: dict[int, str] = {
    1: "protocol_error",  # interim answers never reach us
    2: "not_a_stream",
    3: "redirect",  # one that could not be followed
    4: "http_client_error",
    5: "http_server_error",
}
"""By the first digit of a status; what has another one is `other`."""

CLOSE_CODE: dict[int, str] = {
    1000: "closed",
    1001: "going_away",
    1002: "protocol_error",
    1003: "protocol_error",
    1004: "protocol_error",  # reserved: nobody may send it
    1005: "closed",  # a close frame without a code
    1006: "abnormal_closure",  # no close frame
    1007: "protocol_error",
    1008: "policy_violation",
    1009: "message_too_large",
    1010: "protocol_error",
    1011: "server_error",
    1012: "service_restart",
    1013: "try_again_later",
    1014: "server_error",
    1015: "tls",  # never sent either
    3000: "unauthorized",
    3003: "forbidden",
    3008: "timeout",
}
"""4400 to 4599 mean what the HTTP status 4000 below them means; what is not here otherwise is `other`."""

ERROR_CODE: dict[str, str] = {
    "AUTH_REQUIRED": "unauthorized",
    "RATE_LIMIT_EXCEEDED": "rate_limited",
    "STREAM_UNAVAILABLE": "unavailable",
    "INVALID_ENDPOINT": "not_found",
}
"""Codes that end a stream; all others are reports about it, which are counted and change nothing."""

# Close codes of an application that follows the custom of adding 4000 to an HTTP status.
_HTTP_CLOSE_CODES = range(4400, 4600)


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure. `detail` is for people and never holds a secret; `retry_after_seconds` is the source's hint.

    `close_code` is that of a WebSocket which the source has closed.
    """

    reason: str
    detail: str = ""
    retry_after_seconds: float | None = None
    close_code: int | None = field(default=None, compare=False, repr=False)

    @property
    def remedy(self) -> Remedy:
        """What to do about it; an unknown reason is retried."""
        return self.explanation.remedy

    @property
    def explanation(self) -> Reason:
        """What it means and what an operator should do; an unknown reason has those of `other`."""
        return REASONS.get(self.reason) or REASONS["other"]

    @property
    def listed_reason(self) -> str:
        """The reason as the value of a label: `other` for one that is not in the list."""
        return self.reason if self.reason in REASONS else "other"

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


def from_status(status: int, detail: str = "", retry_after_seconds: float | None = None) -> Failure:
    """The failure that an HTTP status other than the wanted one means."""
    return Failure(_status_reason(status), detail or f"HTTP status {status}", retry_after_seconds)


def _status_reason(status: int) -> str:
    return HTTP_STATUS.get(status) or STATUS_CLASS.get(status // 100, "other")


def from_close_code(code: int | None, text: str = "") -> Failure:
    """The failure that the end of a WebSocket means; None is an end without a close frame (RFC 6455: 1006)."""
    number = 1006 if code is None else code
    reason = CLOSE_CODE.get(number, "other")
    if number in _HTTP_CLOSE_CODES:
        reason = _status_reason(number - 4000)
    return Failure(reason, f"close code {number}" + (f" ({text})" if text else ""), close_code=code)


def from_error_code(code: str, message: str = "", retry_after_seconds: float | None = None) -> Failure | None:
    """What an in-stream `error` message asks for; None for an unknown code, which only is counted."""
    reason = ERROR_CODE.get(code)
    if reason is None:
        return None
    return Failure(reason, f"{code}: {message}" if message else code, retry_after_seconds)


@dataclass(eq=False)
class TransportError(SourceError):
    """The link could not be made or has ended; `failure` says why. The link is closed afterwards."""

    failure: Failure

    def __str__(self) -> str:
        return str(self.failure)
