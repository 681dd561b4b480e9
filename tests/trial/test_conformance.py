"""Every sample gives what has to come of it: the whole way from bytes to the exposition."""

import subprocess

import pytest

from iris_exporter.mapping import presets
from iris_exporter.mapping.lint import name_problems
from iris_exporter.mapping.spec import MetricKind
from iris_exporter.trial.running import Result
from iris_exporter.trial.testing import read_arrivals, try_arrivals
from tests.mapping import samples
from tests.tools import tool


def tried(name: str) -> Result:
    sample = samples.load(name)
    return try_arrivals(sample.mapping, read_arrivals(sample.mapping, sample.content), samples.NOW)


@pytest.mark.parametrize("name", samples.NAMES)
def test_a_sample_gives_what_it_has_to(name: str) -> None:
    sample, result = samples.load(name), tried(name)
    assert samples.short(result.exposition, sample.mapping.namespace) == samples.sorted_expected(sample)
    assert result.problems == {}
    assert result.dropped == {}
    summary = sample.summary
    assert result.messages == summary["messages"]
    assert result.filtered == summary["filtered"]
    assert result.duplicates == summary["duplicates"]
    assert result.gaps == summary.get("gaps", 0)
    if sample.mapping.cursor is None or sample.mapping.cursor.by is None:
        assert (result.cursor or None) == summary["cursor"]
    # A cursor that is too old is one more, beside what the message says.
    errors = [error for error in result.errors if error != ("", "position_refused")]
    assert sorted(errors) == sorted((code or "", reason) for code, reason in summary["errors"])


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("name", samples.NAMES)
def test_prometheus_has_nothing_to_say_about_what_is_shown(name: str) -> None:
    assert promtool(tried(name).exposition) == ""


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("name", presets.names())
def test_prometheus_has_nothing_to_say_about_any_metric(name: str) -> None:
    """Also of those of which no sample shows anything."""
    exposition = "".join(
        f"# HELP NAME {metric.help}\n# TYPE NAME {TYPES.get(metric.kind, 'gauge')}\n{SERIES[metric.kind]}".replace(
            "NAME", metric.name
        )
        for metric in presets.load(name).metrics
    )
    assert promtool(exposition) == ""


TYPES = {MetricKind.COUNTER: "counter", MetricKind.HISTOGRAM: "histogram"}
SERIES = dict.fromkeys(MetricKind, "NAME 1\n") | {
    MetricKind.HISTOGRAM: 'NAME_bucket{le="+Inf"} 1\nNAME_count 1\nNAME_sum 1\n',
    MetricKind.STATESET: 'NAME{state="a"} 1\n',
}


def promtool(exposition: str) -> str:
    """What `promtool check metrics` says."""
    command = [tool("promtool"), "check", "metrics"]
    checked = subprocess.run(command, input=exposition, capture_output=True, text=True, check=False)
    return f"{checked.stdout}{checked.stderr}"


@pytest.mark.needs("promtool")
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("a_things", "counter"), ("a_things_total", "gauge"), ("a_x_count", "gauge"), ("a_x_ms", "gauge")),
        *(("a_x_milliseconds", "gauge"), ("a_x_minutes", "gauge"), ("a_x_gauge", "gauge"), ("a_x_bits", "gauge")),
        *(("a_kilobytes_total", "counter"), ("a_counter_total", "counter"), ("a_x_fahrenheit", "gauge")),
        *(("a_x_h", "gauge"), ("a_x_sum", "gauge"), ("a_x_bucket", "gauge"), ("a_kelvins", "gauge")),
    ],
)
def test_what_prometheus_objects_to_the_language_refuses(name: str, kind: str) -> None:
    """The other way round: its linter's rules are in ours."""
    assert promtool(f"# HELP {name} A.\n# TYPE {name} {kind}\n{name} 1\n") != ""
    assert list(name_problems(name, MetricKind(kind)))
