"""What is wrong with a mapping that reads well, and what is doubtful: names, types, and what does not fit together."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from math import prod

from iris_exporter.config.values import quoted
from iris_exporter.core.suggestions import did_you_mean
from iris_exporter.mapping.metric_spec import AlertSpec, LabelSpec, MetricKind, MetricSpec, ValueSpec
from iris_exporter.mapping.notes import Here, Notes
from iris_exporter.mapping.objects import Values
from iris_exporter.mapping.operators import UNITS
from iris_exporter.mapping.paths import Root
from iris_exporter.mapping.spec import Entry, Mapping, MappingLimits, PartSpec, Role

RESERVED_NAMESPACES = ("iris", "process", "python")
"""What the exporter's own metrics begin with."""

# Names. What Prometheus' own linter says is said here with the line: `promtool check metrics`, of which the words are.

_BASE_UNITS = {
    **{unit: unit for unit in ("amperes", "bytes", "celsius", "grams", "joules", "kelvin", "meters", "metres")},
    **{unit: unit for unit in ("seconds", "volts")},
    **dict.fromkeys(("minutes", "hours", "days", "weeks"), "seconds"),
    "kelvins": "kelvin",
    "fahrenheit": "celsius",
    "rankine": "celsius",
    "bits": "bytes",
    "calories": "joules",
    **dict.fromkeys(("inches", "yards", "miles"), "meters"),
    **dict.fromkeys(("pounds", "ounces"), "grams"),
}
_PREFIXES = (
    *("pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega", "mibi", "giga"),
    *("gibi", "tera", "tebi", "peta", "pebi", ""),
)
_ABBREVIATIONS = frozenset(("s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"))
# Infos and statesets are gauges to a Prometheus that does not ask for OpenMetrics.
_EXPOSED = {MetricKind.INFO: "gauge", MetricKind.STATESET: "gauge"}
_SUFFIXES = {MetricKind.COUNTER: "_total", MetricKind.INFO: "_info"}


def name_problems(name: str, kind: MetricKind, unit: str | None = None) -> Iterator[str]:
    """Yield what is expected of a metric's whole name instead; `unit` is the one that its value is converted from."""
    for owner, suffix in _SUFFIXES.items():
        if kind is owner and not name.endswith(suffix):
            yield f"a name that ends in {suffix}, as it is of type {kind}"
        elif kind is not owner and name.endswith(suffix):
            yield f"a name without {suffix} at its end, which says {owner}, as it is of type {kind}"
    stem = name.removesuffix(_SUFFIXES.get(kind, ""))
    if stem.endswith(("_count", "_sum", "_bucket", "_created")):
        yield f"a name without _{stem.rpartition('_')[2]} at the end, which is a part of other metrics"
    words = stem.split("_")
    if "" in words:
        yield "a name with single underscores between its words"
    for index, word in enumerate(words):
        if (base := _base_of(word)) is not None and base != word:
            yield f"the base unit {base} instead of {word} (a value is converted by unit: or scale:)"
        elif index > 0 and word in _ABBREVIATIONS:
            yield f"the unit in full instead of {word}"
        elif index > 0 and word in (kind, _EXPOSED.get(kind)):
            yield f"a name without its type, {word}"
    if unit is not None and not re.search(rf"_{UNITS[unit].base}(?:_per_[a-z]+)?$", stem):
        yield f"a name that ends in _{UNITS[unit].base}, the base unit of {unit}"


def _base_of(word: str) -> str | None:
    """The base unit of a word that is a unit."""
    for prefix in _PREFIXES:
        if word.startswith(prefix) and (base := _BASE_UNITS.get(word[len(prefix) :])) is not None:
            return base
    return None


def family(metric: MetricSpec) -> str:
    """The name that a metric has as a family in OpenMetrics, which no other may have."""
    return metric.name.removesuffix(_SUFFIXES.get(metric.kind, ""))


# One metric

ONE = ValueSpec(constant=1.0)
"""What a counter counts by itself."""

_ONLY = {
    "value": {MetricKind.COUNTER, MetricKind.GAUGE, MetricKind.HISTOGRAM},
    "total": {MetricKind.COUNTER},
    "buckets": {MetricKind.HISTOGRAM},
    "states": {MetricKind.STATESET},
    "state": {MetricKind.STATESET},
    "expire": {MetricKind.GAUGE, MetricKind.INFO, MetricKind.STATESET},
    "alert": {MetricKind.COUNTER, MetricKind.GAUGE},
}
_FORGETTING = _ONLY["expire"]
_NEEDED = {
    MetricKind.GAUGE: ("value",),
    MetricKind.HISTOGRAM: ("value", "buckets"),
    MetricKind.STATESET: ("states", "state"),
}
_MOST_LABELS = 6
LABELS_OF_ALERTS = ("job", "instance", "stream")
"""What tells one stream of one exporter from another."""


