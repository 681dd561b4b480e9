"""Why a stream fails: the closed list of reasons, each with its class, meaning, remedy, and advice for the operator.

A reason is a label value of metrics, so adding one is fine and renaming one is a breaking change. Each has exactly one
remedy; the connection machine knows remedies only. `meaning` and `advice` are sentences for the operator, shown by
docs/failures.md and wherever a failure is explained. What maps to a reason is in `core.failures`.

How a remedy is chosen. A failure that may pass by itself is retried. A failure that only a change of configuration can
cure, ours or the source's, is a refusal: retried on the slow schedule, so that the cure is noticed without an operator
and the source is not hammered until then. Where a replaced key may be the cure, the key is read again first. Polling at
once is for a source that reports its stream, not itself, as unavailable. Only a source that asks not to be connected to
again is left alone until an operator asks.
"""

from dataclasses import dataclass
from enum import StrEnum


class Remedy(StrEnum):
    """What the connection does about a failure."""

    RETRY = "retry"  # backoff, polling when the attempts are used up
    RETRY_LATER = "retry_later"  # the same, but not before the source's hint
    RENEW = "renew"  # re-read the credentials; when they did not change this is a refusal
    POLL = "poll"  # polling at once, live again on the slow schedule
    REFUSE = "refuse"  # error state, live again on the slow schedule
    STOP = "stop"  # error state until an operator asks


