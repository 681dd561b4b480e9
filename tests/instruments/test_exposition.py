"""What a scrape says about streams: golden text, what comes and goes, limits, filters."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from iris_exporter.core.failures import Failure
from iris_exporter.core.labels import clean_label
from iris_exporter.core.limits import Limits
from iris_exporter.core.status import State
from iris_exporter.decoding.messages import Anomaly, Metrics, Project
from iris_exporter.instruments import catalog, entities
from iris_exporter.instruments import exposition as exposition_module
from iris_exporter.instruments.exposition import Exposition, Source
from iris_exporter.instruments.metric import STREAM, Kind, Metric, Subject
from iris_exporter.instruments.projects import STEP, ProjectTable
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.instruments.signals import ExportCounts
from iris_exporter.instruments.text import Format
from iris_exporter.instruments.view import ProjectView
from tests.instruments.oracle import prometheus_registry
from tests.instruments.support import NOON, busy_exposition, exposition, link, picture, series, source, text

EXPECTED = Path(__file__).parents[1] / "data" / "expected"


@pytest.mark.parametrize(("form", "file"), [(Format.TEXT, "metrics.txt"), (Format.OPENMETRICS, "metrics.om.txt")])
def test_everything_that_can_be_seen_is_printed_as_in_the_golden_file(form: Format, file: str) -> None:
    """Write the file anew with UPDATE_EXPECTED=1, then read the difference."""
    printed = text(busy_exposition(), form)
    if os.environ.get("UPDATE_EXPECTED"):
        EXPECTED.mkdir(exist_ok=True)
        (EXPECTED / file).write_text(printed, "utf-8")
    assert printed == (EXPECTED / file).read_text("utf-8")


def test_both_formats_are_the_bytes_of_the_client_library() -> None:
    printer = busy_exposition()
    registry = prometheus_registry(printer)
    assert text(printer).encode() == generate_latest(registry)
    assert text(printer, Format.OPENMETRICS).encode() == generate_openmetrics(registry)


def test_both_parsers_read_it_without_timestamps_and_without_a_series_twice() -> None:
    for form, parse in ((Format.TEXT, parse_text), (Format.OPENMETRICS, parse_openmetrics)):
        seen = set()
        for family in parse(text(busy_exposition(), form)):
            for sample in family.samples:
                assert sample.timestamp is None
                assert not sample.name.endswith("_created")
                key = (sample.name, tuple(sorted(sample.labels.items())))
                assert key not in seen
                seen.add(key)
        assert len(seen) > 240


def test_every_family_of_the_catalogue_is_printed_once_however_many_streams_there_are() -> None:
    printed = text(busy_exposition()).splitlines()
    types = [line.split()[2] for line in printed if line.startswith("# TYPE")]
    assert types == [metric.name for metric in catalog.CATALOG if metric.name in types]
    everywhere = {metric for metric in catalog.CATALOG if metric.group != catalog.MAPPINGS}
    assert {metric.name for metric in everywhere if "stream" in metric.label_names} <= set(types)


def test_before_anything_is_heard_the_known_series_are_there_and_the_unknown_are_not() -> None:
    printer = exposition(source(status=link(State.CONNECTING, protocol="none", endpoint="", connected_at=None,
                                            last_message=None)))  # fmt: skip
    printed = text(printer)
    assert series(printer, "iris_up") == ['iris_up{stream="main"} 0.0']
    assert 'iris_stream_messages_total{message_type="event",stream="main"} 0.0' in printed
    none = 'compression="none",encoding="none",endpoint="",protocol="none",stream="main"'
    assert f"iris_stream_info{{{none}}} 1.0" in printed
    assert not series(printer, "iris_stream_extension")
    for absent in ("iris_projects", "iris_runs_today", "iris_stream_connected_timestamp_seconds", "iris_events_total"):
        assert not series(printer, absent)


def test_a_field_never_seen_has_no_series() -> None:
    printer = exposition(source(metrics=Metrics(runs_today=0.0, warning_projects=2.0), projects=(Project(id="p"),)))
    assert series(printer, "iris_runs_today") == ['iris_runs_today{stream="main"} 0.0']
    assert series(printer, "iris_projects_by_status") == ['iris_projects_by_status{status="warning",stream="main"} 2.0']
    printed = text(printer)
    assert "iris_active_experts" not in printed
    assert "iris_project_" not in printed.replace(catalog.PROJECT_INFO.name + '",stream', "")


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("stale", [False, True])
def test_up_means_that_fresh_data_arrives(state: State, stale: bool) -> None:
    printer = exposition(source(status=link(state), stale=stale))
    up = state in (State.LIVE, State.POLLING) and not stale
    assert series(printer, "iris_up") == [f'iris_up{{stream="main"}} {float(up)}']
    states = series(printer, "iris_stream_state")
    assert len(states) == len(State)
    assert [line for line in states if line.endswith(" 1.0")] == [
        f'iris_stream_state{{state="{state}",stream="main"}} 1.0'
    ]


def test_a_failure_that_lasts_is_shown_by_its_reason_and_goes_with_it() -> None:
    stream = Changing()
    for reason, shown in (("dns", "dns"), ("timeout", "timeout"), ("nobody knows it", "other")):
        stream.status = link(State.CONNECTING, failure=Failure(reason, "a detail"), last_failure_at=NOON)
        stream.set()
        assert series(stream.printer, "iris_stream_failure_info") == [
            f'iris_stream_failure_info{{reason="{shown}",stream="main"}} 1.0'
        ]
    stream.status = link(last_failure_at=NOON)
    stream.set()
    assert series(stream.printer, "iris_stream_failure_info") == []
    assert series(stream.printer, "iris_stream_last_failure_timestamp_seconds") == [
        'iris_stream_last_failure_timestamp_seconds{stream="main"} 1.7e+09'
    ]
    stream.status = link()
    stream.set()
    assert series(stream.printer, "iris_stream_last_failure_timestamp_seconds") == [], "there never was one"


def test_the_attempt_is_zero_when_live() -> None:
    assert series(exposition(source(status=link(attempt=4))), "iris_stream_reconnect_attempt")[0].endswith(" 0.0")
    waiting = exposition(source(status=link(State.CONNECTING, attempt=4)))
    assert series(waiting, "iris_stream_reconnect_attempt")[0].endswith(" 4.0")


def test_a_declaration_is_all_that_a_new_gauge_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is printed, and follows its value: what is cached is cached by the value."""
    declared = Metric(
        "iris_new", Kind.GAUGE, "New.", catalog.LINK, "test", (STREAM,), Subject.STREAM,
        lambda view: view.status.failure and view.status.failure.retry_after_seconds,
    )  # fmt: skip
    monkeypatch.setattr(exposition_module, "CATALOG", (*catalog.CATALOG, declared))
    stream = Changing()
    for seconds in (1.0, 1.0, 2.5):
        stream.status = link(failure=Failure("rate_limited", "", seconds))
        stream.set()
        assert series(stream.printer, "iris_new") == [f'iris_new{{stream="main"}} {seconds}']
    stream.status = link()
    stream.set()
    assert "iris_new" not in text(stream.printer)


