"""How much of one stream is stored and shown: the limits that operators may change, as numbers.

The defaults and their reasons are those of the options of the same names (`config.options`; a test holds the two
together). What goes beyond a limit is counted, see docs/limits.md, which lists these and all fixed ones. Nothing here
imports the rest of the package, so that every part can.
"""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one stream; `of` takes them from its settings."""

    max_event_bytes: int = 16 * 1024
    """Words of an event or an anomaly in characters, its open object in bytes."""
    max_json_depth: int = 64
    """Objects and lists within each other in the open object of an event."""
    max_events: int = 100
    """Events in the feed."""
    max_event_ids: int = 10_000
    """Ids of events remembered at least; twice as many at most."""
    max_projects: int = 10_000
    """Projects believed and shown."""
    max_anomalies: int = 10_000
    """Open anomalies believed and shown."""
    max_event_series: int = 10_000
    """Label sets of the event counter."""
    max_label_values: int = 64
    """Event types, and severities, that have a label value of their own."""
    max_label_length: int = 200
    """Characters of a label value."""

    @classmethod
    def of(cls, settings: object) -> "Limits":
        """The fields of the same names; `settings` is a `StreamSettings`."""
        return cls(**{field.name: getattr(settings, field.name) for field in fields(cls)})


DEFAULT_LIMITS = Limits()
