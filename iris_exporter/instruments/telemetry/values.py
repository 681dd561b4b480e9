"""Attributes within limits: cut, counted, without secrets; and an event's metadata made flat. Pure.

Source: OpenTelemetry specification, "Common", attribute limits: what is over the count is left out and counted, what is
over the length is cut.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from iris_exporter.instruments.signals import METADATA
from iris_exporter.instruments.telemetry.records import Value
from iris_exporter.instruments.telemetry.settings import Limits

MAX_METADATA_ATTRIBUTES = 64
"""Attributes that the metadata of one event become, whatever the general limit allows."""
MAX_METADATA_DEPTH = 4
"""Objects within objects that are followed; what lies deeper is one text of JSON."""
MAX_TEXT_CHARS = 4096
"""The longest text where `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT` sets no limit: a message may be as large as
`--stream.max-message-bytes`, and a collector takes 4 MiB at a time."""
MAX_KEY_CHARS = 256

_PREFIX = METADATA.name.partition("<")[0]
_LARGEST_INT = 2**63 - 1

Redact = Callable[[str], str]


class Trimmer:
    """Makes attributes fit: `redact` first, then cut, since half a secret would not be found."""

    def __init__(self, limits: Limits, redact: Redact) -> None:
        self._count = limits.attributes
        self._text = MAX_TEXT_CHARS if limits.text is None else limits.text
        self._redact = redact

    def text(self, text: str) -> str:
        """A text as it may leave: without secrets, without lone surrogates (no UTF-8), and not too long."""
        clean = self._redact(text)
        if not clean.isascii():
            clean = clean.encode("utf-8", "replace").decode()
        return clean if len(clean) <= self._text else clean[: self._text]

    def body(self, text: str) -> str:
        """The body of a record, to which the limits of attributes do not apply."""
        clean = self._redact(text)
        if not clean.isascii():
            clean = clean.encode("utf-8", "replace").decode()
        return clean[: 4 * MAX_TEXT_CHARS]

    def pairs(self, attributes: Iterable[tuple[str, Value]]) -> tuple[list[tuple[str, Value]], int]:
        """The attributes that fit, and how many were left out."""
        kept: list[tuple[str, Value]] = []
        dropped = 0
        for key, value in attributes:
            if len(kept) >= self._count:
                dropped += 1
            elif type(value) is str:
                kept.append((key, self.text(value)))
            else:
                kept.append((key, value))
        return kept, dropped


def flattened(metadata: bytes) -> Iterator[tuple[str, Value]]:
    """The values in an event's metadata, each under its path; more than `MAX_METADATA_ATTRIBUTES` may come.

    Null has no attribute. A whole number beyond 64 bits becomes a double, a number that is not finite a text.
    """
    if metadata == b"{}":
        return
    try:
        document = msgspec.json.decode(metadata)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if isinstance(document, dict):
        yield from _flatten(_PREFIX, document, 1)


def _flatten(prefix: str, table: dict[str, Any], depth: int) -> Iterator[tuple[str, Value]]:
    for name, value in table.items():
        key = f"{prefix}{name}"[:MAX_KEY_CHARS]
        if isinstance(value, dict) and value and depth < MAX_METADATA_DEPTH:
            yield from _flatten(f"{key}.", value, depth + 1)
        elif value is not None:
            yield key, _scalar(value)


def _scalar(value: Any) -> Value:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST_INT else float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    return msgspec.json.encode(value).decode()