class Changing:
    """One stream whose snapshot a test replaces."""

    def __init__(self, **changes: object) -> None:
        self.source = source(**changes)
        self.status = link()
        self.printer = Exposition(lambda: [self.source], SelfMetrics("1", "r", "3"), process_metrics=False)

    def set(self, **changes: object) -> None:
        self.source = Source(self.source.instruments, self.status, picture(**changes))


ALPHA = Project(id="alpha", status="healthy", health_ratio=0.5)
BETA = Project(id="beta", name="Beta", health_ratio=0.25)


def test_what_is_gone_from_the_snapshot_is_gone_and_what_changed_is_new() -> None:
    stream = Changing(projects=(ALPHA, BETA), event_counts={("beta", "info", "info"): 3})
    assert len(series(stream.printer, "iris_project_health_ratio")) == 2
    changed = Project(id="alpha", status="critical", health_ratio=0.75)
    stream.set(projects=(changed,), event_counts={("beta", "info", "info"): 4})
    assert series(stream.printer, "iris_project_health_ratio") == [
        'iris_project_health_ratio{project="alpha",stream="main"} 0.75'
    ]
    assert 'project="alpha",status="critical",stream="main"} 1.0' in text(stream.printer)
    assert series(stream.printer, "iris_events_total")[0].endswith(" 4.0")
    assert "Beta" not in text(stream.printer)


