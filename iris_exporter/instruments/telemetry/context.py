"""Trace contexts: made, read from what a source sends, and sampled. Pure, given a source of randomness.

Source: W3C Trace Context, section 3.2 (`traceparent`); OpenTelemetry specification, "Tracing SDK", built-in samplers.
"""

import re
from collections.abc import Callable

import msgspec

from iris_exporter.instruments.telemetry.records import SpanContext
from iris_exporter.instruments.telemetry.settings import Sampling

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_MARK = b"traceparent"
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


def parse_traceparent(text: str) -> SpanContext | None:
    """The context that a `traceparent` names; None for one that is not valid.

    A version after 00 may have more fields, which are ignored; ff is never valid.
    """
    found = _TRACEPARENT.fullmatch(text)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return SpanContext(bytes.fromhex(trace_id), bytes.fromhex(span_id), bool(int(flags, 16) & 1))


class _Carrier(msgspec.Struct, gc=False):
    traceparent: str | None = None


class _Identified(msgspec.Struct, gc=False):
    id: str | int | None = None


class _Envelope(msgspec.Struct, gc=False):
    traceparent: str | None = None
    data: _Identified | None = None


_metadata = msgspec.json.Decoder(_Carrier).decode
_envelope = msgspec.json.Decoder(_Envelope).decode


def may_carry(data: bytes) -> bool:
    """Whether a look inside is worth the time: few messages carry a context.

    It costs about 0.1 us for a message in a text of many, and several times that for each alone.
    """
    return _MARK in data


def context_in_metadata(metadata: bytes) -> SpanContext | None:
    """The context in an event's metadata; None without a valid one."""
    if _MARK not in metadata:
        return None
    try:
        text = _metadata(metadata).traceparent
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return None if text is None else parse_traceparent(text)


def context_in_envelope(message: bytes) -> tuple[str, SpanContext] | None:
    """The id of a message's event and the context beside it in the envelope; None without both."""
    try:
        envelope = _envelope(message)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if envelope.traceparent is None or envelope.data is None or envelope.data.id is None:
        return None
    context = parse_traceparent(envelope.traceparent)
    return None if context is None else (str(envelope.data.id), context)


class Sampler:
    """Decides whether a trace is kept: once, where it begins."""

    def __init__(self, sampling: Sampling) -> None:
        self._by_parent = sampling.name.startswith("parentbased_")
        root = sampling.name.removeprefix("parentbased_")
        ratio = {"always_on": 1.0, "always_off": 0.0}.get(root, sampling.ratio)
        # Whole numbers, so that 1 keeps all of them and every program that sees the same id decides alike.
        self._bound = round(ratio * 2**64)

    def keeps(self, trace_id: bytes, origin: SpanContext | None = None) -> bool:
        """Whether the trace is kept; `origin` is the span elsewhere that it goes on from, None where there is none."""
        if origin is not None:
            if self._by_parent:
                return origin.sampled
            trace_id = origin.trace_id
        return int.from_bytes(trace_id[8:], "big") < self._bound


class Ids:
    """Makes contexts. `bits` gives that many random bits, as `random.Random.getrandbits` does."""

    def __init__(self, sampler: Sampler, bits: Callable[[int], int]) -> None:
        self._sampler = sampler
        self._bits = bits

    def root(self, origin: SpanContext | None = None) -> SpanContext:
        """The context of a trace that begins here; see `Sampler.keeps` for `origin`."""
        trace_id = self._random(16)
        return SpanContext(trace_id, self._random(8), self._sampler.keeps(trace_id, origin))

    def child(self, parent: SpanContext) -> SpanContext:
        """The context of a span below `parent`."""
        return SpanContext(parent.trace_id, self._random(8), parent.sampled)

    def _random(self, size: int) -> bytes:
        # All zero is the one value that is not an id.
        return (self._bits(size * 8) or 1).to_bytes(size, "big")
