"""A first mapping for a sample: kinds by a field with few values, numbers as gauges, ids and times by their names.

It is a beginning to read and change, and it is one that can be used: what it says, the language accepts.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from iris_exporter.decoding.dialect import NamedEvent
from iris_exporter.mapping.lint import name_problems
from iris_exporter.mapping.metric_spec import MetricKind
from iris_exporter.mapping.operators import UNBOUNDED, UNITS
from iris_exporter.mapping.paths import MISSING, Root, Step, find, written
from iris_exporter.mapping.spec import Format
from iris_exporter.trial.coverage import Place, message_of
from iris_exporter.trial.kinds import Field, Kind, fields_of, kinds_of
from iris_exporter.trial.running import text_of
from iris_exporter.trial.samples import Arrival

_ROLES = {
    "heartbeat": "heartbeat", "keepalive": "heartbeat", "ping": "heartbeat", "pong": "pong", "ack": "ack",
    "subscribed": "ack", "subscriptions": "ack", "hello": "ack", "welcome": "ack", "open": "ack", "error": "error",
}  # fmt: skip
_ID_NAMES = ("id", "uuid", "event_id", "eventid", "message_id", "uid", "guid")
_ID_WORDS = ("uuid", "guid")  # which end the name of an id, whatever is in front of them
_TIME_NAME = re.compile(r"time|date|^ts$|^at$|_at$|At$|created|updated|^dt$|^[tE]$", re.ASCII)
_MOST_VALUES, _MOST_LABELS, _MOST_NUMBERS, _MOST_TEXTS = 20, 4, 12, 3
# Digits of a Unix time of this century, by the unit.
_UNIX = {"unix": (1e9, 4e9), "unix_ms": (1e12, 4e12), "unix_us": (1e15, 4e15), "unix_ns": (1e18, 4e18)}
_MEASURE = re.compile(r"-?[0-9]+(?:\.[0-9]+)? \S{1,8}", re.ASCII)  # a number and its unit, which is no label
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?", re.ASCII)
_UNIT_OF_WORD = {"ms": "ms", "us": "us", "ns": "ns", "milliseconds": "ms", "minutes": "minutes", "hours": "hours",
                 "days": "days", "percent": "percent", "pct": "percent", "kb": "kilobytes", "mb": "megabytes",
                 "gb": "gigabytes", "knots": "knots", "fahrenheit": "fahrenheit"}  # fmt: skip

_EVENT_ID = "meta.id"


def suggest(name: str, arrivals: Sequence[Arrival], *, form: str) -> str:
    """Return a mapping for messages, as YAML; `form` is that of the sample, `name` becomes mapping and namespace."""
    namespace = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "source"
    namespace = namespace if namespace[0].isalpha() else f"s_{namespace}"
    messages = [(_event_of(arrival), _value_of(arrival)) for arrival in arrivals]
    kinds = list(kinds_of([(event, value) for event, value in messages if value not in (MISSING, {})]))
    numbered = form == "sse" and _all_differ([arrival.last_event_id for arrival in arrivals])
    shared = _share_ids(kinds)
    lines = [
        f"# A first mapping of {len(messages)} messages: names, helps and labels are guesses.",
        "mappings:",
        f"  {namespace.replace('_', '-')}:",
        f"    namespace: {namespace}",
    ]
    if form == "json-seq":
        lines.append(f"    format: {form}")
    if form == "lines":
        lines.append("    # format: ndjson, if this is a body and not the messages of a WebSocket")
    if numbered:
        lines.append(f"    cursor: {{path: {_EVENT_ID}}}")
    lines.append("    messages:")
    if any(value == {} for _, value in messages):
        lines += [f"      - {{kind: empty, when: {{{path}: null}}, role: heartbeat}}" for path in _always(kinds)[:1]]
    lines += [f"      {line}" for line in _texts(arrivals)]
    for kind in kinds:
        lines += [f"      {line}" for line in _entry(namespace, kind, kind.path if shared else "", numbered=numbered)]
    return "\n".join(lines) + "\n"


def _all_differ(ids: Sequence[str | None]) -> bool:
    """Whether each message has an id of its own."""
    return bool(ids) and all(ids) and len(set(ids)) == len(ids)


def _share_ids(kinds: Sequence[Kind]) -> bool:
    """Whether what would be the id is the same in messages of several kinds, such as that of a job which all are about.

    The mapping would take them for one event that comes again.
    """
    seen = Counter[object]()
    for kind in kinds:
        fields = fields_of(_each(kind.values)[2])
        place = _identity(fields)
        seen.update(() if place is None else {str(value) for value in fields[place].values})
    return any(count > 1 for count in seen.values())


def _texts(arrivals: Sequence[Arrival]) -> Iterator[str]:
    """Entries for short texts that are no JSON, which most often are signs of life; none where they are many."""
    frames = (arrival.frame for arrival in arrivals if _value_of(arrival) is MISSING)
    texts = dict.fromkeys(text_of(frame).decode("utf-8", "replace") for frame in frames)
    short = [text for text in texts if 0 < len(text) <= _LONGEST_LABEL and text.isprintable() and "\ufffd" not in text]
    for number, text in enumerate(short if len(texts) <= _MOST_TEXTS else (), 1):
        yield f"- {{kind: text-{number}, text: {json.dumps(text, ensure_ascii=False)}, role: heartbeat}}"


def _always(kinds: Sequence[Kind]) -> list[str]:
    """Paths of what each message has that is not empty, by which an empty object (a sign of life) is told from it."""
    keys = [list(value) for kind in kinds for value in kind.values if isinstance(value, dict)]
    return [_path(Root.MESSAGE, (key,)) for key in keys[0] if all(key in each for each in keys)] if keys else []


def _event_of(arrival: Arrival) -> str | None:
    return arrival.frame.name if isinstance(arrival.frame, NamedEvent) else None


def _value_of(arrival: Arrival) -> Any:
    return message_of(text_of(arrival.frame), Format.JSON)


# One kind


def _entry(namespace: str, source: Kind, scope: str, *, numbered: bool) -> Iterator[str]:
    """The lines of one kind. `scope` is a path in front of its id, or empty; `numbered`: events have ids."""
    kind, selector, values = source.name, source.selector, source.values
    prefix = f"{_word(kind)}_" if selector else ""  # of its gauges, whose names other kinds may have, too
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
    fields = fields_of(elements)
    selected = {place for place, seen in fields.items() if len(seen.values) == 1 and selector.endswith(_last(seen))}
    identity = _identity(fields)
    if numbered and not each:  # elements need ids of their own
        yield f"  id: {_EVENT_ID}"
    elif identity is not None:
        own = _path(root, identity)
        yield f"  id: [{scope}, {own}]" if scope else f"  id: {own}"
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


def _last(seen: Field) -> str:
    """How a selector ends that asks for the only value of a field."""
    return f": {json.dumps(next(iter(seen.values)), ensure_ascii=False)}}}"


def _each(values: list[Any]) -> tuple[str, Root, list[Any]]:
    """What elements a kind of message has: `each`, where their paths begin, and the elements."""
    if values and all(isinstance(value, list) and all(isinstance(item, dict) for item in value) for value in values):
        return "$[*]", Root.ELEMENT, [item for value in values for item in value]
    for place, inner in _containers(values):
        found = [find(value, place) for value in values]
        # What only few messages have there says nothing of the others, which the entry takes, too.
        if sum(isinstance(each, type(inner)) for each in found) * 2 < len(values):
            continue
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


def _identity(fields: dict[Place, Field]) -> Place | None:
    for place, seen in sorted(fields.items(), key=lambda item: len(item[0])):
        # One that repeats in most messages is of something else.
        repeats = len(seen.values) * 2 <= seen.count
        if (
            _is_id_name(place[-1])
            and not seen.types.keys() & {float, bool}
            and not repeats
            and _is_given_once(place, seen)
        ):
            return place
    return None


def _is_id_name(step: Step) -> bool:
    return str(step).lower() in _ID_NAMES or _words(step)[-1:] in [[word] for word in _ID_WORDS]


def _is_given_once(place: Place, seen: Field) -> bool:
    """Whether a number may identify: one further down that neither rises nor falls is used again, such as DNS's."""
    values = list(seen.values)
    numbers = [value for value in values if isinstance(value, int)]
    return len(place) == 1 or not numbers or numbers in (sorted(numbers), sorted(numbers, reverse=True))


