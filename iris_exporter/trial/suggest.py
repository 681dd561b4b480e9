"""A first mapping for a sample: kinds by a field with few values, numbers as gauges, ids and times by their names.

It is a beginning to read and change, and it is one that can be used: what it says, the language accepts.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from iris_exporter.decoding.dialect import NamedEvent
from iris_exporter.mapping.lint import name_problems
from iris_exporter.mapping.metric_spec import MetricKind
from iris_exporter.mapping.operators import UNBOUNDED, UNITS
from iris_exporter.mapping.paths import MISSING, Root, Step, find, written
from iris_exporter.trial.running import text_of
from iris_exporter.trial.samples import Arrival

_KIND_NAMES = (
    "type",
    "kind",
    "event",
    "event_type",
    "message_type",
    "messagetype",
    "action",
    "op",
    "channel",
    "method",
)
_ROLES = {
    "heartbeat": "heartbeat", "keepalive": "heartbeat", "ping": "heartbeat", "pong": "pong", "ack": "ack",
    "subscribed": "ack", "subscriptions": "ack", "hello": "ack", "welcome": "ack", "open": "ack", "error": "error",
}  # fmt: skip
_ID_NAMES = ("id", "uuid", "event_id", "eventid", "message_id", "uid", "guid")
_TIME_NAME = re.compile(r"time|date|^ts$|_at$|At$|created|updated|^dt$|^[tE]$", re.ASCII)
_MOST_KINDS, _MOST_VALUES, _MOST_LABELS, _MOST_NUMBERS, _MOST_DEPTH = 20, 20, 4, 12, 6
# Digits of a Unix time of this century, by the unit.
_UNIX = {"unix": (1e9, 4e9), "unix_ms": (1e12, 4e12), "unix_us": (1e15, 4e15), "unix_ns": (1e18, 4e18)}
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?", re.ASCII)
_UNIT_OF_WORD = {"ms": "ms", "us": "us", "ns": "ns", "milliseconds": "ms", "minutes": "minutes", "hours": "hours",
                 "days": "days", "percent": "percent", "pct": "percent", "kb": "kilobytes", "mb": "megabytes",
                 "gb": "gigabytes", "knots": "knots", "fahrenheit": "fahrenheit"}  # fmt: skip

Place = tuple[Step, ...]


@dataclass(slots=True)
class _Field:
    """What a field was in the messages of one kind."""

    count: int = 0
    values: Counter[object] = field(default_factory=Counter)
    types: Counter[type] = field(default_factory=Counter)

    def add(self, value: Any) -> None:
        """Note one value."""
        self.count += 1
        self.types[type(value)] += 1
        if len(self.values) <= 1_000:
            self.values[value] += 1


def suggest(name: str, arrivals: Sequence[Arrival], *, form: str) -> str:
    """Return a mapping for messages, as YAML; `form` is that of the sample, `name` becomes mapping and namespace."""
    namespace = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "source"
    namespace = namespace if namespace[0].isalpha() else f"s_{namespace}"
    messages = [(_event_of(arrival), _value_of(arrival)) for arrival in arrivals]
    groups = _kinds([(event, value) for event, value in messages if value is not MISSING])
    lines = [
        f"# A first mapping of {len(messages)} messages: names, helps and labels are guesses.",
        "mappings:",
        f"  {namespace.replace('_', '-')}:",
        f"    namespace: {namespace}",
    ]
    if form == "lines":
        lines.append("    # format: ndjson, if this is a body and not the messages of a WebSocket")
    lines.append("    messages:")
    for kind, selector, values in groups:
        prefix = f"{_word(kind)}_" if selector else ""
        lines += [f"      {line}" for line in _entry(namespace, kind, selector, values, prefix)]
    return "\n".join(lines) + "\n"


def _event_of(arrival: Arrival) -> str | None:
    return arrival.frame.name if isinstance(arrival.frame, NamedEvent) else None


def _value_of(arrival: Arrival) -> Any:
    try:
        return json.loads(text_of(arrival.frame))
    except (ValueError, RecursionError):
        return MISSING


# Kinds


def _kinds(messages: list[tuple[str | None, Any]]) -> Iterator[tuple[str, str, list[Any]]]:
    """Yield each kind, what selects it in YAML, and its messages."""
    events = {event for event, _ in messages if event is not None}
    place = None if len(events) > 1 else _discriminator([value for _, value in messages])
    if len(events) <= 1 and place is None:
        yield "message", "", [value for _, value in messages]
        return
    groups: dict[str, list[Any]] = {}
    for event, value in messages:
        key = event if place is None else find(value, place)
        if isinstance(key, str):
            groups.setdefault(key, []).append(value)
    used: set[str] = set()
    for key, values in groups.items():
        word = re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")[:40] or "message"
        while word in used or word == "other":
            word += "-more"
        used.add(word)
        quoted = json.dumps(key, ensure_ascii=False)
        path = "" if place is None else json.dumps(written(Root.MESSAGE, place), ensure_ascii=False)
        yield word, f"event: {quoted}" if place is None else f"when: {{{path}: {quoted}}}", values


def _discriminator(values: list[Any]) -> Place | None:
    """The place of the text that says what a message is: in nearly all of them, with few values and such a name."""
    objects = [value for value in values if isinstance(value, dict)]
    if len(objects) < 2:
        return None
    found: list[tuple[int, int, Place]] = []
    for place, seen in _fields(objects).items():
        few = 2 <= len(seen.values) <= min(_MOST_KINDS, max(2, seen.count // 2 + 1))
        if len(place) <= 2 and few and seen.types.keys() == {str} and seen.count >= 0.8 * len(objects):
            name = str(place[-1]).lower()
            rank = _KIND_NAMES.index(name) if name in _KIND_NAMES else len(_KIND_NAMES)
            found.append((len(place), rank, place))
    named = [each for each in found if each[1] < len(_KIND_NAMES)]
    return min(named)[2] if named else None


# One kind


def _entry(namespace: str, kind: str, selector: str, values: list[Any], prefix: str) -> Iterator[str]:
    """The lines of one kind; `prefix` is in front of the names of its gauges, which other kinds may have, too."""
    role = next((role for word, role in _ROLES.items() if word in kind.split("-")), None)
    if role is not None:
        body = [f"kind: {kind}", *([selector] if selector else []), f"role: {role}"]
        yield f"- {{{', '.join(body)}}}"
        return
    yield f"- kind: {kind}"
    if selector:
        yield f"  {selector}"
    each, root, elements = _each(values)
    if each:
        yield f"  each: {json.dumps(each)}"
    fields = _fields(elements)
    selected = {place for place, seen in fields.items() if len(seen.values) == 1 and selector.endswith(_last(seen))}
    identity = _identity(fields)
    if identity is not None:
        yield f"  id: {_path(root, identity)}"
    time = _time(fields)
    if time is not None:
        yield f"  time: {{path: {_path(root, time[0])}, format: {time[1]}}}"
    taken = {identity, None if time is None else time[0], *selected}
    yield "  metrics:"
    rest = {place: seen for place, seen in fields.items() if place not in taken}
    labels = _labels(root, rest, each)
    shown = ", ".join(f"{name}: {path}" for name, path in labels.items())
    labelled, again = (f", labels: &{kind} {{{shown}}}", f", labels: *{kind}") if labels else ("", "")
    noun = "elements" if each else "messages"
    total = _named(namespace, f"{_word(kind)}_total", MetricKind.COUNTER)
    yield f"    - {{name: {total}, type: counter, help: Number of {noun} of kind {kind}.{labelled}}}"
    yield from _gauges(namespace, prefix, root, rest, again)


def _last(seen: _Field) -> str:
    """How a selector ends that asks for the only value of a field."""
    return f": {json.dumps(next(iter(seen.values)), ensure_ascii=False)}}}"


def _each(values: list[Any]) -> tuple[str, Root, list[Any]]:
    """What elements a kind of message has: `each`, where their paths begin, and the elements."""
    if values and all(isinstance(value, list) and all(isinstance(item, dict) for item in value) for value in values):
        return "$[*]", Root.ELEMENT, [item for value in values for item in value]
    for place, inner in _containers(values):
        found = [find(value, place) for value in values]
        if isinstance(inner, list) and inner and all(isinstance(item, dict) for item in inner):
            elements = [item for each in found if isinstance(each, list) for item in each]
            return f"{written(Root.MESSAGE, place)}[*]", Root.ELEMENT, elements
        if isinstance(inner, dict) and len(inner) >= 2 and _alike(inner.values()):
            elements = [item for each in found if isinstance(each, dict) for item in each.values()]
            return f"{written(Root.MESSAGE, place)}.*", Root.ELEMENT, elements
    return "", Root.MESSAGE, values


def _containers(values: list[Any]) -> Iterator[tuple[Place, Any]]:
    for value in values[:20]:
        if isinstance(value, dict):
            for key, inner in value.items():
                if isinstance(inner, dict | list):
                    yield (key,), inner


def _alike(values: Iterable[Any]) -> bool:
    """Whether objects have most of their keys in common."""
    keys = [set(value) for value in values if isinstance(value, dict)]
    everything = set().union(*keys)
    return len(keys) >= 2 and len(set.intersection(*keys)) * 2 > len(everything)


def _fields(values: Iterable[Any]) -> dict[Place, _Field]:
    """The single values in objects, by their place."""
    found: dict[Place, _Field] = {}
    for value in values:
        for place, single in _singles(value, ()):
            if place in found or len(found) < 500:
                found.setdefault(place, _Field()).add(single)
    return found


def _singles(value: Any, place: Place) -> Iterator[tuple[Place, Any]]:
    if isinstance(value, dict) and len(place) < _MOST_DEPTH:
        for key, inner in value.items():
            yield from _singles(inner, (*place, key))
    elif place and isinstance(value, str | int | float | bool):
        yield place, value


def _identity(fields: dict[Place, _Field]) -> Place | None:
    for place, seen in sorted(fields.items(), key=lambda item: len(item[0])):
        # One that repeats in most messages is of something else.
        repeats = len(seen.values) * 2 <= seen.count
        if str(place[-1]).lower() in _ID_NAMES and not seen.types.keys() & {float, bool} and not repeats:
            return place
    return None


def _time(fields: dict[Place, _Field]) -> tuple[Place, str] | None:
    for place, seen in fields.items():
        if _TIME_NAME.search(str(place[-1])) and (form := _time_format(seen.values)) is not None:
            return place, form
    return None


def _time_format(values: Iterable[object]) -> str | None:
    forms = {_format_of(value) for value in values}
    return forms.pop() if len(forms) == 1 else None


def _format_of(value: object) -> str | None:
    if isinstance(value, str):
        try:
            datetime.fromisoformat(value)
        except ValueError:
            return None
        return "iso"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return next((form for form, (least, most) in _UNIX.items() if least <= value < most), None)
    return None


# Metrics


def _labels(root: Root, fields: dict[Place, _Field], each: str) -> dict[str, str]:
    """Labels and their paths: texts with few values, and the key of an element."""
    labels = {"name": '"@key"'} if each.endswith(".*") else {}
    for place, seen in fields.items():
        few = len(seen.values) <= min(_MOST_VALUES, max(2, seen.count // 2))
        short = all(len(str(value)) <= _LONGEST_LABEL for value in seen.values)
        is_label = few and short and seen.types.keys() <= {str, bool} and not _is_numeric(seen)
        name = _word(place[-1])
        if {*_words(place[-1])[-1:]} & _NO_LABELS:
            continue
        if is_label and len(labels) < _MOST_LABELS and name and name not in labels and name not in _RESERVED:
            labels[name] = _path(root, place)
    return labels


def _gauges(namespace: str, prefix: str, root: Root, fields: dict[Place, _Field], labelled: str) -> Iterator[str]:
    used: set[str] = set()
    for place, seen in fields.items():
        if len(used) >= _MOST_NUMBERS or not _is_numeric(seen) or _is_identifier(place[-1]):
            continue
        name, unit = _gauge_name(namespace, prefix, place)
        while name in used:
            name = _named(namespace, f"{name}_more" if unit is None else f"more_{name}", MetricKind.GAUGE)
        used.add(name)
        path = _path(root, place)
        value = path if unit is None else f"{{path: {path}, unit: {unit}}}"
        yield f"    - {{name: {name}, type: gauge, help: Last value of {_plain(place)}., value: {value}{labelled}}}"


_LONGEST_LABEL = 40
_NO_LABELS = UNBOUNDED | {"uri", "schema"}
_RESERVED = frozenset({"le", "quantile", "stream", "job", "instance", "state"})


def _is_numeric(seen: _Field) -> bool:
    """Whether all values are numbers, or texts that are."""
    return all(
        (isinstance(value, int | float) and not isinstance(value, bool))
        or (isinstance(value, str) and _NUMBER.fullmatch(value) is not None)
        for value in seen.values
    )


def _is_identifier(step: Step) -> bool:
    words = _words(step)
    return not words or words[-1] in ("id", "uuid", "sequence", "seq", "timestamp", "time", "version", "code")


def _gauge_name(namespace: str, prefix: str, place: Place) -> tuple[str, str | None]:
    """A name that the language accepts, and the unit that the value is converted from, where the name says one."""
    words = [word for step in place[-2:] for word in _words(step)] or ["value"]
    unit = _UNIT_OF_WORD.get(words[-1])
    if unit is not None:
        name = prefix + "_".join([*words[:-1], UNITS[unit].base])
        if not list(name_problems(f"{namespace}_{name}", MetricKind.GAUGE, unit)):
            return name, unit
    return _named(namespace, prefix + "_".join(words), MetricKind.GAUGE), None


def _named(namespace: str, name: str, kind: MetricKind) -> str:
    """A name that the language accepts, or one that says nothing."""
    return name if not list(name_problems(f"{namespace}_{name}", kind)) else _renamed(namespace, name, kind)


def _renamed(namespace: str, name: str, kind: MetricKind) -> str:
    suffix = "_total" if kind is MetricKind.COUNTER else ""
    stem = name.removesuffix(suffix) if suffix else name
    tries = (
        f"{stem}_value{suffix}",
        "_".join(f"{word}x" for word in stem.split("_")) + f"_value{suffix}",
        f"value{suffix}",
    )
    return next(each for each in tries if not list(name_problems(f"{namespace}_{each}", kind)))


def _words(step: Step) -> list[str]:
    found = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", str(step))
    return [word.lower() for word in found]


def _word(step: Step) -> str:
    words = "_".join(_words(step))
    return words if words and not words[0].isdigit() else f"v_{words}".strip("_")


def _path(root: Root, place: Place) -> str:
    """A path as it can stand in braces of YAML."""
    text = written(root, place)
    return (
        text
        if root is Root.MESSAGE and re.fullmatch(r"\$[A-Za-z0-9_.]*", text)
        else json.dumps(text, ensure_ascii=False)
    )


def _plain(place: Place) -> str:
    return " ".join(word for step in place for word in _words(step)) or "a field"
