"""Names and amounts that attack: the memory stays small, and /metrics valid, small and without a series twice.

Everything goes the whole way in one process: bytes into the sink, the model, the exposition, and its text through two
parsers and promtool.
"""

import gc
import json
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from types import FunctionType, MethodType, ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from iris_exporter.core.limits import DEFAULT_LIMITS, Limits
from iris_exporter.decoding.iris_json.dialect import IrisJson
from iris_exporter.decoding.values import MAX_LABEL_CHARS
from iris_exporter.instruments.exposition import Exposition, Source
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.instruments.text import Format
from iris_exporter.model.state import StreamState
from iris_exporter.streams.ingest import StreamSink
from iris_exporter.streams.log import StreamLog
from iris_exporter.transports.base import Received
from tests.examples import examples
from tests.fakes import FakeClock
from tests.instruments.support import link
from tests.tools import tool

Labels = tuple[str, frozenset[tuple[str, str]]]


class Bench:
    """A stream without a socket: what is fed ends in `text`."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.clock = FakeClock()
        self.state = StreamState("s", 300.0, limits=limits)
        self.instruments = StreamInstruments("s", limits)
        self.sink = StreamSink(IrisJson(), self.state, self.instruments, StreamLog("s", self.clock))
        self.exposition = Exposition(self._sources, SelfMetrics("1", "r", "3"), process_metrics=False)

    def _sources(self) -> Iterator[Source]:
        yield Source(self.instruments, link(), self.state.view(self.clock.wall()))

    def feed(self, *documents: object) -> None:
        raw = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in documents]
        self.sink.receive(Received(raw, sum(map(len, raw))), self.clock.wall())

    def text(self, form: Format = Format.TEXT) -> str:
        return b"".join(self.exposition.render(form)).decode()

    def series(self, form: Format = Format.TEXT) -> dict[Labels, float]:
        """What a parser makes of the text; fails on a series that is there twice."""
        parse = parse_text if form is Format.TEXT else parse_openmetrics
        found: dict[Labels, float] = {}
        for family in parse(self.text(form)):
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                assert key not in found, f"twice: {key}"
                found[key] = sample.value
        return found

    def total(self, name: str, **labels: str) -> float:
        found = self.series()
        return sum(value for (sample, pairs), value in found.items() if sample == name and labels.items() <= pairs)


def event(number: int, project: str, event_type: str = "info", severity: str = "info") -> bytes:
    data = {"id": str(number), "project": project, "event_type": event_type, "severity": severity}
    return json.dumps({"type": "event", "timestamp": "2023-11-14T22:13:19Z", "data": data}).encode()


def everywhere(names: Iterable[str]) -> dict[str, object]:
    """An update that has each name wherever a label can come from it."""
    names = list(names)
    return {
        "type": "update",
        "data": {
            "projects": [{"id": name, "name": name, "status": name, "total_runs": 1} for name in names],
            "anomalies": [{"id": f"a{n}", "project": name, "severity": name} for n, name in enumerate(names)],
            "events": [
                {"id": f"e{n}", "project": name, "event_type": name, "severity": name} for n, name in enumerate(names)
            ],
        },
    }


LONG = "n" * 10_000
HOSTILE = {
    "quotes": 'a"b', "a label of its own": 'a",stream="other', "the end of the line": 'a"} 1\niris_up{x="',
    "braces": "{}", "backslashes": "a\\", "an escape": "\\n", "newline": "a\nb", "carriage return": "a\rb",
    "NUL": "a\0b",
    "lone surrogate": "a\ud800", "pair the wrong way round": "\udc00\ud800", "10 kB": LONG, "10 kB and one": LONG + "x",
    "right to left": "\u202eevil", "marks": "a\u200fb", "isolate": "\u2066a", "comment": "# TYPE iris_up counter",
    "exemplar": 'a # {trace_id="x"} 1', "blank": " ", "line separator": "a\u2028b", "astral": "\U0010ffff",
    "escape sequence": "\x1b[2J", "end": "# EOF", "other": "other",
}  # fmt: skip


def test_hostile_names_leave_both_formats_valid_and_every_series_once() -> None:
    bench = Bench()
    bench.feed(everywhere(HOSTILE.values()))
    text, openmetrics = bench.series(Format.TEXT), bench.series(Format.OPENMETRICS)
    assert len(text) == len(openmetrics) > 350
    assert bench.total("iris_events_total") == len(HOSTILE)
    projects = {dict(labels)["project"] for name, labels in text if name == "iris_project_runs"}
    assert len(projects) == len(HOSTILE), "no two names were shown as one"
    assert all(len(value) <= MAX_LABEL_CHARS for _, labels in text for _, value in labels)
    assert bench.text().count("\n# EOF") == 0
    assert bench.total("iris_stream_dropped_total", kind="label_text") > 0


@pytest.mark.needs("promtool")
@pytest.mark.integration
def test_promtool_finds_nothing_wrong_with_hostile_names() -> None:
    bench = Bench()
    bench.feed(everywhere(HOSTILE.values()))
    done = subprocess.run(
        [tool("promtool"), "check", "metrics"], input=bench.text().encode(), capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b""), done.stdout + done.stderr


names = st.text(st.characters(exclude_categories=[]), max_size=300)


@examples(0.6)
@given(st.lists(names, max_size=8))
def test_whatever_the_names_are_no_series_is_there_twice_and_no_event_is_lost(some: list[str]) -> None:
    bench = Bench(Limits(max_label_length=32))
    bench.feed(everywhere(some))
    found = bench.series()
    assert bench.series(Format.OPENMETRICS).keys() == found.keys()
    events = sum(value for (name, _), value in found.items() if name == "iris_events_total")
    assert events == len(some)
    assert max(len(value) for _, labels in found for _, value in labels) <= max(32, len("connection_refused"), 50)


def reachable(*roots: object) -> Iterator[object]:
    """Every object that `roots` hold, themselves included; not code, modules and types."""
    seen: set[int] = set()
    waiting = deque(roots)
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, type | ModuleType | FunctionType):
            continue
        seen.add(id(one))
        yield one
        waiting.extend([one.__self__] if isinstance(one, MethodType) else gc.get_referents(one))


def assert_small(bench: Bench, largest: int, total_bytes: int) -> None:
    """No container has more than `largest` elements, and everything together not more than `total_bytes`."""
    total = 0
    for one in reachable(bench.sink, bench.state, bench.instruments, bench.exposition):
        if isinstance(one, dict | set | frozenset | list | tuple | deque):
            assert len(one) <= largest, f"{type(one).__name__} of {len(one)}: {str(one)[:200]}"
        total += sys.getsizeof(one)
    assert total <= total_bytes, f"{total:,} bytes"


SMALL = Limits(
    max_events=50, max_event_ids=1000, max_projects=200, max_anomalies=300, max_event_series=500, max_label_values=20
)


@pytest.mark.slow
def test_a_million_project_ids_of_events_leave_memory_and_metrics_small() -> None:
    bench = Bench(SMALL)
    template = event(0, "PROJECT").replace(b'"0"', b'"%d"').replace(b"PROJECT", b"project-%d")
    for start in range(0, 1_000_000, 500):
        bench.feed(*[template % (number, number) for number in range(start, start + 500)])
        if start % 250_000 == 0:
            bench.series()
    assert bench.total("iris_events_total") == 1_000_000
    assert bench.total("iris_stream_dropped_total", kind="event_labels") == 1_000_000 - SMALL.max_event_series
    assert_small(bench, 2000, 4_000_000)
    assert len(bench.text()) < 100_000


def test_projects_without_end_leave_memory_and_metrics_small() -> None:
    bench = Bench(SMALL)
    for start in range(0, 10_000, 1000):
        ids = [f"project-{number}" for number in range(start, start + 1000)]
        anomalies = [{"id": f"a{name}", "project": name, "severity": f"s{name}"} for name in ids]
        projects = [{"id": name, "name": LONG, "status": LONG, "total_runs": 1} for name in ids]
        bench.feed({"type": "update", "data": {"projects": projects, "anomalies": anomalies}})
        bench.text()
    assert bench.total("iris_stream_dropped_total", kind="projects") == 10_000 - SMALL.max_projects
    assert bench.total("iris_stream_dropped_total", kind="anomalies") == 10_000 - SMALL.max_anomalies
    assert_small(bench, 2000, 4_000_000)
    assert len(bench.series()) < 2 * SMALL.max_projects * 15


def test_types_severities_and_codes_without_end_are_a_few_series() -> None:
    bench = Bench(SMALL)
    amount = 20_000
    for start in range(0, amount, 1000):
        numbers = range(start, start + 1000)
        bench.feed(*[event(number, "p", f"type-{number}", f"severity-{number}") for number in numbers])
        bench.feed(*[{"type": f"kind-{number}"} for number in numbers])
        bench.feed(*[{"type": "error", "error": {"code": f"CODE-{number}", "message": LONG}} for number in numbers])
        bench.text()
    assert bench.total("iris_events_total") == amount
    assert bench.total("iris_stream_messages_total", message_type="other") == amount
    assert bench.total("iris_stream_upstream_errors_total", code="other") == amount
    assert_small(bench, 2000, 4_000_000)
    assert len(bench.series()) < 1000


def test_events_as_large_as_they_may_be_leave_the_feed_small() -> None:
    bench = Bench(SMALL)
    for number in range(200):
        data = {"id": str(number), "project": "p", "event_type": "t", "message": "ü" * 50_000, "metadata": {"a": LONG}}
        bench.feed({"type": "event", "data": {**data, "unheard": "x" * 50_000}})
    assert_small(bench, 2000, 8_000_000)
    assert bench.total("iris_stream_decode_errors_total", reason="too_long") == 200
