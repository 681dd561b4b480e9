"""Lines of mapped metrics: those of the client library, written again only where something has changed."""

import re
from collections.abc import Iterator
from itertools import accumulate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from iris_exporter.core.status import Counted
from iris_exporter.instruments import catalog, mapped
from iris_exporter.instruments.exposition import Exposition, Source
from iris_exporter.instruments.mapped import EMPTY, Lines, SeriesTable, metric_of
from iris_exporter.instruments.metric import Metric
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.instruments.text import Format
from iris_exporter.mapping.spec import Entry, LabelSpec, Mapping, MetricKind, MetricSpec, PartSpec, Role, ValueSpec
from iris_exporter.model.snapshot import DataFlow, MappedView, Shown
from tests.examples import examples
from tests.instruments.oracle import exhaust
from tests.instruments.support import link, picture, source, text

Series = dict[tuple[str, ...], Shown]
LABELS = (LabelSpec("wiki"), LabelSpec("bot"))
COUNTER = MetricSpec("m_changes_total", MetricKind.COUNTER, "Changes.", ValueSpec(constant=1), LABELS)
GAUGE = MetricSpec("m_load_ratio", MetricKind.GAUGE, 'Load, "now"\\.', ValueSpec(), LABELS[:1])
PLAIN = MetricSpec("m_value", MetricKind.GAUGE, "A value.", ValueSpec())
SIZES = MetricSpec("m_size_bytes", MetricKind.HISTOGRAM, "Sizes.", ValueSpec(), LABELS[:1], buckets=(0.5, 10.0, 1e7))
INFO = MetricSpec("m_build_info", MetricKind.INFO, "Version.", None, LABELS)
STATE = MetricSpec("m_state", MetricKind.STATESET, "State.", None, LABELS[:1], states=("GREEN", "RED"))
ALL = (COUNTER, GAUGE, PLAIN, SIZES, INFO, STATE)


def mapping_of(*metrics: MetricSpec, name: str = "m") -> Mapping:
    part = PartSpec(metrics=metrics)
    return Mapping(name, "m", entries=(Entry("change", Role.EVENT, parts=(part,)), Entry("pong", Role.PONG)))


def mapped_source(mapping: Mapping, series: dict[str, Series], stream: str = "main", **changes: object) -> Source:
    made = source(stream)
    made.instruments.follow(mapping, Counted.EXACTLY_ONCE)
    return Source(made.instruments, link(), picture(stream, mapped=MappedView(series), **changes))


def exposition(*sources: Source) -> Exposition:
    return Exposition(lambda: sources, SelfMetrics("1", "a", "3"), process_metrics=False)


def mapped_part(printed: str) -> str:
    """What is printed of the namespace of the tests."""
    return "".join(line for line in printed.splitlines(keepends=True) if re.match(r"(# \w+ )?m_", line))


class Expected(Collector):
    """The same series as families of the client library."""

    def __init__(self, streams: dict[str, dict[str, Series]]) -> None:
        self._streams = streams

    def collect(self) -> Iterator[Family]:
        for spec in ALL:
            metric = metric_of(spec)
            family = Family(metric.family, metric.help, metric.exposed_type, metric.unit)
            for stream, series in self._streams.items():
                for key, value in series.get(spec.name, {}).items():
                    labels = {"stream": stream, **dict(zip((each.name for each in spec.labels), key, strict=True))}
                    for name, own, number in samples(metric, value):
                        family.add_sample(name, {**labels, **own}, number)
            if family.samples:
                yield family


def samples(metric: Metric, value: object) -> Iterator[tuple[str, dict[str, str], float]]:
    if isinstance(value, tuple):
        *counts, total = value
        cumulated = list(accumulate(counts))
        for bound, count in zip((*map(floatToGoString, metric.buckets), "+Inf"), cumulated, strict=True):
            yield f"{metric.name}_bucket", {"le": bound}, count
        yield f"{metric.name}_count", {}, cumulated[-1]
        yield f"{metric.name}_sum", {}, total
    elif metric.kind == "stateset":
        for state in metric.labels[-1].values:
            yield metric.name, {"state": state}, state == value
    else:
        yield metric.name, {}, value  # type: ignore[misc]