class FailureClass(StrEnum):
    """What kind of trouble it is; each has a colour (`core.palette`)."""

    UNREACHABLE = "unreachable"  # no connection to the source, or it was cut on the way
    REFUSED = "refused"  # a key, a certificate, an address or a rule does not let us in
    BROKEN = "broken"  # there is an answer, and it is not what it should be
    LIMITED = "limited"  # too much, too often, or not for the moment
    ENDED = "ended"  # in an orderly way, which is no trouble by itself


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason. `meaning` completes "it means that ..."; `advice` says what an operator should do."""

    remedy: Remedy
    failure_class: FailureClass
    meaning: str
    advice: str


_NOTHING = "Nothing, unless it goes on."
_R, _C = Remedy, FailureClass

REASONS: dict[str, Reason] = {
    # the way there
    "dns": Reason(
        _R.RETRY,
        _C.UNREACHABLE,
        "the host name could not be resolved: there is none, or the resolver did not answer",
        "Check the host in the URL, and the resolver of this machine or pod.",
    ),
    "connection_refused": Reason(
        _R.RETRY,
        _C.UNREACHABLE,
        "nothing listens on the port",
        "Check the port in the URL and whether the source runs.",
    ),
    "connection_reset": Reason(
        _R.RETRY,
        _C.UNREACHABLE,
        "the connection was cut before the answer or in its middle",
        "Look at the source and at load balancers on the way; an idle limit below the heartbeat interval does this. A "
        "source that wants another client certificate may look like this with TLS 1.3.",
    ),
    "unreachable": Reason(
        _R.RETRY,
        _C.UNREACHABLE,
        "there is no route to the host or its network",
        "Check routes, VPN, firewall and network policies.",
    ),
    "network": Reason(
        _R.RETRY, _C.UNREACHABLE, "the network failed in another way", "The detail has the system's own words."
    ),
    "timeout": Reason(
        _R.RETRY,
        _C.UNREACHABLE,
        "there was no answer within `--stream.connect-timeout`, or a body took too long",
        "A firewall that drops packets, or an overloaded source. Raise the limit where answers are slow by nature.",
    ),
    "tls": Reason(
        _R.RETRY,
        _C.BROKEN,
        "the TLS handshake failed, or the encrypted connection broke",
        "Check that the port speaks TLS (https, wss) and which versions and ciphers it offers.",
    ),
    "tls_certificate": Reason(
        _R.REFUSE,
        _C.REFUSED,
        "the certificate of the source could not be verified",
        "Give its authority by `--stream.tls-ca-file`, its name by `--stream.tls-server-name`, or have it renewed.",
    ),
    "client_certificate": Reason(
        _R.RENEW,
        _C.REFUSED,
        "the source wants a client certificate, or does not accept ours",
        "Check `--stream.tls-cert-file` and `--stream.tls-key-file`: issuer, dates and purpose.",
    ),
    "proxy": Reason(
        _R.RETRY,
        _C.UNREACHABLE,
        "the HTTP proxy could not be reached, or could not reach the source",
        "Check HTTP_PROXY, HTTPS_PROXY and NO_PROXY, or use `--stream.proxy=none`.",
    ),
    "proxy_refused": Reason(
        _R.REFUSE,
        _C.REFUSED,
        "the HTTP proxy, or a portal on the way, does not let us through",
        "Check the user and password in the proxy's URL, and what the proxy allows.",
    ),
    "redirect": Reason(
        _R.REFUSE,
        _C.REFUSED,
        "the source redirects in a way that is not followed: in circles, too far, from https to http, to no address, "
        "or to another origin that wants the key",
        "Configure the address that the source redirects to.",
    ),
    # the answer
    "unauthorized": Reason(
        _R.RENEW,
        _C.REFUSED,
        "there is no key, or it is not valid",
        "Check `--stream.api-key-file`; a new key in it is used without a restart.",
    ),
    "forbidden": Reason(
        _R.RENEW,
        _C.REFUSED,
        "the key is not allowed to do this",
        "Have the source grant access to the stream, or use another key.",
    ),
    "not_found": Reason(_R.REFUSE, _C.REFUSED, "the source does not know the address", "Check the path in the URL."),
    "gone": Reason(
        _R.STOP,
        _C.REFUSED,
        "the source says that the address is gone for good",
        "Ask whoever runs the source for the new address.",
    ),
    "no_content": Reason(
        _R.STOP,
        _C.REFUSED,
        "the source asks not to be connected to again (204, as WHATWG's server-sent events have it)",
        "Ask whoever runs the source, then connect by hand.",
    ),
    "rate_limited": Reason(
        _R.RETRY_LATER,
        _C.LIMITED,
        "the exporter has asked too often",
        "Raise the intervals, or share one exporter: other clients from this address count, too.",
    ),
    "try_again_later": Reason(_R.RETRY_LATER, _C.LIMITED, "the source is busy for a while", _NOTHING),
    "position_refused": Reason(
        _R.RETRY,
        _C.REFUSED,
        "the source does not go on from the position that it was asked to go on from",
        "Nothing, when it passes: the next attempt goes without the position, and events may be missing.",
    ),
    "conflict": Reason(
        _R.RETRY,
        _C.REFUSED,
        "another connection blocks this one, often our own last one that the source has not closed yet",
        "When it goes on: look for a second client with the same key.",
    ),
    "misdirected": Reason(
        _R.RETRY,
        _C.REFUSED,
        "the server does not serve this host on this connection",
        "Check `--stream.tls-server-name` against the host in the URL.",
    ),
    "unavailable": Reason(
        _R.POLL,
        _C.LIMITED,
        "the stream is out of service, while the source may answer polls",
        "Look at the source when it lasts.",
    ),
    "http_client_error": Reason(
        _R.REFUSE,
        _C.REFUSED,
        "the source does not accept the request as it is",
        "Check URL, `--stream.protocol` and `--stream.headers`; the detail has the status.",
    ),
    "http_server_error": Reason(
        _R.RETRY,
        _C.BROKEN,
        "the source, or a gateway before it, failed",
        "Look at the logs of the source and the gateway.",
    ),
    "not_a_stream": Reason(
        _R.REFUSE,
        _C.BROKEN,
        "there is an answer, but it is neither an event stream nor JSON; often a web page",
        "Check the URL; a login page or a catch-all route of a web server looks like this.",
    ),
    "upgrade_refused": Reason(
        _R.REFUSE,
        _C.REFUSED,
        "the server does not make this a WebSocket, or insists on one",
        "Check `--stream.protocol`, and that proxies pass the Upgrade header on.",
    ),
    "handshake": Reason(
        _R.RETRY,
        _C.BROKEN,
        "the answer to the WebSocket handshake breaks the protocol, or an upgrade came that nobody asked for",
        "Look for a proxy that rewrites answers, or report it to whoever makes the source.",
    ),
    "misconfigured": Reason(
        _R.REFUSE,
        _C.REFUSED,
        "the source does not accept what it was asked for after connecting: a subscription or a command",
        "Check the `open` steps of the mapping and the stream's `parameters`; the detail may have the source's words.",
    ),
    # the link
    "closed": Reason(_R.RETRY, _C.ENDED, "the source ended the stream in an orderly way", _NOTHING),
    "going_away": Reason(_R.RETRY, _C.ENDED, "the source stops or restarts", _NOTHING),
    "abnormal_closure": Reason(
        _R.RETRY,
        _C.UNREACHABLE,
        "the stream ended in its middle",
        "When it repeats in regular intervals: look for a time limit of a proxy on the way.",
    ),
    "protocol_error": Reason(
        _R.RETRY,
        _C.BROKEN,
        "what arrives is not valid HTTP, WebSocket or compression",
        "Look for a proxy that damages streams, or report it to whoever makes the source.",
    ),
    "policy_violation": Reason(
        _R.RENEW,
        _C.REFUSED,
        "the source ended the stream because of its rules (close code 1008); often a key that is not valid",
        "Check the key; the detail may have the source's words.",
    ),
    "message_too_large": Reason(
        _R.RETRY,
        _C.LIMITED,
        "a message is larger than a limit, ours or the source's",
        "Raise `--stream.max-message-bytes` where such messages are meant to be.",
    ),
    "server_error": Reason(_R.RETRY, _C.BROKEN, "the source failed while the stream was open", "Look at its logs."),
    "planned_end": Reason(
        _R.RETRY, _C.ENDED, "the source ended the stream as its mapping says that it does from time to time", _NOTHING
    ),
    "service_restart": Reason(_R.RETRY, _C.ENDED, "the source restarts", _NOTHING),
    "heartbeat_timeout": Reason(
        _R.RETRY,
        _C.UNREACHABLE,
        "no byte arrived within `--stream.heartbeat-timeout`: the connection is dead",
        "A source that is silent for longer needs a longer limit; otherwise look at the network.",
    ),
    # ours
    "requested": Reason(
        _R.STOP, _C.ENDED, "the exporter was asked to disconnect", "Connect by hand when it should go on."
    ),
    "connection_budget": Reason(
        _R.RETRY_LATER,
        _C.LIMITED,
        "so many connections were made to this host within an hour that it would refuse more",
        "Find out why they do not last; several streams to one host share the budget.",
    ),
    "credentials": Reason(
        _R.RETRY,
        _C.REFUSED,  # asks nothing of the source, and files appear and change while a pod starts
        "a file with the key, headers or certificates cannot be read or used",
        "Check the file that the detail names: path, owner, mode and content.",
    ),
    "internal": Reason(
        _R.RETRY,
        _C.BROKEN,
        "this process has no open files, ports or memory left",
        "Raise its limits (`ulimit -n`), or spread the streams over several processes.",
    ),
    # polls
    "not_json": Reason(
        _R.RETRY, _C.BROKEN, "a poll was answered with something else than JSON", "Check `--stream.snapshot-url`."
    ),
    "decode": Reason(
        _R.RETRY,
        _C.BROKEN,
        "a poll was answered with broken JSON, or with a document that says that the source failed",
        "Check `--stream.snapshot-url`, and the logs of the source.",
    ),
    "unknown_shape": Reason(
        _R.RETRY,
        _C.BROKEN,
        "a poll was answered with JSON of which nothing can be used: it is no IRIS document",
        "Check `--stream.snapshot-url`, or the URL where it is polled.",
    ),
    "out_of_sync": Reason(
        _R.RETRY,
        _C.BROKEN,
        "a change on an event stream does not follow the one before, so that whole objects have to be sent again",
        "Nothing, unless it goes on: then `--stream.delta=off` does without changes, and the source has a mistake.",
    ),
    "other": Reason(_R.RETRY, _C.BROKEN, "a reason that is not in this list", "The detail says more."),
}

AUTH_REASONS = (*(name for name, reason in REASONS.items() if reason.remedy is Remedy.RENEW), "credentials")
"""Failures that another key, another permission or another certificate of ours mends."""
RATE_REASONS = ("rate_limited", "connection_budget")
"""Reasons for which a source is asked less often."""
