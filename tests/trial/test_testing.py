"""Tests of mappings."""

from pathlib import Path

import pytest

from iris_exporter.errors import UsageError
from iris_exporter.mapping.spec import TestCase as Case
from iris_exporter.trial.testing import run_test, series
from tests.mapping import samples


def case(name: str, expect: Path | None = None) -> Case:
    directory = samples.DIRECTORY / name
    [sample] = directory.glob("sample.*")
    return Case(str(sample), str(expect or directory / "expected.txt"), samples.NOW)


@pytest.mark.parametrize("name", samples.NAMES)
def test_what_is_as_expected_passes(name: str) -> None:
    assert run_test(samples.mapping_of(name), case(name), 0.0) == []


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (('topic="alerts"} 1', 'topic="alerts"} 2'), '+ntfy_messages_total{priority="5",topic="alerts"} 1'),
        (('topic="alerts"', 'topic="other"'), '-ntfy_messages_total{priority="5",topic="other"} 1'),
        (("ntfy_messages_total", "nothing\nntfy_messages_total"), "-nothing"),
    ],
)
def test_what_is_not_as_expected_is_shown(change: tuple[str, str], difference: str, tmp_path: Path) -> None:
    expected = tmp_path / "expected.txt"
    expected.write_text((samples.DIRECTORY / "ntfy" / "expected.txt").read_text().replace(*change))
    assert difference in run_test(samples.mapping_of("ntfy"), case("ntfy", expected), 0.0)


def test_series_are_compared_without_what_says_nothing() -> None:
    one = ["# HELP a A.", 'a{stream="x",b="c",a="d, e"} 1.0', "", "b 12345678"]
    other = ['b{stream="y"} 12345679 1700000000000', '   a{a="d, e",b="c"}   1']
    assert series(one) == series(other) == ['a{a="d, e",b="c"} 1', "b{} 1.23457e+07"]


def test_a_file_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        run_test(samples.mapping_of("ntfy"), Case(str(tmp_path / "none"), str(tmp_path / "none")), 0.0)
