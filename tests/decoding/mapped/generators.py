"""Mappings and messages by a generator of random numbers: any mapping, and messages of which most are as it expects.

A seed gives the same again, so a failure names all that is needed.
"""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from iris_exporter.decoding.dialect import Frame, NamedEvent
from iris_exporter.decoding.mapped.views import segments_of
from iris_exporter.mapping.inside import inside
from iris_exporter.mapping.paths import Path, Paths, Segment, Wildcard
from iris_exporter.mapping.spec import (
    Condition,
    Entry,
    JsonType,
    LabelSpec,
    Mapping,
    MappingLimits,
    MetricKind,
    MetricSpec,
    Order,
    PartSpec,
    Role,
    TimeFormat,
    ValueSpec,
)
from tests.decoding.mapped import specs

TEXTS = ("a", "b", "c", "1", "2.5", "light.bed")
ODD_TEXTS = ("", " 2 ", "n/a", "1_0", "0x1f", "12 Mbps", "x" * 300, "\u202e", "\x1f", "\x1e1", "é", "NaN", "\u0661")
TIMES = ("2025-10-09T08:53:19Z", "2025-10-09T08:53:18.5+00:00", "2025-10-09T08:53:20.123456Z")
ODD_TIMES = ("2025-10-09 08:53:20", "2025-10-09T08:53:19", "1960-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "soon")
NUMBERS = (0, 1, 2, 1.0, 1.5, 3.25, 1_759_999_999)
ODD_NUMBERS = (-1, 1e16, 10**16, 1e308, 2**64, -0.0)
RAW = (
    *("NaN", "-Infinity", "1e999", "9" * 400, "9" * 5_000, '"\\ud800"', '"a\\u0000b"', "[" * 5_000 + "]" * 5_000),
    *("01", "tru", '"\\q"', '{"a":1,"a":"b"}'),
)
"""JSON that no plain value gives; some of it is none."""


class Raw(str):
    """A text that is written into JSON as it is."""

    __slots__ = ()


def written(document: Any) -> bytes:
    """A document as JSON, with what is `Raw` as it is."""
    found: list[str] = []

    def marked(value: Any) -> Any:
        if isinstance(value, Raw):
            found.append(str(value))
            return f"@raw{len(found) - 1}@"
        if isinstance(value, dict):
            return {key: marked(each) for key, each in value.items()}
        return [marked(each) for each in value] if isinstance(value, list) else value

    text = json.dumps(marked(document), ensure_ascii=False)
    for number, raw in enumerate(found):
        text = text.replace(f'"@raw{number}@"', raw)
    return text.encode("utf-8", "surrogatepass")


class Generator:
    """Draws mappings and messages."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def some(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    # Mappings

    def steps(self, root: str, *, least: int = 1) -> str:
        """A path below a root: mostly one of a few that go together."""
        if least and self.chance(0.93):
            return root + str(self.some(".c", ".d", ".g", ".e.x", ".e.y", "['odd key']", ".f[0]", ".f[1]"))
        text = root
        for _ in range(self.random.randint(least, 3)):
            step = self.some(*"abcdabcdabcdabcd", 0, 1, *([-1] if self.chance(0.1) else []))
            text += f"[{step}]" if isinstance(step, int) else f".{step}"
        return text

    def path(self, each: str) -> str:
        if self.chance(0.03):
            return str(self.some("meta.event", "meta.id", "meta.stream"))
        if not each or self.chance(0.2):
            return self.steps("$", least=1 if self.chance(0.98) else 0)
        if self.chance(0.1):
            return "@key"
        if each.count("*") > 1 and self.chance(0.2):
            return self.steps("@parent")
        return self.steps("@", least=0 if self.chance(0.05) else 1)

    def paths(self, each: str) -> tuple[str, ...]:
        return tuple(self.path(each) for _ in range(2 if self.chance(0.15) else 1))

    def condition(self, each: str) -> Condition:
        constants = tuple(self.some(None, True, 1, 1.5, "a", "b", "1") for _ in range(self.random.randint(1, 3)))
        expected = self.some(
            {"equals": constants},
            {"equals": constants},
            {"unequal": constants},
            {"exists": self.chance(0.7)},
            {"type": self.some(*JsonType)},
            {"matches": self.some("a", "^1", ".")},
            {"at_least": self.some(0, 1.5)},
            {"below": self.some(2, 1e10)},
        )
        return specs.when(*self.paths(each), **expected)

    def label(self, name: str, each: str) -> LabelSpec:
        if self.chance(0.05):
            return specs.label(name, constant="always")
        choices = {
            "pattern": self.some("^(.)", "([0-9])", "b"),
            "lower": True,
            "map": {"a": "first", "1": "one", "true": "yes"},
            "unmapped": "rest",
            "keep": frozenset({"a", "first", "1"}),
            "default": "none",
            "max_values": self.some(1, 2, 3),
        }
        return specs.label(name, *self.paths(each), **{key: each for key, each in choices.items() if self.chance(0.1)})

    def value(self, each: str) -> ValueSpec:
        operators: dict[str, Any] = {}
        if self.chance(0.5):
            operators = self.some(
                *(
                    {"length": True},
                    {"pattern": "([0-9.]+)"},
                    {"base": 16},
                    {"factor": 0.01},
                    {"factor": 2, "offset": 1},
                ),
                *({"map": {"a": 1, "true": 2}}, {"map": {"a": 1}, "other": 0}),
                *({"format": each} for each in TimeFormat),
                *({"format": each, "age": True} for each in TimeFormat),
            )
        if "age" not in operators:
            operators |= {name: self.path(each) for name in ("minus", "per") if self.chance(0.15)}
        if self.chance(0.2):
            operators |= {"default": 7.0}
        return specs.value(*self.paths(each), **operators)

    def metric(self, name: str, each: str) -> MetricSpec:
        kind = self.some(*MetricKind)
        own = [self.label(f"l{place}", each) for place in range(self.random.randint(0, 2))]
        more: dict[str, Any] = {"limit": self.some(1, 2, 1_000, 1_000)}
        if self.chance(0.2):
            more["where"] = (self.condition(each),)
        if self.chance(0.1):
            more["required"] = True
        if kind is MetricKind.COUNTER:
            if self.chance(0.5):
                return specs.counter(name, *own, **more)
            return specs.counter(name, *own, of=self.value(each), total=self.chance(0.3), **more)
        if kind is MetricKind.HISTOGRAM:
            return specs.histogram(name, self.value(each), *own, buckets=(0, 1, 100), **more)
        if kind is MetricKind.INFO:
            return specs.info(name, *own, **more)
        if kind is MetricKind.STATESET:
            return specs.stateset(name, self.path(each), *own, states=("a", "b", "1"), map={"true": "b"}, **more)
        if self.chance(0.3):
            more["expire_seconds"] = 1.5
        return specs.gauge(name, self.value(each), *own, **more)

    def part(self, names: list[str], shared: list[MetricSpec]) -> PartSpec:
        each = self.some(
            "", "", "", "", "", "", "$.a[*]", "$.a[*]", "$[*]", "$.b.*", "$.*", "$.a[*].b[*]", "$[0].*", "$.h[*].*"
        )
        more: dict[str, Any] = {}
        if self.chance(0.5):
            more["ids"] = [self.path(each) for _ in range(self.random.randint(1, 3))]
        if self.chance(0.5):
            more |= {"time": self.path(each), "format": self.some(*TimeFormat, TimeFormat.ISO)}
        if self.chance(0.2):
            more["where"] = (self.condition(each),)
        if self.chance(0.06):
            more["replace"] = True
        if self.chance(0.06):
            more["forget"] = {"l0": self.path(each)}
        if self.chance(0.3):
            named = {name: self.path(each) for name in ("x", "y")[: self.random.randint(0, 2)]}
            severity = self.paths(each) if self.chance(0.5) else ()
            more["log"] = specs.log(self.path(each), *severity, attributes=named)
        if self.chance(0.15):
            more["trace"] = specs.trace(self.path(each))
        usable = [] if each else [metric for metric in shared if self.chance(0.6)]
        return specs.part(*(self.metric(name, each) for name in names), *usable, each=each, **more)

    def entry(self, number: int, shared: list[MetricSpec]) -> Entry:
        more: dict[str, Any] = {}
        if self.chance(0.6):
            more["when"] = tuple(self.condition("") for _ in range(self.random.randint(1, 2)))
        if self.chance(0.06):
            more["json_text"] = [self.steps("$")]
        if self.chance(0.06):
            more["events"] = ["update"]
        role = Role.EVENT if self.chance(0.8) else self.some(*Role)
        own = [
            self.part([f"m{number}_{place}_{each}" for each in range(self.random.randint(0, 2))], shared)
            for place in range(1 if self.chance(0.9) else 2)
        ]
        return specs.entry(f"kind{number}", *own, role=role, **more)

    def mapping(self) -> Mapping:
        """Any mapping of some entries, which may share metrics."""
        shared = [self.metric(f"shared_{number}", "") for number in range(self.random.randint(0, 2))]
        entries = [self.entry(number, shared) for number in range(self.random.randint(1, 3))]
        more: dict[str, Any] = {}
        if self.chance(0.5):
            more |= {"cursor": self.path(""), "order": self.some(*Order)}
            if self.chance(0.2):
                more["of_cursor"] = {"when": (self.condition(""),)}
        limits = MappingLimits(series=self.some(5, 30, 10_000), ids=self.some(3, 10_000))
        return specs.mapping(*entries, limits=limits, **more)

    # Messages

    def scalar(self) -> Any:
        if self.chance(0.02):
            return self.some(None, True, False, *ODD_TEXTS, *ODD_TIMES, *ODD_NUMBERS, *map(Raw, RAW), [], {}, [1])
        return self.some(*TEXTS, *TEXTS, *NUMBERS, *TIMES, None, True)

    def template(self, entry: Entry, plain: dict[tuple[Segment, ...], tuple[Any, ...]]) -> Any:
        """A message in which the paths of an entry lead to what is expected there, kind by kind in `plain`."""
        root: dict[str, Any] = {}
        for part in entry.parts or (specs.part(),):
            if part.each is not None and self.chance(0.97):
                root = self.grown(root, part.each.segments, {})
            for paths, kinds in self.expected(entry, part):
                for path in paths:
                    segments = segments_of(path, part.each)
                    if segments is not None and (path is paths[0] or self.chance(0.5)):
                        kind = plain.setdefault(segments, self.some(*kinds))
                        root = self.grown(root, segments, self.scalar() if self.chance(0.02) else self.some(*kind))
        return root

    def expected(self, entry: Entry, part: PartSpec) -> Iterator[tuple[Paths, tuple[tuple[Any, ...], ...]]]:
        """Paths and the kinds of values that are plain there."""
        texts, numbers = (TEXTS,), (NUMBERS, NUMBERS, ("1", "2.5", "0"))
        for condition in (*entry.when, *part.where, *(each for metric in part.metrics for each in metric.where)):
            wanted = tuple(each for each in condition.equals or () if each is not None)
            yield condition.path, (wanted,) if wanted else texts
        for identity in part.id:
            yield identity, (tuple("abcdefgh"), tuple(range(9)))
        times = {TimeFormat.ISO: (TIMES,)}
        if part.time is not None:
            yield part.time.path, times.get(part.time.format, numbers)
        for metric in part.metrics:
            value = metric.value
            if value is not None:
                found = times.get(value.format, numbers) if value.format is not None else numbers
                found = texts if value.map is not None or value.length else found
                for paths in (value.path, value.minus, value.per):
                    yield paths or (), found
            if metric.state is not None:
                yield metric.state.path, (("a", "b"),)
            for label in metric.labels:
                yield label.path or (), (*texts, *texts, NUMBERS, (True, False))
        yield tuple(inside(entry, Path)), texts

    def grown(self, node: Any, segments: tuple[Segment, ...], value: Any) -> Any:
        """The node with a value at a place below."""
        if not segments:
            return value if node in ({}, None) else node
        segment, rest = segments[0], segments[1:]
        if isinstance(segment, str):
            there = node if isinstance(node, dict) else {}
            return {**there, segment: self.grown(there.get(segment, {}), rest, value)}
        if segment is Wildcard.VALUES:
            there = node if isinstance(node, dict) and node else {self.some(*"abc"): {} for _ in range(2)}
            return {key: self.grown(each, rest, value) for key, each in there.items()}
        count = self.random.randint(0, 3) if segment is Wildcard.ELEMENTS else abs(int(segment)) + 1
        inside = [*node] if isinstance(node, list) and node else [{}] * count
        if segment is Wildcard.ELEMENTS:
            return [self.grown(each, rest, value) for each in inside]
        inside += [None] * (abs(int(segment)) + 1 - len(inside))
        inside[int(segment)] = self.grown(inside[int(segment)], rest, value)
        return inside

    def mutated(self, document: Any) -> Any:
        """The document with something else in one place."""
        if isinstance(document, dict) and document and self.chance(0.8):
            key = self.some(*document)
            if self.chance(0.2):
                return {name: value for name, value in document.items() if name != key}
            return {**document, key: self.mutated(document[key])}
        if isinstance(document, list) and document and self.chance(0.8):
            place = self.random.randrange(len(document))
            return [self.mutated(each) if number == place else each for number, each in enumerate(document)]
        return self.some(None, True, "a", 1, -1, "", [], {}, [[]], {"a": 1}, self.scalar(), *map(Raw, RAW))

    def broken(self, text: bytes) -> bytes:
        """Bytes that may be no JSON, or no UTF-8."""
        place = self.random.randint(0, len(text))
        cut, odd = text[:place], text[:place] + b"\xff" + text[place:]
        return bytes(self.some(cut, odd, text + b"}", b"\xef\xbb\xbf" + text, b""))

    def frame(self, document: Any) -> Frame:
        """The document, or something near it, as a frame."""
        if self.chance(0.08):
            document = self.mutated(document)
        text = written(document)
        if self.chance(0.01):
            text = self.broken(text)
        return NamedEvent(self.some("update", "message"), text, self.some("", "1", "2")) if self.chance(0.05) else text

    def reads(self, spec: Mapping) -> list[list[Frame]]:
        """What some reads of a socket bring; some messages come twice."""
        plain: dict[tuple[Segment, ...], tuple[Any, ...]] = {}
        before: list[Frame] = []
        reads: list[list[Frame]] = []
        for _ in range(self.random.randint(1, 4)):
            frames = [
                self.some(*before)
                if before and self.chance(0.1)
                else self.frame(self.template(self.some(*spec.entries), plain))
                for _ in range(self.random.randint(0, 12))
            ]
            before += frames
            reads.append(frames)
        return reads
