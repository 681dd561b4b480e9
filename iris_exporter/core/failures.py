"""What can go wrong with a stream, and what to do about it: one table, nothing else decides.

A failure has a *reason* (a word from a closed list: it is a label value, so adding one is fine and renaming one is a
breaking change) and a reason has one *remedy*. HTTP statuses, WebSocket close codes and the source's own error codes
map to reasons here; socket, DNS and TLS errors are recognised in the transports and named with these words. What is
unknown is retried: a source that invents a status must not silence itself for ever.

Source: the IRIS wire, sections 2 and 4; RFC 9110 section 15; RFC 6455 section 7.4.
"""

from dataclasses import dataclass
from enum import StrEnum

RETRY_AFTER_CAP_SECONDS = 3600.0
"""The longest hint of a source that is obeyed; a wrong header must not silence a stream for a day."""


class Remedy(StrEnum):
    """What the connection does about a failure."""

    RETRY = "retry"  # backoff, polling when the attempts are used up
    RETRY_LATER = "retry_later"  # the same, but not before the source's hint
    RENEW = "renew"  # re-read the key; when it did not change this is a refusal
    POLL = "poll"  # polling at once, live again on the slow schedule
    REFUSE = "refuse"  # error state, live again on the slow schedule
    STOP = "stop"  # error state until somebody asks


REMEDIES: dict[str, Remedy] = {
    # the way there
    "dns": Remedy.RETRY,
    "connection_refused": Remedy.RETRY,
    "connection_reset": Remedy.RETRY,
    "network": Remedy.RETRY,
    "timeout": Remedy.RETRY,
    "tls": Remedy.RETRY,
    "tls_certificate": Remedy.REFUSE,
    "proxy": Remedy.RETRY,
    "redirect": Remedy.REFUSE,
    # the answer
    "unauthorized": Remedy.RENEW,
    "forbidden": Remedy.REFUSE,
    "not_found": Remedy.REFUSE,
    "gone": Remedy.STOP,
    "rate_limited": Remedy.RETRY_LATER,
    "unavailable": Remedy.POLL,
    "http_client_error": Remedy.REFUSE,
    "http_server_error": Remedy.RETRY,
    "not_a_stream": Remedy.REFUSE,
    "upgrade_refused": Remedy.REFUSE,
    "handshake": Remedy.RETRY,
    # the link
    "closed": Remedy.RETRY,
    "going_away": Remedy.RETRY,
    "abnormal_closure": Remedy.RETRY,
    "protocol_error": Remedy.RETRY,
    "policy_violation": Remedy.REFUSE,
    "message_too_large": Remedy.RETRY,
    "server_error": Remedy.RETRY,
    "service_restart": Remedy.RETRY,
    "try_again_later": Remedy.RETRY_LATER,
    "heartbeat_timeout": Remedy.RETRY,
    # ours
    "requested": Remedy.STOP,
    "connection_budget": Remedy.RETRY_LATER,
    "credentials": Remedy.REFUSE,
    "internal": Remedy.RETRY,
    # polls
    "not_json": Remedy.RETRY,
    "decode": Remedy.RETRY,
    "other": Remedy.RETRY,
}

HTTP_STATUS: dict[int, str] = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    407: "proxy",
    408: "timeout",
    410: "gone",
    425: "rate_limited",
    426: "upgrade_refused",
    429: "rate_limited",
    503: "unavailable",
}

CLOSE_CODE: dict[int, str] = {
    1000: "closed",
    1001: "going_away",
    1002: "protocol_error",
    1003: "protocol_error",
    1006: "abnormal_closure",
    1007: "protocol_error",
    1008: "policy_violation",
    1009: "message_too_large",
    1010: "protocol_error",
    1011: "server_error",
    1012: "service_restart",
    1013: "try_again_later",
    1014: "server_error",
    1015: "tls",
    3000: "unauthorized",
    3003: "forbidden",
    3008: "timeout",
}

ERROR_CODE: dict[str, str] = {
    "AUTH_REQUIRED": "unauthorized",
    "RATE_LIMIT_EXCEEDED": "rate_limited",
    "STREAM_UNAVAILABLE": "unavailable",
    "INVALID_ENDPOINT": "not_found",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure. `detail` is for people and never holds a secret; `retry_after_seconds` is the source's hint."""

    reason: str
    detail: str = ""
    retry_after_seconds: float | None = None

    @property
    def remedy(self) -> Remedy:
        """What to do about it; an unknown reason is retried."""
        return REMEDIES.get(self.reason, Remedy.RETRY)

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


def from_status(status: int, detail: str = "", retry_after_seconds: float | None = None) -> Failure:
    """The failure that an HTTP status other than the wanted one means."""
    reason = HTTP_STATUS.get(status)
    if reason is None:
        if 300 <= status < 400:
            reason = "redirect"
        elif 400 <= status < 500:
            reason = "http_client_error"
        elif status >= 500:
            reason = "http_server_error"
        else:
            reason = "not_a_stream"
    return Failure(reason, detail or f"HTTP status {status}", retry_after_seconds)


def from_close_code(code: int | None, text: str = "") -> Failure:
    """The failure that the end of a WebSocket means; None is an end without a close frame (RFC 6455: 1006)."""
    number = 1006 if code is None else code
    detail = f"close code {number}" + (f" ({text})" if text else "")
    return Failure(CLOSE_CODE.get(number, "closed"), detail)


def from_error_code(code: str, message: str = "", retry_after_seconds: float | None = None) -> Failure | None:
    """What an in-stream `error` message asks for; None for an unknown code, which only is counted."""
    reason = ERROR_CODE.get(code)
    if reason is None:
        return None
    return Failure(reason, f"{code}: {message}" if message else code, retry_after_seconds)