def test_of_stale_data_the_counters_stay_and_the_gauges_go() -> None:
    fields = {"metrics": Metrics(projects=2.0), "projects": (ALPHA,), "anomalies": (Anomaly(id="1", project="alpha"),)}
    stream = Changing(**fields, event_counts={("alpha", "info", "info"): 3})
    assert series(stream.printer, "iris_anomalies")
    stream.set(**fields, event_counts={("alpha", "info", "info"): 3}, stale=True)
    printed = text(stream.printer)
    for gone in ("iris_projects", "iris_project_health_ratio", "iris_project_status", "iris_anomalies"):
        assert f"# TYPE {gone} " not in printed
    assert 'iris_events_total{event_type="info",project="alpha",severity="info",stream="main"} 3.0' in printed
    assert "iris_stream_messages_total" in printed


def test_a_stream_that_is_gone_leaves_nothing_and_a_new_one_of_its_name_starts_afresh() -> None:
    sources = [source("a", projects=(ALPHA,)), source("b", projects=(ALPHA,))]
    printer = Exposition(lambda: sources, SelfMetrics("1", "r", "3"), process_metrics=False)
    assert 'stream="a"' in text(printer)
    del sources[0]
    assert 'stream="a"' not in text(printer)
    sources[0] = source("b", projects=(BETA,))
    assert series(printer, "iris_project_health_ratio") == ['iris_project_health_ratio{project="beta",stream="b"} 0.25']


