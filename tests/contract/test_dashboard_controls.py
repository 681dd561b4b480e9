"""What is above and around the panels: controls that need little room, titles that are not cut off."""

from typing import Any

import pytest

from alerts.model import Severity
from dashboards.common import SEVERITY_COLOURS
from tests.contract import boards
from tests.contract.test_dashboard_tables import PAGE
from tests.examples import every

BOARDS = boards.every()
PANELS = [(name, panel) for name in BOARDS for panel in boards.panels(BOARDS[name])]
each_panel = every(PANELS, lambda row: f"{row[0]} / {row[1]['title']}")
each_board = pytest.mark.parametrize("name", BOARDS)
each_board_on_prometheus = pytest.mark.parametrize("name", [name for name in BOARDS if name != "iris-live"])

HIDDEN, IN_MENU = 2, 3
LETTER = 7.2
"""Of a label or a title, 14 pixels high."""
PICKERS = 330
"""Time, refresh: in the same row from Grafana 11 on."""


def _width(variable: dict[str, Any]) -> float:
    """Label, value (All, or as long as a name of a data source), arrow, paddings and the gap to the next one."""
    value = 15 if variable["type"] == "datasource" else 6
    return (len(variable["label"]) + value) * LETTER + 55


def _toggle(annotation: dict[str, Any]) -> float:
    return len(annotation["name"]) * LETTER + 55


def _link(link: dict[str, Any]) -> float:
    return len(link["title"]) * LETTER + 50


def controls(board: dict[str, Any], *, menu: bool) -> float:
    """Pixels that the controls of a dashboard need; `menu` where Grafana has a menu for some of them."""
    found = [
        _width(variable)
        for variable in board["templating"]["list"]
        if variable.get("hide", 0) != HIDDEN and not (menu and variable.get("hide") == IN_MENU)
    ]
    found += [
        _toggle(annotation)
        for annotation in board["annotations"]["list"]
        if not annotation.get("hide") and not (menu and annotation.get("placement") == "inControlsMenu")
    ]
    return sum(found) + sum(_link(link) for link in board["links"])


@each_board
def test_the_controls_need_two_rows_at_most_at_1280_pixels(name: str) -> None:
    assert controls(BOARDS[name], menu=False) <= 2 * PAGE


@pytest.mark.parametrize("name", ["iris-overview", "iris-project", "iris-live"])
def test_the_controls_need_one_row_where_grafana_has_a_menu_for_them(name: str) -> None:
    assert controls(BOARDS[name], menu=True) <= PAGE - PICKERS


@each_board
def test_what_is_in_the_menu_need_not_be_touched(name: str) -> None:
    """What is chosen at every visit is beside the time."""
    shown = {found["name"] for found in BOARDS[name]["templating"]["list"] if found.get("hide", 0) == 0}
    assert shown <= {"instance", "stream", "project", "by", "channel", "poll_interval"}


@each_panel
def test_a_title_fits_above_its_panel_at_1280_pixels(name: str, panel: dict[str, Any]) -> None:
    """Beside it are the sign of the description and the menu."""
    assert len(panel["title"]) * 7.7 + 60 <= PAGE * panel["gridPos"]["w"] / 24


@each_panel
def test_the_sentence_of_an_empty_stat_is_large_enough_to_read(name: str, panel: dict[str, Any]) -> None:
    """A stat panel makes its text as small as one line asks for: not below 11 pixels. What is too long is cut off."""
    if panel["type"] == "stat":
        sentence = panel["fieldConfig"]["defaults"]["noValue"]
        size = panel["options"].get("text", {}).get("valueSize", 11)
        assert len(sentence) * 0.55 * size <= PAGE * panel["gridPos"]["w"] / 24 - 24


@each_board_on_prometheus
def test_firing_alerts_are_drawn_in_the_colour_of_their_severity(name: str) -> None:
    drawn = {found["name"]: found for found in BOARDS[name]["annotations"]["list"]}
    for severity in Severity:
        annotation = drawn[f"{severity.capitalize()} alerts"]
        assert annotation["iconColor"] == SEVERITY_COLOURS[severity]
        assert 'ALERTS{alertname=~"Iris.+", alertstate="firing"' in annotation["expr"]
        assert f'severity="{severity}"' in annotation["expr"]
