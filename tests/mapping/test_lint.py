"""What is refused and what is doubted, each with its line.

A file of tests/data/mapping-lint says so itself: `# !` behind a line is a problem there, `# ?` a warning, and what
follows is a part of the message.
"""

import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from iris_exporter.errors import Problem
from iris_exporter.instruments.catalog import CATALOG
from iris_exporter.mapping.lint import RESERVED_NAMESPACES, clashes
from tests.mapping.samples import read_files

FILES = sorted((Path(__file__).parents[1] / "data" / "mapping-lint").glob("*.yaml"))


def announced(file: Path, sign: str) -> list[tuple[int, str]]:
    """What a file says is found: line and a part of the message."""
    return [
        (number, part.strip())
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        for found, part in re.findall(r" ([!?]) (.+?)(?= [!?] |$)", line.partition("  #")[2])
        if found == sign
    ]


def compare(found: list[Problem], expected: list[tuple[int, str]]) -> None:
    rest = [(int(problem.where.rpartition(":")[2]), str(problem)) for problem in found]
    for line, part in expected:
        match = next((each for each in rest if each[0] == line and part in each[1]), None)
        assert match is not None, (line, part, [each for each in rest if each[0] == line])
        rest.remove(match)
    assert rest == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_problem_is_found_at_once_with_its_line(file: Path) -> None:
    read = read_files([file])
    compare(read.problems, announced(file, "!"))
    compare(read.warnings, announced(file, "?"))
    assert {problem.where.rpartition(":")[0] for problem in read.problems} <= {str(file)}


def test_there_is_something_to_find() -> None:
    assert len(FILES) >= 9
    assert all(announced(file, "!") or announced(file, "?") for file in FILES)


def test_no_mapping_can_have_the_name_of_a_metric_of_the_exporter() -> None:
    """Their first words are no namespaces."""
    names = [metric.name for metric in CATALOG]
    assert len(names) > 50
    assert {name.partition("_")[0] for name in names} <= set(RESERVED_NAMESPACES)
    assert {family.name.partition("_")[0] for family in REGISTRY.collect()} <= set(RESERVED_NAMESPACES)


def test_families_of_several_mappings_are_compared(tmp_path: Path) -> None:
    """A counter and a gauge of one family would be one thing with two meanings in OpenMetrics."""
    file = tmp_path / "a.yaml"
    file.write_text(
        "mappings:\n"
        "  one: {namespace: a, messages: [{kind: a, metrics: [{name: x_total, type: counter, help: A.}]}]}\n"
        "  two: {namespace: a, messages: [{kind: a, metrics: [{name: x, type: gauge, help: A., value: $.a}]}]}\n"
        "  three: {namespace: a, messages: [{kind: a, metrics: [{name: x_total, type: counter, help: A.}]}]}\n"
    )
    read = read_files([file])
    assert list(clashes(read.by_name.values())) == [("one", "two", "a_x", "type")]