LABEL = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=4) | st.sampled_from(['"', "\\", "a\nb", "%s"])
NUMBER = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
COUNT = st.integers(0, 10**9)
SERIES = st.fixed_dictionaries(
    {},
    optional={
        COUNTER.name: st.dictionaries(st.tuples(LABEL, LABEL), COUNT, max_size=5),
        GAUGE.name: st.dictionaries(st.tuples(LABEL), NUMBER, max_size=5),
        PLAIN.name: st.dictionaries(st.just(()), NUMBER),
        SIZES.name: st.dictionaries(st.tuples(LABEL), st.tuples(COUNT, COUNT, COUNT, COUNT, NUMBER), max_size=3),
        INFO.name: st.dictionaries(st.tuples(LABEL, LABEL), st.just(1.0), max_size=3),
        STATE.name: st.dictionaries(st.tuples(LABEL), st.sampled_from(["GREEN", "RED", None]), max_size=3),
    },
)


@given(st.dictionaries(st.sampled_from(["main", 'o"%s']), SERIES))
@examples(1)
def test_lines_are_those_of_the_client_library(streams: dict[str, dict[str, Series]]) -> None:
    printer = exposition(*(mapped_source(mapping_of(*ALL), series, name) for name, series in streams.items()))
    registry = CollectorRegistry()
    registry.register(Expected(streams))
    assert sorted(mapped_part(text(printer)).split("\n")) == sorted(generate_latest(registry).decode().split("\n"))
    expected = openmetrics(registry).decode().removesuffix("# EOF\n")
    assert sorted(mapped_part(text(printer, Format.OPENMETRICS)).split("\n")) == sorted(expected.split("\n"))


def test_a_family_is_declared_once_and_in_the_order_of_the_mapping() -> None:
    series: dict[str, Series] = {COUNTER.name: {("x", "true"): 2}, PLAIN.name: {(): 1.5}}
    mapping = mapping_of(*ALL)
    printed = text(exposition(mapped_source(mapping, series, "a"), source("b"), mapped_source(mapping, series, "c")))
    assert mapped_part(printed).splitlines() == [
        "# HELP m_changes_total Changes.",
        "# TYPE m_changes_total counter",
        'm_changes_total{bot="true",stream="a",wiki="x"} 2.0',
        'm_changes_total{bot="true",stream="c",wiki="x"} 2.0',
        "# HELP m_value A value.",
        "# TYPE m_value gauge",
        'm_value{stream="a"} 1.5',
        'm_value{stream="c"} 1.5',
    ]
    assert printed.index("iris_up") < printed.index("m_changes_total") < printed.index("\niris_exporter_series ")


def test_series_are_counted_line_by_line() -> None:
    series: dict[str, Series] = {
        SIZES.name: {("x",): (1, 2, 3, 4, 5.0)}, STATE.name: {("x",): None}, PLAIN.name: {(): 1.5},
    }  # fmt: skip
    for form in Format:
        printed = text(exposition(mapped_source(mapping_of(*ALL), series)), form)
        lines = [line for line in printed.splitlines() if not line.startswith("#")]
        assert f"iris_exporter_series {len(lines)}.0" in lines


def test_names_choose_metrics_and_parts_of_histograms() -> None:
    series: dict[str, Series] = {SIZES.name: {("x",): (1, 2, 3, 4, 5.0)}, PLAIN.name: {(): 1.5}}
    printer = exposition(mapped_source(mapping_of(*ALL), series))
    assert "m_size_bytes" not in text(printer, names=["m_value"])
    assert len(mapped_part(text(printer, names=["m_size_bytes"])).splitlines()) == 8
    assert mapped_part(text(printer, names=["m_size_bytes_sum"])).splitlines()[2:] == [
        'm_size_bytes_sum{stream="main",wiki="x"} 5.0'
    ]
    assert not mapped_part(text(printer, names=["iris_up"]))


def test_what_is_counted_stays_and_what_is_believed_goes_when_the_source_is_silent() -> None:
    series: dict[str, Series] = {
        COUNTER.name: {("x", "y"): 2}, SIZES.name: {("x",): (1, 2, 3, 4, 5.0)}, GAUGE.name: {("x",): 1.0},
        INFO.name: {("x", "y"): 1.0}, STATE.name: {("x",): "RED"},
    }  # fmt: skip
    printed = text(exposition(mapped_source(mapping_of(*ALL), series, flow=DataFlow.SILENT)))
    assert set(re.findall(r"# TYPE (m_\w+)", printed)) == {COUNTER.name, SIZES.name}