def check_one_of(values: Values, *names: str) -> None:
    """Note that none of several keys is there, or more than one."""
    given = [name for name in names if name in values]
    if len(given) != 1:
        values.here.problem(" and ".join(given) or f"neither {' nor '.join(names)}", f"one of {', '.join(names)}")


def check_metric(values: Values) -> None:
    """Note what does not fit together in one metric."""
    kind: MetricKind | None = values.get("type")
    if kind is not None:
        for key, kinds in _ONLY.items():
            if key in values and kind not in kinds:
                values.at(key).problem(
                    f"{key} of a metric of type {kind}", f"it with type {' or '.join(sorted(kinds))} alone"
                )
        for key in _NEEDED.get(kind, ()):
            if key not in values:
                values.here.problem(f"nothing for {key}", f"{key}: a metric of type {kind} needs it")
        _check_name(values, kind)
    if values.get("total") and "value" not in values:
        values.at("total").problem("true", "value: beside it, since the source counts itself")
    _check_buckets(values)
    labels: tuple[LabelSpec, ...] = values.get("labels") or ()
    if kind is MetricKind.STATESET and any(label.name == "state" for label in labels):
        values.at("labels").problem("the label state", "another name: a stateset has its states in it")
    if (alert := values.get("alert")) is not None:
        _check_alert(alert, kind, labels, values.at("alert"))
    if len(labels) > _MOST_LABELS:
        values.at("labels").warn(f"{len(labels)} labels", f"at most {_MOST_LABELS}, since their values multiply")


def _check_alert(alert: AlertSpec, kind: MetricKind | None, labels: Iterable[LabelSpec], place: Here) -> None:
    """The rate of a counter is never below 0; a label that there is not is an empty text in a summary."""
    if kind is MetricKind.COUNTER and alert.below is not None and alert.below <= 0:
        place.problem("below 0 of a counter", "a rate above 0, in a second")
    known = {*LABELS_OF_ALERTS, *(label.name for label in labels)} - {"severity", "mapping"}
    for name in dict.fromkeys(re.findall(r"\$labels\.(\w+)", alert.summary)):
        if name not in known:
            hint = did_you_mean(name, known) or f" ({', '.join(sorted(known))})"
            place.problem(f"$labels.{name}", f"a label of the alert{hint}")


def _check_name(values: Values, kind: MetricKind) -> None:
    name, value = values.get("name"), values.get("value")
    if name is None or not values.here.namespace:
        return
    full = f"{values.here.namespace}_{name}"
    for expected in name_problems(full, kind, None if value is None else value.unit):
        values.at("name").problem(quoted(full), expected)


def _check_buckets(values: Values) -> None:
    buckets = values.get("buckets") or ()
    if any(low >= high for low, high in pairwise(buckets)):
        values.at("buckets").problem("buckets that do not rise", "each bound above the one before")
    states = values.get("states") or ()
    if len(set(states)) < len(states):
        values.at("states").problem("a state twice", "each state once")


def check_unlogged(values: Values) -> None:
    """Note log records and spans of what is no event: a state is known again each time that it is sent."""
    parts: tuple[PartSpec, ...] = values.get("parts") or ()
    places = [(values.at(name), name) for name in _OF_EVENTS if name in values]
    for part in parts:
        place = _place(values.here.notes, part, values.at("parts"))
        places += [(place, name) for name in _OF_EVENTS if getattr(part, name) is not None]
    for place, name in places:
        place.problem(f"{name} of a message of role state", "it with role event alone")


_OF_EVENTS = ("log", "trace")

# One mapping

_OF_THE_ELEMENT = (Root.ELEMENT, Root.KEY)  # not the parent, which its elements share