def test_lines_of_a_project_are_written_once_while_it_is_the_same_object(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    original = ProjectTable.write

    def counting(table: ProjectTable, rows: list[int], views: list[ProjectView]) -> None:
        written.extend(table.names[row] for row in rows)
        original(table, rows, views)

    monkeypatch.setattr(ProjectTable, "write", counting)
    stream = Changing(projects=(ALPHA, BETA))
    text(stream.printer)
    text(stream.printer, Format.OPENMETRICS)
    assert written == ["alpha", "beta"]
    stream.set(projects=(ALPHA, Project(id="beta")))
    text(stream.printer)
    assert written == ["alpha", "beta", "beta"]


def test_known_severities_of_anomalies_are_zero_for_each_project() -> None:
    anomalies = (Anomaly(id="1", project="alpha", severity="high"), Anomaly(id="2", project="gone", severity="warning"))
    printer = exposition(source(projects=(ALPHA, BETA), anomalies=anomalies))
    found = {line.partition("{")[2].replace(',stream="main"}', "") for line in series(printer, "iris_anomalies")}
    assert found == {
        f'project="{project}",severity="{severity}" {count}.0'
        for project, severity, count in [
            *((project, severity, 0) for project in ("alpha", "beta") for severity in ("critical", "warning", "info")),
            ("alpha", "high", 1), ("gone", "critical", 0), ("gone", "warning", 1), ("gone", "info", 0),
        ]
    }  # fmt: skip


def test_projects_whose_labels_are_the_same_are_shown_once_and_counted_as_dropped() -> None:
    changed = clean_label("\u202e")
    same = tuple(Project(id=name, health_ratio=0.5) for name in ("\u202e", changed, clean_label(changed)))
    stream = Changing(projects=same)
    for _ in range(2):
        assert len(series(stream.printer, "iris_project_health_ratio")) == 1
    dropped = 'iris_exporter_series_dropped_total{metric="iris_project_info",stream="main"} 1.0'
    assert dropped in text(stream.printer)


def limited(limits: Limits, **changes: Any) -> Exposition:
    one = source(**changes)
    one.instruments.limits = limits
    return exposition(one)


def test_limits_hold_and_what_is_beyond_them_is_counted() -> None:
    projects = tuple(Project(id=f"p{n}", health_ratio=0.5) for n in range(5))
    anomalies = tuple(Anomaly(id=str(n), project=f"{'pq'[n % 2]}{n}", severity="info") for n in range(9))
    events = {(f"p{n}", "info", "info"): 10 for n in range(6)}
    limits = Limits(max_projects=3, max_event_series=4)
    printer = limited(limits, projects=projects, anomalies=anomalies, event_counts=events)
    for _ in range(2):
        assert len(series(printer, "iris_project_health_ratio")) == 3
        assert series(printer, "iris_events_total")[-1] == (
            'iris_events_total{event_type="other",project="other",severity="other",stream="main"} 20.0'
        )
        assert 'iris_anomalies{project="other",severity="info",stream="main"} 7.0' in text(printer), "p0, p2 are known"
        assert series(printer, "iris_exporter_series_dropped_total") == [
            'iris_exporter_series_dropped_total{metric="iris_events_total",stream="main"} 3.0',
            'iris_exporter_series_dropped_total{metric="iris_project_info",stream="main"} 2.0',
            'iris_exporter_series_dropped_total{metric="iris_anomalies",stream="main"} 7.0',
        ]


def test_projects_that_only_anomalies_name_are_shown_while_there_is_room() -> None:
    anomalies = tuple(Anomaly(id=str(n), project=f"q{n}", severity="info") for n in range(9))
    printer = limited(Limits(max_projects=3), projects=(Project(id="p"),), anomalies=anomalies)
    shown = {line.partition('project="')[2].partition('"')[0] for line in series(printer, "iris_anomalies")}
    assert shown == {"p", "q0", "q1", "other"}
    assert 'iris_anomalies{project="other",severity="info",stream="main"} 7.0' in text(printer)


def test_a_source_that_invents_event_types_and_severities_is_held_to_a_few() -> None:
    events = {("p", f"type{n}", f"severity{n}"): 1 for n in range(50)}
    stream = Changing(event_counts=events)
    stream.source.instruments.limits = Limits(max_label_values=5)
    first = series(stream.printer, "iris_events_total")
    assert first[-1] == 'iris_events_total{event_type="other",project="p",severity="other",stream="main"} 45.0'
    assert len(first) == 6
    stream.set(event_counts={**events, ("p", "late", "info"): 5})
    again = series(stream.printer, "iris_events_total")
    assert again[:-1] == first
    assert again[-1] == 'iris_events_total{event_type="other",project="p",severity="info",stream="main"} 5.0'
    dropped = 'iris_exporter_series_dropped_total{metric="iris_events_total",stream="main"} 50.0'
    assert dropped in text(stream.printer), "49 lack a severity or a type of their own, and one more the type"


def test_other_limits_show_gauges_anew_and_leave_counters_their_labels() -> None:
    events = {("p" * 50, "kind", "info"): 1}
    stream = Changing(projects=(Project(id="p" * 50, runs=1.0),), event_counts=events)
    before = series(stream.printer, "iris_events_total")
    assert "p" * 50 in series(stream.printer, "iris_project_runs")[0]
    stream.source.instruments.limits = Limits(max_label_length=32)
    assert f'project="{clean_label("p" * 50, 32)}"' in series(stream.printer, "iris_project_runs")[0]
    assert series(stream.printer, "iris_events_total") == before
    assert 'iris_stream_dropped_total{kind="label_text",stream="main"} 1.0' in text(stream.printer)


def test_the_count_of_series_counts_every_line_of_the_scrape() -> None:
    printer = busy_exposition()
    lines = [line for line in text(printer).splitlines() if not line.startswith("#")]
    assert lines[-1] == f"iris_exporter_series {float(len(lines))}"
    assert text(printer, names=["iris_exporter_series"]).splitlines()[-1] == lines[-1]


def test_a_filtered_first_scrape_knows_no_count() -> None:
    assert text(busy_exposition(), names=["iris_exporter_series"]) == ""


@pytest.mark.parametrize(
    "names",
    [
        ["iris_up"],
        ["iris_stream_messages_total", "iris_project_status"],
        ["iris_stream_info"],
        ["iris_stream_message_delay_seconds_bucket"],
        ["iris_stream_message_delay_seconds_count", "iris_stream_message_delay_seconds_sum"],
        ["iris_stream_message_delay"],
        ["iris_stream"],
        ["nothing"],
        [],
        ["python_info"],
        ["iris_events_total", "python_gc_collections_total"],
    ],
)
def test_a_filter_by_name_gives_what_a_registry_gives(names: list[str]) -> None:
    """Except for the order of families, which a registry leaves to chance, and their units, which it loses."""
    printer = busy_exposition()
    printer = Exposition(printer._sources, printer.self_metrics, process_metrics=True)
    text(printer)
    expected = generate_latest(prometheus_registry(printer).restricted_registry(names)).decode()
    assert sorted(text(printer, names=names).splitlines()) == sorted(expected.splitlines())


def test_the_name_of_a_histogram_stands_for_its_parts() -> None:
    printer = busy_exposition()
    name = "iris_stream_message_delay_seconds"
    whole = text(printer, names=[name])
    assert whole == text(printer, names=[f"{name}_{part}" for part in ("bucket", "count", "sum")])
    assert whole.count("\n") == 2 + 2 * (len(catalog.MESSAGE_DELAY.buckets) + 3)


def test_a_scrape_that_is_given_up_half_way_leaves_nothing_stale_behind() -> None:
    """Nor does one that goes on after another one has shown something newer."""
    many = tuple(Project(id=f"p{number}", runs=1.0) for number in range(3 * STEP))
    stream = Changing(projects=many)
    text(stream.printer)
    stream.set(projects=tuple(msgspec.structs.replace(project, runs=2.0) for project in many))
    given_up, late = stream.printer.render(Format.TEXT), stream.printer.render(Format.TEXT)
    for scrape in (given_up, late):
        for _ in range(3):
            next(scrape)
    stream.set(projects=tuple(msgspec.structs.replace(project, runs=3.0) for project in many))
    runs = "iris_project_runs"
    assert {line.rpartition(" ")[2] for line in series(stream.printer, runs)} == {"3.0"}
    shown = [line for line in b"".join(late).decode().splitlines() if line.startswith(runs)]
    assert {line.rpartition(" ")[2] for line in shown} <= {"2.0", "3.0"}
    assert {line.rpartition(" ")[2] for line in series(stream.printer, runs)} == {"3.0"}


def test_a_filter_that_wants_no_project_reads_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProjectTable, "write", None)
    assert text(exposition(source(projects=(ALPHA,))), names=["iris_up"]).endswith('iris_up{stream="main"} 1.0\n')


