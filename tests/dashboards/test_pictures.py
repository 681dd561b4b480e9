"""The pictures of the documentation are those that `make pictures` draws; the README's sample is of real metrics."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.contract.boards import BY_SAMPLE
from tests.dashboards.pictures import DIRECTORY, PICTURES
from tests.tools import ROOT

MOST_BYTES = 100_000


def test_every_picture_is_shown_and_none_is_left_over() -> None:
    page = (ROOT / "docs/dashboards.md").read_text()
    assert {path.stem for path in DIRECTORY.iterdir()} == set(PICTURES)
    assert set(re.findall(r"\(pictures/([\w-]+)\.png\)", page)) == set(PICTURES)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_small(name: str) -> None:
    picture = (DIRECTORY / f"{name}.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < MOST_BYTES


def test_the_sample_in_the_readme_is_of_metrics_that_exist() -> None:
    (sample,) = re.findall(r"^\$ curl -s http://localhost:14747/metrics\n(.*?)^```", *_readme())
    lines = [line for line in sample.splitlines() if line != "..."]
    families = list(text_string_to_metric_families("\n".join(lines) + "\n"))
    found = [each for family in families for each in family.samples]
    assert len(found) == len(lines) > 5
    for each in found:
        assert set(each.labels) == {label.name for label in BY_SAMPLE[each.name].labels}, each


def _readme() -> tuple[str, re.RegexFlag]:
    return (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