def test_counts_of_a_stream_with_a_mapping_have_its_own_words() -> None:
    made = mapped_source(mapping_of(*ALL), {})
    made.instruments.message("change", 3)
    made.instruments.message("surprise")
    made.instruments.count(catalog.SERIES_DROPPED, 4, GAUGE.name)
    assert made.instruments.mapped is not None
    made.instruments.mapped.filtered += 7
    made.instruments.mapped.problems["change", "", "no_id"] += 2
    lines = text(exposition(made, source("iris"))).splitlines()
    types = [line for line in lines if line.startswith("iris_stream_messages_total") and 'stream="main"' in line]
    assert types == [
        'iris_stream_messages_total{message_type="change",stream="main"} 3.0',
        'iris_stream_messages_total{message_type="pong",stream="main"} 0.0',
        'iris_stream_messages_total{message_type="other",stream="main"} 1.0',
    ]
    for line in (
        'iris_exporter_series_dropped_total{metric="m_load_ratio",stream="main"} 4.0',
        'iris_stream_events_filtered_total{stream="main"} 7.0',
        'iris_stream_mapping_problems_total{kind="change",metric="",reason="no_id",stream="main"} 2.0',
        'iris_stream_guarantee{guarantee="exactly_once",stream="main"} 1.0',
        'iris_stream_guarantee{guarantee="none",stream="main"} 0.0',
        'iris_stream_dropped_total{kind="cursor_keys",stream="main"} 0.0',
    ):
        assert line in lines
    iris = [line for line in lines if 'stream="iris"' in line]
    assert not [line for line in iris if "guarantee" in line or "filtered" in line or "cursor_keys" in line]


# The cache

KEYS = st.tuples(st.sampled_from("abcdef"), st.sampled_from(["true", "false"]))


AROUND: Series = {("a", "x"): 1, ("b", "x"): 1, ("c", "x"): 1}


@given(st.lists(st.dictionaries(KEYS, COUNT, max_size=8), max_size=6))
@example([AROUND, {**AROUND, ("a", "x"): 2, ("c", "x"): 2}])
@examples(2)
def test_a_table_shows_its_view_whatever_was_before(views: list[Series]) -> None:
    """Series that come, go, change and change places."""
    lines, table = Lines(metric_of(COUNTER), "s"), EMPTY
    tables: list[tuple[SeriesTable, list[bytes]]] = []
    for view in views:
        table = exhaust(table.successor(view, lines))
        fresh = exhaust(EMPTY.successor(view, lines))
        assert table.texts == fresh.texts
        tables.append((table, list(table.texts)))
    for old, texts in tables:
        assert old.texts == texts, "a scrape that is under way goes on with its own lines"


def test_only_what_has_changed_is_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    write = Lines.write

    def noting(self: Lines, keys: list[tuple[str, ...]], values: list[object], before: list[bytes]) -> list[bytes]:
        written.append(len(keys))
        return write(self, keys, values, before)

    monkeypatch.setattr(mapped.Lines, "write", noting)
    lines = Lines(metric_of(COUNTER), "s")
    view: Series = {(str(n), ""): n for n in range(1000)}
    table = exhaust(EMPTY.successor(view, lines))
    assert sum(written) == 1000
    assert exhaust(table.successor(view, lines)) is table
    written.clear()
    changed: Series = {**view, ("3", ""): 7, ("900", ""): 7, ("new", ""): 1}
    table = exhaust(table.successor(changed, lines))
    assert sum(written) == 3
    assert table.texts[3] == b'm_changes_total{bot="",stream="s",wiki="3"} 7.0\n'
    written.clear()
    del changed["500", ""]
    exhaust(table.successor(changed.copy(), lines))
    assert sum(written) == 0


def test_a_mapping_that_changes_keeps_the_lines_of_metrics_that_stay() -> None:
    made = mapped_source(mapping_of(COUNTER, GAUGE), {COUNTER.name: {("x", "y"): 2}, GAUGE.name: {("x",): 1.0}})
    sources = [made]
    printer = Exposition(lambda: sources, SelfMetrics("1", "a", "3"), process_metrics=False)
    text(printer)
    other = MetricSpec(GAUGE.name, GAUGE.kind, "Another help text.", ValueSpec(), GAUGE.labels)
    made.instruments.follow(mapping_of(COUNTER, other), Counted.NONE)
    printed = text(printer)
    assert "# HELP m_load_ratio Another help text." in printed
    assert 'm_changes_total{bot="y",stream="main",wiki="x"} 2.0' in printed
    renamed = MetricSpec(GAUGE.name, GAUGE.kind, GAUGE.help, ValueSpec(), (LabelSpec("page"),))
    made.instruments.follow(mapping_of(COUNTER, renamed), "none")
    assert 'm_load_ratio{page="x",stream="main"} 1.0' in text(printer)
