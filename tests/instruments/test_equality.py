"""Whatever a source may send, we print what the client library prints for the same families."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from iris_exporter.core.status import LinkStatus, State
from iris_exporter.decoding.messages import Anomaly, Metrics, Project
from iris_exporter.instruments import catalog
from iris_exporter.instruments.exposition import Exposition, Source
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.instruments.text import Exemplar, Format
from iris_exporter.model.snapshot import Snapshot
from tests.examples import examples
from tests.instruments.oracle import prometheus_registry
from tests.instruments.support import exposition, link, picture, text

names = st.one_of(
    st.sampled_from(["", "a", "b", "healthy", "info", "other", 'q"', "\\", "x\ny", "ü\ud800", "e" * 300]), st.text()
)
numbers = st.one_of(st.none(), st.floats(), st.integers(0, 10**15).map(float))
projects = st.builds(
    Project, id=names, name=st.one_of(st.none(), names), status=st.one_of(st.none(), names), health_ratio=numbers,
    success_ratio=numbers, runs=numbers, active_experts=numbers, reflexions=numbers, latency_seconds=numbers,
    last_run_timestamp=numbers,
)  # fmt: skip
anomalies = st.builds(Anomaly, id=names, project=names, severity=names, resolved=st.booleans())
metrics = st.one_of(
    st.none(),
    st.builds(Metrics, projects=numbers, healthy_projects=numbers, runs_today=numbers, success_ratio=numbers),
)
statuses = st.builds(
    link, st.sampled_from(list(State)), protocol=names, endpoint=names, attempt=st.integers(0, 99),
    connected_at=numbers, last_message=numbers,
)  # fmt: skip
snapshots = st.builds(
    picture, metrics=metrics, projects=st.lists(projects, max_size=4).map(tuple),
    anomalies=st.lists(anomalies, max_size=4).map(tuple),
    event_counts=st.dictionaries(st.tuples(names, names, names), st.integers(0, 10**9), max_size=4),
    stale=st.booleans(),
)  # fmt: skip
exemplars = st.one_of(
    st.none(),
    st.builds(Exemplar, st.text("abc", max_size=150).map(lambda trace: (("trace_id", trace),)), st.floats(0, 9)),
)


@st.composite
def sources(draw: st.DrawFn) -> list[Source]:
    found = []
    for name in draw(st.lists(st.sampled_from(["a", 'b"\n', "\\c"]), max_size=2, unique=True)):
        instruments = StreamInstruments(name)
        instruments.delays(draw(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3)))
        instruments.delays([slow := draw(st.floats(0, 99))])
        if exemplar := draw(exemplars):
            instruments.histogram(catalog.MESSAGE_DELAY).mark(slow, exemplar)
        instruments.message(draw(names), draw(st.integers(0, 10**9)))
        instruments.count(catalog.UPSTREAM_ERRORS, 1, draw(names))
        found.append(Source(instruments, draw(statuses), draw(snapshots)))
    return found


@examples(1.5)
@given(sources())
def test_our_bytes_are_the_client_librarys_and_no_series_appears_twice(found: list[Source]) -> None:
    printer = exposition(*found)
    registry = prometheus_registry(printer)
    for _ in range(2):  # the second time from the cache
        printed = text(printer)
        assert printed.encode() == generate_latest(registry)
        openmetrics = text(printer, Format.OPENMETRICS)
        assert openmetrics.encode() == generate_openmetrics(registry)
    keys = [line.rpartition(" ")[0] for line in printed.split("\n") if line and not line.startswith("#")]
    assert len(set(keys)) == len(keys)
    assert sum(1 for _ in parse_openmetrics(openmetrics)) >= 7


positive = numbers.map(lambda value: None if value is None else value + 0.0)  # -0.0 equals 0.0 and has the same line


@given(st.lists(st.tuples(statuses, snapshots, st.lists(positive, min_size=2, max_size=2)), min_size=2, max_size=4))
def test_what_is_cached_in_one_scrape_never_shows_in_the_next(
    scrapes: list[tuple[LinkStatus, Snapshot, list[float | None]]],
) -> None:
    """One exposition that lives through all scrapes prints what a new one prints."""
    instruments = StreamInstruments("a")
    found: list[Source] = []
    lasting = Exposition(lambda: found, SelfMetrics("1", "r", "3"), process_metrics=False)
    for number, (status, snapshot, (health, runs)) in enumerate(scrapes):
        steady = Project(id="steady", name="n", status="healthy", health_ratio=health, runs=runs, reflexions=4.0)
        shown = replace(snapshot, projects=(steady,), event_counts={("p", "info", "info"): number // 2})
        instruments.delays([0.1])
        found[:] = [Source(instruments, status, shown)]
        fresh = Exposition(lambda: found, SelfMetrics("1", "r", "3"), process_metrics=False)
        for form in Format:
            assert comparable(lasting, form) == comparable(fresh, form)


AGAIN = ('iris_stream_dropped_total{kind="label_text"', "iris_exporter_series_dropped_total")
"""What a new exposition counts once more: labels that it changes, label sets that it leaves out."""


def comparable(printer: Exposition, form: Format) -> list[str]:
    return [line for line in text(printer, form).splitlines() if not line.startswith(AGAIN)]
