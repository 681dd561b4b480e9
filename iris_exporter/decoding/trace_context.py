"""The trace context that a source sends with an event. Pure. Source: W3C Trace Context, section 3.2 (`traceparent`)."""

import re

import msgspec

MARK = b"traceparent"
"""Metadata without these bytes has no trace context."""

_TRACEPARENT = re.compile(
    r"[ \t]*((?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})(?:(-.*)|[ \t]*)"
)


class _Carrier(msgspec.Struct, gc=False):
    traceparent: str | None = None


_MAX_CHARS = 512  # the SDK's limit
_decode = msgspec.json.Decoder(_Carrier).decode


def traceparent_of(metadata: bytes, beside: object = None) -> str:
    """The `traceparent` beside an event in its envelope, or else in its metadata; empty without a valid one."""
    found = valid(beside)
    if found or MARK not in metadata:
        return found
    try:
        return valid(_decode(metadata).traceparent)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def valid(text: object) -> str:
    """A valid `traceparent`, without what later versions may add at its end; empty for anything else."""
    match = _TRACEPARENT.fullmatch(text) if isinstance(text, str) and len(text) <= _MAX_CHARS else None
    if match is None or (match[1].startswith("00") and match[2]):
        return ""
    return match[1]
