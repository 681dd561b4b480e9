"""What `iris-exporter check` can find: one table, from which docs/troubleshooting.md is generated.

A finding that is a reason of `core.reasons` has its name, cause and advice from there; the others are what only a look
at the whole way can tell apart.
"""

from dataclasses import dataclass

from iris_exporter.check.finding import Finding, Heading, Severity
from iris_exporter.check.service_findings import OF_SERVICES
from iris_exporter.core.reasons import REASONS

_P, _W, _N = Severity.PROBLEM, Severity.WARNING, Severity.NOTE
_H = Heading
_BEFORE_WEB = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"

_OWN: dict[str, Finding] = {
    # the way there
    "connect_timeout": Finding(
        _P,
        _H.NONE,
        "No TCP connection is made within the limit: packets to this address are dropped.",
        "Ask whoever runs the network about a firewall or a security group, and check host and port.",
    ),
    "no_answer": Finding(
        _P,
        _H.DISCONNECTS,
        "The connection is accepted, and no answer comes within `--stream.connect-timeout`.",
        "Look at the source: it hangs or is overloaded. Raise the limit where answers are slow by nature.",
    ),
    "some_addresses_fail": Finding(
        _W,
        _H.DISCONNECTS,
        "The name has several addresses, and some of them cannot be connected to.",
        "Have the dead addresses removed from DNS, or the hosts behind them brought back; an IPv6 address without a "
        "route delays each connection.",
    ),
    "tls_expired": Finding(
        _P,
        _H.NONE,
        "The certificate of the source has expired.",
        "Have it renewed. When it is valid by your watch, the clock of this machine is wrong.",
    ),
    "tls_not_yet_valid": Finding(
        _P,
        _H.NONE,
        "The certificate of the source is not valid yet.",
        "Check the clock of this machine first; if it is right, have the certificate issued anew.",
    ),
    "tls_wrong_name": Finding(
        _P,
        _H.NONE,
        "The certificate is for another name than the host in the URL.",
        "Use a name that is in the certificate, or name it by `--stream.tls-server-name`.",
    ),
    "tls_self_signed": Finding(
        _P,
        _H.NONE,
        "The source has signed its certificate itself.",
        "If this is meant, give that certificate by `--stream.tls-ca-file`; otherwise somebody is in between.",
    ),
    "tls_unknown_authority": Finding(
        _P,
        _H.NONE,
        "The certificate comes from an authority that this machine does not know, or the chain lacks a link.",
        "Give the authority by `--stream.tls-ca-file`, or have the source send its intermediate certificates.",
    ),
    "tls_not_spoken": Finding(
        _P,
        _H.NONE,
        "The port does not speak TLS, and the URL asks for it (https, wss).",
        "Use http:// or ws://, or the port that speaks TLS.",
    ),
    "tls_expected": Finding(
        _P,
        _H.NONE,
        "The port speaks TLS, and the URL does not ask for it (http, ws).",
        "Use https:// or wss:// in the URL.",
    ),
    "tls_expires_soon": Finding(
        _W,
        _H.NONE,
        "The certificate of the source expires within 14 days.",
        "Have it renewed before; after that no connection is made.",
    ),
    # what stands between
    "web_page": Finding(
        _P,
        _H.NONE,
        "A web page answers in place of the source: a login page, a captive portal, or a catch-all route.",
        "Check the path in the URL. When it is right, let this machine through the portal, or set `NO_PROXY`.",
    ),
    "login_redirect": Finding(
        _P,
        _H.NONE,
        "The request is redirected to another host, where a page or a refusal waits: a login or a captive portal.",
        "Let this machine through without a login, or configure the address behind the redirect.",
    ),
    "upgrade_eaten": Finding(
        _P,
        _H.DISCONNECTS,
        "The WebSocket upgrade does not get through, while the same address answers as an event stream: a proxy "
        "removes the Upgrade header.",
        f"Have the proxy pass it on (nginx: `proxy_http_version 1.1; {_BEFORE_WEB}`), or use `--stream.protocol=sse`.",
    ),
    "sse_buffered": Finding(
        _P,
        _H.STALE,
        "Not one byte of the event stream arrives through a proxy, which mostly means that the proxy buffers it.",
        "Turn buffering off for this path (nginx: `proxy_buffering off;`), or use `--stream.protocol=websocket`. If it "
        "is off, the streaming part of the source hangs.",
    ),
    "idle_cut": Finding(
        _P,
        _H.DISCONNECTS,
        "The connection is cut after some seconds without traffic: a proxy or firewall has an idle limit.",
        "Raise that limit (nginx: `proxy_read_timeout`), or set `--stream.heartbeat-interval` below it; on server-sent "
        "events only the source can send something more often.",
    ),
    "closed_at_once": Finding(
        _P,
        _H.DISCONNECTS,
        "The source accepts the stream and closes it at once, without a message.",
        "Look at the logs of the source; often the key may connect and may not read, or a client limit is reached.",
    ),
    "cut_early": Finding(
        _P,
        _H.DISCONNECTS,
        "The stream is cut or ended after a few seconds, in the middle of messages.",
        "Run it again: the same number of seconds each time is a time limit of a proxy or of the source; different "
        "ones are a source that restarts, or a bad network.",
    ),
    "silent_connection": Finding(
        _P,
        _H.STALE,
        "The connection is open, and nothing at all arrives, not even the answer to a ping.",
        "Look at the streaming part of the source, and at proxies that keep dead connections open.",
    ),
    "silent_data": Finding(
        _P,
        _H.STALE,
        "Heartbeats arrive, and no data for longer than `--stream.stale-after`: what feeds the source has stopped.",
        "Look at what feeds the source. Raise the limit where it is rightly silent for so long.",
    ),
    "slow_answer": Finding(
        _W,
        _H.DISCONNECTS,
        "The source takes more than half of `--stream.connect-timeout` to answer.",
        "Find out why it is slow, or raise the limit before it is reached.",
    ),
    # authentication
    "key_missing": Finding(
        _P,
        _H.NONE,
        "The source wants a key, and none is configured.",
        "Put the key into a file and name it by `--stream.api-key-file`.",
    ),
    # the messages
    "not_iris": Finding(
        _P,
        _H.STALE,
        "Messages arrive, and none of them can be used: this is no IRIS stream, or something garbles it.",
        "Check the URL; compare with docs/protocol.md what the source sends.",
    ),
    "not_mapped": Finding(
        _P,
        _H.STALE,
        "Messages arrive, and the mapping takes none of them: it is for another source, or something garbles them.",
        "Check `--stream.mapping` and the URL; `iris-exporter map --try` shows what becomes of a sample.",
    ),
    "mapping_problems": Finding(
        _W,
        _H.STALE,
        "Samples, ids or times of some messages cannot be read; they are counted by "
        "`iris_stream_mapping_problems_total` and left out.",
        "Correct the mapping by metric and reason; `iris-exporter map --try` shows the paths in a sample.",
    ),
    "unusable_messages": Finding(
        _W,
        _H.STALE,
        "Some messages cannot be read; they are counted by `iris_stream_decode_errors_total` and left out.",
        "Report the reasons and places named here to whoever makes the source.",
    ),
    "misspelled_field": Finding(
        _W,
        _H.STALE,
        "The source sends a field that is not read, and that has nearly the name of one that is read and never comes.",
        "Have it compared with the names in docs/protocol.md; what the field says is on no dashboard until then.",
    ),
    "share_scale": Finding(
        _W,
        _H.NONE,
        "The source sends the same share as 0 to 100 in some messages and as at most 1 in others, which is read as 0 "
        "to 1.",
        "Have it send one scale; figures at or below 1 % are shown a hundred times too large until then.",
    ),
    "duplicate_events": Finding(
        _W,
        _H.NONE,
        "The source sends the same events several times over one connection; they are counted once.",
        "Report it to whoever makes the source; it costs bandwidth.",
    ),
    "upstream_error": Finding(
        _W,
        _H.NONE,
        "The source reports an error of its own in the stream.",
        "Look up the code at the source, and its logs.",
    ),
    "clock_difference": Finding(
        _W,
        _H.STALE,
        "The clocks of the source and of this machine differ.",
        "Synchronize both by NTP: delays, ages and alerts about stale data are wrong by that much.",
    ),
    # fallback, resume, limits
    "snapshot_failed": Finding(
        _W,
        _H.STALE,
        "The live stream works, and its REST snapshot cannot be had: no full state after a connection, no polling.",
        "Name its address by `--stream.snapshot-url`, or have the REST interface looked at.",
    ),
    "resume_failed": Finding(
        _W,
        _H.STALE,
        "The source numbers its events, and does not go on from a position that it has just sent.",
        "Look whether it restarted, keeps too short a history, or several instances without a common one are behind "
        "one address.",
    ),
    "near_message_limit": Finding(
        _W,
        _H.MEMORY,
        "Messages, events or documents come close to a limit of their size; larger messages end the stream, larger "
        "events are cut.",
        "Raise the option that the detail names, or have the source send less at a time.",
    ),
    "near_entity_limit": Finding(
        _W,
        _H.MEMORY,
        "The source has nearly as much of something as a limit of the stream allows, or more.",
        "Raise the option that the detail names where there is memory for it.",
    ),
    "high_rate": Finding(
        _W,
        _H.MEMORY,
        "The source sends more than 10,000 messages a second.",
        "Subscribe to fewer channels (`--stream.channels`), or give the exporter a core of its own.",
    ),
    # notes
    "resume_not_offered": Finding(
        _N,
        _H.STALE,
        "The source does not number its events: after a cut, only what a snapshot shows is found again.",
        "Nothing here; docs/protocol.md, section 4, says what the source would have to do.",
    ),
    "not_heard_long_enough": Finding(
        _N,
        _H.NONE,
        "Nothing but signs of life arrived while the check listened, which was too short to call it silence.",
        "Run it again with a longer `--wait`.",
    ),
}

