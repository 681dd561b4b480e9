"""What a client of `/api/stream` may ask for, and what it is granted. Pure.

See docs/protocol.md, section 6. Options come as the members of an object, or as the parameters of a query; unknown ones
are ignored, so that clients can ask for what later backends grant.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iris_exporter.backend.objects import Anomaly, Event, Metrics, Project
from iris_exporter.core.subscriptions import CHANNELS

SEVERITIES = ("info", "warning", "error", "critical")
FIELDS: dict[str, tuple[str, ...]] = {
    "metrics": Metrics.__struct_fields__,
    "projects": Project.__struct_fields__,
    "events": Event.__struct_fields__,
    "anomalies": Anomaly.__struct_fields__,
}
"""The fields of the objects of each channel; those that have an `id` always send it."""

MAX_PROJECTS = 1000
MAX_ID_CHARS = 200
BATCH_MESSAGES = (2, 1000)
BATCH_DELAY_MS = (0, 10_000)
DEBOUNCE_MS = (0, 10_000)
DEFAULT_BATCH_MESSAGES = 100
DEFAULT_BATCH_DELAY_MS = 100
MAX_SHOWN_CHARS = 60
"""How much of a wrong value an error repeats."""


class OptionError(ValueError):
    """An option that cannot be granted; the text names it and is sent to the client."""

    def __init__(self, option: str, expected: str, value: object = None) -> None:
        shown = "" if value is None else f", not {_shorten(repr(value))}"
        super().__init__(f"{option}: expected {expected}{shown}")


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}..."


@dataclass(frozen=True, slots=True)
class Batching:
    """When messages that wait are sent together: at `max_messages`, or once the oldest has waited `max_delay_ms`."""

    max_messages: int
    max_delay_ms: int


@dataclass(frozen=True, slots=True)
class Grant:
    """What a subscription is granted. None stands for all, and so does a channel that `fields` does not name."""

    channels: frozenset[str] = frozenset(CHANNELS)
    projects: frozenset[str] | None = None
    severities: frozenset[str] | None = None
    fields: tuple[tuple[str, tuple[str, ...]], ...] = ()
    delta: bool = False
    batch: Batching | None = None
    debounce_ms: int = 0
    priority: bool = False

    def fields_of(self, channel: str) -> tuple[str, ...] | None:
        """The fields to send of the objects of a channel; None means all."""
        return dict(self.fields).get(channel)

    def shows_event(self, event: Event) -> bool:
        """Whether the subscription has this event."""
        return (
            "events" in self.channels
            and (self.projects is None or event.project in self.projects)
            and (self.severities is None or event.severity in self.severities)
        )

    def shows(self, found: Metrics | Project | Anomaly) -> bool:
        """Whether the filters let an object of state pass; its channel is not asked."""
        if isinstance(found, Project):
            return self.projects is None or found.id in self.projects
        if isinstance(found, Anomaly):
            return (self.projects is None or found.project in self.projects) and (
                self.severities is None or found.severity in self.severities
            )
        return True

    def document(self) -> dict[str, Any]:
        """The options in force, as the answer to a client has them; what is not in it has its default."""
        found: dict[str, Any] = {"channels": [channel for channel in CHANNELS if channel in self.channels]}
        if self.projects is not None:
            found["projects"] = sorted(self.projects)
        if self.severities is not None:
            found["severities"] = [severity for severity in SEVERITIES if severity in self.severities]
        if self.fields:
            found["fields"] = {channel: list(names) for channel, names in self.fields}
        if self.delta:
            found["delta"] = True
        if self.batch is not None:
            found["batch"] = {"maxMessages": self.batch.max_messages, "maxDelayMs": self.batch.max_delay_ms}
        if self.debounce_ms:
            found["debounceMs"] = self.debounce_ms
        if self.priority:
            found["priority"] = True
        return found


@dataclass(frozen=True, slots=True)
class Request:
    """A subscribe that can be granted; `after` is the position to resume from, None where nothing is resumed."""

    grant: Grant
    after: str | None = None


EVERYTHING = Request(Grant())
"""What a client gets that says nothing."""


def parse_options(options: object) -> Request:
    """Read the options of a `subscribe` message; null is the same as leaving one out. Raises OptionError."""
    if not isinstance(options, Mapping):
        raise OptionError("data", "an object", options)
    return Request(
        Grant(
            channels=frozenset(_words(options, "channels", CHANNELS) or CHANNELS),
            projects=_ids(options, "projects"),
            severities=_optional_set(_words(options, "severities", SEVERITIES)),
            fields=_fields(options),
            delta=_flag(options, "delta"),
            batch=_batch(options),
            debounce_ms=_number(options, "debounceMs", DEBOUNCE_MS, 0),
            priority=_flag(options, "priority"),
        ),
        _after(options),
    )


def _optional_set(words: Sequence[str] | None) -> frozenset[str] | None:
    return None if words is None else frozenset(words)


def _strings(options: Mapping[str, Any], key: str, path: str = "") -> list[str] | None:
    value = options.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise OptionError(path or key, "a list of strings that is not empty", value)
    return value


def _words(options: Mapping[str, Any], key: str, allowed: Sequence[str], path: str = "") -> list[str] | None:
    values = _strings(options, key, path)
    for value in values or ():
        if value not in allowed:
            raise OptionError(path or key, f"some of {', '.join(allowed)}", value)
    return values


def _ids(options: Mapping[str, Any], key: str) -> frozenset[str] | None:
    values = _strings(options, key)
    if values is None:
        return None
    if len(values) > MAX_PROJECTS:
        raise OptionError(key, f"at most {MAX_PROJECTS} ids")
    for value in values:
        if len(value) > MAX_ID_CHARS:
            raise OptionError(key, f"ids of at most {MAX_ID_CHARS} characters", value)
    return frozenset(values)


def _fields(options: Mapping[str, Any]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    value = options.get("fields")
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        raise OptionError("fields", "an object of channels and their fields", value)
    for channel in value:
        if channel not in FIELDS:
            raise OptionError("fields", f"channels of {', '.join(FIELDS)}", channel)
    found = []
    for channel, known in FIELDS.items():
        names = _words(value, channel, known, f"fields.{channel}")
        if names is not None:
            found.append((channel, tuple(name for name in known if name == "id" or name in names)))
    return tuple(found)


def _flag(options: Mapping[str, Any], key: str) -> bool:
    value = options.get(key)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise OptionError(key, "true or false", value)
    return value


def _number(options: Mapping[str, Any], key: str, bounds: tuple[int, int], default: int, path: str = "") -> int:
    """A whole number; one above the bounds is cut to them, since a client may ask for more than there is."""
    value = options.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < bounds[0]:
        raise OptionError(path or key, f"a whole number from {bounds[0]}", value)
    return min(value, bounds[1])


def _batch(options: Mapping[str, Any]) -> Batching | None:
    value = options.get("batch")
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise OptionError("batch", "an object with maxMessages and maxDelayMs", value)
    return Batching(
        _number(value, "maxMessages", BATCH_MESSAGES, DEFAULT_BATCH_MESSAGES, "batch.maxMessages"),
        _number(value, "maxDelayMs", BATCH_DELAY_MS, DEFAULT_BATCH_DELAY_MS, "batch.maxDelayMs"),
    )


def _after(options: Mapping[str, Any]) -> str | None:
    value = options.get("after")
    if value is not None and not isinstance(value, str):
        raise OptionError("after", "a position", value)
    return value


_LISTS = frozenset({"channels", "projects", "severities"})
_FLAGS = frozenset({"delta", "priority"})
_NUMBERS = frozenset({"debounceMs", "batch.maxMessages", "batch.maxDelayMs"})
_OBJECTS = {"fields": "fields.CHANNEL=NAME", "batch": "batch.maxMessages=NUMBER or batch.maxDelayMs=NUMBER"}
"""How the members of options that are objects are written; one that is given a value itself has the wrong type."""


def query_options(query: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The parameters of a query as the options of a message; lists are repeated parameters. Raises OptionError."""
    found: dict[str, Any] = {}
    for key, text in query:
        group, dot, name = key.partition(".")
        if key in _LISTS:
            found.setdefault(key, []).append(text)
        elif dot and group == "fields":
            found.setdefault(group, {}).setdefault(name, []).append(text)
        elif key in _FLAGS or key in _NUMBERS or key == "after":
            place = found.setdefault(group, {}) if dot else found
            if (name or key) in place:
                raise OptionError(key, "one value")
            place[name or key] = _scalar(key, text)
        elif key in _OBJECTS:
            raise OptionError(key, _OBJECTS[key], text)
    return found


def _scalar(key: str, text: str) -> object:
    if key in _FLAGS:
        return {"true": True, "false": False}.get(text, text)
    # A text that is no number stays one, and is refused as every wrong type is.
    return int(text) if key in _NUMBERS and re.fullmatch(r"-?\d{1,100}", text, re.ASCII) else text