def test_metrics_of_the_process_are_there_and_can_be_switched_off() -> None:
    with_process, without = exposition(process_metrics=True), exposition()
    assert "process_open_fds " in text(with_process)
    assert "python_info{" in text(with_process, Format.OPENMETRICS)
    assert "python_gc_objects_collected_total{" in text(with_process)
    assert not [line for line in text(without).splitlines() if "process_" in line or "python_info" in line]


def test_the_configuration_that_failed_to_load_leaves_the_time_of_the_one_in_use() -> None:
    printer = exposition()
    assert "iris_exporter_config" not in text(printer)
    printer.self_metrics.config_reloaded(True, NOON)
    printer.self_metrics.config_reloaded(False, NOON + 9)
    assert series(printer, "iris_exporter_config_last_reload_successful")[0].endswith(" 0.0")
    assert series(printer, "iris_exporter_config_last_reload_success_timestamp_seconds")[0].endswith(" 1.7e+09")


def test_otlp_metrics_start_at_zero_and_are_read_from_the_export_queues() -> None:
    printer = exposition()
    names = [f"iris_exporter_otlp_{name}" for name in ("exported_total", "failed_total", "dropped_total", "queued")]
    for name in names:
        assert series(printer, name) == [f'{name}{{signal="traces"}} 0.0', f'{name}{{signal="logs"}} 0.0']
    printer.self_metrics.watch_exports(lambda: {"logs": ExportCounts(10, 1, 2, 3, 4)})
    for value, name in enumerate(names, start=1):
        assert series(printer, name) == [f'{name}{{signal="traces"}} 0.0', f'{name}{{signal="logs"}} {value}.0']