_HEADINGS: dict[Heading, tuple[str, ...]] = {
    Heading.DISCONNECTS: (
        *("connection_reset", "timeout", "tls", "upgrade_refused", "handshake", "closed", "going_away"),
        *("abnormal_closure", "protocol_error", "policy_violation", "server_error", "service_restart"),
        *("heartbeat_timeout", "rate_limited", "try_again_later", "conflict", "unavailable", "connection_budget"),
        *("http_server_error", "out_of_sync"),
    ),
    Heading.MEMORY: ("message_too_large", "internal"),
    Heading.STALE: ("position_refused", "not_json", "decode", "unknown_shape"),
}
_HEADING_OF = {reason: heading for heading, reasons in _HEADINGS.items() for reason in reasons}


def _of_reason(name: str) -> Finding:
    reason = REASONS[name]
    severity = Severity.CONFIGURATION if name == "credentials" else Severity.PROBLEM
    cause = f"{reason.meaning[0].upper()}{reason.meaning[1:]}."
    return Finding(severity, _HEADING_OF.get(name, Heading.NONE), cause, reason.advice)


FINDINGS: dict[str, Finding] = _OWN | OF_SERVICES | {name: _of_reason(name) for name in REASONS if name != "requested"}
"""Every finding by its id."""


@dataclass(frozen=True, slots=True)
class Found:
    """A finding with what was seen; `detail` holds no secret and may be empty."""

    id: str
    detail: str = ""

    @property
    def finding(self) -> Finding:
        """Its row in the table."""
        return FINDINGS[self.id]
