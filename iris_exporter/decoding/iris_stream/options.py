"""What is asked for in a subscription, as a message and as query parameters, and what a source has granted. Pure.

Source: docs/protocol.md, section 6.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec

from iris_exporter.core import subscriptions
from iris_exporter.core.subscriptions import CHANNELS, SUBPROTOCOLS
from iris_exporter.settings import StreamSettings

FIELDS: Mapping[str, tuple[str, ...]] = {
    "metrics": (
        *("total_projects", "healthy_projects", "warning_projects", "critical_projects"),
        *("total_runs_today", "avg_success_rate", "active_experts", "total_reflexions"),
    ),
    "projects": (
        *("id", "name", "status", "health_score", "last_run", "total_runs", "success_rate"),
        *("active_experts", "reflexions_count", "avg_latency"),
    ),
    "events": ("id", "timestamp", "project", "event_type", "severity", "message", "metadata"),
    "anomalies": (
        *("id", "timestamp", "project", "type", "severity", "metric", "value", "expected"),
        *("deviation", "description", "resolved"),
    ),
}
"""The fields that the exporter reads, whatever its settings: what the JSON API, the activity feed, logs over OTLP and
Grafana Live show of events needs their texts and metadata, and a trace context is in the metadata."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What one stream asks for; whatever a source does not grant is as in plain JSON."""

    channels: tuple[str, ...]
    fields: bool
    delta: bool
    batch_seconds: float
    debounce_seconds: float
    subprotocols: tuple[str, ...]
    compression: bool

    @classmethod
    def of(cls, settings: StreamSettings) -> "Asked | None":
        """By the settings of a stream; None for an address that takes no subscription."""
        if not urlsplit(settings.url).path.endswith(subscriptions.STREAM_PATH):
            return None
        return cls(
            CHANNELS if "auto" in settings.channels else settings.channels,
            settings.fields == "auto",
            settings.delta == "auto",
            settings.batch_seconds,
            settings.debounce_seconds,
            tuple(name for name, encoding in SUBPROTOCOLS.items() if settings.encoding in ("auto", encoding)),
            settings.compression == "auto",
        )

    def options(self, *, delta: bool = True, fields: bool = True) -> dict[str, Any]:
        """The options as an object. `delta` and `fields` off leave these out, for a source that fails at them."""
        asked: dict[str, Any] = {"priority": True}
        if self.channels != CHANNELS:
            asked["channels"] = list(self.channels)
        if self.fields and fields:
            asked["fields"] = {channel: list(FIELDS[channel]) for channel in self.channels}
        if self.delta and delta:
            asked["delta"] = True
        if self.batch_seconds:
            delay = _milliseconds(self.batch_seconds)
            asked["batch"] = {"maxMessages": subscriptions.BATCH_MESSAGES, "maxDelayMs": delay}
        if self.debounce_seconds:
            asked["debounceMs"] = _milliseconds(self.debounce_seconds)
        return asked


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def subscribe(options: Mapping[str, Any], after: str = "") -> bytes:
    """The message that asks for these options, and to go on after a position."""
    return msgspec.json.encode({"type": "subscribe", "data": {**options, "after": after} if after else options})


def with_options(url: str, options: Mapping[str, Any]) -> str:
    """The address of an event stream that asks for these options; its query stays in front as it is written."""
    parts = urlsplit(url)
    query = "&".join(part for part in (parts.query, urlencode(list(_parameters(options)))) if part)
    return urlunsplit(parts._replace(query=query))


def _parameters(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Lists repeat their parameter; objects put their name and a dot in front of those of their own."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _parameters(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            yield from ((prefix + name, str(element)) for element in value)
        else:
            yield prefix + name, str(value).lower() if isinstance(value, bool) else str(value)


def extensions_of(granted: Mapping[str, Any]) -> frozenset[str]:
    """Which of `subscriptions.EXTENSIONS` are in use, by the options that a source has granted."""
    batch, debounce, channels = granted.get("batch"), granted.get("debounceMs"), granted.get("channels")
    found = {
        "batch": bool(batch) and isinstance(batch, dict),
        "channels": _are_some(channels),
        "debounce": isinstance(debounce, int | float) and debounce > 0,
        "delta": granted.get("delta") is True,
        "fields": bool(granted.get("fields")),
        "priority": granted.get("priority") is True,
    }
    return frozenset(name for name, is_used in found.items() if is_used)


def _are_some(channels: object) -> bool:
    return isinstance(channels, list) and not _names(channels).issuperset(CHANNELS)


def _names(elements: Iterable[object]) -> set[str]:
    return {element for element in elements if isinstance(element, str)}