def check_entries(entries: Iterable[Entry], notes: Notes, here: Here) -> None:
    """Note what does not fit together in one list of messages."""
    kinds: dict[str, Entry] = {}
    catches_all: Entry | None = None
    for entry in entries:
        place = _place(notes, entry, here)
        first = kinds.setdefault(entry.kind, entry)
        if first is not entry:
            place.problem(f"the kind {entry.kind} again", f"each kind once (first at {_where(notes, first, here)})")
        if catches_all is not None:
            place.warn(f"the kind {entry.kind} behind {catches_all.kind}", "it in front: the other takes every message")
        if not (entry.when or entry.events or entry.text is not None or any(part.each for part in entry.parts)):
            catches_all = entry
        if entry.role in (Role.EVENT, Role.STATE) and not _does_something(entry):
            place.warn(f"the kind {entry.kind} without metrics", "metrics, or role: ignore")


def check_parts(parts: Sequence[PartSpec], limits: MappingLimits, notes: Notes, here: Here) -> None:
    """Note what does not fit together in the parts of all messages of a mapping, of its snapshot, too."""
    metrics = [metric for part in parts for metric in part.metrics]
    for metric in metrics:
        _check_product(metric, limits, _place(notes, metric, here))
    check_families(metrics, notes, here)
    labels = {label.name for metric in metrics if metric.kind in _FORGETTING for label in metric.labels}
    for part in parts:
        if part.each and part.id and not any(path.root in _OF_THE_ELEMENT for paths in part.id for path in paths):
            expected = "a part of the element, such as @.id or @key: the others are left out as duplicates"
            _place(notes, part, here).warn("an id that all elements of each share", expected)
        for label in (label for label, _ in part.forget if label not in labels):
            expected = "a label of a gauge, info or stateset of this mapping"
            _place(notes, part, here).warn(f"forget of the label {label}", expected)


def check_families(metrics: Iterable[MetricSpec], notes: Notes, here: Here) -> None:
    """Note names that are declared in two ways."""
    seen: dict[str, MetricSpec] = {}
    for metric in metrics:
        first = seen.setdefault(family(metric), metric)
        if first is metric or (difference := _difference(first, metric)) is None:
            continue
        _place(notes, metric, here).problem(
            f"{metric.name} with another {difference}",
            f"the same type, labels and help wherever it is declared (first at {_where(notes, first, here)})",
        )


def check_rewind(entries: Iterable[Entry], notes: Notes, here: Here) -> None:
    """Note messages without identity behind a cursor that is rewound: what comes again would count again."""
    for entry in entries:
        for part in entry.parts:
            if part.metrics and not part.id and (entry.role is Role.EVENT or part.counts_events):
                place = _place(notes, part, here)
                place.problem(
                    f"the kind {entry.kind} without id", "an id: cursor has rewind, so that events come again"
                )


def _difference(one: MetricSpec, other: MetricSpec) -> str | None:
    """What two metrics of one family differ in."""
    aspects: dict[str, Callable[[MetricSpec], object]] = {
        "type": lambda metric: (metric.kind, metric.name, metric.total),
        "help": lambda metric: metric.help,
        "labels": lambda metric: sorted(label.name for label in metric.labels),
        "buckets": lambda metric: metric.buckets,
        "states": lambda metric: metric.states,
    }
    return next((name for name, aspect in aspects.items() if aspect(one) != aspect(other)), None)


def _does_something(entry: Entry) -> bool:
    return any(part.metrics or part.forget or part.log or part.trace for part in entry.parts)


def _check_product(metric: MetricSpec, limits: MappingLimits, place: Here) -> None:
    bounds = [len(label.keep) + 1 if label.keep else label.max_values for label in metric.labels if label.path]
    given = [bound for bound in bounds if bound != limits.label_values]
    if prod(given) > limits.series:
        place.warn(
            f"max-values that make {prod(given)} series of {metric.name}", f"at most {limits.series} (limits: series)"
        )


def _place(notes: Notes, made: object, here: Here) -> Here:
    """Where an object stands; the mapping itself for what was made in another way."""
    return notes.made.get(id(made), (made, here))[1]


def _where(notes: Notes, made: object, here: Here) -> str:
    place = _place(notes, made, here)
    return f"{place.file}:{place.line}"


# Several mappings


def clashes(mappings: Iterable[Mapping]) -> Iterator[tuple[str, str, str, str]]:
    """Yield two mappings, the metric that they declare in different ways, and what differs."""
    seen: dict[str, tuple[Mapping, MetricSpec]] = {}
    for mapping in mappings:
        for metric in mapping.metrics:
            owner, first = seen.setdefault(family(metric), (mapping, metric))
            if owner is not mapping and (difference := _difference(first, metric)) is not None:
                yield owner.name, mapping.name, metric.name, difference
