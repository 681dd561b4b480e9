"""Presets of the package, and the samples that show what they make."""

import pytest

from iris_exporter.mapping import presets
from tests.mapping import samples
from tests.mapping.samples import read_files


def test_there_are_presets() -> None:
    assert len(presets.names()) >= 15
    with pytest.raises(KeyError):
        presets.load("no-such-thing")


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_reads_without_a_doubt(name: str) -> None:
    read = read_files([presets.path(name)])
    assert read.problems == []
    assert read.warnings == []
    assert list(read.by_name) == [name]
    assert presets.text(name).startswith("# ")
    assert 20 < len(presets.summary(name)) < 120


@pytest.mark.parametrize("name", samples.NAMES)
def test_a_sample_is_whole(name: str) -> None:
    """What has to come of it names metrics of its mapping, and kinds that it has."""
    sample = samples.load(name)
    metrics = {metric.name for metric in sample.mapping.metrics}
    for line in samples.sorted_expected(sample):
        series = line.partition("{")[0].partition(" ")[0]
        assert series in metrics or series.removesuffix("_count").removesuffix("_sum") in metrics, line
    kinds = {entry.kind for entry in sample.mapping.entries}
    assert sample.summary["messages"].keys() <= {*kinds, "other"}
    if sample.form != "sse":
        assert sum(sample.summary["messages"].values()) == len(sample.lines)


def test_every_preset_has_a_sample() -> None:
    assert set(presets.names()) - set(samples.NAMES) == set()