def _time(fields: dict[Place, Field]) -> tuple[Place, str] | None:
    for place, seen in fields.items():
        if _TIME_NAME.search(str(place[-1])) and (form := _time_format(seen.values)) is not None:
            return place, form
    return None


def _time_format(values: Iterable[object]) -> str | None:
    forms = {_format_of(value) for value in values}
    return forms.pop() if len(forms) == 1 else None


def _format_of(value: object) -> str | None:
    if isinstance(value, str) and _NUMBER.fullmatch(value) is not None:
        value = float(value)
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


def _labels(root: Root, fields: dict[Place, Field], each: str) -> dict[str, str]:
    """Labels and their paths: texts with few values, and the key of an element."""
    labels = {"name": '"@key"'} if each.endswith(".*") else {}
    for place, seen in fields.items():
        few = len(seen.values) <= min(_MOST_VALUES, max(2, seen.count // 2))
        short = all(len(str(value)) <= _LONGEST_LABEL for value in seen.values)
        texts = seen.types.keys() <= {str, bool} and not _is_numeric(seen) and not _is_measure(seen)
        is_label = few and short and (texts or _is_code(place[-1], seen))
        name = _word(place[-1])
        if {*_words(place[-1])[-1:]} & _NO_LABELS:
            continue
        if is_label and len(labels) < _MOST_LABELS and name and name not in labels and name not in _RESERVED:
            labels[name] = _path(root, place)
    return labels


def _gauges(namespace: str, prefix: str, root: Root, fields: dict[Place, Field], labelled: str) -> Iterator[str]:
    used: set[str] = set()
    for place, seen in fields.items():
        if (
            len(used) >= _MOST_NUMBERS
            or not _is_numeric(seen)
            or _is_identifier(place[-1])
            or _is_code(place[-1], seen)
        ):
            continue
        name, unit = _gauge_name(namespace, prefix, place)
        while name in used:
            name = _named(namespace, f"{name}_more" if unit is None else f"more_{name}", MetricKind.GAUGE)
        used.add(name)
        path = _path(root, place)
        value = path if unit is None else f"{{path: {path}, unit: {unit}}}"
        yield f"    - {{name: {name}, type: gauge, help: Last value of {_plain(place)}., value: {value}{labelled}}}"


_LONGEST_LABEL = 40
_IDENTIFIERS = frozenset(
    ("id", "uuid", "gid", "pid", "sequence", "seq", "index", "timestamp", "time", "version", "rev", "revision", "port")
)
_CODES = ("status", "code", "severity", "level")
_NO_LABELS = UNBOUNDED | {"uri", "schema"}
_RESERVED = frozenset({"le", "quantile", "stream", "job", "instance", "state"})


def _is_numeric(seen: Field) -> bool:
    """Whether all values are numbers, or texts that are."""
    return all(
        (isinstance(value, int | float) and not isinstance(value, bool))
        or (isinstance(value, str) and _NUMBER.fullmatch(value) is not None)
        for value in seen.values
    )


def _is_measure(seen: Field) -> bool:
    """Whether all values are texts such as `21.5 C`."""
    return all(isinstance(value, str) and _MEASURE.fullmatch(value) is not None for value in seen.values)


def _is_identifier(step: Step) -> bool:
    words = _words(step)
    return not words or words[-1] in _IDENTIFIERS


def _is_code(step: Step, seen: Field) -> bool:
    """Whether whole numbers stand for something, such as a status: they are counted by, and not measured."""
    return _words(step)[-1:] in [[word] for word in _CODES] and seen.types.keys() <= {int, str}


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