def test_counters_start_at_zero_for_all_known_labels_and_refuse_others() -> None:
    printer = exposition()
    for metric in (catalog.OTLP_EXPORTED, catalog.OTLP_FAILED):
        printer.self_metrics.add(metric, 7, "logs")
        assert series(printer, metric.name) == [
            f'{metric.name}{{signal="traces"}} 0.0',
            f'{metric.name}{{signal="logs"}} 7.0',
        ]
        assert printer.self_metrics.shown(metric)["logs"] == 7
        for unknown in ("metrics", ""):
            with pytest.raises(KeyError):
                printer.self_metrics.add(metric, 1, unknown)
    with pytest.raises(KeyError):
        printer.self_metrics.add(catalog.HTTP_ERRORS, 1, "label")


def test_a_label_that_is_known_and_does_not_exist_from_the_start_gets_its_series_when_it_is_counted() -> None:
    printer = exposition()
    assert "configuration" not in text(printer)
    printer.self_metrics.add(catalog.DISCOVERY_FAILURES, 1, "configuration")
    name = catalog.DISCOVERY_FAILURES.name
    assert series(printer, name)[-1] == f'{name}{{source="configuration"}} 1.0'


def test_a_gauge_that_is_not_known_has_no_series_and_one_that_is_watched_is_read_at_each_scrape() -> None:
    printer = exposition()
    assert not series(printer, catalog.LOOP_DELAY.name)
    delays = [0.25, 0.5]
    printer.self_metrics.watch(catalog.LOOP_DELAY, lambda: delays.pop(0))
    assert series(printer, catalog.LOOP_DELAY.name) == [f"{catalog.LOOP_DELAY.name} 0.25"]
    assert series(printer, catalog.LOOP_DELAY.name) == [f"{catalog.LOOP_DELAY.name} 0.5"]


def test_pieces_are_small_and_many_so_that_others_get_their_turn() -> None:
    projects = tuple(Project(id=f"p{n}", health_ratio=0.5, status="healthy", name="x" * 30) for n in range(3000))
    printer = exposition(source(projects=projects, event_counts={(f"p{n}", "info", "info"): n for n in range(3000)}))
    pieces = list(printer.render(Format.TEXT))
    assert max(map(len, pieces)) < 400_000
    assert pieces.count(b"") >= 3000 // entities.STEP
    assert b"".join(pieces).decode().count("iris_project_status{") == 12_000


def test_counters_may_move_while_a_scrape_is_written() -> None:
    """Between two pieces anything may happen; each family stays whole and nothing is lost in the next scrape."""
    stream = Changing(projects=(ALPHA,), event_counts={("alpha", "info", "info"): 1})
    for piece in stream.printer.render(Format.TEXT):
        stream.source.instruments.message("event")
        stream.source.instruments.delays([0.1])
        if b"iris_stream_message_delay_seconds_count" in piece:
            lines = [line for line in piece.decode().splitlines() if "_delay_" in line]
            assert lines[-2].split()[-1] == lines[-3].split()[-1]
    counted = stream.source.instruments.counter(catalog.MESSAGES).counts()["event"]
    assert f'message_type="event",stream="main"}} {float(counted)}' in text(stream.printer)


def test_what_the_exporter_counts_of_itself_is_written_again_when_it_changes() -> None:
    printer = exposition()
    for count in (1, 2):
        printer.self_metrics.add(catalog.DISCOVERY_FAILURES, 1, "http")
        assert f'iris_exporter_discovery_failures_total{{source="http"}} {count}.0' in text(printer)
