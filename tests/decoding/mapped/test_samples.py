"""Every sample of a real stream gives what has to come of it."""

import pytest

from iris_exporter.core.places import Place
from iris_exporter.decoding.dialect import Frame
from iris_exporter.decoding.messages import UpstreamError
from iris_exporter.mapping.spec import MetricKind
from iris_exporter.transports.sse_parser import SseParser
from tests.decoding.mapped.specs import Run, start
from tests.mapping import samples


def frames_of(sample: samples.Sample, *, names_events: bool) -> list[Frame]:
    if sample.form != "sse":
        return list(sample.lines)
    return SseParser(1 << 20, names_events=names_events).feed_frames(sample.content + b"\n\n")


def shown(found: Run) -> list[str]:
    """The series as `samples.sorted_expected` has them."""
    lines = []
    by_name = {metric.name: metric for metric in found.dialect.mapping.metrics}
    for name, series in found.series(samples.NOW).items():
        metric = by_name[name]
        for key, value in series.items():
            labels = [f'{spec.name}="{text}"' for spec, text in zip(metric.labels, key, strict=True)]
            if metric.kind is MetricKind.HISTOGRAM:
                lines += [line(f"{name}_count", labels, sum(value[:-1])), line(f"{name}_sum", labels, value[-1])]
            elif metric.kind is MetricKind.STATESET:
                lines += [line(name, [*labels, f'state="{state}"'], float(state == value)) for state in metric.states]
            else:
                lines.append(line(name, labels, value))
    return sorted(lines)


def line(name: str, labels: list[str], value: float) -> str:
    return f"{name}{'{' + ','.join(sorted(labels)) + '}' if labels else ''} {value:g}"


@pytest.mark.parametrize("name", samples.NAMES)
def test_a_sample_gives_what_is_expected(name: str) -> None:
    sample = samples.load(name)
    found = start(sample.mapping)
    found.feed(*frames_of(sample, names_events=found.dialect.names_events), now=samples.NOW)
    assert shown(found) == samples.sorted_expected(sample)
    summary = sample.summary
    assert found.messages == summary["messages"]
    assert found.filtered == summary["filtered"]
    assert found.duplicates == summary["duplicates"]
    assert not found.errors
    assert sum(found.problems.values()) == sum(summary.get("problems", {}).values()), found.problems
    reported = [error for error in found.others if isinstance(error, UpstreamError)]
    errors = [[error.code, error.reason] for error in reported if error.reason != "position_refused"]
    assert errors == [[code or "", reason] for code, reason in summary.get("errors", [])]
    cursor = found.state.cursor
    assert isinstance(cursor, Place)
    if sample.form != "sse":
        assert (cursor.state.opaque or None) == summary.get("cursor")
