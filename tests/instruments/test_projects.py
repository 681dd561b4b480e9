"""Tables of projects that several streams share: whatever was shown before, a scrape shows what is true now."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.core.labels import clean_label
from iris_exporter.core.limits import DEFAULT_LIMITS
from iris_exporter.decoding.messages import Anomaly, Project
from iris_exporter.instruments import projects
from iris_exporter.instruments.exposition import Exposition, Source
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.instruments.text import Format
from tests.examples import examples
from tests.instruments.support import link, picture, series, text

NUMBERS = st.sampled_from([None, 0.25, 0.5, float("nan"), 1e-9, 2e9])
STATUSES = st.sampled_from([None, "healthy", "critical", "odd"])
PROJECTS = st.dictionaries(st.sampled_from("pqrstu"), st.tuples(NUMBERS, NUMBERS, STATUSES), max_size=6)
ANOMALIES = st.lists(st.sampled_from("pqx"), max_size=1)
STREAMS = st.dictionaries(st.sampled_from("abcdefg"), st.tuples(PROJECTS, ANOMALIES, st.booleans()), max_size=7)


Shown = dict[str, tuple[dict[str, tuple[float | None, float | None, str | None]], list[str], bool]]
"""By the names of streams: projects with two figures and a status, those with an anomaly, and whether all is stale."""


class Streams:
    """Streams whose snapshots change, and the exposition that lasts; their instruments are those of the names."""

    def __init__(self) -> None:
        self.instruments = {name: StreamInstruments(name) for name in "abcdefg"}
        self.sources: list[Source] = []
        self.printer = self.fresh()

    def fresh(self) -> Exposition:
        """An exposition that has never shown anything."""
        return Exposition(lambda: self.sources, SelfMetrics("1", "r", "3"), process_metrics=False)

    def show(self, streams: Shown) -> None:
        """From now on there are these; a project that is as before stays the same object."""
        before = {source.instruments.stream: source.snapshot for source in self.sources}
        self.sources = []
        for name, (found, anomalies, stale) in streams.items():
            known = {project: project for project in before[name].projects} if name in before else {}
            made = [Project(id=each, health_ratio=a, runs=b, status=c) for each, (a, b, c) in found.items()]
            shown = picture(
                projects=tuple(known.get(project, project) for project in made),
                anomalies=tuple(Anomaly(id=each, project=each, severity="high") for each in anomalies),
                stale=stale,
            )
            self.sources.append(Source(self.instruments[name], link(), shown))


@examples(2)
@given(st.lists(STREAMS, min_size=1, max_size=5), st.data())
def test_whatever_was_shown_before_makes_no_difference(steps: list[Shown], data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(projects, "STREAMS_PER_TABLE", 2)
        patch.setattr(projects, "STEP", 4)
        patch.setattr(projects, "_MANY", 2)
        streams = Streams()
        for step in steps:
            streams.show(step)
            if data.draw(st.booleans()):  # one that is given up, wherever it is
                under_way = streams.printer.render(Format.TEXT)
                for _ in range(data.draw(st.integers(1, 40))):
                    next(under_way, None)
            assert text(streams.printer) == text(streams.fresh())


def test_a_scrape_under_way_goes_on_with_its_own_rows_when_streams_and_projects_go() -> None:
    streams = Streams()
    two: Shown = {
        "a": ({"p": (0.5, 1.0, None), "q": (0.5, 1.0, None)}, [], False),
        "b": ({"r": (0.25, 2.0, None)}, [], False),
    }
    streams.show(two)
    expected = text(streams.printer)
    under_way = streams.printer.render(Format.TEXT)
    begun = b""
    while b"iris_project_health_ratio" not in begun:
        begun += next(under_way)
    streams.show({"b": ({"s": (0.125, 3.0, None)}, [], False)})
    assert 'iris_project_runs{project="s",stream="b"} 3.0' in text(streams.printer)
    shown = [line for line in (begun + b"".join(under_way)).decode().splitlines() if line.startswith("iris_project_")]
    assert shown == [line for line in expected.splitlines() if line.startswith("iris_project_")]


def test_other_limits_write_all_lines_anew() -> None:
    streams = Streams()
    streams.show({"a": ({"p" * 40: (0.5, None, None)}, [], False)})
    assert f'project="{"p" * 40}"' in text(streams.printer)
    streams.instruments["a"].limits = replace(DEFAULT_LIMITS, max_label_length=24)
    (line,) = series(streams.printer, "iris_project_health_ratio")
    assert f'project="{clean_label("p" * 40, 24)}"' in line
