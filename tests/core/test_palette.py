"""Colours are told apart, by people who do not see all of them, too, and can be read on light and on dark."""

from collections.abc import Mapping
from itertools import combinations

import pytest
from coloraide import Color

from iris_exporter.core import palette
from iris_exporter.core.reasons import REASONS, FailureClass
from iris_exporter.core.status import State
from iris_exporter.instruments import catalog
from iris_exporter.model.snapshot import DataFlow
from tests.examples import every

BACKGROUNDS = ("#ffffff", "#f4f5f5", "#22252b", "#181b1f", "#111217")
"""Panels and pages: Grafana's two themes, and ours."""

TABLES: dict[str, Mapping[str, str]] = {
    "states": palette.STATES,
    "severities": palette.SEVERITIES,
    "statuses": palette.STATUSES,
    "flows": palette.FLOWS,
    "classes": palette.CLASSES,
}
MEANINGS = {
    "good": palette.GOOD,
    "pending": palette.PENDING,
    "warning": palette.WARNING,
    "error": palette.ERROR,
    "critical": palette.CRITICAL,
    "info": palette.INFO,
    "off": palette.OFF,
}
ALL = {*MEANINGS.values(), *palette.CLASSES.values(), *palette.REASONS.values()}

# Machado et al. (2009) for each of the three, and by older models: Viénot (1999), Brettel (1997) for the lack of blue.
VISIONS = [
    *((deficiency, "machado") for deficiency in ("protan", "deutan", "tritan")),
    *(("protan", "vienot"), ("deutan", "vienot"), ("tritan", "brettel")),
]


def seen(colour: str, vision: tuple[str, str] | None) -> Color:
    """How somebody sees a colour who lacks one of the three kinds of cones."""
    if vision is None:
        return Color(colour)
    deficiency, method = vision
    return Color(colour).filter(deficiency, 1.0, method=method)


def difference(one: str, other: str, vision: tuple[str, str] | None = None) -> float:
    """CIEDE2000: 1 can just be seen side by side, 10 at a glance."""
    return seen(one, vision).delta_e(seen(other, vision), method="2000")


def nearest(colour: str, among: Mapping[FailureClass, str]) -> FailureClass:
    return min(among, key=lambda name: difference(colour, among[name]))


def test_every_value_has_a_colour() -> None:
    assert set(palette.STATES) == set(State)
    assert set(palette.SEVERITIES) == set(catalog.SEVERITIES)
    assert set(palette.STATUSES) == set(catalog.STATUSES)
    assert set(palette.FLOWS) == {flow.value for flow in DataFlow}
    assert set(palette.CLASSES) == set(FailureClass)
    assert set(palette.REASONS) == set(REASONS)


@pytest.mark.parametrize("vision", [None, *VISIONS], ids=lambda vision: "-".join(vision or ("all",)))
@pytest.mark.parametrize("table", TABLES)
def test_what_stands_side_by_side_is_told_apart(table: str, vision: tuple[str, str] | None) -> None:
    least = 18 if vision is None else 10
    near = {
        (one, other): round(found, 1)
        for (one, colour), (other, second) in combinations(TABLES[table].items(), 2)
        if (found := difference(colour, second, vision)) < least
    }
    assert near == {}


def test_a_colour_has_one_meaning() -> None:
    """No class of failures looks like a state or a severity; grey is what has ended or was not wanted."""
    classes = {name: colour for name, colour in palette.CLASSES.items() if name is not FailureClass.ENDED}
    for one, other in combinations((MEANINGS | classes).values(), 2):
        assert difference(one, other) > 11, (one, other)


def test_a_reason_has_a_shade_of_its_own_in_the_colour_of_its_class() -> None:
    assert len(set(palette.REASONS.values())) == len(REASONS)
    for name, colour in palette.REASONS.items():
        assert nearest(colour, palette.CLASSES) is REASONS[name].failure_class, name
        meanings = [other for other in MEANINGS.values() if other != palette.OFF]
        assert all(difference(colour, other) > 5 for other in meanings), name
    for one, other in combinations(palette.REASONS, 2):
        if REASONS[one].failure_class is REASONS[other].failure_class:
            assert difference(palette.REASONS[one], palette.REASONS[other]) > 6, (one, other)


@every(sorted(ALL), str)
def test_a_colour_stands_out_from_every_background_and_carries_text(colour: str) -> None:
    for background in BACKGROUNDS:
        assert Color(colour).contrast(background, method="wcag21") >= 3, background
    text = palette.text_on(colour)
    assert Color(colour).contrast(text, method="wcag21") >= 4.5
    other = "#000000" if text == "#ffffff" else "#ffffff"
    assert Color(colour).contrast(text, method="wcag21") >= Color(colour).contrast(other, method="wcag21")
