"""The pictures of the documentation are those that `make pictures` draws."""

import re

import pytest

from tests.dashboards.pictures import DIRECTORY, PAGE, PICTURES
from tests.tools import ROOT

MOST_BYTES = 100_000


def test_every_picture_is_shown_and_none_is_left_over() -> None:
    page = (ROOT / "docs/dashboards.md").read_text()
    assert {path.stem for path in DIRECTORY.iterdir()} == {*PICTURES, PAGE}
    assert f"(pictures/{PAGE}.png)" in (ROOT / "docs/quickstart.md").read_text()
    assert set(re.findall(r"\(pictures/([\w-]+)\.png\)", page)) == set(PICTURES)


@pytest.mark.parametrize("name", [*PICTURES, PAGE])
def test_a_picture_is_small(name: str) -> None:
    picture = (DIRECTORY / f"{name}.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < MOST_BYTES
